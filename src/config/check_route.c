/*
 * Every (host, route) belongs to one app. Two apps that claim the same one
 * are both named with their places: which one is wrong only a person knows.
 */
#include <stdlib.h>

#include "config/load.h"

struct claim {
    const char *host; /* "": any */
    const char *route;
    const struct app_config *app;
    const char *where;
};

/* /NAME/, or / where a host is set or the app is the only one there can be (faucet start). */
static void default_route(struct build *b, struct app_config *app) {
    const char *route = "/";

    if (app->host.n == 0 && b->layers.sources->app_name == NULL)
        route = arena_printf(b->snapshot->arena, "/%s/", app->name).p;
    app->route = (struct strings){1, ARENA_NEW(b->snapshot->arena, const char *)};
    app->route.v[0] = route;
}

static int compare(const void *a_, const void *b_) {
    const struct claim *a = a_, *b = b_;
    int order = strcmp(a->host, b->host);

    if (order == 0)
        order = strcmp(a->route, b->route);
    if (order == 0)
        order = a->app->index < b->app->index ? -1 : a->app->index > b->app->index;
    return order;
}

/* A route or host that could not be read claims nothing: the default in its place may well be somebody else's. */
static void add_claims(const struct scope *scope, const struct app_config *app, struct claim *claims, size_t *n) {
    if (scope_slot(scope, "route")->bad || scope_slot(scope, "host")->bad)
        return;
    const char *where = scope_where(scope, app->host.n > 0 && !scope_is_set(scope, "route") ? "host" : "route");

    for (size_t h = 0; h < (app->host.n == 0 ? 1 : app->host.n); h++)
        for (size_t r = 0; r < app->route.n; r++)
            claims[(*n)++] = (struct claim){app->host.n == 0 ? "" : app->host.v[h], app->route.v[r], app, where};
}

static void report(struct build *b, const struct claim *first, const struct claim *second) {
    const char *key = arena_printf(b->scratch, "apps.%s.route", second->app->name).p;
    const char *on = second->host[0] == '\0' ? "" : arena_printf(b->scratch, " on host %s", second->host).p;

    if (first->app == second->app)
        problem_add(b->problems, PROBLEM_ERROR, second->where, key, "names %s%s twice", second->route, on);
    else
        problem_add(b->problems, PROBLEM_ERROR, second->where, key,
                    "%s%s is answered by apps.%s already (%s); each app needs a route or host of its own",
                    second->route, on, first->app->name, first->where);
}

void check_routes(struct build *b) {
    struct snapshot *s = b->snapshot;
    size_t room = 0, n = 0;

    for (size_t i = 0; i < s->app_count; i++) {
        struct app_config *app = s->apps[i];
        if (app->route.n == 0)
            default_route(b, app);
        room += app->route.n * (app->host.n == 0 ? 1 : app->host.n);
    }
    if (room == 0)
        return;

    struct claim *claims = ARENA_ARRAY(b->scratch, struct claim, room);
    for (size_t i = 0; i < s->app_count; i++)
        add_claims(b->layers.apps[i], s->apps[i], claims, &n);
    ASSERT(n <= room);
    qsort(claims, n, sizeof(claims[0]), compare);
    for (size_t i = 1; i < n; i++)
        if (strcmp(claims[i - 1].host, claims[i].host) == 0 && strcmp(claims[i - 1].route, claims[i].route) == 0)
            report(b, &claims[i - 1], &claims[i]);
}
