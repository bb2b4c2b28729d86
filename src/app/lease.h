/*
 * One exchange's right to use an endpoint, counted against its concurrency.
 * Embedded in the exchange. States and who moves them:
 *
 *   NONE ─lease_request→ HELD            room at once
 *   NONE ─lease_request→ QUEUED ─room→ HELD (granted) │ ─timeout, no worker→ NONE (refused) │ ─lease_cancel→ NONE
 *   HELD ─lease_release→ NONE            the worker has answered, or its connection closed, or a tunnel began
 */
#ifndef FAUCET_APP_LEASE_H
#define FAUCET_APP_LEASE_H

#include "app/endpoint.h"
#include "base/uuid.h"
#include "config/snapshot.h"

struct apps;

/* Who asks, for stickiness. */
struct client_key {
    enum { CLIENT_NOBODY, CLIENT_COOKIE, CLIENT_ADDRESS } kind;
    uint8_t b[16]; /* the cookie's uuid, or the address */
};

enum lease_state { LEASE_NONE, LEASE_QUEUED, LEASE_HELD };
enum lease_refusal {
    LEASE_OK,
    LEASE_QUEUE_FULL,    /* 503 */
    LEASE_QUEUE_TIMEOUT, /* 503 */
    LEASE_NO_WORKER,     /* 503: none is ready and none will be within queue.timeout: starting, backing off */
    LEASE_NO_UPSTREAM,   /* 503 (502 for the request that found out): every address is down */
    LEASE_APP_GONE       /* 503: the app was removed or the daemon stops */
};

struct lease {
    enum lease_state state;
    struct list_node node;  /* QUEUED: on the app's or an endpoint's queue, or decided and about to be told */
    struct list_node timed; /* QUEUED: among those with the same timeout, see queue.h */
    struct app *app;
    struct endpoint *endpoint;  /* HELD: which; QUEUED: assigned, granted() is about to be called */
    enum lease_refusal verdict; /* QUEUED: refused() is about to be called with it */
    struct client_key client;
    mono_t asked, granted_at;     /* the difference is queue_us */
    dur_t timeout;                /* of the queue, from the exchange's snapshot */
    const struct endpoint *avoid; /* tried and failed to connect: not this one, if there is another */
    /* QUEUED only; never from inside lease_request. */
    void (*granted)(struct lease *l);
    void (*refused)(struct lease *l, enum lease_refusal why);
};

/* Zeroed but for client, avoid, granted and refused. LEASE_OK with state HELD or QUEUED; otherwise refused. */
enum lease_refusal lease_request(struct lease *l, struct app *app, const struct app_config *config);
/* Gives back a queue place. Harmless in any state but HELD. */
void lease_cancel(struct lease *l);
/* Gives the endpoint back; the next in the queue gets it, in a later turn or at once (never re-enters the caller's
 * exchange). */
void lease_release(struct lease *l);
/* Connecting to the lease's endpoint failed with errno: an upstream address is marked down and probed, a worker is
 * looked after. The lease is released. */
void lease_connect_failed(struct lease *l, int error);
/* An errno of connecting that says something about our own machine (no descriptor left), not about who was called. */
bool lease_error_is_ours(int error);

/* ---- within app/ ---- */
/* Gives e's room to those who wait, oldest first. */
void lease_offer(struct endpoint *e);
/* e takes no more (or only pinned clients): all who wait for it, or were assigned it and not told yet, go elsewhere. */
void lease_reroute(struct endpoint *e);
/* Everybody who waits is placed anew, oldest first: another generation serves, or there is room now, or only pinned
 * clients are served any more. */
void lease_reroute_all(struct app *a);
/* Everybody who waits for this app is refused. */
void lease_refuse_all(struct app *a, enum lease_refusal why);
/* The app has no endpoint left that could ever serve its queue: refuses those who wait there. */
void lease_refuse_stranded(struct app *a);
/* queue.timeout passed. */
void lease_timed_out(struct lease *l);
/* Calls granted() and refused() of what was decided; from apps' wake-up, never from inside another call. */
void lease_tell(struct apps *apps);

/* A live tunnel pins its client to its endpoint's worker. Balanced calls. Nobody (CLIENT_NOBODY) is not pinned, but
 * counted. */
void endpoint_pin(struct endpoint *e, const struct client_key *client);
void endpoint_unpin(struct endpoint *e, const struct client_key *client);

#endif
