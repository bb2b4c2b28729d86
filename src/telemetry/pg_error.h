/* What an error of the server means for a batch, by its SQLSTATE. */
#ifndef FAUCET_TELEMETRY_PG_ERROR_H
#define FAUCET_TELEMETRY_PG_ERROR_H

#include <libpq-fe.h>

#include "base/buf.h"

enum pg_verdict {
    PG_ROW,     /* some row is bad, if the columns are what they were: read them again, then bisect */
    PG_PLACE,   /* some row has no place yet (no partition for its day): bisect, keep it, try again later */
    PG_COLUMNS, /* the table is not what it was: read its columns again; if that does not help, as PG_TABLE (PG_TYPE: as
                   PG_ROW) */
    PG_TYPE,
    PG_TABLE, /* this table takes nothing now (rights, an extension's limits, …): keep, try again later */
    PG_SERVER /* this server takes nothing now: end the connection, keep, try again later */
};

#define PG_STATE_MAX 6
struct pg_error {
    bool is;
    bool fatal;               /* FATAL or PANIC: the connection is gone, and what was under way is in doubt */
    bool constraint;          /* it names one that a row violates */
    char state[PG_STATE_MAX]; /* "42P01"; empty: libpq itself says so */
    struct buf message;       /* one line, the primary message only: details may quote rows */
};

/* Of a result that is an error; the first one counts. */
void pg_error_note(struct pg_error *e, const PGresult *r);
void pg_error_clear(struct pg_error *e);
enum pg_verdict pg_error_verdict(const struct pg_error *e);
/* It takes no writes: read_only_sql_transaction, or what only a primary can do. */
bool pg_error_is_of_standby(const struct pg_error *e);
/* A pooler may say so of a server that it lost: then nobody knows what that one did. */
bool pg_error_may_be_of_another(const struct pg_error *e);
/* Less at once may work: it took too long (query_canceled), or too much memory. */
bool pg_error_is_of_size(const struct pg_error *e);
/* What mends it, or says more: "; …" for the end of a sentence, or "". Appends. */
void pg_error_advice(struct buf *out, const struct pg_error *e);

#endif
