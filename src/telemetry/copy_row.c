/*
 * The formats are those of "COPY" in the PostgreSQL manual (File Formats). A
 * record is in the binary one already; text is for tables whose columns have
 * other types.
 */
#include "telemetry/copy_row.h"

#include <endian.h>
#include <inttypes.h>

/* ---- which values are there ---- */

/* A value that its type cannot be is taken for none. */
static bool is_whole(enum column_type type, struct str v) {
    static const uint8_t lengths[] = {
        [COLUMN_UUID] = 16, [COLUMN_INT4] = 4,   [COLUMN_INT8] = 8,        [COLUMN_INT2] = 2,
        [COLUMN_BOOL] = 1,  [COLUMN_FLOAT8] = 8, [COLUMN_TIMESTAMPTZ] = 8,
    };

    if (v.p == NULL)
        return false;
    switch (type) {
    case COLUMN_TEXT:
        return true;
    case COLUMN_JSONB:
        return v.n > 0;
    case COLUMN_INET:
        return record_get_ip(v).family != AF_UNSPEC;
    default:
        return v.n == lengths[type];
    }
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
    struct ip ip = record_get_ip(v);
    char text[IP_TEXT_MAX];

    buf_append(out, str_make(text, ip_format(&ip, text, sizeof text)));
}

static void text_time(struct buf *out, struct str v) {
    char text[28];

    buf_append(out, str_make(text, wall_rfc3339_us(record_get_time(v), text)));
}

static void text_value(struct buf *out, enum column_type type, struct str v) {
    switch (type) {
    case COLUMN_TEXT:
        text_escaped(out, v);
        break;
    case COLUMN_JSONB:
        text_escaped(out, record_get_json(v));
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

static void append_be(struct buf *out, uint32_t v, size_t bytes) {
    v = htobe32(v << (8 * (4 - bytes)));
    buf_append(out, str_make((const char *)&v, bytes));
}

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

bool copy_is_tuple(const struct copy_layout *l) {
    if (!l->binary || l->n != record_table(l->kind)->n)
        return false;
    for (size_t i = 0; i < l->n; i++)
        if (l->columns[i] != i)
            return false;
    return true;
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

static void binary_row(struct buf *out, const struct copy_layout *l, const struct str *fields) {
    const struct table *t = record_table(l->kind);

    append_be(out, (uint32_t)l->n, 2);
    for (size_t i = 0; i < l->n; i++) {
        struct str v = fields[l->columns[i]];
        bool there = is_whole(t->columns[l->columns[i]].type, v);
        append_be(out, there ? (uint32_t)v.n : UINT32_MAX, 4);
        if (there)
            buf_append(out, v);
    }
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
        binary_row(out, l, fields);
    else
        text_row(out, l, fields);
    return true;
}
