/* What `faucet status` shows of an app: every worker and upstream address, old generations included. Only looks. */
#include "app/app.h"

#include <stdlib.h>

#include "app/live.h"
#include "base/miniobj.h"

static const char *const upstream_states[ENDPOINT_STATES] = {
    [ENDPOINT_STARTING] = "starting", [ENDPOINT_READY] = "ready",      [ENDPOINT_DOWN] = "down",
    [ENDPOINT_DRAINING] = "draining", [ENDPOINT_RETIRED] = "draining",
};

static int by_number(const void *left, const void *right) {
    const struct endpoint *a = *(const struct endpoint *const *)left, *b = *(const struct endpoint *const *)right;

    if (a->worker_id != b->worker_id)
        return a->worker_id < b->worker_id ? -1 : 1;
    return (a->state > b->state) - (a->state < b->state); /* who serves before who drains */
}

/* A worker that is started again leaves endpoints behind, which only wait for their last connection. */
static bool is_shown(const struct endpoint *e) {
    if (e->upstream != NULL)
        return e->state != ENDPOINT_RETIRED || !endpoint_is_free(e);
    return e->worker != NULL && e->worker->endpoint == e && e->worker->state != WORKER_GONE;
}

static void describe(const struct endpoint *e, struct worker_status *s) {
    const struct worker *w = e->worker;

    *s = (struct worker_status){
        .id = e->worker_id,
        .state = upstream_states[e->state],
        .requests = e->requests,
        .busy = e->leases,
        .tunnels = e->pins,
        .generation = e->generation->number,
        .draining = e->generation->draining || e->state == ENDPOINT_DRAINING || e->state == ENDPOINT_RETIRED,
    };
    if (w == NULL)
        return;
    s->state = worker_state_name(w->state);
    s->starts = w->starts;
    s->draining = e->generation->draining || w->state == WORKER_DRAINING ||
                  (w->state == WORKER_STOPPING && w->next == WORKER_GONE);
    s->requests = e->requests - w->requests_before;
    if (w->process == NULL)
        s->requests = 0;
    else if (w->pid != 0) {
        s->pid = w->pid;
        s->uptime = mono_since(w->spawned, mono_now());
    }
}

static void each_of(const struct generation *g, void (*each)(void *owner, const struct worker_status *w), void *owner) {
    size_t n = 0, most = 0;

    for (size_t s = 0; s < ENDPOINT_STATES; s++)
        most += g->endpoints[s].length;
    const struct endpoint **shown = calloc(most + 1, sizeof(struct endpoint *));
    XXXAN(shown);
    for (size_t s = 0; s < ENDPOINT_STATES; s++)
        LIST_FOREACH (&g->endpoints[s], struct endpoint, e, node) {
            if (is_shown(e))
                shown[n++] = e;
        }
    qsort(shown, n, sizeof(struct endpoint *), by_number);
    for (size_t i = 0; i < n; i++) {
        struct worker_status status;
        char address[ADDRESS_TEXT_MAX] = "";
        describe(shown[i], &status);
        if (shown[i]->address.length > 0)
            (void)address_format(&shown[i]->address, address, sizeof address);
        status.address = address;
        each(owner, &status);
    }
    free(shown);
}

void app_each_worker(const struct app *a, void (*each)(void *owner, const struct worker_status *w), void *owner) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    if (a->current != NULL)
        each_of(a->current, each, owner);
    LIST_FOREACH (&a->generations, struct generation, g, node) {
        if (g != a->current)
            each_of(g, each, owner);
    }
}

size_t app_generation_count(const struct app *a) {
    return a->generations.length;
}

uint64_t app_generation_of(const struct endpoint *e) {
    return e->generation->number;
}

uint64_t app_generation_number(const struct app *a) {
    return a->current != NULL ? a->current->number : a->generations_made;
}

size_t app_exchanges(const struct app *a) {
    return a->holds;
}

size_t app_leases(const struct app *a) {
    return a->leases;
}

size_t app_tunnels(const struct app *a) {
    return a->tunnels;
}
