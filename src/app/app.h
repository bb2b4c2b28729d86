/*
 * A live app: what is served under one name, across snapshots. All live apps
 * hang off one `struct apps`. An app has generations (sets of workers started
 * from the same process settings), endpoints, a queue and pins. Kinds without
 * workers (static) have no endpoint; upstream apps have one per address.
 */
#ifndef FAUCET_APP_APP_H
#define FAUCET_APP_APP_H

#include "app/endpoint.h"
#include "app/kind.h"
#include "base/helper.h"
#include "base/log.h"
#include "keeper/keeper.h"
#include "net/resolver.h"
#include "telemetry/log_event.h"

enum app_state {
    APP_STATE_STARTING, /* no worker ready yet, first try under way */
    APP_STATE_READY,    /* every wanted worker ready */
    APP_STATE_DEGRADED, /* some ready */
    APP_STATE_BACKOFF,  /* none ready, starts fail */
    APP_STATE_DRAINING, /* of no configuration any more: what is under way ends */
    APP_STATE_STOPPING
};

/* Whom an event is about. */
struct worker_of {
    const struct snapshot *snapshot;
    const struct app_config *config;
    struct worker_origin origin;
};

/* What apps tell upwards; all may be NULL. Set once at init. */
struct app_callbacks {
    /* The endpoint takes no more: close its idle connections (endpoint->idle). In use ones end by themselves. */
    void (*endpoint_retired)(struct endpoint *e);
    /* An app changed state; wait_ready, boot lines and sd_notify hang here. reason: for BACKOFF, a sentence. */
    void (*state_changed)(void *owner, struct app *a, enum app_state state, const char *reason);
    /* What became of a worker's process, and what its app logged as an event, for telemetry. snapshot and config are
     * those of its generation. */
    void (*worker_event)(void *owner, const struct worker_of *w, const struct worker_event *event);
    void (*log_event)(void *owner, const struct worker_of *w, const struct log_event *event);
    /* drain_timeout passed and tunnels still use the endpoint: end them with Close 1012 (they have 1 s, then the worker
     * is stopped). The endpoint is RETIRED already: who comes back is served elsewhere. */
    void (*endpoint_drained)(void *owner, struct endpoint *e);
    /* A removed app has nothing left; the pointer is dead after this call. */
    void (*app_gone)(void *owner, struct app *a);
    /* The last app stopped after apps_stop. */
    void (*stopped)(void *owner);
    void *owner;
};

struct apps_env {
    struct loop *loop;
    struct log *log;
    struct keeper *keeper;
    struct resolver *resolver;
    char *const *environ_;   /* of the start */
    const char *runtime_dir; /* <runtime>: worker sockets go to <runtime>/w/<serial>.sock; made 0700 by apps_new; a path
                                too long for 107 bytes is replaced by a mkdtemp in /tmp */
    struct app_callbacks callbacks;
};

struct client_key; /* app/lease.h */
struct apps;
/* NULL with *error (allocated, caller frees). */
struct apps *apps_new(const struct apps_env *env, char **error);
/* After everything stopped and the proxy let go of all leases, pins and holds; removes the socket directory. What still
 * runs is killed. */
void apps_free(struct apps *a);

/* Prepare: makes the app and starts its workers (paced by max_parallel_starts of the snapshot); it takes leases as soon
 * as one is ready. The app holds a reference to the snapshot. The app is owned by `apps`. */
struct app *app_start(struct apps *a, struct snapshot *s, const struct app_config *config);
/* NULL: none. Neither apps that are only prepared (candidate.h) nor removed ones. */
struct app *app_find(struct apps *a, const char *name);
size_t apps_count(const struct apps *a);
/* Those that were removed (app_remove) and are not gone yet, oldest first. A newer app may have the same name. */
void apps_each_removed(const struct apps *a, void (*each)(void *owner, const struct app *removed), void *owner);

const char *app_name(const struct app *a);
enum app_state app_state(const struct app *a);
const char *app_state_name(enum app_state s);
const struct app_config *app_config(const struct app *a);
size_t app_ready_count(const struct app *a);
size_t app_queue_length(const struct app *a);
/* Seconds a client should wait before it asks again (Retry-After), >= 1. */
unsigned app_retry_after(const struct app *a);

/* Graceful: no new lease, queued ones are refused (LEASE_APP_GONE), workers without lease and pin get SIGTERM, then
 * SIGKILL after timeouts.stop; the others when they are free or the deadline passes. now: SIGTERM for all at once.
 * callbacks.stopped follows. May be called again with now = true. */
void apps_stop(struct apps *a, bool now);

/* ---- reload: the commits that need no candidate (app/candidate.h). None of them can fail. ---- */

/* From now on this app is served by s: strategy, queue, limits, timeouts, names; workers grow or drain to
 * config->workers. Also for an app that did not change, so that no old snapshot is kept for its sake. Leases that wait
 * keep their places; those for whom there is room now are served. Process settings must be the same (else:
 * candidate.h). */
void app_use(struct app *a, struct snapshot *s, const struct app_config *config);
/* An exchange was routed to this app and may ask for a lease until it lets go. Balanced calls. */
void app_hold(struct app *a);
void app_release(struct app *a);
/* Removed: what is in flight (app_hold) goes on as before, drain_timeout at most; from then on it answers pinned
 * clients only; workers stop as they become free or at drain_timeout. app_find does not find it any more; the object
 * goes by itself when nothing uses it (callbacks.app_gone). */
void app_remove(struct app *a);
/* Has this client a live tunnel here? Then it is served here, wherever the routes lead now. */
bool app_has_pin(const struct app *a, const struct client_key *client);
/* max_parallel_starts and what else all apps share. */
void apps_use(struct apps *a, const struct snapshot *s);

/* ---- status ---- */
struct worker_status {
    unsigned id;
    pid_t pid;           /* 0: no process */
    const char *state;   /* worker_state_name; of an upstream address: "ready", "down", "draining" */
    const char *address; /* "" while it has none */
    dur_t uptime;        /* of the process */
    uint64_t requests;   /* of the process */
    uint64_t starts;     /* processes ever: restarts + 1 */
    size_t busy, tunnels;
    uint64_t generation;
    bool draining;
};
/* Every worker or upstream address of every generation, the current one first, then from old to new, those that are
 * only prepared included; by number within each. *w lives for the call. */
void app_each_worker(const struct app *a, void (*each)(void *owner, const struct worker_status *w), void *owner);
size_t app_generation_count(const struct app *a);
uint64_t app_generation_number(const struct app *a); /* of the current one */
size_t app_exchanges(const struct app *a);           /* under way: waiting, or with a worker (app_hold) */
size_t app_leases(const struct app *a);
size_t app_tunnels(const struct app *a);
/* Number of the generation that an endpoint belongs to. */
uint64_t app_generation_of(const struct endpoint *e);
/* The process ends before all have stopped: callbacks.endpoint_retired is called for every endpoint, so that nothing
 * idles on one when they are freed. */
void apps_drop_idle(struct apps *a);

/* What a shutdown waits for: leases and pins of all apps, for the log. */
void apps_busy(const struct apps *a, size_t *leases, size_t *pins);

#endif
