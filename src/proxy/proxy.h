/*
 * The proxy: client connections, exchanges, upstream connections and tunnels.
 * Everything of it hangs off one struct proxy. State of a client connection is
 * the list it is on, so what a shutdown waits for is a list length.
 */
#ifndef FAUCET_PROXY_PROXY_H
#define FAUCET_PROXY_PROXY_H

#include "app/app.h"
#include "base/helper.h"
#include "base/log.h"
#include "base/miniobj.h"
#include "config/snapshot.h"
#include "http/reader.h"
#include "net/listener.h"
#include "route/route.h"
#include "telemetry/telemetry.h"

struct proxy {
    unsigned magic;
#define PROXY_MAGIC 0x9707c1e5
    struct loop *loop;
    struct log *log;
    struct helpers *helpers;
    struct apps *apps;
    struct telemetry *telemetry; /* told of every exchange and tunnel; NULL: nobody is */

    struct snapshot *snapshot; /* current; a new exchange pins it */
    struct route_table *routes;
    struct app **live;         /* by app_config.index of the current snapshot; NULL for static apps */
    struct list former;        /* former_routes.h */
    struct http_limits limits; /* of the current snapshot */
    int64_t connection_limit;

    struct list idle;      /* clients between two requests, or reading a head; least recently used first */
    struct list busy;      /* clients with an exchange */
    struct list lingers;   /* clients that are told goodbye */
    struct list tunnels;   /* of struct tunnel */
    struct list undecided; /* of struct session: ended, and nobody knows yet why */
    struct list orphans;   /* exchanges whose client left and whose worker still computes */

    struct list listeners;        /* of struct listener, accepting for this proxy */
    bool accept_paused;           /* limits.connections reached */
    bool limit_said;              /* … and logged, once until a quarter of them is free again */
    bool draining;                /* graceful stop: no keep-alive any more */
    void (*drained)(void *owner); /* once, while draining: no exchange and no tunnel is left */
    void *drained_owner;
    struct deadline word; /* while undecided is not empty */

    struct recycle *recycle;        /* arenas of finished exchanges, kept for the next */
    uint64_t requests, connections; /* since start */
};

struct proxy *proxy_new(struct loop *l, struct log *log, struct helpers *helpers, struct apps *apps);
/* Everything must have ended (proxy_close_all). */
void proxy_free(struct proxy *p);
/* Commit: from now on new exchanges are served by this snapshot. Takes its own reference. Cannot fail. */
void proxy_use(struct proxy *p, struct snapshot *s);
/* How many open files that many clients may need: every one a second for its worker, and some for files, logs and
 * workers' pipes. */
int64_t proxy_descriptors_needed(const struct snapshot *s, int64_t connections);
/* The proxy accepts on it from now on and owns it. */
void proxy_listen(struct proxy *p, struct listener *l);
/* Closes the listeners and idle clients; exchanges and tunnels go on. drained() is called when none is left, perhaps
 * from inside this call. */
void proxy_drain(struct proxy *p, void (*drained)(void *owner), void *owner);
/* The deadline passed: tunnels get Close 1001 (RFC 6455 7.4.1), exchanges are cut. */
void proxy_close_all(struct proxy *p);
/* Tunnels end where they are, and so does the wait for how sessions ended: every session event is told. */
void proxy_end_tunnels(struct proxy *p);
/* The process ends: nothing is said to anybody any more. helpers_free must follow before the loop goes, since exchanges
 * may wait for a helper's job. */
void proxy_end(struct proxy *p);
/* struct app_callbacks.endpoint_drained: its tunnels get Close 1012 (service restart, RFC 6455 registry). */
void proxy_endpoint_drained(struct proxy *p, struct endpoint *e);
/* struct app_callbacks.app_gone */
void proxy_app_gone(struct proxy *p, struct app *a);
/* struct app_callbacks.endpoint_retired: closes its idle connections. */
void proxy_endpoint_retired(struct endpoint *e);
/* Clients of any state and tunnels. */
size_t proxy_client_count(const struct proxy *p);
/* For proxy's own files: a client came or its exchange began; looks whether accepting must pause. */
void proxy_began(struct proxy *p);
/* A client, exchange or tunnel ended; looks whether the drain is over or accepting can go on. */
void proxy_ended(struct proxy *p);

#endif
