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
    struct app **live; /* by app index; NULL: today's routes or a newer record serve it as well, or it is gone */
};

static bool same_strings(const struct strings *a, const struct strings *b) {
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    return true;
}

/* Is a client that has a tunnel known by the same thing: its address, or that cookie? */
static bool know_alike(const struct app_config *a, const struct app_config *b) {
    bool by_address = a->strategy == STRATEGY_IP_HASH;
    return by_address == (b->strategy == STRATEGY_IP_HASH) &&
           (by_address || strcmp(a->cookie_name, b->cookie_name) == 0);
}

static bool lead_alike(const struct app_config *a, const struct app_config *b) {
    return same_strings(&a->route, &b->route) && same_strings(&a->host, &b->host) && know_alike(a, b);
}

/* Does s, whose apps are live[], lead that client to this app as it was led before? */
static bool leads_there(const struct snapshot *s, struct app *const *live, const struct app_config *before,
                        const struct app *app) {
    const struct app_config *now = snapshot_app(s, before->name);
    return now != NULL && live[now->index] == app && lead_alike(before, now);
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

/* Leads nowhere yet. */
static struct former *former_new(struct proxy *p, struct snapshot *s, struct route_table *routes) {
    struct former *f = calloc(1, sizeof *f);
    XXXAN(f);
    f->snapshot = snapshot_ref(s);
    f->routes = routes;
    f->live = calloc(s->app_count ? s->app_count : 1, sizeof *f->live);
    XXXAN(f->live);
    struct list_node *at = p->former.head.next;
    while (at != &p->former.head && CONTAINER_OF(at, struct former, node)->snapshot->number > s->number)
        at = at->next;
    list_insert_before(&p->former, at, &f->node);
    return f;
}

/* A route that goes to and fro makes one record for each, not one for each time. */
static void leave_to_newer(struct proxy *p, struct former *older, const struct former *newer) {
    for (size_t i = 0; i < older->snapshot->app_count; i++) {
        const struct app_config *before = older->snapshot->apps[i];
        const struct app *app = older->live[i];
        if (app != NULL &&
            (leads_there(p->snapshot, p->live, before, app) || leads_there(newer->snapshot, newer->live, before, app)))
            older->live[i] = NULL;
    }
}

void former_routes_keep(struct proxy *p, struct snapshot *from, struct route_table *routes, struct app *const *live) {
    if (from == NULL)
        return;
    struct former *f = former_new(p, from, routes);
    for (size_t i = 0; i < from->app_count; i++)
        if (live[i] != NULL && !leads_there(p->snapshot, p->live, from->apps[i], live[i]))
            f->live[i] = live[i];
    LIST_FOREACH (&p->former, struct former, older, node) {
        if (older != f)
            leave_to_newer(p, older, f);
    }
    former_routes_sweep(p);
}

void former_routes_pinned(struct proxy *p, const struct exchange *x) {
    if (x->snapshot == p->snapshot || leads_there(p->snapshot, p->live, x->config, x->app))
        return;
    struct former *f = NULL;
    LIST_FOREACH (&p->former, struct former, each, node) {
        if (each->snapshot == x->snapshot)
            f = each;
    }
    if (f == NULL)
        f = former_new(p, x->snapshot, route_table_new(x->snapshot));
    f->live[x->config->index] = x->app;
}

bool former_routes_find(struct proxy *p, const struct exchange *x, const struct app *today, struct snapshot **snapshot,
                        struct route_match *match, struct app **app) {
    LIST_FOREACH (&p->former, struct former, f, node) {
        struct route_match m = route_find(f->routes, x->host, x->path);
        if (m.app == NULL || m.add_slash)
            continue;
        struct app *a = f->live[m.app->index];
        struct client_key key;
        if (a == NULL || (a == today && know_alike(m.app, match->app)) || !client_key_known(x, m.app, &key) ||
            !app_has_pin(a, &key))
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
