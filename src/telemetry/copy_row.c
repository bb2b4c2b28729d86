/*
 * The formats are those of "COPY" in the PostgreSQL manual (File Formats); the
 * binary form of each type is what its receive function reads
 * (src/backend/utils/adt: inet_recv, jsonb_recv, timestamptz_recv).
 */
#include "telemetry/copy_row.h"

#include <endian.h>
#include <inttypes.h>

#define POSTGRES_EPOCH INT64_C(946684800000000) /* 2000-01-01 in µs since 1970 */

static inline char *put_be(char *out, uint64_t v, size_t bytes) {
    v = htobe64(v << (8 * (8 - bytes)));
    memcpy(out, &v, bytes);
    return out + bytes;
}

static void append_be(struct buf *out, uint64_t v, size_t bytes) {
    put_be(buf_reserve(out, bytes), v, bytes);
    buf_commit(out, bytes);
}

/* ---- which values are there ---- */

static bool is_inet(struct str v) {
    return (v.n == 5 && v.p[0] == 4) || (v.n == 17 && v.p[0] == 6);
}

/* A value that its type cannot be is taken for none. */
static bool is_whole(enum column_type type, struct str v) {
    static const uint8_t lengths[] = {
        [COLUMN_UUID] = 16, [COLUMN_INT4] = 8,   [COLUMN_INT8] = 8,        [COLUMN_INT2] = 8,
        [COLUMN_BOOL] = 1,  [COLUMN_FLOAT8] = 8, [COLUMN_TIMESTAMPTZ] = 8,
    };

    if (v.p == NULL)
        return false;
    if (type == COLUMN_TEXT || type == COLUMN_JSONB)
        return true;
    if (type == COLUMN_INET)
        return is_inet(v);
    return v.n == lengths[type];
}

/* ---- binary: into room that BINARY_ROOM says is enough; each returns where it ended ---- */

/* A field has four bytes of length, and at most eight more than its record has for it. */
#define BINARY_ROOM(columns, record) (2 + 12 * (columns) + (record).n)

static inline char *binary_integer(char *p, struct str v, size_t bytes) {
    return put_be(put_be(p, bytes, 4), (uint64_t)record_get_integer(v), bytes);
}

static char *binary_time(char *p, struct str v) {
    int64_t us;

    if (__builtin_sub_overflow(record_get_integer(v), POSTGRES_EPOCH, &us))
        us = INT64_MIN; /* -infinity */
    return put_be(put_be(p, 8, 4), (uint64_t)us, 8);
}

/* Family (AF_INET is 2, that of IPv6 one more on every system), bits, is it a network, bytes of address. */
static char *binary_inet(char *p, struct str v) {
    size_t n = v.n - 1;

    p = put_be(p, 4 + n, 4);
    p[0] = n == 4 ? 2 : 3;
    p[1] = (char)(8 * n);
    p[2] = 0;
    p[3] = (char)n;
    memcpy(p + 4, v.p + 1, n);
    return p + 4 + n;
}

static char *binary_bytes(char *p, struct str v) {
    p = put_be(p, v.n, 4);
    if (v.n > 0)
        memcpy(p, v.p, v.n);
    return p + v.n;
}

static char *binary_json(char *p, struct str v) {
    p = put_be(p, 1 + v.n, 4);
    *p++ = 1; /* the version of its form */
    if (v.n > 0)
        memcpy(p, v.p, v.n);
    return p + v.n;
}

static char *binary_value(char *p, enum column_type type, struct str v) {
    switch (type) {
    case COLUMN_UUID:
    case COLUMN_TEXT:
    case COLUMN_BOOL:
        return binary_bytes(p, v);
    case COLUMN_INT2:
        return binary_integer(p, v, 2);
    case COLUMN_INT4:
        return binary_integer(p, v, 4);
    case COLUMN_INT8:
    case COLUMN_FLOAT8: /* its bits */
        return binary_integer(p, v, 8);
    case COLUMN_TIMESTAMPTZ:
        return binary_time(p, v);
    case COLUMN_INET:
        return binary_inet(p, v);
    case COLUMN_JSONB:
        return binary_json(p, v);
    }
    WRONG("no such type");
}

/* ---- text ---- */

/* Tab, newline and backslash have a meaning. */
static void text_escaped(struct buf *out, struct str v) {
    size_t clean = 0;

    for (size_t i = 0; i < v.n; i++) {
        char c = v.p[i];
        if (c != '\\' && c != '\n' && c != '\r' && c != '\t')
            continue;
        buf_append(out, str_make(v.p + clean, i - clean));
        buf_append_char(out, '\\');
        buf_append_char(out, c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : '\\');
        clean = i + 1;
    }
    buf_append(out, str_from(v, clean));
}

