/*
 * One batch on one connection: BEGIN; SELECT pg_current_xact_id(); COPY …; and,
 * when its bounds and transaction are in the queue, COMMIT. Between COMMIT and
 * its answer the batch is in doubt.
 *
 *   COPYING ──→ COMMITTING ──→ stored
 *      └───error────┴──→ ROLLING_BACK ──→ refused
 * A lost connection ends it anywhere: pg_batch_forget, then the batch goes back.
 */
#ifndef FAUCET_TELEMETRY_PG_BATCH_H
#define FAUCET_TELEMETRY_PG_BATCH_H

#include "telemetry/pg_columns.h"
#include "telemetry/pg_error.h"
#include "telemetry/pg_session.h"
#include "telemetry/queue.h"

enum pg_batch_state { PG_BATCH_NONE, PG_BATCH_COPYING, PG_BATCH_COMMITTING, PG_BATCH_ROLLING_BACK };

struct pg_batch {
    enum pg_batch_state state;
    struct pg_session *session;
    struct event_queue *queue;
    struct event_batch *batch;
    const struct pg_table *table;
    bool tuples;
    uint16_t identity; /* of the server, see settle.h */
    size_t next;       /* row */
    bool begun, ended; /* head and tail of the data */
    uint64_t transaction;
    bool committed;
    bool unreadable; /* rows were lost on the way: send what is left anew. Not the server's doing; error may say
                        anything */
    size_t lost;     /* so many, which the batch does not have any more */
    struct pg_error error;
    /* Last thing that is done with it. stored: the server said so; the batch is still the owner's. Otherwise error or
     * unreadable say why, the transaction is rolled back, the session is ready, and the batch is not in doubt. */
    void (*done)(struct pg_batch *p, bool stored);
};

/* Zeroed struct in, or one that is done. The batch is not in doubt, its records are all readable, the table takes rows.
 * tuples: they are rows as they stand (record_tuple), the table's layout being that of records (copy_is_tuple). */
void pg_batch_start(struct pg_batch *p, struct pg_session *s, struct event_queue *q, struct event_batch *b,
                    const struct pg_table *t, bool tuples, uint16_t identity,
                    void (*done)(struct pg_batch *p, bool stored));
/* The session is lost or about to be ended: frees what it has. The batch is the owner's, in doubt or not. */
void pg_batch_forget(struct pg_batch *p);

#endif
