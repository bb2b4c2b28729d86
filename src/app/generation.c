/* Sets of workers; see generation.h. */
#include "app/generation.h"

#include "app/live.h"
#include "app/upstream_health.h"
#include "base/miniobj.h"

/* Tunnels through upstream addresses: nobody but us ends them. What they answer now may go on. */
static void drained_long_enough(struct deadline *d) {
    struct generation *g = CONTAINER_OF(d, struct generation, drained);
    const struct app_callbacks *c = &g->app->apps->env.callbacks;

    CHECK_OBJ_NOTNULL(g, GENERATION_MAGIC);
    LIST_FOREACH (&g->endpoints[ENDPOINT_DRAINING], struct endpoint, e, node) {
        endpoint_move(e, ENDPOINT_RETIRED);
        if (e->pins > 0 && c->endpoint_drained != NULL)
            c->endpoint_drained(c->owner, e);
    }
}

struct generation *generation_new(struct app *a, struct snapshot *s, const struct app_config *config) {
    struct generation *g;

    ALLOC_OBJ(g, GENERATION_MAGIC);
    g->app = a;
    g->snapshot = snapshot_ref(s);
    g->config = config;
    g->kind = kind_of((enum app_type)config->type);
    g->number = ++a->generations_made;
    deadline_init(&g->drained, a->apps->loop, drained_long_enough);
    for (size_t i = 0; i < WORKER_STATES; i++)
        list_init(&g->workers[i]);
    for (size_t i = 0; i < ENDPOINT_STATES; i++)
        list_init(&g->endpoints[i]);
    list_init(&g->upstreams);
    list_init(&g->with_room);
    list_append(&a->generations, &g->node);
    return g;
}

void generation_start(struct generation *g) {
    if (g->config->type == APP_UPSTREAM)
        upstreams_start(g);
    else if (g->kind->has_workers)
        generation_resize(g, (size_t)g->config->workers);
}

static void each_worker(struct generation *g, void (*call)(struct worker *w)) {
    for (size_t s = 0; s < WORKER_STATES; s++)
        LIST_FOREACH (&g->workers[s], struct worker, w, node) {
            call(w);
        }
}

/* ---- resizing ---------------------------------------------------------------------------------------------------- */

/* A worker that stays: neither draining nor on its way out. */
static bool stays(const struct worker *w) {
    return w->state == WORKER_STARTING || w->state == WORKER_READY || w->state == WORKER_BACKOFF ||
           (w->state == WORKER_STOPPING && w->next == WORKER_BACKOFF);
}

static size_t count_staying(const struct generation *g, unsigned from, unsigned to) {
    size_t n = 0;

    for (size_t s = 0; s < WORKER_STATES; s++)
        LIST_FOREACH (&g->workers[s], struct worker, w, node) {
            n += w->id >= from && w->id <= to && stays(w);
        }
    return n;
}

/* Is it all there is to serve with, because those that stay are away just now? */
static bool stands_in(const struct generation *g, const struct worker *w) {
    if (w->state != WORKER_READY)
        return false;
    LIST_FOREACH (&g->workers[WORKER_READY], struct worker, other, node) {
        if (other->id <= g->wanted)
            return false;
    }
    return true;
}

/* Worker numbers are 1..wanted: the hash of a client picks among them, and a shrunk app loses its highest ones. */
void generation_mend(struct generation *g) {
    if (g->draining || !g->kind->has_workers)
        return;
    if (count_staying(g, 1, (unsigned)g->wanted) < g->wanted)
        for (unsigned id = 1; id <= g->wanted; id++)
            if (count_staying(g, id, id) == 0)
                (void)worker_new(g, id);
    for (size_t s = 0; s < WORKER_STATES; s++)
        LIST_FOREACH (&g->workers[s], struct worker, w, node) {
            if (w->id > g->wanted && stays(w) && !stands_in(g, w)) /* the janitor looks again */
                worker_drain(w);
        }
}

void generation_resize(struct generation *g, size_t workers) {
    g->wanted = workers;
    generation_mend(g);
    app_changed(g->app);
}

