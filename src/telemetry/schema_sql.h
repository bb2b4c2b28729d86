/* The files of sql/, inside the binary: `faucet db init` needs nothing else. */
#ifndef FAUCET_TELEMETRY_SCHEMA_SQL_H
#define FAUCET_TELEMETRY_SCHEMA_SQL_H

#include "base/str.h"

/* What a file is an option for; 0: always applied. */
enum schema_option { SCHEMA_PARTITIONS = 1, SCHEMA_TIMESCALE = 2, SCHEMA_ROLES = 4 };

struct schema_file {
    const char *name; /* "01_http_events.sql" */
    unsigned option;
    const char *begin, *end; /* a NUL follows the end */
};

/* In the order in which they are applied. */
const struct schema_file *schema_files(size_t *n);

#endif
