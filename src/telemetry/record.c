/*
 * Building records. The bytes are described in record.h. What PostgreSQL
 * cannot hold (NUL, invalid UTF-8) is replaced here, once, so that nothing
 * behind this point has to think of it: no batch fails for a user agent.
 */
#include "telemetry/record.h"

#include <endian.h>

#define REPLACEMENT STR("\xef\xbf\xbd")

static enum record_kind kind_of(const struct buf *b) {
    ASSERT(buf_length(b) >= 2);
    return (enum record_kind)(unsigned char)b->data[b->start + 1];
}

static const struct column *column_of(const struct buf *b, unsigned column) {
    const struct table *t = record_table(kind_of(b));

    ASSERT(column < t->n && column <= UINT8_MAX);
    return &t->columns[column];
}

static void put_head(char *p, unsigned column, size_t n) {
    uint32_t head = htole32((uint32_t)n << 8 | column);

    memcpy(p, &head, sizeof head);
}

static void put_field(struct buf *b, unsigned column, struct str bytes) {
    char *p = buf_reserve(b, 4 + bytes.n);

    put_head(p, column, bytes.n);
    if (bytes.n > 0)
        memcpy(p + 4, bytes.p, bytes.n);
    buf_commit(b, 4 + bytes.n);
}

static void put_number(struct buf *b, unsigned column, uint64_t bits) {
    char *p = buf_reserve(b, 12);

    bits = htole64(bits);
    put_head(p, column, sizeof bits);
    memcpy(p + 4, &bits, sizeof bits);
    buf_commit(b, 12);
}

void record_begin(struct buf *out, enum record_kind kind) {
    ASSERT(kind < RECORD_KINDS);
    out->start = out->end = 0;
    buf_append_char(out, RECORD_FORMAT);
    buf_append_char(out, (char)kind);
}

void record_uuid(struct buf *out, unsigned column, const struct uuid *u) {
    ASSERT(column_of(out, column)->type == COLUMN_UUID);
    put_field(out, column, str_make((const char *)u->b, sizeof u->b));
}

/* How many bytes from the front are text that may stay as it is; ASCII, the usual case, eight at a time. */
static size_t clean_length(struct str s) {
    size_t i = 0;

    while (i < s.n) {
        uint64_t w;
        if (i + 8 <= s.n) {
            memcpy(&w, s.p + i, 8);
            /* no byte is 0 (the classic test), and none has its high bit set */
            if ((((w - 0x0101010101010101u) & ~w) | w) & 0x8080808080808080u)
                w = 0;
            if (w != 0) {
                i += 8;
                continue;
            }
        }
        unsigned char c = (unsigned char)s.p[i];
        size_t n = c == '\0' ? 0 : c < 0x80 ? 1 : str_utf8(str_from(s, i));
        if (n == 0)
            break;
        i += n;
    }
    return i;
}

/* Cuts between characters. What is not UTF-8 may be cut anywhere. */
static struct str cut_text(struct str s, size_t max) {
    if (s.n <= max)
        return s;
    size_t n = max;
    for (size_t back = 0; back < 4 && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80; back++)
        n--;
    return str_make(s.p, n);
}

/* Appends s to the field being written, cleaned, at most RECORD_FIELD_MAX bytes. */
static void put_cleaned(struct buf *b, struct str s) {
    size_t written = 0;

    while (s.n > 0) {
        size_t clean = clean_length(s);
        struct str part = cut_text(str_make(s.p, clean), RECORD_FIELD_MAX - written);
        buf_append(b, part);
        written += part.n;
        if (part.n < clean)
            return;
        s = str_from(s, clean);
        if (s.n == 0 || written + REPLACEMENT.n > RECORD_FIELD_MAX)
            return;
        buf_append(b, REPLACEMENT);
        written += REPLACEMENT.n;
        s = str_from(s, 1);
    }
}

static size_t field_begin(struct buf *b, unsigned column) {
    size_t at = buf_length(b);

    put_field(b, column, STR_NONE);
    return at;
}

static void field_end(struct buf *b, size_t at) {
    char *p = b->data + b->start + at;

    put_head(p, (unsigned char)p[0], buf_length(b) - at - 4);
}

void record_text(struct buf *out, unsigned column, struct str s) {
    ASSERT(column_of(out, column)->type == COLUMN_TEXT);
    if (s.p == NULL)
        return;
    if (s.n <= RECORD_FIELD_MAX && clean_length(s) == s.n) {
        put_field(out, column, s);
        return;
    }
    size_t at = field_begin(out, column);
    put_cleaned(out, s);
    field_end(out, at);
}

void record_integer(struct buf *out, unsigned column, int64_t v) {
    static const struct {
        int64_t low, high;
    } ranges[] = {[COLUMN_INT2] = {INT16_MIN, INT16_MAX},
                  [COLUMN_INT4] = {INT32_MIN, INT32_MAX},
                  [COLUMN_INT8] = {INT64_MIN, INT64_MAX}};
    enum column_type type = column_of(out, column)->type;

    ASSERT((size_t)type < ARRAY_LENGTH(ranges) && ranges[type].high > 0); /* or it is no integer */
    v = v < ranges[type].low ? ranges[type].low : v > ranges[type].high ? ranges[type].high : v;
    put_number(out, column, (uint64_t)v);
}

void record_real(struct buf *out, unsigned column, double v) {
    uint64_t bits;

    ASSERT(column_of(out, column)->type == COLUMN_FLOAT8);
    memcpy(&bits, &v, sizeof bits);
    put_number(out, column, bits);
}

void record_bool(struct buf *out, unsigned column, bool v) {
    ASSERT(column_of(out, column)->type == COLUMN_BOOL);
    put_field(out, column, v ? STR("\1") : STR("\0"));
}

void record_time(struct buf *out, unsigned column, wall_t t) {
    ASSERT(column_of(out, column)->type == COLUMN_TIMESTAMPTZ);
    put_number(out, column, (uint64_t)t.us);
}

void record_ip(struct buf *out, unsigned column, const struct ip *ip) {
    char bytes[17];
    size_t n = ip->family == AF_INET ? 4 : 16;

    ASSERT(column_of(out, column)->type == COLUMN_INET);
    if (ip->family == AF_UNSPEC)
        return;
    bytes[0] = ip->family == AF_INET ? 4 : 6;
    memcpy(bytes + 1, ip->b + 16 - n, n); /* IPv4 is kept v4-mapped */
    put_field(out, column, str_make(bytes, 1 + n));
}

/* jsonb refuses the escape of NUL ("unsupported Unicode escape sequence"): it becomes that of U+FFFD, of the same
 * length. An escaped backslash before u0000 is none. */
static void mend_escapes(char *p, size_t n) {
    for (size_t i = 0; i + 1 < n; i++) {
        if (p[i] != '\\')
            continue;
        if (p[i + 1] == 'u' && n - i >= 6 && memcmp(p + i + 2, "0000", 4) == 0)
            memcpy(p + i + 2, "fffd", 4);
        i++;
    }
}

void record_json(struct buf *out, unsigned column, struct str json) {
    ASSERT(column_of(out, column)->type == COLUMN_JSONB);
    if (json.p == NULL || json.n > RECORD_FIELD_MAX)
        return;
    size_t at = field_begin(out, column);
    put_cleaned(out, json);
    field_end(out, at);
    mend_escapes(out->data + out->start + at + 4, buf_length(out) - at - 4);
}

void record_end(struct buf *out) {
    ASSERT(buf_length(out) >= 2); /* all of it is looked at where it is read: this is on the path of every request */
}
