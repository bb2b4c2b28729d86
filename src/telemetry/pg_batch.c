/*
 * Sending one batch. All up to COPY is one simple query with several statements:
 * one round trip. What is set is set for the transaction only, so a pooler in
 * transaction mode minds nothing: a lock is not waited for for ever (each try
 * would leave another waiting backend), and a transaction that we have lost sight
 * of ends by itself, so that whoever asks after it gets an answer.
 */
#include "telemetry/pg_batch.h"

#include "telemetry/settle.h"

#define PATIENCE (60 * DUR_S)
#define OPENING                                                                                                        \
    "BEGIN; SET LOCAL lock_timeout = '20s'; SET LOCAL idle_in_transaction_session_timeout = '60s';"                    \
    " SELECT pg_current_xact_id();"

static void finish(struct pg_batch *p, bool stored) {
    p->state = PG_BATCH_NONE;
    p->done(p, stored);
}

/* ---- ROLLBACK ---- */

static void on_nothing(void *owner, const PGresult *r) {
    (void)owner;
    (void)r;
}

static void on_rolled_back(void *owner) {
    finish(owner, false);
}

static const struct pg_talk rolling_back = {.result = on_nothing, .done = on_rolled_back};

/* The batch is known not to be stored. */
static void refuse(struct pg_batch *p) {
    p->batch->in_doubt = false;
    if (PQtransactionStatus(p->session->pg) == PQTRANS_IDLE) {
        finish(p, false);
        return;
    }
    p->state = PG_BATCH_ROLLING_BACK;
    pg_session_say(p->session, "ROLLBACK", &rolling_back, p, PATIENCE);
}

/* ---- COMMIT ---- */

static void on_commit_result(void *owner, const PGresult *r) {
    struct pg_batch *p = owner;

    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        pg_error_note(&p->error, r);
    else if (strcmp(PQcmdStatus((PGresult *)(uintptr_t)r), "COMMIT") == 0) /* or ROLLBACK, of one that had failed */
        p->committed = true;
}

static void on_commit_done(void *owner) {
    struct pg_batch *p = owner;

    if (p->committed)
        finish(p, true);
    else if (p->error.is && (p->error.fatal || pg_error_may_be_of_another(&p->error)))
        p->session->lost(p->session, "COMMIT was not answered by yes or no"); /* still in doubt */
    else
        refuse(p);
}

static const struct pg_talk committing = {.result = on_commit_result, .done = on_commit_done};

/* ---- BEGIN … COPY ---- */

static void on_copy_result(void *owner, const PGresult *r) {
    struct pg_batch *p = owner;
    uint64_t xid;

    switch (PQresultStatus(r)) {
    case PGRES_COMMAND_OK:
        break;
    case PGRES_TUPLES_OK:
        if (PQntuples(r) == 1 && str_to_u64(str_of(PQgetvalue(r, 0, 0)), &xid))
            p->transaction = settle_transaction(p->identity, xid);
        break;
    default:
        pg_error_note(&p->error, r);
    }
}

/* Its pages may be gone since somebody looked at it: those of a tuple are looked at when all of them were sent. */
static void append_row(struct buf *out, struct pg_batch *p, struct str record) {
    if (p->tuples)
        buf_append(out, record_tuple(record));
    else if (!copy_row(out, &p->table->layout, record))
        p->unreadable = true;
}

static bool on_fill(void *owner, struct buf *out, size_t want) {
    struct pg_batch *p = owner;
    const struct copy_layout *l = &p->table->layout;

    if (!p->begun)
        copy_begin(out, l);
    p->begun = true;
    while (p->next < p->batch->n && buf_length(out) < want)
        append_row(out, p, p->batch->records[p->next++]);
    if (p->next < p->batch->n)
        return true;
    if (!p->ended)
        copy_end(out, l);
    p->ended = true;
    return false;
}

static void on_copy_done(void *owner) {
    struct pg_batch *p = owner;

    p->lost = event_batch_verify(p->queue, p->batch);
    p->unreadable = p->unreadable || p->lost > 0;
    if (p->error.is || p->transaction == 0 || p->unreadable) {
        refuse(p);
        return;
    }
    event_batch_committing(p->queue, p->batch, p->transaction);
    p->state = PG_BATCH_COMMITTING;
    pg_session_say(p->session, "COMMIT", &committing, p, PATIENCE);
}

static const struct pg_talk copying = {.result = on_copy_result, .fill = on_fill, .done = on_copy_done};

void pg_batch_start(struct pg_batch *p, struct pg_session *s, struct event_queue *q, struct event_batch *b,
                    const struct pg_table *t, bool tuples, uint16_t identity,
                    void (*done)(struct pg_batch *p, bool stored)) {
    struct buf sql = {0};

    ASSERT(p->state == PG_BATCH_NONE && !b->in_doubt && b->n > 0 && t->copy != NULL);
    pg_error_clear(&p->error);
    *p = (struct pg_batch){.state = PG_BATCH_COPYING,
                           .session = s,
                           .queue = q,
                           .batch = b,
                           .table = t,
                           .tuples = tuples,
                           .identity = identity,
                           .done = done};
    buf_printf(&sql, OPENING " %s", t->copy);
    buf_append_char(&sql, '\0');
    pg_session_say(s, buf_str(&sql).p, &copying, p, PATIENCE);
    buf_free(&sql);
}

void pg_batch_forget(struct pg_batch *p) {
    p->state = PG_BATCH_NONE;
    pg_error_clear(&p->error);
}
