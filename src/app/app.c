/* One live app: its state, its counts; see app.h and live.h. apps.c has all of them together. */
#include "app/app.h"

#include <stdio.h>

#include "app/live.h"
#include "base/miniobj.h"

#define RETRY_AFTER_MOST 60

static const char *const state_names[] = {
    [APP_STATE_STARTING] = "starting", [APP_STATE_READY] = "ready",       [APP_STATE_DEGRADED] = "degraded",
    [APP_STATE_BACKOFF] = "backoff",   [APP_STATE_DRAINING] = "draining", [APP_STATE_STOPPING] = "stopping",
};

const char *app_state_name(enum app_state s) {
    return state_names[s];
}

struct app *app_new(struct apps *apps, struct snapshot *s, const struct app_config *config) {
    struct app *a;

    ALLOC_OBJ(a, APP_MAGIC);
    a->apps = apps;
    a->snapshot = snapshot_ref(s);
    a->config = config;
    a->kind = kind_of((enum app_type)config->type);
    a->name = strdup(config->name);
    XXXAN(a->name);
    a->state = APP_STATE_STARTING;
    list_init(&a->generations);
    queue_init(&a->queue, apps->loop, lease_timed_out);
    deadline_init(&a->close, apps->loop, app_close_expired);
    list_append(&apps->list, &a->node);
    return a;
}

void app_free(struct app *a) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    LIST_FOREACH (&a->generations, struct generation, g, node) {
        generation_destroy(g);
    }
    deadline_destroy(&a->close);
    queue_destroy(&a->queue);
    pins_destroy(&a->pins);
    list_remove(&a->node);
    list_remove(&a->announce);
    list_remove(&a->leaving);
    snapshot_unref(a->snapshot);
    free(a->name);
    FREE_OBJ(a);
}

struct app *app_start(struct apps *apps, struct snapshot *s, const struct app_config *config) {
    struct app *a = app_new(apps, s, config);

    apps_use(apps, s);
    a->current = generation_new(a, s, config);
    generation_start(a->current);
    app_changed(a);
    return a;
}

static enum app_state current_state(const struct app *a) {
    if (a->stopping)
        return APP_STATE_STOPPING;
    if (a->removed)
        return APP_STATE_DRAINING;
    if (a->config->type == APP_STATIC)
        return APP_STATE_READY;
    if (a->current == NULL)
        return APP_STATE_STARTING;
    size_t ready = generation_ready(a->current), wanted = generation_wanted(a->current);
    if (ready >= wanted && ready > 0)
        return APP_STATE_READY;
    if (ready > 0)
        return APP_STATE_DEGRADED;
    if (a->config->type == APP_UPSTREAM && a->reason[0] == '\0')
        return APP_STATE_STARTING; /* names are being resolved */
    return generation_failing(a->current) ? APP_STATE_BACKOFF : APP_STATE_STARTING;
}

void app_changed(struct app *a) {
    enum app_state state = current_state(a);

    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    if (a->hidden || state == a->state)
        return;
    a->state = state;
    if (a->announce.on == NULL)
        list_append(&a->apps->announcing, &a->announce);
    apps_wake(a->apps);
}

void app_set_reason(struct app *a, const char *reason) {
    (void)snprintf(a->reason, sizeof a->reason, "%s", reason);
}

const char *app_name(const struct app *a) {
    return a->name;
}
enum app_state app_state(const struct app *a) {
    return a->state;
}
const struct app_config *app_config(const struct app *a) {
    return a->config;
}
size_t app_ready_count(const struct app *a) {
    return a->current == NULL ? 0 : generation_ready(a->current);
}
size_t app_queue_length(const struct app *a) {
    return a->queue.length;
}

/* Until the first worker leaves back-off, and a moment for it to start. */
unsigned app_retry_after(const struct app *a) {
    dur_t soonest = -1;

    if (a->current == NULL || generation_ready(a->current) > 0)
        return 1;
    LIST_FOREACH (&a->current->workers[WORKER_BACKOFF], struct worker, w, node) {
        dur_t left = worker_delay_left(w);
        if (soonest < 0 || left < soonest)
            soonest = left;
    }
    if (soonest < 0 || a->current->workers[WORKER_STARTING].length > 0)
        soonest = 0;
    int64_t seconds = 2 + soonest / DUR_S;
    return seconds < RETRY_AFTER_MOST ? (unsigned)seconds : RETRY_AFTER_MOST;
}
