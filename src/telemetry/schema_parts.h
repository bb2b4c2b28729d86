/* What schema_install.c and schema_check.c share. */
#ifndef FAUCET_TELEMETRY_SCHEMA_PARTS_H
#define FAUCET_TELEMETRY_SCHEMA_PARTS_H

#include "telemetry/connect_once.h"

struct schema_database {
    PGconn *connection;
    schema_say *say; /* while it installs */
    void *owner;
};

/* NULL: *why. values: text, up to NULL; never more than 4. */
PGresult *schema_query(const struct schema_database *d, const char *sql, const char *const *values, struct buf *why);
/* Of row 0, column 0; "" where there is no row. The result is cleared. */
bool schema_ask(const struct schema_database *d, const char *sql, const char *const *values, struct buf *answer,
                struct buf *why) MUST_CHECK;

#endif
