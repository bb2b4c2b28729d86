/*
 * Doubt: a batch whose COMMIT was sent and not answered. The server is asked what
 * became of the transaction; where it cannot know, because it is not the server
 * that had it (failover) or has forgotten, it is asked for the rows themselves:
 * a batch is one transaction, so one row of it there means all are.
 *
 * After a failover a transaction's number may belong to somebody else's on the
 * new server. So the 64 bits that the queue keeps are not the number alone: the
 * upper 16 are a hash of the server's system identifier and timeline. Which server
 * it is is asked in the same message as what became of the transaction: behind a
 * pooler it may have changed since anybody asked last.
 */
#ifndef FAUCET_TELEMETRY_SETTLE_H
#define FAUCET_TELEMETRY_SETTLE_H

#include "telemetry/pg_columns.h"
#include "telemetry/pg_error.h"
#include "telemetry/pg_session.h"
#include "telemetry/queue.h"

enum settled {
    SETTLED_COMMITTED,
    SETTLED_ABORTED,
    SETTLED_IN_PROGRESS, /* ask again */
    SETTLED_UNKNOWN,     /* and the rows may not be looked up */
    SETTLED_ERROR        /* the server did not say; error says why */
};

struct settle {
    struct pg_session *session; /* NULL: nothing is under way */
    const struct event_batch *batch;
    const struct pg_table *table;
    enum settled answer;
    uint16_t then, now; /* the server that had it, and the one that is asked; 0: nobody knows */
    struct pg_error error;
    void (*done)(struct settle *s, enum settled answer); /* last thing that is done with it */
};

/* What tells servers apart: the query (one row; may fail, then 0: nobody knows), its result, and both in one number. */
#define SETTLE_IDENTITY_QUERY                                                                                          \
    "SELECT system_identifier, pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)"   \
    " FROM pg_catalog.pg_control_system()"
uint16_t settle_identity(const PGresult *r);
uint64_t settle_transaction(uint16_t identity, uint64_t xid);

/* Zeroed struct in, or one that is done. table: of the batch's kind, as that server has it. identity: what is known of
 * it; 0: it does not say, and is not asked again. */
void settle_start(struct settle *s, struct pg_session *session, const struct event_batch *b,
                  const struct pg_table *table, uint16_t identity, void (*done)(struct settle *s, enum settled answer));
void settle_forget(struct settle *s); /* the session is lost or about to be ended */

#endif
