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

void app_remove(struct app *a) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    ASSERT(!a->removed && !a->hidden);
    a->removed = true;
    lease_reroute_all(a); /* refuses all but pinned clients */
    LIST_FOREACH (&a->generations, struct generation, g, node) {
        if (g->candidate == NULL)
            generation_drain(g);
    }
    log_info(a->apps->log, "%s was removed: %zu requests and %zu tunnels end there", a->name, a->leases, a->tunnels);
    app_changed(a);
    app_consider(a);
}

void app_consider(struct app *a) {
    if (!a->removed || !list_empty(&a->generations) || a->leaving.on != NULL)
        return;
    list_append(&a->apps->leaving, &a->leaving);
    apps_wake(a->apps);
}

bool app_has_pin(const struct app *a, const struct client_key *client) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    return pins_find(&a->pins, client) != NULL;
}
