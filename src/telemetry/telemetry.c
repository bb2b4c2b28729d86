/*
 * Which snapshot's events go where: an epoch holds a snapshot and, per app, the
 * destination that its string leads to, so that an exchange that began under an
 * older configuration still finds its own database. An epoch goes when nobody but
 * it holds the snapshot any more.
 */
#include "telemetry/telemetry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/miniobj.h"
#include "telemetry/destination.h"
#include "telemetry/telemetry_parts.h"

#define JANITOR (1 * DUR_S)

/* ---- epochs ---- */

struct destination *telemetry_destination(struct telemetry *t, const struct snapshot *s, const struct app_config *app) {
    LIST_FOREACH (&t->epochs, struct epoch, e, node) { /* the current one first */
        if (e->snapshot == s)
            return app != NULL ? e->apps[app->index] : e->daemon;
    }
    if (t->prepared != NULL && t->prepared_for == s) /* workers that are started for a reload, before its commit */
        return app != NULL ? t->prepared->apps[app->index] : t->prepared->daemon;
    return telemetry_find(t, s, app); /* and of one that failed */
}

static void epoch_free(struct epoch *e) {
    list_remove(&e->node);
    snapshot_unref(e->snapshot);
    free(e);
}

static bool epoch_leads_to(const struct epoch *e, const struct destination *d) {
    bool found = e->daemon == d;

    for (size_t i = 0; !found && i < e->app_count; i++)
        found = e->apps[i] == d;
    return found;
}

/* Also while only exchanges of an older configuration have somewhere to go. */
static void look_whether_on(struct telemetry *t) {
    t->on = false;
    LIST_FOREACH (&t->epochs, struct epoch, e, node) {
        t->on = t->on || e->daemon != NULL;
        for (size_t i = 0; !t->on && i < e->app_count; i++)
            t->on = e->apps[i] != NULL;
    }
}

static struct epoch *epoch_current(const struct telemetry *t) {
    struct list_node *first = list_first(&t->epochs);
    return first != NULL ? CONTAINER_OF(first, struct epoch, node) : NULL;
}

/* ---- upkeep: old epochs, drained destinations ---- */

static bool destination_is_needed(const struct telemetry *t, const struct destination *d) {
    LIST_FOREACH (&t->epochs, struct epoch, e, node) {
        if (epoch_leads_to(e, d))
            return true;
    }
    return !destination_is_empty(d) || (t->prepared != NULL && epoch_leads_to(t->prepared, d));
}

static void clean(struct deadline *deadline) {
    struct telemetry *t = CONTAINER_OF(deadline, struct telemetry, janitor);
    struct epoch *current = epoch_current(t);
    bool again = false;

    CHECK_OBJ(t, TELEMETRY_MAGIC);
    LIST_FOREACH (&t->epochs, struct epoch, e, node) {
        if (e != current && e->snapshot->references == 1)
            epoch_free(e);
        else
            again = again || e != current;
    }
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        if (d->state != DESTINATION_DRAINING)
            continue;
        event_queue_end_gaps(d->queue);
        if (destination_is_needed(t, d)) {
            again = true;
            continue;
        }
        log_info(t->env.log, "telemetry to %s: everything is stored; it is no longer configured and closed", d->name);
        destination_log(d);
        destination_free(d);
    }
    look_whether_on(t);
    if (again)
        deadline_set(&t->janitor, JANITOR);
}

/* ---- state_dir ---- */

/* Somebody holds the lock, rather than that there can be none. */
static bool is_held(const char *state_dir) {
    char *path;

    XXXASSERT(asprintf(&path, "%s/lock", state_dir) >= 0);
    bool held = access(path, R_OK | W_OK) == 0;
    free(path);
    return held;
}

/* Once. Without a directory that can be used the queues are in memory, unless somebody asked for that one. */
bool telemetry_open_state_dir(struct telemetry *t, char **error) {
    char *why = NULL;

    if (t->lock >= 0 || t->in_memory)
        return true;
    if (t->state_dir != NULL)
        t->lock = state_dir_lock(t->state_dir, &why);
    if (t->lock >= 0) {
        XXXASSERT(asprintf(&t->queues, "%s/queue", t->state_dir) >= 0);
        return true;
    }
    if (t->state_dir != NULL && (t->env.state_dir_given || is_held(t->state_dir))) {
        XXXASSERT(asprintf(error, "state_dir: %s", why) >= 0);
        free(why);
        return false;
    }
    t->in_memory = true;
    log_warn(t->env.log,
             "telemetry: events wait in memory and are lost when faucet is killed: %s; set state_dir to a directory "
             "that can be written to",
             why != NULL ? why : "there is no directory for them");
    free(why);
    return true;
}