void generation_use(struct generation *g, struct snapshot *s, const struct app_config *config) {
    struct snapshot *before = g->snapshot;

    ASSERT(config->type == g->config->type);
    g->snapshot = snapshot_ref(s);
    g->config = config;
    snapshot_unref(before);
    for (size_t i = 0; i < ENDPOINT_STATES; i++)
        LIST_FOREACH (&g->endpoints[i], struct endpoint, e, node) {
            endpoint_update_room(e);
        }
    each_worker(g, worker_retime);
    if (!g->draining && g->kind->has_workers)
        generation_resize(g, (size_t)config->workers);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void retire_upstream_endpoints(struct generation *g, bool busy_too) {
    for (size_t s = 0; s < ENDPOINT_RETIRED; s++)
        LIST_FOREACH (&g->endpoints[s], struct endpoint, e, node) {
            if (e->upstream == NULL)
                continue;
            bool drains = s == ENDPOINT_READY || s == ENDPOINT_DRAINING;
            endpoint_move(e, drains && !busy_too ? ENDPOINT_DRAINING : ENDPOINT_RETIRED);
        }
}

static void give_up_places(struct generation *g) {
    g->wanted = 0;
    g->draining = true;
    upstreams_rest(g);
}

void generation_drain(struct generation *g) {
    if (!g->draining && g->config->type == APP_UPSTREAM)
        deadline_set(&g->drained, g->config->drain_timeout);
    give_up_places(g);
    each_worker(g, worker_drain);
    retire_upstream_endpoints(g, false);
    generation_consider(g);
}

void generation_stop(struct generation *g) {
    give_up_places(g);
    each_worker(g, worker_stop);
    retire_upstream_endpoints(g, true);
    generation_consider(g);
}

void generation_set_reason(struct generation *g, const char *reason) {
    if (g->candidate != NULL)
        candidate_note(g->candidate, reason);
    else if (g->app->current == g)
        app_set_reason(g->app, reason);
}

void generation_consider(struct generation *g) {
    CHECK_OBJ_NOTNULL(g, GENERATION_MAGIC);
    if (!g->draining || g->candidate != NULL || g->freed.destroy != NULL || generation_worker_count(g) > 0 ||
        g->workers[WORKER_GONE].length > 0)
        return;
    for (size_t s = 0; s < ENDPOINT_STATES; s++)
        if (!list_empty(&g->endpoints[s]))
            return;
    if (g->app->current == g)
        g->app->current = NULL;
    list_remove(&g->node);
    app_consider(g->app);
    loop_free_later(g->app->apps->loop, &g->freed, generation_destroy, g);
}

/* The app may be gone already. */
void generation_destroy(void *generation) {
    struct generation *g = generation;

    CHECK_OBJ_NOTNULL(g, GENERATION_MAGIC);
    for (size_t s = 0; s < WORKER_STATES; s++)
        LIST_FOREACH (&g->workers[s], struct worker, w, node) {
            worker_destroy(w);
        }
    for (size_t s = 0; s < ENDPOINT_STATES; s++)
        LIST_FOREACH (&g->endpoints[s], struct endpoint, e, node) {
            endpoint_destroy(e);
        }
    upstreams_free(g);
    deadline_destroy(&g->drained);
    list_remove(&g->node);
    list_remove(&g->freed.node);
    snapshot_unref(g->snapshot);
    FREE_OBJ(g);
}

/* ---- counts ------------------------------------------------------------------------------------------------------ */

size_t generation_worker_count(const struct generation *g) {
    size_t n = 0;

    for (size_t s = 0; s < WORKER_GONE; s++)
        n += g->workers[s].length;
    return n;
}

size_t generation_ready(const struct generation *g) {
    return g->config->type == APP_UPSTREAM ? upstreams_ready(g) : g->workers[WORKER_READY].length;
}

size_t generation_wanted(const struct generation *g) {
    return g->config->type == APP_UPSTREAM ? g->upstreams.length : g->wanted;
}

bool generation_failing(const struct generation *g) {
    if (g->config->type == APP_UPSTREAM)
        return true; /* asked when none is ready: all were tried, or cannot be found */
    for (size_t s = 0; s < WORKER_STATES; s++)
        LIST_FOREACH (&g->workers[s], struct worker, w, node) {
            if (w->failures == 0)
                return false;
        }
    return true;
}
