/*
 * What lies between two snapshots, app by app. Pure. Boot is the plan against
 * the empty snapshot: every app is started.
 */
#ifndef FAUCET_CONTROL_PLAN_H
#define FAUCET_CONTROL_PLAN_H

#include "base/arena.h"
#include "config/changes.h"
#include "config/snapshot.h"

enum plan_action {
    PLAN_KEEP,   /* nothing changed */
    PLAN_HOT,    /* hot keys only: the settings change in place */
    PLAN_RESIZE, /* workers grow or drain */
    PLAN_ROLL, /* process keys: a new generation beside the old. Never for an app that is and stays static; one side may
                  be static where `type` changed */
    PLAN_START, /* new */
    PLAN_DROP   /* removed */
};
#define PLAN_ACTIONS 6

struct plan_row {
    enum plan_action action;
    const char *name;
    const struct app_config *from, *to; /* NULL: START · NULL: DROP */
    const char *key;                    /* what forces the action; "" for KEEP, START and DROP */
    const char *was, *now;              /* its values as text, secrets redacted; NULL where there is none */
    struct changes changes;             /* all that changed, that key first; none for KEEP, START and DROP */
};

struct plan {
    size_t n;
    struct plan_row *rows; /* apps of `to` in its order, then the removed ones in the order of `from` */
    struct changes daemon; /* of the daemon's own settings; those that need a restart come first (change_warning) */
    size_t count[PLAN_ACTIONS];
};

/* Lives in the arena; refers to both snapshots' memory. */
struct plan *plan_make(struct arena *a, const struct snapshot *from, const struct snapshot *to);
const char *plan_action_name(enum plan_action a);

#endif