static void text_uuid(struct buf *out, struct str v) {
    struct uuid u;
    char text[37];

    memcpy(u.b, v.p, sizeof u.b);
    uuid_format(&u, text);
    buf_append(out, str_of(text));
}

static void text_inet(struct buf *out, struct str v) {
    struct ip ip = {.family = v.n == 5 ? AF_INET : AF_INET6};
    char text[IP_TEXT_MAX];

    if (v.n == 5)
        ip.b[10] = ip.b[11] = 0xff;
    memcpy(ip.b + 16 - (v.n - 1), v.p + 1, v.n - 1);
    buf_append(out, str_make(text, ip_format(&ip, text, sizeof text)));
}

static void text_time(struct buf *out, struct str v) {
    char text[28];

    buf_append(out, str_make(text, wall_rfc3339_us((wall_t){record_get_integer(v)}, text)));
}

static void text_value(struct buf *out, enum column_type type, struct str v) {
    switch (type) {
    case COLUMN_TEXT:
    case COLUMN_JSONB:
        text_escaped(out, v);
        break;
    case COLUMN_UUID:
        text_uuid(out, v);
        break;
    case COLUMN_INT2:
    case COLUMN_INT4:
    case COLUMN_INT8:
        buf_printf(out, "%" PRId64, record_get_integer(v));
        break;
    case COLUMN_FLOAT8:
        buf_printf(out, "%.17g", record_get_real(v));
        break;
    case COLUMN_TIMESTAMPTZ:
        text_time(out, v);
        break;
    case COLUMN_INET:
        text_inet(out, v);
        break;
    case COLUMN_BOOL:
        buf_append_char(out, v.p[0] != 0 ? 't' : 'f');
        break;
    }
}

/* ---- rows ---- */

void copy_begin(struct buf *out, const struct copy_layout *l) {
    if (!l->binary)
        return;
    buf_append(out, STR("PGCOPY\n\377\r\n\0"));
    append_be(out, 0, 4); /* flags */
    append_be(out, 0, 4); /* length of an extension */
}

void copy_end(struct buf *out, const struct copy_layout *l) {
    if (l->binary)
        append_be(out, 0xffff, 2);
}

/* Its fields by number; false: not a record of that kind. */
static bool find_fields(struct str *fields, const struct copy_layout *l, struct str record) {
    const struct table *t = record_table(l->kind);
    struct record_reader r;
    struct record_field f;

    if (!record_open(record, &r) || r.kind != l->kind)
        return false;
    for (size_t i = 0; i < t->n; i++)
        fields[i] = STR_NONE;
    while (record_next(&r, &f))
        if (f.column < t->n) /* a newer release may know more */
            fields[f.column] = f.bytes;
    return true;
}

static void binary_row(struct buf *out, const struct copy_layout *l, const struct str *fields, size_t room) {
    const struct table *t = record_table(l->kind);
    char *begin = buf_reserve(out, room), *p = put_be(begin, l->n, 2);

    for (size_t i = 0; i < l->n; i++) {
        enum column_type type = t->columns[l->columns[i]].type;
        struct str v = fields[l->columns[i]];
        p = is_whole(type, v) ? binary_value(p, type, v) : put_be(p, 0xffffffff, 4);
    }
    ASSERT((size_t)(p - begin) <= room);
    buf_commit(out, (size_t)(p - begin));
}

static void text_row(struct buf *out, const struct copy_layout *l, const struct str *fields) {
    const struct table *t = record_table(l->kind);

    for (size_t i = 0; i < l->n; i++) {
        enum column_type type = t->columns[l->columns[i]].type;
        struct str v = fields[l->columns[i]];
        if (i > 0)
            buf_append_char(out, '\t');
        if (is_whole(type, v))
            text_value(out, type, v);
        else
            buf_append(out, STR("\\N"));
    }
    buf_append_char(out, '\n');
}

bool copy_row(struct buf *out, const struct copy_layout *l, struct str record) {
    struct str fields[COPY_COLUMNS_MAX];

    ASSERT(record_table(l->kind)->n <= COPY_COLUMNS_MAX);
    if (!find_fields(fields, l, record))
        return false;
    if (l->binary)
        binary_row(out, l, fields, BINARY_ROOM(l->n, record));
    else
        text_row(out, l, fields);
    return true;
}