/* ---- prepare ---- */

bool telemetry_prepare(struct telemetry *t, const struct snapshot *s, char **error) {
    CHECK_OBJ_NOTNULL(t, TELEMETRY_MAGIC);
    telemetry_abandon(t);
    if (!telemetry_any_connection(s))
        return true;
    t->prepared = telemetry_aim(t, s, error);
    t->prepared_for = s;
    return t->prepared != NULL;
}

void telemetry_abandon(struct telemetry *t) {
    free(t->prepared);
    t->prepared = NULL;
    t->prepared_for = NULL;
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        if (d->state != DESTINATION_PREPARED)
            continue;
        if (destination_is_empty(d))
            destination_free(d);
        else
            d->state = DESTINATION_LEFT; /* an earlier run's */
    }
}

/* ---- commit ---- */

static void use(struct telemetry *t, struct destination *d, const char *connection, const struct snapshot *s) {
    char *error = NULL;

    if (d == NULL)
        return;
    if (!d->wanted && !destination_connect(d, connection, &s->daemon.telemetry, &error)) {
        log_error(t->env.log, "telemetry to %s: %s", d->name, error);
        free(d->error);
        d->error = error;
    }
    d->wanted = true;
    d->state = DESTINATION_USED;
}

/* What was prepared for it; where no string is in it, nothing was. */
static struct epoch *epoch_new(struct telemetry *t, struct snapshot *s) {
    struct epoch *e = t->prepared_for == s ? t->prepared : NULL;

    ASSERT(e != NULL || !telemetry_any_connection(s));
    if (e == NULL) {
        e = calloc(1, sizeof *e + s->app_count * sizeof e->apps[0]);
        XXXAN(e);
        e->app_count = s->app_count;
    } else {
        t->prepared = NULL;
        t->prepared_for = NULL;
    }
    e->snapshot = snapshot_ref(s);
    use(t, e->daemon, s->daemon.telemetry.postgres_string, s);
    for (size_t i = 0; i < s->app_count; i++)
        use(t, e->apps[i], s->apps[i]->telemetry.postgres_string, s);
    return e;
}

void telemetry_use(struct telemetry *t, struct snapshot *s) {
    struct epoch *current = epoch_current(t);
    CHECK_OBJ_NOTNULL(t, TELEMETRY_MAGIC);
    if ((current == NULL && !telemetry_any_connection(s)) || (current != NULL && current->snapshot == s))
        return;
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        d->wanted = false;
    }
    struct epoch *e = epoch_new(t, s);
    list_prepend(&t->epochs, &e->node);
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        d->current = s;
        if (!d->wanted && d->state == DESTINATION_USED) {
            d->state = DESTINATION_DRAINING;
            log_info(t->env.log, "telemetry to %s: no longer configured; %zu events are still sent", d->name,
                     destination_queued(d));
        }
    }
    look_whether_on(t);
    deadline_set(&t->janitor, JANITOR);
}

/* ---- life ---- */

struct telemetry *telemetry_new(const struct telemetry_env *env) {
    struct telemetry *t;

    ALLOC_OBJ(t, TELEMETRY_MAGIC);
    t->env = *env;
    t->instance = strdup(env->instance);
    XXXAN(t->instance);
    t->env.instance = t->instance;
    t->state_dir = env->state_dir != NULL ? strdup(env->state_dir) : NULL;
    t->env.state_dir = t->state_dir;
    t->env.drained = telemetry_pool_drained;
    t->lock = -1;
    list_init(&t->destinations);
    list_init(&t->epochs);
    deadline_init(&t->janitor, env->loop, clean);
    deadline_init(&t->look, env->loop, telemetry_stop_look);
    return t;
}

void telemetry_free(struct telemetry *t) {
    if (t == NULL)
        return;
    CHECK_OBJ(t, TELEMETRY_MAGIC);
    free(t->prepared);
    LIST_FOREACH (&t->epochs, struct epoch, e, node) {
        epoch_free(e);
    }
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        destination_free(d);
    }
    deadline_destroy(&t->janitor);
    deadline_destroy(&t->look);
    record_free(&t->record);
    free(t->instance);
    free(t->state_dir);
    free(t->queues);
    if (t->lock >= 0)
        close(t->lock);
    FREE_OBJ(t);
}

bool telemetry_is_on(const struct telemetry *t) {
    return t != NULL && t->on;
}

const char *telemetry_state_dir(const struct telemetry *t) {
    return t != NULL && t->lock >= 0 ? t->state_dir : NULL;
}
