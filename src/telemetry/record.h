/*
 * Telemetry records: one event as bytes, self-contained (format version, kind,
 * names, times), so that it outlives snapshots, restarts and releases. A record
 * is a header and a list of fields; each field is a column's number (column.def
 * of its kind), its length and its bytes; an absent field is NULL.
 */
#ifndef FAUCET_TELEMETRY_RECORD_H
#define FAUCET_TELEMETRY_RECORD_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/uuid.h"
#include "net/address.h"

enum record_kind {
    RECORD_HTTP,    /* faucet_http_events */
    RECORD_LOG,     /* faucet_log_events */
    RECORD_WORKER,  /* faucet_worker_events */
    RECORD_SESSION, /* faucet_session_events */
    RECORD_CONFIG,  /* faucet_config_events */
    RECORD_GAP,     /* faucet_gaps */
    RECORD_KINDS
};

/* PostgreSQL's types, as COPY binary wants them; names as in information_schema. */
enum column_type {
    COLUMN_UUID,
    COLUMN_TEXT,
    COLUMN_INT4,
    COLUMN_INT8,
    COLUMN_INT2,
    COLUMN_INET,
    COLUMN_TIMESTAMPTZ,
    COLUMN_JSONB,
    COLUMN_BOOL,
    COLUMN_FLOAT8
};

struct column {
    const char *name;
    enum column_type type;
    bool seed; /* in the table of the seed document: required; others are filled where the table has them */
};
struct table {
    const char *name; /* "faucet_http_events" */
    const struct column *columns;
    size_t n;
    bool required; /* faucet_http_events only */
};
/* One row per kind; columns are numbered as they stand in telemetry/columns.def. */
const struct table *record_table(enum record_kind kind);

/* Building: fields in any order, each at most once. */
void record_begin(struct buf *out, enum record_kind kind);
void record_uuid(struct buf *out, unsigned column, const struct uuid *u);
void record_text(struct buf *out, unsigned column,
                 struct str s); /* .p NULL: absent. NUL and invalid UTF-8 are replaced by U+FFFD */
void record_integer(struct buf *out, unsigned column,
                    int64_t v); /* for INT2, INT4, INT8; out of range of the column's type: clamped */
void record_time(struct buf *out, unsigned column, wall_t t);
void record_ip(struct buf *out, unsigned column, const struct ip *ip); /* AF_UNSPEC: absent */
void record_json(struct buf *out, unsigned column, struct str json);
void record_end(struct buf *out);

/* Reading. False: not a record (damaged, or of a newer format). */
struct record_field {
    unsigned column;
    struct str bytes; /* in the form described in record.c: integers little-endian of 8 bytes, times microseconds since
                         1970 … */
};
struct record_reader {
    enum record_kind kind;
    struct str left;
};
bool record_open(struct str bytes, struct record_reader *r) MUST_CHECK;
bool record_next(struct record_reader *r, struct record_field *f);

#endif
