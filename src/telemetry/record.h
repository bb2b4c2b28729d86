/*
 * Telemetry records: one event as bytes, self-contained (format version, kind,
 * names, times), so that it outlives snapshots, restarts and releases. A record
 * is a header and a list of fields; each field is a column's number (columns.def
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
extern const struct table record_tables[RECORD_KINDS];
static inline const struct table *record_table(enum record_kind kind) {
    ASSERT(kind < RECORD_KINDS);
    return &record_tables[kind];
}

/*
 * The bytes of a record: one of format (RECORD_FORMAT), one of kind, then the fields: one byte of column, three of
 * length (little-endian), and that many bytes, by the column's type:
 *   UUID                16 bytes
 *   TEXT, JSONB         UTF-8 without NUL (and, in JSONB, without the escape of it)
 *   INT2, INT4, INT8    8 bytes, little-endian, signed, in the range of the type
 *   TIMESTAMPTZ         8 bytes, little-endian: microseconds since 1970-01-01 UTC
 *   INET                1 byte (4 or 6) and 4 or 16 bytes of address
 *   BOOL                1 byte, 0 or 1
 *   FLOAT8              8 bytes, little-endian: IEEE 754
 */
#define RECORD_FORMAT    1
#define RECORD_FIELD_MAX ((size_t)64 * 1024) /* longer text is cut (between characters), longer JSON is absent */

/* Building: fields in any order, each at most once. The record is all that is in the buffer: record_begin forgets what
 * was there (and keeps the memory, so that one buffer serves for every record). */
void record_begin(struct buf *out, enum record_kind kind);
void record_uuid(struct buf *out, unsigned column, const struct uuid *u);
void record_text(struct buf *out, unsigned column,
                 struct str s); /* .p NULL: absent. NUL and invalid UTF-8 are replaced by U+FFFD */
void record_integer(struct buf *out, unsigned column,
                    int64_t v); /* for INT2, INT4, INT8; out of range of the column's type: clamped */
void record_real(struct buf *out, unsigned column, double v); /* for FLOAT8 */
void record_bool(struct buf *out, unsigned column, bool v);
void record_time(struct buf *out, unsigned column, wall_t t);
void record_ip(struct buf *out, unsigned column, const struct ip *ip); /* AF_UNSPEC: absent */
void record_json(struct buf *out, unsigned column, struct str json);   /* well-formed JSON text; .p NULL: absent */
void record_end(struct buf *out);

/* Reading. False: not a record (damaged, or of a newer format); all of it is looked at here. */
struct record_field {
    unsigned column; /* may be beyond record_table()->n: written by a newer release */
    struct str bytes;
};
struct record_reader {
    enum record_kind kind;
    struct str left;
};
bool record_open(struct str bytes, struct record_reader *r) MUST_CHECK;
bool record_next(struct record_reader *r, struct record_field *f);
/* The field of that column; false: absent. */
bool record_find(struct str record, unsigned column, struct str *bytes) MUST_CHECK;
/* The forms above, back. Bytes of another length: 0. */
int64_t record_get_integer(struct str bytes); /* INT2, INT4, INT8 and TIMESTAMPTZ */
double record_get_real(struct str bytes);
/* Number of the kind's column of that name; false: it has none. */
bool record_column(enum record_kind kind, const char *name, unsigned *column) MUST_CHECK;
/* The same record as faucet leaves it that died before its end was known: without elapsed and total_us, error
 * "daemon_died" where the kind has that column. Not a record: out is left empty. At most RECORD_DIED_ROOM longer. */
#define RECORD_DIED_ROOM ((size_t)16)
void record_died(struct buf *out, struct str record);
/* As many whole fields, from the first on, as fit into max bytes. */
struct str record_cut(struct str record, size_t max);

#endif
