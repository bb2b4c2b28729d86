/* Sets of workers; see generation.h. */
#include "app/generation.h"

#include "app/live.h"
#include "app/upstream_health.h"
#include "base/miniobj.h"

struct generation *generation_new(struct app *a, struct snapshot *s, const struct app_config *config) {
    const struct list_node *last = list_last(&a->generations);
    struct generation *g;

    ALLOC_OBJ(g, GENERATION_MAGIC);
    g->app = a;
    g->snapshot = snapshot_ref(s);
    g->config = config;
    g->number = last == NULL ? 1 : CONTAINER_OF(last, struct generation, node)->number + 1;
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
    else if (g->app->kind->has_workers)
        generation_resize(g, (size_t)g->config->workers);
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

/* Worker numbers are 1..wanted: the hash of a client picks among them, and a shrunk app loses its highest ones. */
void generation_mend(struct generation *g) {
    if (g->draining || !g->app->kind->has_workers)
        return;
    if (count_staying(g, 1, (unsigned)g->wanted) < g->wanted)
        for (unsigned id = 1; id <= g->wanted; id++)
            if (count_staying(g, id, id) == 0)
                (void)worker_new(g, id);
    for (size_t s = 0; s < WORKER_STATES; s++)
        LIST_FOREACH (&g->workers[s], struct worker, w, node) {
            if (w->id > g->wanted && stays(w))
                worker_drain(w);
        }
}

void generation_resize(struct generation *g, size_t workers) {
    g->wanted = workers;
    generation_mend(g);
    app_changed(g->app);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void retire_upstream_endpoints(struct generation *g, bool busy_too) {
    for (size_t s = 0; s < ENDPOINT_RETIRED; s++)
        LIST_FOREACH (&g->endpoints[s], struct endpoint, e, node) {
            if (e->upstream == NULL)
                continue;
            endpoint_move(e, s == ENDPOINT_READY && !busy_too ? ENDPOINT_DRAINING : ENDPOINT_RETIRED);
        }
}

static void each_worker(struct generation *g, void (*end)(struct worker *w)) {
    for (size_t s = 0; s < WORKER_STATES; s++)
        LIST_FOREACH (&g->workers[s], struct worker, w, node) {
            end(w);
        }
}

static void give_up_places(struct generation *g) {
    g->wanted = 0;
    g->draining = true;
    upstreams_rest(g);
}

void generation_drain(struct generation *g) {
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

void generation_consider(struct generation *g) {
    CHECK_OBJ_NOTNULL(g, GENERATION_MAGIC);
    if (!g->draining || g->freed.destroy != NULL || generation_worker_count(g) > 0 ||
        g->workers[WORKER_GONE].length > 0)
        return;
    for (size_t s = 0; s < ENDPOINT_STATES; s++)
        if (!list_empty(&g->endpoints[s]))
            return;
    if (g->app->current == g)
        g->app->current = NULL;
    list_remove(&g->node);
    loop_free_later(g->app->apps->loop, &g->freed, generation_destroy, g);
}

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
