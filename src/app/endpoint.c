/*
 * Endpoints and their one mover. Moves are where the balance shifts: an
 * endpoint that becomes READY serves the queues at once, and nobody is left
 * waiting at one that no longer takes requests.
 */
#include "app/endpoint.h"

#include <stdio.h>

#include "app/live.h"
#include "app/upstream_health.h"
#include "base/hash.h"
#include "base/miniobj.h"

struct endpoint *endpoint_new(struct generation *g, struct worker *worker, unsigned worker_id) {
    struct endpoint *e;
    char *source;

    ALLOC_OBJ(e, ENDPOINT_MAGIC);
    e->app = g->app;
    e->generation = g;
    e->worker = worker;
    e->worker_id = worker_id;
    const uint8_t id[4] = {(uint8_t)worker_id, (uint8_t)(worker_id >> 8), (uint8_t)(worker_id >> 16),
                           (uint8_t)(worker_id >> 24)}; /* the same on every machine */
    e->seed = hash_bytes(0, id, sizeof id);
    XXXASSERT(asprintf(&source, "Worker::%s::%u", g->app->name, worker_id) > 0);
    e->source = source;
    list_init(&e->waiting);
    list_init(&e->idle);
    e->state = ENDPOINT_STARTING;
    list_append(&g->endpoints[ENDPOINT_STARTING], &e->node);
    return e;
}

void endpoint_destroy(void *endpoint) {
    struct endpoint *e = endpoint;

    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    list_remove(&e->node);
    list_remove(&e->room);
    list_remove(&e->freed.node);
    if (e->upstream != NULL)
        upstream_address_free(e->upstream);
    free((char *)(uintptr_t)e->source);
    FREE_OBJ(e);
}

static void destroy_later(void *endpoint) {
    struct generation *g = ((struct endpoint *)endpoint)->generation;

    endpoint_destroy(endpoint);
    generation_consider(g);
}

bool endpoint_has_room(const struct endpoint *e) {
    int64_t most = e->generation->config->concurrency;
    return most == COUNT_IS_UNLIMITED || e->leases < (size_t)most;
}

void endpoint_update_room(struct endpoint *e) {
    if (e->state != ENDPOINT_READY || !endpoint_has_room(e))
        list_remove(&e->room);
    else if (e->room.on == NULL)
        list_append(&e->generation->with_room, &e->room);
}

void endpoint_take(struct endpoint *e) {
    e->leases++;
    e->app->leases++;
    endpoint_update_room(e);
}

void endpoint_give_back(struct endpoint *e) {
    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    ASSERT(e->leases > 0 && e->app->leases > 0);
    e->leases--;
    e->app->leases--;
    endpoint_update_room(e);
}

void endpoint_consider(struct endpoint *e) {
    if (!endpoint_is_free(e))
        return;
    /* RETIRED by drain_timeout, its worker waits for what still runs. */
    bool said_goodbye = e->state == ENDPOINT_RETIRED && e->worker != NULL && e->worker->endpoint == e;
    if (e->state == ENDPOINT_DRAINING || said_goodbye) {
        if (e->worker != NULL)
            worker_unused(e->worker);
        else
            endpoint_move(e, ENDPOINT_RETIRED);
    } else if (e->state == ENDPOINT_RETIRED && e->holds == 0 && e->freed.destroy == NULL) {
        loop_free_later(e->app->apps->loop, &e->freed, destroy_later, e);
    }
    if (e->app->stopping)
        apps_check_stopped(e->app->apps);
}

void endpoint_move(struct endpoint *e, enum endpoint_state to) {
    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    if (e->state == to)
        return;
    ASSERT(e->state != ENDPOINT_RETIRED);
    list_move(&e->generation->endpoints[to], &e->node);
    e->state = to;
    endpoint_update_room(e);
    if (to == ENDPOINT_READY)
        lease_offer(e);
    else
        lease_reroute(e);
    if (to == ENDPOINT_RETIRED) {
        if (e->upstream != NULL)
            upstream_address_rest(e->upstream);
        if (e->app->apps->env.callbacks.endpoint_retired != NULL)
            e->app->apps->env.callbacks.endpoint_retired(e);
    }
    app_changed(e->app);
    endpoint_consider(e);
}

void endpoint_hold(struct endpoint *e) {
    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    ASSERT(e->freed.destroy == NULL);
    e->holds++;
}

void endpoint_drop(struct endpoint *e) {
    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    ASSERT(e->holds > 0);
    if (--e->holds == 0)
        endpoint_consider(e);
}

void endpoint_pin(struct endpoint *e, const struct client_key *client) {
    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    ASSERT(e->freed.destroy == NULL);
    e->pins++;
    e->app->tunnels++;
    if (client->kind != CLIENT_NOBODY)
        pins_add(&e->app->pins, client, e);
}

void endpoint_unpin(struct endpoint *e, const struct client_key *client) {
    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    ASSERT(e->pins > 0);
    e->pins--;
    e->unpinned = e->app->apps->loop->now;
    e->app->tunnels--;
    if (client->kind != CLIENT_NOBODY)
        ASSERT(pins_remove(&e->app->pins, client, e));
    if (e->pins == 0)
        endpoint_consider(e);
}
