/*
 * The insides of live apps, for app/ only: struct apps holds the apps, an app
 * its generations, a generation its workers (or upstream names) and endpoints.
 * State is the list an object is on; counts are list lengths.
 *
 *   apps ── app ─┬─ generation ─┬─ workers[state] ── endpoint (one each)
 *                │   (current)  └─ endpoints[state], with_room
 *                ├─ queue: leases that wait
 *                └─ pins: clients with live tunnels
 */
#ifndef FAUCET_APP_LIVE_H
#define FAUCET_APP_LIVE_H

#include "app/app.h"
#include "app/generation.h"
#include "app/pin.h"
#include "app/queue.h"
#include "app/start_pacer.h"

struct apps {
    unsigned magic;
#define APPS_MAGIC 0xa995a995
    struct apps_env env;
    struct loop *loop;
    struct log *log;
    struct list list;       /* of struct app */
    struct list candidates; /* of struct candidate, app/candidate.h */
    struct list leaving;    /* of struct app by leaving: removed, nothing left, about to be told and freed */
    struct list decided;    /* of struct lease by node: no longer waiting, about to be told */
    struct list announcing; /* of struct app by announce: the state changed, about to be told */
    ev_prepare wake;        /* never started, only fed: what is told upwards is told from a fresh stack */
    struct start_pacer pacer;
    size_t parallel_starts; /* of the snapshot in use; the pacer's limit is a newer one's while that is prepared */
    dur_t shutdown_timeout; /* of the snapshot in use */
    struct socket_place *sockets; /* app/socket_place.h */
    bool stopping, stopped_told;
    struct deadline stop;    /* a graceful stop takes shutdown.timeout at most */
    struct deadline janitor; /* app/janitor.h */
};

#define APP_REASON_MAX 512

struct app {
    unsigned magic;
#define APP_MAGIC 0xa9970001
    struct list_node node;     /* on apps->list */
    struct list_node announce; /* on apps->announcing */
    struct list_node leaving;  /* on apps->leaving */
    struct apps *apps;
    struct snapshot *snapshot; /* the newest; generations keep their own */
    const struct app_config *config;
    const struct kind *kind; /* of config; generations have their own */
    char *name;
    enum app_state state;
    bool hidden;           /* only prepared: a candidate made it */
    bool removed;          /* of no configuration any more */
    bool closed;           /* removed, and what was in flight has ended: pinned clients only */
    size_t holds;          /* app_hold */
    struct deadline close; /* removed: what is in flight has drain_timeout */
    bool stopping;         /* no new lease */
    uint64_t generations_made;
    struct list generations;    /* of struct generation, oldest first */
    struct generation *current; /* new clients go here; NULL for a moment only */
    struct queue queue;
    struct pins pins;
    size_t leases, tunnels;      /* sums over all endpoints */
    char reason[APP_REASON_MAX]; /* why the last start failed */
};

/* An app without generation, on apps->list. */
struct app *app_new(struct apps *a, struct snapshot *s, const struct app_config *config);
void app_free(struct app *a);
/* Endpoints or workers changed: works out the state and tells it if it is another one. */
void app_changed(struct app *a);
/* Keeps the sentence that state_changed will give for BACKOFF. */
void app_set_reason(struct app *a, const char *reason);
/* drain_timeout passed since it was removed. */
void app_close_expired(struct deadline *d);
/* Is it one that was removed (or never came to be) and has nothing left? Then it goes. */
void app_consider(struct app *a);
void apps_wake(struct apps *a);
/* An app that stops may just have become idle. */
void apps_check_stopped(struct apps *a);

#endif
