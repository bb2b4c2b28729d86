/*
 * One record per replaced snapshot that some pinned client may need, newest
 * first.
 */
#include "proxy/former_routes.h"

#include "proxy/client_key.h"
#include "proxy/exchange.h"

struct former {
    struct list_node node; /* on proxy->former */
    struct snapshot *snapshot;
    struct route_table *routes; /* in the snapshot's memory */
    struct app **live;          /* by app index; NULL: today's routes serve it as well, or it is gone */
};

static bool same_strings(const struct strings *a, const struct strings *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    return true;
}

/* Does the present configuration lead to this app by the same routes? */
static bool still_routed(const struct proxy *p, const struct app_config *before, const struct app *live) {
    const struct app_config *now = snapshot_app(p->snapshot, before->name);
    return now != NULL && p->live[now->index] == live && same_strings(&now->route, &before->route) &&
           same_strings(&now->host, &before->host);
}

static void drop(struct former *f) {
    list_remove(&f->node);
    snapshot_unref(f->snapshot);
    free(f->live);
    free(f);
}

static bool needed(const struct former *f) {
    for (size_t i = 0; i < f->snapshot->app_count; i++)
        if (f->live[i] != NULL && app_tunnels(f->live[i]) > 0)
            return true;
    return false;
}

void former_routes_keep(struct proxy *p, struct snapshot *from, struct route_table *routes, struct app *const *live) {
    if (from == NULL)
        return;
    struct former *f = calloc(1, sizeof *f);
    XXXAN(f);
    f->snapshot = snapshot_ref(from);
    f->routes = routes;
    f->live = calloc(from->app_count ? from->app_count : 1, sizeof *f->live);
    XXXAN(f->live);
    for (size_t i = 0; i < from->app_count; i++)
        if (live[i] != NULL && !still_routed(p, from->apps[i], live[i]))
            f->live[i] = live[i];
    list_prepend(&p->former, &f->node);
    former_routes_sweep(p);
}

bool former_routes_find(struct proxy *p, const struct exchange *x, const struct app *today, struct snapshot **snapshot,
                        struct route_match *match, struct app **app) {
    LIST_FOREACH (&p->former, struct former, f, node) {
        struct route_match m = route_find(f->routes, x->host, x->path);
        if (m.app == NULL || m.add_slash)
            continue;
        struct app *a = f->live[m.app->index];
        struct client_key key;
        if (a == NULL || a == today || !client_key_known(x, m.app, &key) || !app_has_pin(a, &key))
            continue;
        *snapshot = f->snapshot;
        *match = m;
        *app = a;
        return true;
    }
    return false;
}

void former_routes_forget_app(struct proxy *p, const struct app *a) {
    LIST_FOREACH (&p->former, struct former, f, node) {
        for (size_t i = 0; i < f->snapshot->app_count; i++)
            if (f->live[i] == a)
                f->live[i] = NULL;
    }
    former_routes_sweep(p);
}

void former_routes_sweep(struct proxy *p) {
    LIST_FOREACH (&p->former, struct former, f, node) {
        if (!needed(f))
            drop(f);
    }
}

void former_routes_free(struct proxy *p) {
    LIST_FOREACH (&p->former, struct former, f, node) {
        drop(f);
    }
}
