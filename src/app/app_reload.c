/*
 * What a reload does to an app in place: newer settings of the same workers,
 * or the end. candidate.c has what needs new workers.
 */
#include "app/app.h"
#include "app/live.h"
#include "base/miniobj.h"

void app_use(struct app *a, struct snapshot *s, const struct app_config *config) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    ASSERT(!a->removed && !a->hidden);
    struct snapshot *before = a->snapshot;

    a->snapshot = snapshot_ref(s);
    a->config = config;
    snapshot_unref(before);
    if (a->current != NULL)
        generation_use(a->current, s, config);
    lease_reroute_all(a); /* there may be room now */
    app_changed(a);
}

/* Pinned clients only from here on. */
static void app_close(struct app *a) {
    a->closed = true;
    deadline_clear(&a->close);
    lease_reroute_all(a);
    LIST_FOREACH (&a->generations, struct generation, g, node) {
        if (g->candidate == NULL)
            generation_drain(g);
    }
    app_consider(a);
}

void app_close_expired(struct deadline *d) {
    app_close(CONTAINER_OF(d, struct app, close));
}

void app_remove(struct app *a) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    ASSERT(!a->removed && !a->hidden);
    a->removed = true;
    log_info(a->apps->log, "%s was removed: %zu requests and %zu tunnels end there", a->name, a->holds, a->tunnels);
    if (a->holds == 0)
        app_close(a);
    else
        deadline_set(&a->close, a->config->drain_timeout);
    app_changed(a);
}

void app_hold(struct app *a) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    a->holds++;
}

void app_release(struct app *a) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    ASSERT(a->holds > 0);
    if (--a->holds > 0 || !a->removed)
        return;
    if (!a->closed)
        app_close(a);
    else
        app_consider(a);
}

void app_consider(struct app *a) {
    if (!a->removed || a->holds > 0 || !list_empty(&a->generations) || a->leaving.on != NULL)
        return;
    list_append(&a->apps->leaving, &a->leaving);
    apps_wake(a->apps);
}

bool app_has_pin(const struct app *a, const struct client_key *client) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    return pins_find(&a->pins, client) != NULL;
}
