/*
 * All live apps: what they share (start pacer, socket directory, janitor),
 * what is told upwards, and the stop. Callbacks that may lead anywhere
 * (granted, refused, state_changed, stopped) are called from apps_tell only,
 * which the loop calls with nothing of ours on the stack.
 */
#include "app/app.h"
#include "app/janitor.h"
#include "app/live.h"
#include "app/socket_place.h"
#include "base/miniobj.h"

/* Has neither worker nor upstream address in use. */
static bool has_ended(const struct generation *g) {
    if (generation_worker_count(g) > 0)
        return false;
    for (size_t s = 0; s < ENDPOINT_STATES; s++)
        LIST_FOREACH (&g->endpoints[s], struct endpoint, e, node) {
            if (e->upstream != NULL && !endpoint_is_free(e))
                return false;
        }
    return true;
}

static bool nothing_left(const struct apps *apps) {
    LIST_FOREACH (&apps->list, struct app, a, node) {
        LIST_FOREACH (&a->generations, struct generation, g, node) {
            if (!has_ended(g))
                return false;
        }
    }
    return true;
}

static void tell_states(struct apps *apps) {
    const struct app_callbacks *c = &apps->env.callbacks;
    struct list_node *n;

    while ((n = list_first(&apps->announcing)) != NULL) {
        struct app *a = CONTAINER_OF(n, struct app, announce);
        list_remove(n);
        if (c->state_changed != NULL)
            c->state_changed(c->owner, a, a->state, a->state == APP_STATE_BACKOFF ? a->reason : "");
    }
}

static bool is_still_told(const struct app *a) {
    LIST_FOREACH (&a->apps->decided, struct lease, l, node) {
        if (l->app == a)
            return true;
    }
    return false;
}

static void let_apps_go(struct apps *apps) {
    const struct app_callbacks *c = &apps->env.callbacks;
    struct list_node *n;

    for (size_t left = apps->leaving.length; left > 0 && (n = list_first(&apps->leaving)) != NULL; left--) {
        struct app *a = CONTAINER_OF(n, struct app, leaving);
        list_move(&apps->leaving, n);
        if (is_still_told(a))
            continue; /* which wakes us again */
        if (!a->hidden && c->app_gone != NULL)
            c->app_gone(c->owner, a);
        app_free(a);
    }
}

static void apps_tell(struct ev_loop *ev, ev_prepare *w, int events) {
    struct apps *apps = CONTAINER_OF(w, struct apps, wake);
    (void)ev;
    (void)events;

    CHECK_OBJ_NOTNULL(apps, APPS_MAGIC);
    lease_tell(apps);
    tell_states(apps);
    candidates_tell(apps);
    let_apps_go(apps);
    if (apps->stopping && !apps->stopped_told && nothing_left(apps)) {
        apps->stopped_told = true;
        deadline_clear(&apps->stop);
        if (apps->env.callbacks.stopped != NULL)
            apps->env.callbacks.stopped(apps->env.callbacks.owner);
    }
}

void apps_wake(struct apps *a) {
    ev_feed_event(a->loop->ev, &a->wake, EV_CUSTOM);
}

void apps_check_stopped(struct apps *a) {
    if (a->stopping && !a->stopped_told)
        apps_wake(a);
}

static void stop_took_too_long(struct deadline *d) {
    struct apps *a = CONTAINER_OF(d, struct apps, stop);
    size_t leases, tunnels;

    apps_busy(a, &leases, &tunnels);
    log_warn(a->log, "shutdown.timeout passed: ending %zu requests and %zu tunnels", leases, tunnels);
    apps_stop(a, true);
}

struct apps *apps_new(const struct apps_env *env, char **error) {
    struct socket_place *sockets = socket_place_new(env->runtime_dir, error);
    struct apps *a;

