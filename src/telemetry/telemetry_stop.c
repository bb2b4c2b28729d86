/*
 * The end of telemetry (every pool sends what it has, within the time there is)
 * and what status, metrics and log show of it.
 */
#include "base/miniobj.h"
#include "telemetry/telemetry_parts.h"

#define LOOK (DUR_S / 4) /* how often a database is asked whether waiting for it still makes sense */
/* What is on disk is not lost: a database that takes nothing when we stop gets this long to do so. */
#define PATIENCE (2 * DUR_S)

static void look_stopped(struct telemetry *t) {
    if (t->stopped == NULL)
        return;
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        if (d->pool != NULL && !d->drained)
            return;
    }
    void (*stopped)(void *owner) = t->stopped;
    t->stopped = NULL;
    deadline_clear(&t->look);
    stopped(t->stopped_owner);
}

void telemetry_pool_drained(void *destination) {
    struct destination *d;

    CAST_OBJ_NOTNULL(d, destination, DESTINATION_MAGIC);
    d->drained = true;
    struct telemetry *t = CONTAINER_OF(d->env, struct telemetry, env);
    CHECK_OBJ(t, TELEMETRY_MAGIC);
    look_stopped(t);
}

/* False: it had its time, or does not answer, or not take everything, and all is on disk. */
static bool is_worth_waiting(const struct telemetry *t, struct destination *d) {
    struct pool_status s;
    mono_t now = mono_now();

    pool_status(d->pool, &s);
    if ((s.reachable && s.error == NULL) || d->directory == NULL)
        d->silent_since = now;
    /* a pool may miss its deadline by a turn */
    return mono_since(t->stop_until, now) < LOOK && mono_since(d->silent_since, now) < PATIENCE;
}

void telemetry_stop_look(struct deadline *deadline) {
    struct telemetry *t = CONTAINER_OF(deadline, struct telemetry, look);

    CHECK_OBJ(t, TELEMETRY_MAGIC);
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        d->drained = d->drained || !is_worth_waiting(t, d);
    }
    deadline_set(&t->look, LOOK);
    look_stopped(t);
}

void telemetry_stop(struct telemetry *t, dur_t timeout, void (*stopped)(void *owner), void *owner) {
    CHECK_OBJ_NOTNULL(t, TELEMETRY_MAGIC);
    deadline_clear(&t->janitor); /* destinations stay where they are from now on */
    t->stop_until = mono_add(mono_now(), timeout);
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        d->silent_since = mono_now();
        if (d->pool != NULL)
            event_queue_end_gaps(d->queue);
        d->drained = d->pool == NULL || timeout <= 0 || destination_is_empty(d);
        if (d->drained)
            continue;
        log_info(t->env.log, "stopping: sending %zu events to %s, %.1f s at most", destination_queued(d), d->name,
                 (double)timeout / (double)DUR_S);
        pool_drain(d->pool, timeout); /* which may report at once: t->stopped is not set yet */
    }
    t->stopped = stopped;
    t->stopped_owner = owner;
    deadline_set(&t->look, LOOK);
    look_stopped(t);
}

void telemetry_log_accounts(const struct telemetry *t) {
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        destination_log(d);
    }
}

static void describe_pool(const struct destination *d, struct destination_status *s) {
    struct pool_status p;

    pool_status(d->pool, &p);
    s->connected = true;
    s->reachable = p.reachable;
    s->host = p.host;
    s->connections = p.connections;
    s->busy = p.busy;
    s->batches = p.batches;
    s->rows = p.rows;
    s->reconnects = p.reconnects;
    s->doubts = p.doubts;
    if (p.error != NULL)
        s->error = p.error;
}

void telemetry_each(const struct telemetry *t, void (*each)(void *owner, const struct destination_status *s),
                    void *owner) {
    if (t == NULL)
        return;
    CHECK_OBJ(t, TELEMETRY_MAGIC);
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        struct destination_status s = {.name = d->name,
                                       .state = destination_state_name(d->state),
                                       .directory = d->directory,
                                       .error = d->error,
                                       .on_disk = d->directory != NULL};
        if (d->queue != NULL)
            s.bytes = event_queue_bytes(d->queue);
        for (size_t k = 0; d->queue != NULL && k < RECORD_KINDS; k++)
            s.accounts[k] = event_queue_account(d->queue, (enum record_kind)k);
        if (d->pool != NULL)
            describe_pool(d, &s);
        each(owner, &s);
    }
}
