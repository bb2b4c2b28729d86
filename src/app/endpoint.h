/*
 * Where requests go: one worker's Unix socket or TCP port, or one upstream
 * address. Owned by its app; freed when it is retired, without lease and
 * without upstream connection (endpoint_hold / endpoint_drop count the latter).
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

struct endpoint {
    unsigned magic;
#define ENDPOINT_MAGIC 0xe9d901e7
    struct list_node node; /* on app->endpoints */
    struct app *app;
    struct generation *generation;
    struct worker *worker; /* NULL: an upstream address */
    enum endpoint_state state;
    unsigned worker_id;    /* 1..N; upstream addresses are numbered as written */
    const char *source;    /* "Worker::sales::1" */
    struct address address;
    size_t leases;         /* requests that have it now */
    struct list waiting;   /* leases queued for this very endpoint (sticky) */
    uint64_t requests;     /* leases ever granted */
    struct list idle;      /* of the proxy: kept-alive connections, most recently used first */
    size_t holds;
    struct loop_freed freed;
};

void endpoint_hold(struct endpoint *e);
void endpoint_drop(struct endpoint *e);

#endif
