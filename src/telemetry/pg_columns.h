/*
 * What the tables of one database look like to the one who is connected: which
 * columns there are, of which type, and which may be filled. Read at each connect
 * and again whenever the server says that they are not what they were.
 */
#ifndef FAUCET_TELEMETRY_PG_COLUMNS_H
#define FAUCET_TELEMETRY_PG_COLUMNS_H

#include <libpq-fe.h>

#include "telemetry/copy_row.h"

struct pg_table {
    bool there;
    char *problem; /* one sentence with the command that mends it; NULL: rows can go there (or: it is not there) */
    char *copy;    /* "COPY faucet_http_events (…) FROM STDIN (FORMAT binary)"; NULL where there is a problem */
    struct copy_layout layout;
    const char *id;       /* the column that tells a row from its duplicate, if it may be looked up; NULL: not */
    unsigned id_column;   /* its number */
    unsigned time_column; /* that of time */
};
struct pg_columns {
    struct pg_table tables[RECORD_KINDS];
};

/* The query; to_regclass looks where COPY will. No parameters, no session state. */
void pg_columns_query(struct buf *out);
/* Its result. user: for the sentences. What was there is forgotten. */
void pg_columns_read(struct pg_columns *c, const PGresult *r, const char *user);
void pg_columns_free(struct pg_columns *c);

#endif
