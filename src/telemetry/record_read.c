/*
 * Reading records. They come from files that a disk, a crash or somebody else
 * may have changed: nothing is believed, every length is checked before it is
 * used, and a record is looked at as a whole before its first field is.
 */
#include <endian.h>

#include "telemetry/record.h"

#define LENGTH  ((size_t)4)
#define IS_NULL UINT32_MAX

static inline uint32_t length_of(const char *p) {
    uint32_t n;

    memcpy(&n, p, sizeof n);
    return be32toh(n);
}

/* Bytes of the field that s begins with, its length among them; 0: it does not fit. */
static inline size_t field_size(struct str s) {
    if (s.n < LENGTH)
        return 0;
    uint32_t n = length_of(s.p);
    if (n == IS_NULL)
        return LENGTH;
    return n <= s.n - LENGTH ? LENGTH + n : 0;
}

bool record_open(struct str bytes, struct record_reader *r) {
    uint16_t n;
    size_t there = 0;

    if (bytes.n < RECORD_HEAD || bytes.p[0] != RECORD_FORMAT || (unsigned char)bytes.p[1] >= RECORD_KINDS)
        return false;
    memcpy(&n, bytes.p + 2, sizeof n);
    n = be16toh(n);
    struct str left = str_from(bytes, RECORD_HEAD);
    for (struct str s = left; s.n > 0; there++) {
        size_t size = field_size(s);
        if (size == 0 || there == n)
            return false;
        s = str_make(s.p + size, s.n - size);
    }
    *r = (struct record_reader){
        .kind = (enum record_kind)(unsigned char)bytes.p[1], .n = n, .complete = there == n, .left = left};
    return true;
}

bool record_is_tuple(struct str record, enum record_kind kind) {
    struct record_reader r;

    return record_open(record, &r) && r.kind == kind && r.complete && r.n == record_table(kind)->n;
}

bool record_next(struct record_reader *r, struct record_field *f) {
    for (size_t size; (size = field_size(r->left)) > 0; r->left = str_from(r->left, size), r->next++)
        if (length_of(r->left.p) != IS_NULL) {
            f->column = r->next++;
            f->bytes = str_make(r->left.p + LENGTH, size - LENGTH);
            r->left = str_from(r->left, size);
            return true;
        }
    return false;
}

bool record_find(struct str record, unsigned column, struct str *bytes) {
    struct record_reader r;
    struct record_field f;

    if (!record_open(record, &r))
        return false;
    while (record_next(&r, &f) && f.column <= column)
        if (f.column == column) {
            *bytes = f.bytes;
            return true;
        }
    return false;
}

int64_t record_get_integer(struct str bytes) {
    uint64_t v = 0;

    if (bytes.n != 2 && bytes.n != 4 && bytes.n != 8)
        return 0;
    for (size_t i = 0; i < bytes.n; i++)
        v = v << 8 | (unsigned char)bytes.p[i];
    return (int64_t)(v << (64 - 8 * bytes.n)) >> (64 - 8 * bytes.n); /* with its sign */
}

wall_t record_get_time(struct str bytes) {
    int64_t us = record_get_integer(bytes);

    return (wall_t){bytes.n != 8 ? 0 : us > INT64_MAX - RECORD_EPOCH ? INT64_MAX : us + RECORD_EPOCH};
}

double record_get_real(struct str bytes) {
    uint64_t bits = bytes.n == 8 ? (uint64_t)record_get_integer(bytes) : 0;
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

struct ip record_get_ip(struct str bytes) {
    struct ip ip = {.family = AF_UNSPEC};

    if (bytes.n == 8 && bytes.p[0] == 2) {
        ip.family = AF_INET;
        ip.b[10] = ip.b[11] = 0xff;
        memcpy(ip.b + 12, bytes.p + 4, 4);
    } else if (bytes.n == 20 && bytes.p[0] == 3) {
        ip.family = AF_INET6;
        memcpy(ip.b, bytes.p + 4, 16);
    }
    return ip;
}

struct str record_get_json(struct str bytes) {
    return bytes.n == 0 ? bytes : str_from(bytes, 1);
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

/* How many fields there are, the NULL ones too; SIZE_MAX: no record. */
static size_t count(struct str record) {
    struct record_reader r;
    struct record_field f;

    if (!record_open(record, &r))
        return SIZE_MAX;
    if (r.complete)
        return r.n;
    while (record_next(&r, &f)) {
    }
    return r.next;
}

bool record_died(struct record_draft *d, struct str record) {
    size_t n = count(record);
    unsigned error;
    enum record_kind kind;

    if (n == SIZE_MAX)
        return false;
    kind = (enum record_kind)(unsigned char)record.p[1];
    if (!record_column(kind, "error", &error) || n > error)
        return false;
    record_continue(d, kind, (unsigned)n);
    record_text(d, error, STR("daemon_died"));
    return true;
}

struct str record_fit(struct str fields, size_t max) {
    size_t n = 0, size;

    if (fields.n <= max)
        return fields;
    while ((size = field_size(str_from(fields, n))) > 0 && size <= max - n)
        n += size;
    return str_make(fields.p, n);
}
