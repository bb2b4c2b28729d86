/*
 * The pool. One function, pool_pump, compares what is wanted with what is there:
 * whatever happened, it gives work to idle links, opens one where there is more
 * to do than hands, and sets the timer to when something will be due. It is
 * called at the end of every event, never from inside another one.
 */
#include "telemetry/pool.h"

#include <stdio.h>
#include <stdlib.h>

#include "telemetry/columns.h"
#include "telemetry/pool_parts.h"

#define BACKOFF_MIN   (100 * DUR_MS)
#define BACKOFF_MAX   (30 * DUR_S)
#define BACKOFF_DRAIN (1 * DUR_S)
#define SAY_AGAIN     (10 * DUR_MIN)

/* ---- trouble ---- */

dur_t pool_backoff(const struct pool *p, unsigned failures) {
    dur_t pause = failures < 9 ? BACKOFF_MIN << failures : BACKOFF_MAX;

    if (pause > (p->draining ? BACKOFF_DRAIN : BACKOFF_MAX))
        pause = p->draining ? BACKOFF_DRAIN : BACKOFF_MAX;
    pause = pause / 4 * 3 + (dur_t)(random_u64() % (uint64_t)(pause / 2)); /* ± a quarter */
    return pause < BACKOFF_MIN ? BACKOFF_MIN : pause > BACKOFF_MAX ? BACKOFF_MAX : pause;
}

static uint64_t queued(const struct pool *p) {
    uint64_t n = 0;

    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        n += event_queue_account(p->options.queue, (enum record_kind)kind)->queued;
    return n;
}

void trouble_say(struct pool *p, struct trouble *t, const char *text, dur_t pause) {
    mono_t now = p->options.loop->now;
    bool same = t->text != NULL && strcmp(t->text, text) == 0;

    t->failures++;
    if (same && mono_since(t->said, now) < SAY_AGAIN)
        return;
    log_warn(p->options.log, "telemetry to %s: %s; %llu events are kept, next attempt in %.1f s", p->info->destination,
             text, (unsigned long long)queued(p), (double)pause / (double)DUR_S);
    t->said = now;
    if (!same) {
        free(t->text);
        t->text = strdup(text);
        XXXAN(t->text);
    }
}

void trouble_clear(struct trouble *t) {
    free(t->text);
    *t = (struct trouble){0};
}

void pool_trouble(struct pool *p, const char *why) {
    dur_t pause = pool_backoff(p, p->trouble.failures);

    p->reachable = false;
    trouble_say(p, &p->trouble, why, pause);
    p->connect_at = mono_add(p->options.loop->now, pause);
}

void pool_works(struct pool *p) {
    p->connect_at = MONO_NONE;
    p->reachable = true;
    if (p->trouble.text != NULL)
        log_info(p->options.log, "telemetry to %s: %s takes events again, %llu are waiting", p->info->destination,
                 p->host, (unsigned long long)queued(p));
    trouble_clear(&p->trouble);
}

/* ---- the pump ---- */

static bool has_work(struct pool *p) {
    bool work = false;

    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        work |= doubt_allows_more(p) && lane_is_active(&p->lanes[kind]);
    LIST_FOREACH (&p->doubts, struct doubt, d, node)
        work |= !d->asking && d->again.us <= p->options.loop->now.us;
    return work;
}

static size_t backlog(struct pool *p) {
    size_t bytes = 0;

    for (size_t kind = 0; kind < RECORD_KINDS && doubt_allows_more(p); kind++)
        if (lane_is_active(&p->lanes[kind]))
            bytes += lane_bytes(&p->lanes[kind]);
    return bytes;
}

/* One at a time; a further one only while a whole batch waits for a hand. */
static bool wants_link(struct pool *p) {
    size_t hands = 0;

    if (p->links.length >= p->options.size)
        return false;
    LIST_FOREACH (&p->links, struct link, l, node) {
        if (l->state == LINK_CONNECTING || l->state == LINK_IDLE || !l->identified)
            return false;
        hands += l->state != LINK_SETTLING; /* which may take minutes */
    }
    return hands == 0 ? has_work(p) : backlog(p) >= p->options.batch_bytes;
}

static void earliest(mono_t *at, mono_t t) {
    if (t.us != MONO_NONE.us && (at->us == MONO_NONE.us || t.us < at->us))
        *at = t;
}

static bool is_empty(struct pool *p) {
    if (!list_empty(&p->doubts))
        return false;
    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        if (lane_waiting(&p->lanes[kind]) > 0 || p->lanes[kind].held > 0)
            return false;
    return true;
}

/* What is due already waits for something else: a link, or the end of a back-off. */
static void set_tick(struct pool *p, bool wants) {
    mono_t now = p->options.loop->now, at = MONO_NONE;

    for (size_t kind = 0; kind < RECORD_KINDS; kind++) {
        mono_t next = lane_next(&p->lanes[kind]);
        if (next.us > now.us)
            earliest(&at, next);
    }
    LIST_FOREACH (&p->doubts, struct doubt, d, node) {
        if (!d->asking && d->again.us > now.us)
            earliest(&at, d->again);
    }
    if (wants)
        earliest(&at, p->connect_at);
    if (p->draining && !p->drained)
        earliest(&at, is_empty(p) ? now : p->drain_until);
    if (p->again)
        earliest(&at, now);
    p->again = false;
    if (at.us != MONO_NONE.us)
        deadline_set(&p->tick, mono_since(now, at));
    else
        deadline_clear(&p->tick);
}

