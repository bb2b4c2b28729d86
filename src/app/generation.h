/*
 * One set of workers of an app (or of upstream addresses), all started from
 * the same process settings: it keeps the snapshot it was made from. An app
 * has one current generation; older ones drain beside it: their endpoints
 * take pinned clients only, and a generation with nothing left goes.
 */
#ifndef FAUCET_APP_GENERATION_H
#define FAUCET_APP_GENERATION_H

#include "app/app.h"
#include "app/candidate.h"
#include "app/worker.h"

struct generation {
    unsigned magic;
#define GENERATION_MAGIC 0x9e2e2a71
    struct list_node node; /* on app->generations */
    struct app *app;
    struct snapshot *snapshot;       /* the newest with the same process settings, as long as it is current */
    const struct app_config *config; /* in snapshot */
    const struct kind *kind;
    struct candidate *candidate; /* NULL: serves, or drains */
    uint64_t number;             /* 1, 2, 3… in its app */
    size_t wanted;               /* workers; 0 while it drains */
    bool draining;
    struct deadline drained; /* upstream: drain_timeout. Each worker has its own */
    struct list workers[WORKER_STATES];
    struct list upstreams; /* of struct upstream, app/upstream_health.h */
    struct list endpoints[ENDPOINT_STATES];
    struct list with_room; /* of READY endpoints */
    struct loop_freed freed;
};

/* Without workers, appended to app->generations; not current. */
struct generation *generation_new(struct app *a, struct snapshot *s, const struct app_config *config);
/* Starts what it consists of: `workers` workers, or its upstream addresses. */
void generation_start(struct generation *g);
/* The same process settings under a newer snapshot: what is hot changes in place, workers grow or drain. */
void generation_use(struct generation *g, struct snapshot *s, const struct app_config *config);
/* Grows with new workers, or drains those with the highest numbers. */
void generation_resize(struct generation *g, size_t workers);
/* Its endpoints take pinned clients only; workers stop as they become free; it goes when all are gone. May be called
 * again. */
void generation_drain(struct generation *g);
/* SIGTERM for all its workers at once, busy or not. */
void generation_stop(struct generation *g);
/* Why a part of it cannot serve, for whoever asks about the app or the candidate. */
void generation_set_reason(struct generation *g, const char *reason);
/* Frees a drained generation that has neither worker nor endpoint left. */
void generation_consider(struct generation *g);
/* Wanted against actual: a worker that is missing is started. For the janitor. */
void generation_mend(struct generation *g);
/* Frees it whatever is left: for apps_free. */
void generation_destroy(void *generation);

/* Workers in any state but GONE. */
size_t generation_worker_count(const struct generation *g);
/* How many of `generation_wanted` parts (workers, upstream names) can serve. */
size_t generation_ready(const struct generation *g);
size_t generation_wanted(const struct generation *g);
/* Has every part failed at least once since it last served? */
bool generation_failing(const struct generation *g);

#endif
