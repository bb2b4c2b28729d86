/*
 * Columns by name, for those who fill records: COLUMN_OF_HTTP_status is the
 * number that record_integer() wants. Made of columns.def, as record_table() is.
 */
#ifndef FAUCET_TELEMETRY_COLUMNS_H
#define FAUCET_TELEMETRY_COLUMNS_H

#include "telemetry/record.h"

enum http_column {
#define HTTP(name, type, seed, meaning) COLUMN_OF_HTTP_##name,
#include "telemetry/columns.def"
    COLUMNS_OF_HTTP
};
enum log_column {
#define LOG(name, type, seed, meaning) COLUMN_OF_LOG_##name,
#include "telemetry/columns.def"
    COLUMNS_OF_LOG
};
enum worker_column {
#define WORKER(name, type, seed, meaning) COLUMN_OF_WORKER_##name,
#include "telemetry/columns.def"
    COLUMNS_OF_WORKER
};
enum session_column {
#define SESSION(name, type, seed, meaning) COLUMN_OF_SESSION_##name,
#include "telemetry/columns.def"
    COLUMNS_OF_SESSION
};
enum config_column {
#define CONFIG(name, type, seed, meaning) COLUMN_OF_CONFIG_##name,
#include "telemetry/columns.def"
    COLUMNS_OF_CONFIG
};
enum gap_column {
#define GAP(name, type, seed, meaning) COLUMN_OF_GAP_##name,
#include "telemetry/columns.def"
    COLUMNS_OF_GAP
};

/* "timestamp with time zone": the type as information_schema.columns.data_type and format_type() spell it. */
const char *column_type_name(enum column_type type);
/* What the column means, one sentence. */
const char *column_meaning(enum record_kind kind, unsigned column);

#endif
