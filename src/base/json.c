/*
 * JSON strings. Control characters are escaped beyond what RFC 8259 asks
 * for: U+007F..U+009F too, which a terminal obeys, and U+2028 and U+2029,
 * which older JavaScript takes for line ends.
 */
#include "base/json.h"

/* True for bytes that go out as they are. */
static bool is_plain(unsigned char c) {
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void append_escaped(struct buf *b, unsigned char c) {
    static const char short_forms[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    for (size_t i = 0; i + 1 < sizeof short_forms; i += 2)
        if ((unsigned char)short_forms[i] == c) {
            buf_append_char(b, '\\');
            buf_append_char(b, short_forms[i + 1]);
            return;
        }
    buf_printf(b, "\\u%04x", c);
}

/* A sequence of more than one byte, well-formed. */
static void append_sequence(struct buf *b, struct str sequence) {
    const unsigned char *p = (const unsigned char *)sequence.p;

    if (sequence.n == 2 && p[0] == 0xc2 && p[1] < 0xa0)
        buf_printf(b, "\\u%04x", p[1]);
    else if (sequence.n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9))
        buf_printf(b, "\\u20%02x", p[2] - 0x80);
    else
        buf_append(b, sequence);
}

void json_append_string(struct buf *b, struct str s) {
    size_t i = 0;

    buf_append_char(b, '"');
    while (i < s.n) {
        size_t plain = i, length;

        while (plain < s.n && is_plain((unsigned char)s.p[plain]))
            plain++;
        buf_append(b, str_make(s.p + i, plain - i));
        i = plain;
        if (i == s.n)
            break;
        length = str_utf8(str_from(s, i));
        if (length == 0)
            buf_append(b, STR("\xef\xbf\xbd"));
        else if (length == 1)
            append_escaped(b, (unsigned char)s.p[i]);
        else
            append_sequence(b, str_make(s.p + i, length));
        i += length == 0 ? 1 : length;
    }
    buf_append_char(b, '"');
}
