/*
 * An app is the same app when it has the same name.
 */
#include "control/plan.h"

#include <string.h>

const char *plan_action_name(enum plan_action a) {
    static const char *const names[] = {"keep", "hot", "resize", "roll", "start", "drop"};
    return names[a];
}

static enum plan_action between(const struct app_config *from, const struct app_config *to) {
    if (from->process_hash != to->process_hash)
        return PLAN_ROLL;
    if (from->workers != to->workers)
        return PLAN_RESIZE;
    return from->settings_hash != to->settings_hash ? PLAN_HOT : PLAN_KEEP;
}

struct plan *plan_make(struct arena *a, const struct snapshot *from, const struct snapshot *to) {
    struct plan *p = ARENA_NEW(a, struct plan);
    p->rows = ARENA_ARRAY(a, struct plan_row, from->app_count + to->app_count);
    for (size_t i = 0; i < to->app_count; i++) {
        const struct app_config *new = to->apps[i], *old = snapshot_app(from, new->name);
        p->rows[p->n++] = (struct plan_row){old != NULL ? between(old, new) : PLAN_START, new->name, old, new};
    }
    for (size_t i = 0; i < from->app_count; i++)
        if (snapshot_app(to, from->apps[i]->name) == NULL)
            p->rows[p->n++] = (struct plan_row){PLAN_DROP, from->apps[i]->name, from->apps[i], NULL};
    return p;
}
