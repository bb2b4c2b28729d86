/*
 * columns.def as data. Which columns a database really has is for the pool to
 * find out; here stands what faucet would fill.
 */
#include "telemetry/columns.h"

#define SEED true
#define MORE false

#define ROW(name, type, seed, meaning) {#name, COLUMN_##type, seed},

static const struct column http_columns[] = {
#define HTTP ROW
#include "telemetry/columns.def"
};
static const struct column log_columns[] = {
#define LOG ROW
#include "telemetry/columns.def"
};
static const struct column worker_columns[] = {
#define WORKER ROW
#include "telemetry/columns.def"
};
static const struct column session_columns[] = {
#define SESSION ROW
#include "telemetry/columns.def"
};
static const struct column config_columns[] = {
#define CONFIG ROW
#include "telemetry/columns.def"
};
static const struct column gap_columns[] = {
#define GAP ROW
#include "telemetry/columns.def"
};

#undef ROW
#define ROW(name, type, seed, meaning) meaning,

/* All kinds in one list: kind by kind, as the file has them. */
static const char *const meanings[] = {
#define HTTP    ROW
#define LOG     ROW
#define WORKER  ROW
#define SESSION ROW
#define CONFIG  ROW
#define GAP     ROW
#include "telemetry/columns.def"
};

#define TABLE(name, columns, required)                                                                                 \
    { name, columns, ARRAY_LENGTH(columns), required }

const struct table record_tables[RECORD_KINDS] = {
    [RECORD_HTTP] = TABLE("faucet_http_events", http_columns, true),
    [RECORD_LOG] = TABLE("faucet_log_events", log_columns, false),
    [RECORD_WORKER] = TABLE("faucet_worker_events", worker_columns, false),
    [RECORD_SESSION] = TABLE("faucet_session_events", session_columns, false),
    [RECORD_CONFIG] = TABLE("faucet_config_events", config_columns, false),
    [RECORD_GAP] = TABLE("faucet_gaps", gap_columns, false),
};

const char *column_meaning(enum record_kind kind, unsigned column) {
    size_t at = column;
    ASSERT(column < record_table(kind)->n);
    for (size_t k = 0; k < (size_t)kind; k++)
        at += record_tables[k].n;
    return meanings[at];
}

const char *column_type_name(enum column_type type) {
    static const char *const names[] = {
        [COLUMN_UUID] = "uuid",
        [COLUMN_TEXT] = "text",
        [COLUMN_INT4] = "integer",
        [COLUMN_INT8] = "bigint",
        [COLUMN_INT2] = "smallint",
        [COLUMN_INET] = "inet",
        [COLUMN_TIMESTAMPTZ] = "timestamp with time zone",
        [COLUMN_JSONB] = "jsonb",
        [COLUMN_BOOL] = "boolean",
        [COLUMN_FLOAT8] = "double precision",
    };
    ASSERT((size_t)type < ARRAY_LENGTH(names));
    return names[type];
}
