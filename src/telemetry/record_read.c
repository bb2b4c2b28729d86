/*
 * Reading records. They come from files that a disk, a crash or somebody else
 * may have changed: nothing is believed, every length is checked before it is
 * used, and a record is looked at as a whole before its first field is.
 */
#include "telemetry/record.h"

#include <endian.h>

#define HEAD 4 /* column, and three bytes of length */

static uint64_t get_u64(const char *p) {
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

/* Length of the field with its head that s begins with; 0: none, or it does not fit. */
static size_t field_length(struct str s) {
    if (s.n < HEAD)
        return 0;
    uint32_t head;
    memcpy(&head, s.p, sizeof head);
    size_t n = le32toh(head) >> 8;
    return n <= s.n - HEAD ? HEAD + n : 0;
}

bool record_open(struct str bytes, struct record_reader *r) {
    if (bytes.n < 2 || bytes.p[0] != RECORD_FORMAT || (unsigned char)bytes.p[1] >= RECORD_KINDS)
        return false;
    struct str left = str_from(bytes, 2);
    for (struct str s = left; s.n > 0;) {
        size_t n = field_length(s);
        if (n == 0)
            return false;
        s = str_from(s, n);
    }
    *r = (struct record_reader){(enum record_kind)(unsigned char)bytes.p[1], left};
    return true;
}

bool record_next(struct record_reader *r, struct record_field *f) {
    size_t n = field_length(r->left);

    if (n == 0)
        return false;
    f->column = (unsigned char)r->left.p[0];
    f->bytes = str_make(r->left.p + HEAD, n - HEAD);
    r->left = str_from(r->left, n);
    return true;
}

bool record_find(struct str record, unsigned column, struct str *bytes) {
    struct record_reader r;
    struct record_field f;

    if (!record_open(record, &r))
        return false;
    while (record_next(&r, &f))
        if (f.column == column) {
            *bytes = f.bytes;
            return true;
        }
    return false;
}

int64_t record_get_integer(struct str bytes) {
    return bytes.n == 8 ? (int64_t)get_u64(bytes.p) : 0;
}

double record_get_real(struct str bytes) {
    uint64_t bits = bytes.n == 8 ? get_u64(bytes.p) : 0;
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

bool record_column(enum record_kind kind, const char *name, unsigned *column) {
    const struct table *t = record_table(kind);

    for (unsigned i = 0; i < t->n; i++)
        if (strcmp(t->columns[i].name, name) == 0) {
            *column = i;
            return true;
        }
    return false;
}

/* What nobody knows, or knows better, when the daemon died. */
static bool is_unknown(enum record_kind kind, unsigned column) {
    static const char *const names[] = {"elapsed", "total_us", "error"};
    unsigned c;

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (record_column(kind, names[i], &c) && c == column)
            return true;
    return false;
}

void record_died(struct buf *out, struct str record) {
    struct record_reader r;
    struct record_field f;
    unsigned error;

    out->start = out->end = 0;
    if (!record_open(record, &r))
        return;
    record_begin(out, r.kind);
    for (struct str left = r.left; record_next(&r, &f); left = r.left)
        if (!is_unknown(r.kind, f.column))
            buf_append(out, str_make(left.p, left.n - r.left.n));
    if (record_column(r.kind, "error", &error))
        record_text(out, error, STR("daemon_died"));
}

struct str record_cut(struct str record, size_t max) {
    struct record_reader r;
    struct record_field f;
    size_t n = 2;

    if (record.n <= max || max < n || !record_open(record, &r))
        return str_make(record.p, record.n < max ? record.n : max);
    while (record_next(&r, &f) && n + HEAD + f.bytes.n <= max)
        n += HEAD + f.bytes.n;
    return str_make(record.p, n);
}