    if (sockets == NULL)
        return NULL;
    ALLOC_OBJ(a, APPS_MAGIC);
    a->env = *env;
    a->loop = env->loop;
    a->log = env->log;
    a->sockets = sockets;
    list_init(&a->list);
    list_init(&a->candidates);
    list_init(&a->leaving);
    list_init(&a->decided);
    list_init(&a->announcing);
    ev_prepare_init(&a->wake, apps_tell);
    start_pacer_init(&a->pacer, a->loop, 1);
    deadline_init(&a->stop, a->loop, stop_took_too_long);
    janitor_start(a);
    if (socket_place_is_elsewhere(sockets))
        log_info(a->log, "%s is too long for socket paths (107 bytes): worker sockets are in %s", env->runtime_dir,
                 socket_place_directory(sockets));
    return a;
}

void apps_free(struct apps *a) {
    CHECK_OBJ_NOTNULL(a, APPS_MAGIC);
    candidates_free(a);
    LIST_FOREACH (&a->list, struct app, app, node) {
        app_free(app);
    }
    janitor_stop(a);
    deadline_destroy(&a->stop);
    start_pacer_destroy(&a->pacer);
    ev_clear_pending(a->loop->ev, &a->wake);
    socket_place_free(a->sockets);
    FREE_OBJ(a);
}

void apps_drop_idle(struct apps *apps) {
    CHECK_OBJ_NOTNULL(apps, APPS_MAGIC);
    if (apps->env.callbacks.endpoint_retired == NULL)
        return;
    LIST_FOREACH (&apps->list, struct app, a, node) {
        LIST_FOREACH (&a->generations, struct generation, g, node) {
            for (size_t s = 0; s < ENDPOINT_STATES; s++)
                LIST_FOREACH (&g->endpoints[s], struct endpoint, e, node) {
                    apps->env.callbacks.endpoint_retired(e);
                }
        }
    }
}

struct app *app_find(struct apps *apps, const char *name) {
    LIST_FOREACH (&apps->list, struct app, a, node) {
        if (!a->hidden && !a->removed && strcmp(a->name, name) == 0)
            return a;
    }
    return NULL;
}

size_t apps_count(const struct apps *apps) {
    size_t n = 0;

    LIST_FOREACH (&apps->list, struct app, a, node) {
        n += !a->hidden && !a->removed;
    }
    return n;
}

void apps_each_removed(const struct apps *apps, void (*each)(void *owner, const struct app *removed), void *owner) {
    LIST_FOREACH (&apps->list, struct app, a, node) {
        if (a->removed && !a->hidden && a->leaving.on == NULL)
            each(owner, a);
    }
}

void apps_use(struct apps *a, const struct snapshot *s) {
    CHECK_OBJ_NOTNULL(a, APPS_MAGIC);
    a->parallel_starts = (size_t)s->daemon.max_parallel_starts;
    a->shutdown_timeout = s->daemon.shutdown_timeout;
    start_pacer_set_limit(&a->pacer, a->parallel_starts);
}

void apps_busy(const struct apps *apps, size_t *leases, size_t *pins) {
    *leases = *pins = 0;
    LIST_FOREACH (&apps->list, struct app, a, node) {
        *leases += a->leases;
        *pins += a->tunnels;
    }
}

void apps_stop(struct apps *apps, bool now) {
    CHECK_OBJ_NOTNULL(apps, APPS_MAGIC);
    if (!apps->stopping && !now)
        deadline_set(&apps->stop, apps->shutdown_timeout);
    if (now)
        deadline_clear(&apps->stop);
    apps->stopping = true;
    candidates_fail(apps, "faucet is stopping");
    LIST_FOREACH (&apps->list, struct app, a, node) {
        a->stopping = true;
        lease_refuse_all(a, LEASE_APP_GONE);
        LIST_FOREACH (&a->generations, struct generation, g, node) {
            if (now)
                generation_stop(g);
            else
                generation_drain(g);
        }
        app_changed(a);
    }
    apps_wake(apps);
}
