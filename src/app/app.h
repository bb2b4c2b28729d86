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

enum app_state {
    APP_STATE_STARTING, /* no worker ready yet, first try under way */
    APP_STATE_READY,    /* every wanted worker ready */
    APP_STATE_DEGRADED, /* some ready */
    APP_STATE_BACKOFF,  /* none ready, starts fail */
    APP_STATE_STOPPING
};

/* What apps tell upwards; all may be NULL. Set once at init. */
struct app_callbacks {
    /* The endpoint takes no more: close its idle connections (endpoint->idle). In use ones end by themselves. */
    void (*endpoint_retired)(struct endpoint *e);
    /* An app changed state; wait_ready, boot lines and sd_notify hang here. reason: for BACKOFF, a sentence. */
    void (*state_changed)(void *owner, struct app *a, enum app_state state, const char *reason);
    /* A worker event (started, ready, exited, killed, backoff), for telemetry. */
    void (*worker_event)(void *owner, const struct endpoint *e, const char *event, const char *detail);
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
    const struct strings *secret_variables; /* not for workers */
    struct app_callbacks callbacks;
};

struct apps;
/* NULL with *error (allocated, caller frees). */
struct apps *apps_new(const struct apps_env *env, char **error);
/* After everything stopped and the proxy let go of all leases, pins and holds; removes the socket directory. What still
 * runs is killed. */
void apps_free(struct apps *a);

/* Prepare: makes the app and starts its workers (paced by max_parallel_starts of the snapshot); it takes leases as soon
 * as one is ready. The app holds a reference to the snapshot. The app is owned by `apps`. */
struct app *app_start(struct apps *a, struct snapshot *s, const struct app_config *config);
/* NULL: none. */
struct app *app_find(struct apps *a, const char *name);
size_t apps_count(const struct apps *a);

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

/* The process ends before all have stopped: callbacks.endpoint_retired is called for every endpoint, so that nothing
 * idles on one when they are freed. */
void apps_drop_idle(struct apps *a);

/* What a shutdown waits for: leases and pins of all apps, for the log. */
void apps_busy(const struct apps *a, size_t *leases, size_t *pins);

#endif