static void feed_idle(struct pool *p) {
    LIST_FOREACH (&p->links, struct link, l, node) {
        if (l->state == LINK_IDLE && !link_feed(l))
            return; /* nor for the others */
    }
}

static void make_room(struct pool *p) {
    if (!event_queue_is_crowded(p->options.queue))
        return;
    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        p->again |= lane_shed(&p->lanes[kind]);
}

void pool_pump(struct pool *p) {
    CHECK_OBJ_NOTNULL(p, POOL_MAGIC);
    make_room(p);
    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        (void)lane_is_active(&p->lanes[kind]); /* what is due is noted, whoever sends it */
    feed_idle(p);
    bool wants = wants_link(p);
    if (wants && p->connect_at.us <= p->options.loop->now.us) {
        link_new(p);
        wants = false;
    }
    set_tick(p, wants);
}

static void on_tick(struct deadline *d) {
    struct pool *p = CONTAINER_OF(d, struct pool, tick);

    pool_pump(p);
    if (!p->draining || p->drained || (!is_empty(p) && p->drain_until.us > p->options.loop->now.us))
        return;
    p->drained = true;
    set_tick(p, false);
    if (p->options.drained != NULL)
        p->options.drained(p->options.owner); /* which may free it */
}

/* ---- from outside ---- */

struct pool *pool_new(const struct pool_options *o, char **error) {
    struct pg_conninfo *info = pg_conninfo_new(o->connection, o->sslmode, o->sslrootcert, error);
    struct pool *p;

    if (info == NULL)
        return NULL;
    ASSERT(o->size > 0 && o->batch_bytes > 0 && o->connect_timeout > 0);
    ALLOC_OBJ(p, POOL_MAGIC);
    p->options = *o;
    p->options.connection = p->options.sslmode = p->options.sslrootcert = p->options.name = NULL;
    p->info = info;
    if (o->name != NULL)
        info->destination = arena_strdup(info->arena, o->name);
    list_init(&p->links);
    list_init(&p->doubts);
    deadline_init(&p->tick, o->loop, on_tick);
    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        lane_init(&p->lanes[kind], p, (enum record_kind)kind);
    deadline_set(&p->tick, 0);
    return p;
}

void pool_wake(struct pool *p) {
    bool now = false;

    CHECK_OBJ_NOTNULL(p, POOL_MAGIC);
    for (size_t kind = 0; kind < RECORD_KINDS; kind++) {
        struct lane *l = &p->lanes[kind];
        bool was_set = l->due.us != MONO_NONE.us;
        now |= lane_wake(l);
        if (!was_set && l->due.us != MONO_NONE.us && (p->tick.at.us == MONO_NONE.us || l->due.us < p->tick.at.us))
            deadline_set(&p->tick, mono_since(p->options.loop->now, l->due));
    }
    if (now && (p->links.length > 0 ||
                p->connect_at.us <= p->options.loop->now.us)) /* not here: this may be in the middle of a request */
        deadline_set(&p->tick, 0);
}

void pool_resize(struct pool *p, size_t size, dur_t flush_interval) {
    CHECK_OBJ_NOTNULL(p, POOL_MAGIC);
    ASSERT(size > 0);
    p->options.size = size;
    p->options.flush_interval = flush_interval;
    LIST_FOREACH (&p->links, struct link, l, node) {
        if (p->links.length > size && l->state == LINK_IDLE)
            link_end(l);
    }
    deadline_set(&p->tick, 0);
}

void pool_drain(struct pool *p, dur_t timeout) {
    CHECK_OBJ_NOTNULL(p, POOL_MAGIC);
    p->draining = true;
    p->drained = false;
    p->drain_until = mono_add(mono_now(), timeout);
    p->connect_at = MONO_NONE;
    for (size_t kind = 0; kind < RECORD_KINDS; kind++) {
        p->lanes[kind].due = p->options.loop->now;
        p->lanes[kind].not_before = p->lanes[kind].parked = MONO_NONE;
    }
    deadline_set(&p->tick, 0);
}

void pool_free(struct pool *p) {
    CHECK_OBJ_NOTNULL(p, POOL_MAGIC);
    LIST_FOREACH (&p->links, struct link, l, node)
        link_end(l);
    LIST_FOREACH (&p->doubts, struct doubt, d, node) {
        struct event_batch *b = d->batch;
        doubt_free(d);
        lane_give_back(&p->lanes[b->kind], b);
    }
    deadline_destroy(&p->tick);
    for (size_t kind = 0; kind < RECORD_KINDS; kind++) {
        lane_say_unsaid(&p->lanes[kind], true);
        trouble_clear(&p->lanes[kind].trouble);
    }
    trouble_clear(&p->trouble);
    pg_conninfo_free(p->info);
    FREE_OBJ(p);
}

void pool_status(const struct pool *p, struct pool_status *s) {
    CHECK_OBJ_NOTNULL(p, POOL_MAGIC);
    *s = (struct pool_status){.reachable = p->reachable,
                              .error = p->trouble.text,
                              .host = p->host != NULL ? p->host : p->info->hosts[0].label,
                              .batches = p->batches,
                              .rows = p->rows,
                              .reconnects = p->connects > 0 ? p->connects - 1 : 0,
                              .doubts = p->doubts_seen};
    for (size_t kind = 0; kind < RECORD_KINDS && s->error == NULL; kind++)
        s->error = p->lanes[kind].trouble.text;
    LIST_FOREACH (&p->links, struct link, l, node) {
        s->connections += l->state != LINK_CONNECTING;
        s->busy += l->state == LINK_SENDING || l->state == LINK_SETTLING;
    }
}
