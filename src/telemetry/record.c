/*
 * Building records. The bytes are described in record.h. What PostgreSQL
 * cannot hold (NUL, invalid UTF-8) is replaced here, once, so that nothing
 * behind this point has to think of it: no batch fails for a user agent.
 */
#include "telemetry/record.h"

#include <endian.h>

#define REPLACEMENT STR("\xef\xbf\xbd")
#define IS_NULL     UINT32_MAX

static inline char *put_length(char *p, uint32_t n) {
    n = htobe32(n);
    memcpy(p, &n, sizeof n);
    return p + sizeof n;
}

/* Room for a field of that column of at most n bytes, behind its length, which is put; those that were skipped are
 * NULL. */
static char *begin_field(struct record_draft *d, unsigned column, enum column_type type, size_t n) {
    unsigned skipped = column - d->next;
    ASSERT(column >= d->next && column < d->table->n && d->table->columns[column].type == type);
    char *p = buf_reserve(&d->bytes, 4 * (size_t)skipped + 4 + n);

    for (; d->next < column; d->next++)
        p = put_length(p, IS_NULL);
    d->next++;
    buf_commit(&d->bytes, 4 * (size_t)skipped + 4 + n);
    return put_length(p, (uint32_t)n);
}

static void put_u64(struct record_draft *d, unsigned column, enum column_type type, uint64_t bits) {
    bits = htobe64(bits);
    memcpy(begin_field(d, column, type, sizeof bits), &bits, sizeof bits);
}

void record_continue(struct record_draft *d, enum record_kind kind, unsigned column) {
    buf_clear(&d->bytes);
    d->table = record_table(kind);
    d->next = column;
}

void record_begin(struct record_draft *d, enum record_kind kind) {
    record_continue(d, kind, 0);
    uint16_t n = htobe16((uint16_t)d->table->n);
    char *p = buf_reserve(&d->bytes, RECORD_HEAD);

    p[0] = RECORD_FORMAT;
    p[1] = (char)kind;
    memcpy(p + 2, &n, sizeof n);
    buf_commit(&d->bytes, RECORD_HEAD);
}

void record_skip_to(struct record_draft *d, unsigned column) {
    ASSERT(column >= d->next && column <= d->table->n);
    char *p = buf_reserve(&d->bytes, 4 * (size_t)(column - d->next));

    buf_commit(&d->bytes, 4 * (size_t)(column - d->next));
    for (; d->next < column; d->next++)
        p = put_length(p, IS_NULL);
}

void record_end(struct record_draft *d) {
    record_skip_to(d, (unsigned)d->table->n);
}

void record_free(struct record_draft *d) {
    buf_free(&d->bytes);
    *d = (struct record_draft){0};
}

void record_uuid(struct record_draft *d, unsigned column, const struct uuid *u) {
    memcpy(begin_field(d, column, COLUMN_UUID, sizeof u->b), u->b, sizeof u->b);
}

/* Not 0 where one of the eight bytes is 0 (the classic test) or has its high bit set. */
static inline uint64_t not_plain(uint64_t w) {
    return (((w - 0x0101010101010101u) & ~w) | w) & 0x8080808080808080u;
}

/* Of fewer than eight bytes, as one word for not_plain. */
static inline uint64_t copy_short(char *p, struct str s) {
    uint64_t w = 0x0101010101010101u;
    uint32_t front, back;

    if (s.n >= 4) { /* they overlap */
        memcpy(&front, s.p, 4);
        memcpy(&back, s.p + s.n - 4, 4);
        memcpy(p, &front, 4);
        memcpy(p + s.n - 4, &back, 4);
        w = (uint64_t)back << 32 | front;
    } else {
        for (size_t i = 0; i < s.n; i++)
            w = w << 8 | (unsigned char)(p[i] = s.p[i]);
    }
    return w;
}

/* Copies and looks in one go, eight bytes at a time. False: it is not all ASCII without NUL, the usual case; what is at
 * p is then of no use. */
