/*
 * An app is the same app when it has the same name. What its changes need
 * (config/changes.h) says what is done; the most demanding one is the reason.
 */
#include "control/plan.h"

#include <string.h>

#include "base/check.h"

const char *plan_action_name(enum plan_action a) {
    static const char *const names[PLAN_ACTIONS] = {"keep", "hot", "resize", "roll", "start", "drop"};

    ASSERT((size_t)a < PLAN_ACTIONS);
    return names[a];
}

static enum plan_action action_of(enum change_needs needs) {
    static const enum plan_action actions[] = {[CHANGE_HOT] = PLAN_HOT,
                                               [CHANGE_RESIZE] = PLAN_RESIZE,
                                               [CHANGE_PROCESS] = PLAN_ROLL,
                                               [CHANGE_LISTENER] = PLAN_ROLL, /* no app setting is one of these two */
                                               [CHANGE_RESTART] = PLAN_ROLL};
    return actions[needs];
}

static void add(struct plan *p, struct plan_row row) {
    p->count[row.action]++;
    p->rows[p->n++] = row;
}

static struct plan_row between(struct arena *a, const struct snapshot *from, const struct app_config *old,
                               const struct snapshot *to, const struct app_config *new) {
    struct changes changes = changes_app(a, &from->daemon, old, &to->daemon, new);
    struct plan_row row = {.action = PLAN_KEEP, .name = new->name, .from = old, .to = new, .key = ""};

    if (changes.n == 0)
        return row;
    row.action = action_of(changes.v[0].needs);
    row.key = changes.v[0].key;
    row.was = changes.v[0].was;
    row.now = changes.v[0].now;
    row.changes = changes;
    return row;
}

struct plan *plan_make(struct arena *a, const struct snapshot *from, const struct snapshot *to) {
    struct plan *p = ARENA_NEW(a, struct plan);

    p->rows = ARENA_ARRAY(a, struct plan_row, from->app_count + to->app_count);
    for (size_t i = 0; i < to->app_count; i++) {
        const struct app_config *new = to->apps[i], *old = snapshot_app(from, new->name);
        add(p, old != NULL ? between(a, from, old, to, new)
                           : (struct plan_row){.action = PLAN_START, .name = new->name, .to = new, .key = ""});
    }
    for (size_t i = 0; i < from->app_count; i++) {
        const struct app_config *old = from->apps[i];
        if (snapshot_app(to, old->name) == NULL)
            add(p, (struct plan_row){.action = PLAN_DROP, .name = old->name, .from = old, .key = ""});
    }
    p->daemon = changes_daemon(a, &from->daemon, &to->daemon);
    return p;
}
