/*
 * Where requests go: one worker's Unix socket or TCP port, or one upstream
 * address. Owned by its generation; freed when it is retired, without lease,
 * tunnel and upstream connection (endpoint_hold / endpoint_drop count the last).
 * A worker that is started again gets a new endpoint: the old one's connections
 * lead to a dead socket.
 */
#ifndef FAUCET_APP_ENDPOINT_H
#define FAUCET_APP_ENDPOINT_H

#include "base/list.h"
#include "base/loop.h"
#include "net/address.h"

struct app;
struct worker;
struct generation;

enum endpoint_state {
    ENDPOINT_STARTING, /* not yet ready, or in back-off: gets no lease */
    ENDPOINT_READY,
    ENDPOINT_DOWN,     /* upstream address that refused; probed until it answers */
    ENDPOINT_DRAINING, /* leases of pinned clients only */
    ENDPOINT_RETIRED   /* no new lease, ever */
};
#define ENDPOINT_STATES (ENDPOINT_RETIRED + 1)

struct upstream_address; /* app/upstream_health.h */

struct endpoint {
    unsigned magic;
#define ENDPOINT_MAGIC 0xe9d901e7
    struct list_node node; /* on generation->endpoints[state] */
    struct list_node room; /* on generation->with_room while READY with room; least recently chosen first */
    struct app *app;
    struct generation *generation;
    struct worker *worker;             /* NULL: an upstream address, or retired and its worker is gone */
    struct upstream_address *upstream; /* NULL: a worker's */
    enum endpoint_state state;
    unsigned worker_id; /* 1..N; upstream addresses are numbered as written */
    const char *source; /* "Worker::sales::1" */
    struct address address;
    uint64_t seed;   /* of rendezvous hashing: from worker_id, or from the address of an upstream */
    size_t leases;   /* requests that have it now */
    size_t pins;     /* live tunnels */
    mono_t unpinned; /* when the last tunnel that ended did, MONO_NONE: none yet */
    mono_t ended;    /* when the end of its worker's process was reported, MONO_NONE: not yet, or an upstream address */
    struct list waiting; /* leases queued for this very endpoint (sticky) */
    uint64_t requests;   /* leases ever granted */
    struct list idle;    /* of the proxy: kept-alive connections, most recently used first */
    size_t holds;
    struct loop_freed freed;
};

/* For the proxy: a connection to it exists. Balanced calls. */
void endpoint_hold(struct endpoint *e);
void endpoint_drop(struct endpoint *e);

/* ---- within app/ ---- */
/* In state STARTING, on its generation's list. worker NULL: an upstream address. */
struct endpoint *endpoint_new(struct generation *g, struct worker *worker, unsigned worker_id);
/* The one mover. READY takes from the queues; whoever waits for an endpoint that leaves READY is routed anew; RETIRED
 * tells the proxy and frees the endpoint as soon as nothing uses it. */
void endpoint_move(struct endpoint *e, enum endpoint_state to);
bool endpoint_has_room(const struct endpoint *e);
/* A lease is given (the caller saw room) or given back; giving back does not yet serve the queues. */
void endpoint_take(struct endpoint *e);
void endpoint_give_back(struct endpoint *e);
/* Looks whether it just became free: a draining worker is stopped then, a retired endpoint freed. */
void endpoint_consider(struct endpoint *e);
/* Puts it on or off generation->with_room; after concurrency changed. */
void endpoint_update_room(struct endpoint *e);
static inline bool endpoint_is_free(const struct endpoint *e) {
    return e->leases == 0 && e->pins == 0 && list_empty(&e->waiting);
}
/* Frees it whatever uses it: for apps_free. */
void endpoint_destroy(void *endpoint);

#endif