static bool copy_plain(char *p, struct str s) {
    uint64_t bad = 0, w;
    size_t i = 0;

    for (; i + 8 <= s.n; i += 8) {
        memcpy(&w, s.p + i, 8);
        memcpy(p + i, &w, 8);
        bad |= not_plain(w);
    }
    if (i < s.n)
        bad |= not_plain(copy_short(p + i, str_make(s.p + i, s.n - i)));
    return bad == 0;
}

/* How many bytes from the front are text that may stay as it is. */
static size_t clean_length(struct str s) {
    size_t i = 0;

    while (i < s.n) {
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

/* What has been put behind the field that ended at `at` belongs to it, too: n bytes were there already. */
static void end_field(struct record_draft *d, size_t at, size_t n) {
    char *p = d->bytes.data + d->bytes.start + at;

    (void)put_length(p - n - 4, (uint32_t)(buf_length(&d->bytes) - at + n));
}

void record_text(struct record_draft *d, unsigned column, struct str s) {
    if (s.p == NULL)
        return;
    size_t n = s.n <= RECORD_FIELD_MAX ? s.n : 0;
    if (copy_plain(begin_field(d, column, COLUMN_TEXT, n), str_make(s.p, n)) && n == s.n)
        return;
    d->bytes.end -= n;
    size_t at = buf_length(&d->bytes);
    put_cleaned(&d->bytes, s);
    end_field(d, at, 0);
}

void record_integer(struct record_draft *d, unsigned column, int64_t v) {
    ASSERT(column < d->table->n);
    enum column_type type = d->table->columns[column].type;

    if (type == COLUMN_INT2) {
        uint16_t bits = htobe16((uint16_t)(v < INT16_MIN ? INT16_MIN : v > INT16_MAX ? INT16_MAX : v));
        memcpy(begin_field(d, column, COLUMN_INT2, sizeof bits), &bits, sizeof bits);
    } else if (type == COLUMN_INT4) {
        uint32_t bits = htobe32((uint32_t)(v < INT32_MIN ? INT32_MIN : v > INT32_MAX ? INT32_MAX : v));
        memcpy(begin_field(d, column, COLUMN_INT4, sizeof bits), &bits, sizeof bits);
    } else {
        put_u64(d, column, COLUMN_INT8, (uint64_t)v);
    }
}

void record_real(struct record_draft *d, unsigned column, double v) {
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    put_u64(d, column, COLUMN_FLOAT8, bits);
}

void record_bool(struct record_draft *d, unsigned column, bool v) {
    *begin_field(d, column, COLUMN_BOOL, 1) = v;
}

void record_time(struct record_draft *d, unsigned column, wall_t t) {
    int64_t us;

    if (__builtin_sub_overflow(t.us, RECORD_EPOCH, &us))
        us = INT64_MIN; /* -infinity */
    put_u64(d, column, COLUMN_TIMESTAMPTZ, (uint64_t)us);
}

/* Family (AF_INET is 2, that of IPv6 one more on every system), bits, is it a network, bytes of address. */
void record_ip(struct record_draft *d, unsigned column, const struct ip *ip) {
    size_t n = ip->family == AF_INET ? 4 : 16;

    if (ip->family == AF_UNSPEC)
        return;
    char *p = begin_field(d, column, COLUMN_INET, 4 + n);
    p[0] = n == 4 ? 2 : 3;
    p[1] = (char)(8 * n);
    p[2] = 0;
    p[3] = (char)n;
    memcpy(p + 4, ip->b + 16 - n, n); /* IPv4 is kept v4-mapped */
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

void record_json(struct record_draft *d, unsigned column, struct str json) {
    if (json.p == NULL || json.n > RECORD_FIELD_MAX)
        return;
    *begin_field(d, column, COLUMN_JSONB, 1) = 1; /* the version of its form */
    size_t at = buf_length(&d->bytes);
    put_cleaned(&d->bytes, json);
    end_field(d, at, 1);
    mend_escapes(d->bytes.data + d->bytes.start + at, buf_length(&d->bytes) - at);
}
