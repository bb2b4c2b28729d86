/*
 * Telemetry records: one event as bytes, self-contained (format version, kind,
 * names, times), so that it outlives snapshots, restarts and releases. It is
 * built in the form in which PostgreSQL takes rows: what is done once, here, need
 * not be done again where it is sent.
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
 * The bytes of a record: one of format (RECORD_FORMAT), one of kind, then what COPY's binary format calls a tuple
 * ("COPY", File Formats, in the PostgreSQL manual): two bytes of how many columns the writer knew, and for each of
 * them, in the order of columns.def, four bytes of length (-1: NULL) and that many bytes, all big-endian. The last
 * fields may be missing: they are NULL. A value has the form that its type's receive function reads: UUID 16 bytes TEXT
 * UTF-8 without NUL JSONB               one byte (1), then UTF-8 without NUL and without the escape of it INT2, INT4,
 * INT8    2, 4 or 8 bytes, signed TIMESTAMPTZ         8 bytes, signed: microseconds since 2000-01-01 UTC INET 4 bytes
 * (family: 2 or 3; bits; 0; length) and 4 or 16 bytes of address BOOL                1 byte, 0 or 1 FLOAT8 8 bytes:
 * IEEE 754 So the usual row, of a table that has all columns, goes to the server as it lies in the queue.
 */
#define RECORD_FORMAT    2
#define RECORD_HEAD      ((size_t)4)
#define RECORD_EPOCH     INT64_C(946684800000000) /* 2000-01-01 UTC, in microseconds since 1970 */
#define RECORD_FIELD_MAX ((size_t)64 * 1024)      /* longer text is cut (between characters), longer JSON is absent */

/* A record being built: fields in the order of columns.def, each at most once; what is left out is NULL. A zeroed one
 * is ready for record_begin. It keeps its memory, so that one serves for every record. */
struct record_draft {
    struct buf bytes;
    const struct table *table;
    unsigned next; /* column */
};
void record_begin(struct record_draft *d, enum record_kind kind);
/* What is added behind a record of that kind which ends before `column`: fields only, no head. */
void record_continue(struct record_draft *d, enum record_kind kind, unsigned column);
void record_uuid(struct record_draft *d, unsigned column, const struct uuid *u);
void record_text(struct record_draft *d, unsigned column,
                 struct str s); /* .p NULL: absent. NUL and invalid UTF-8 are replaced by U+FFFD */
void record_integer(struct record_draft *d, unsigned column,
                    int64_t v); /* for INT2, INT4, INT8; out of range of the column's type: clamped */
void record_real(struct record_draft *d, unsigned column, double v); /* for FLOAT8 */
void record_bool(struct record_draft *d, unsigned column, bool v);
void record_time(struct record_draft *d, unsigned column, wall_t t);
void record_ip(struct record_draft *d, unsigned column, const struct ip *ip); /* AF_UNSPEC: absent */
void record_json(struct record_draft *d, unsigned column, struct str json); /* well-formed JSON text; .p NULL: absent */
/* The columns before `column` that were not written are NULL. */
void record_skip_to(struct record_draft *d, unsigned column);
/* All others are. */
void record_end(struct record_draft *d);
/* Valid until the next record is begun. */
static inline struct str record_str(const struct record_draft *d) {
    return buf_str(&d->bytes);
}
void record_free(struct record_draft *d);

/* Reading. False: not a record (damaged, or of another format); all lengths are looked at here, so record_next needs
 * not. */
struct record_field {
    unsigned column;  /* may be beyond record_table()->n: written by a newer release */
    struct str bytes; /* .p is not NULL */
};
struct record_reader {
    enum record_kind kind;
    unsigned n;    /* columns that the writer knew */
    unsigned next; /* column */
    bool complete; /* nothing is missing: it is a tuple of COPY */
    struct str left;
};
bool record_open(struct str bytes, struct record_reader *r) MUST_CHECK;
/* The next field that is not NULL. */
bool record_next(struct record_reader *r, struct record_field *f);
/* The field of that column; false: NULL. */
bool record_find(struct str record, unsigned column, struct str *bytes) MUST_CHECK;
/* A complete record of that kind, with the columns that we know and no more. */
bool record_is_tuple(struct str record, enum record_kind kind) MUST_CHECK;
/* The tuple of a record that is complete. */
static inline struct str record_tuple(struct str record) {
    return str_from(record, 2);
}
/* The forms above, back. Bytes of another length: 0; no address: AF_UNSPEC. */
int64_t record_get_integer(struct str bytes);
wall_t record_get_time(struct str bytes);
double record_get_real(struct str bytes);
struct ip record_get_ip(struct str bytes);
struct str record_get_json(struct str bytes);
/* Number of the kind's column of that name; false: it has none. */
bool record_column(enum record_kind kind, const char *name, unsigned *column) MUST_CHECK;
/* What faucet adds at its start to a record that was only reserved when it died: error "daemon_died". False: it is no
 * record, or its kind has no such column, or the record says already what went wrong. */
bool record_died(struct record_draft *d, struct str record) MUST_CHECK;
/* Of fields without a head as many whole ones, from the first on, as fit into max bytes. */
struct str record_fit(struct str fields, size_t max);

#endif
