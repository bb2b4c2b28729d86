/* Routes: the rules one by one, then random tables and paths against an oracle that tries every route. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "route/route.h"

#define APPS_MAX 40

struct table {
    struct snapshot snapshot;
    struct app_config apps[APPS_MAX];
    struct app_config *list[APPS_MAX];
    struct route_table *routes;
};

static struct table *table_new(void) {
    struct arena *a = arena_new(4096);
    struct table *t = ARENA_NEW(a, struct table);
    t->snapshot.magic = SNAPSHOT_MAGIC;
    t->snapshot.arena = a;
    t->snapshot.apps = t->list;
    return t;
}

static struct strings split(struct arena *a, const char *text) {
    struct strings s = {.v = ARENA_ARRAY(a, const char *, 8)};
    struct str list = str_of(text), element;
    while (str_next_element(&list, &element))
        s.v[s.n++] = arena_str(a, element).p;
    return s;
}

static void add(struct table *t, const char *name, const char *hosts, const char *routes) {
    struct app_config *app = &t->apps[t->snapshot.app_count];
    ASSERT(t->snapshot.app_count < APPS_MAX);
    app->name = arena_strdup(t->snapshot.arena, name);
    app->host = split(t->snapshot.arena, hosts);
    app->route = split(t->snapshot.arena, routes);
    t->list[t->snapshot.app_count++] = app;
}

static void expect(const struct table *t, const char *host, const char *path, const char *app, const char *prefix,
                   bool add_slash) {
    struct route_match m = route_find(t->routes, str_of(host), str_of(path));
    if (app == NULL) {
        assert_null(m.app);
        return;
    }
    if (m.app == NULL || strcmp(m.app->name, app) != 0)
        fail_msg("%s%s: %s instead of %s", host, path, m.app == NULL ? "none" : m.app->name, app);
    assert_true(str_eq(m.prefix, str_of(prefix)));
    assert_true(m.add_slash == add_slash);
}

static void longest_prefix_wins(void **state) {
    (void)state;
    struct table *t = table_new();
    add(t, "root", "", "/");
    add(t, "sales", "", "/sales/");
    add(t, "reports", "", "/sales/reports/, /reports/");
    t->routes = route_table_new(&t->snapshot);
    expect(t, "", "/", "root", "/", false);
    expect(t, "x", "/sale", "root", "/", false);
    expect(t, "x", "/salesx", "root", "/", false);
    expect(t, "x", "/sales", "sales", "/sales/", true);
    expect(t, "x", "/sales/", "sales", "/sales/", false);
    expect(t, "x", "/sales/a/b", "sales", "/sales/", false);
    expect(t, "x", "/sales/reports", "reports", "/sales/reports/", true);
    expect(t, "x", "/sales/reports/1", "reports", "/sales/reports/", false);
    expect(t, "x", "/sales/reportsx/1", "sales", "/sales/", false);
    expect(t, "x", "/reports/1", "reports", "/reports/", false);
    expect(t, "x", "/Sales/", "root", "/", false);
    expect(t, "x", "//sales/", "root", "/", false);
    arena_free(t->snapshot.arena);
}

static void host_goes_before_no_host(void **state) {
    (void)state;
    struct table *t = table_new();
    add(t, "any", "", "/a/b/");
    add(t, "one", "one.example, [::1]", "/a/");
    add(t, "two", "two.example", "/");
    t->routes = route_table_new(&t->snapshot);
    expect(t, "one.example", "/a/b/c", "one", "/a/", false);
    expect(t, "[::1]", "/a", "one", "/a/", true);
    expect(t, "one.example", "/a/b", "one", "/a/", false);
    expect(t, "two.example", "/a/b/c", "two", "/", false);
    expect(t, "other", "/a/b/c", "any", "/a/b/", false);
    expect(t, "", "/a/b/c", "any", "/a/b/", false);
    expect(t, "one.example", "/x", NULL, NULL, false);
    expect(t, "other", "/a/", NULL, NULL, false);
    arena_free(t->snapshot.arena);
}

static void a_host_without_match_falls_back(void **state) {
    (void)state;
    struct table *t = table_new();
    add(t, "any", "", "/b/");
    add(t, "one", "one.example", "/a/");
    t->routes = route_table_new(&t->snapshot);
    expect(t, "one.example", "/b/", "any", "/b/", false);
    expect(t, "one.example", "/b", "any", "/b/", true);
    arena_free(t->snapshot.arena);
}

static void empty_table(void **state) {
    (void)state;
    struct table *t = table_new();
    t->routes = route_table_new(&t->snapshot);
    expect(t, "a", "/", NULL, NULL, false);
    arena_free(t->snapshot.arena);
}

static void no_route_means_the_name(void **state) {
    (void)state;
    struct table *t = table_new();
    add(t, "sales", "", "");
    add(t, "hosted", "h", "");
    t->routes = route_table_new(&t->snapshot);
    expect(t, "a", "/sales/x", "sales", "/sales/", false);
    expect(t, "h", "/x", "hosted", "/", false);
    arena_free(t->snapshot.arena);
}

/* ---- the oracle ---- */

static bool app_has_host(const struct app_config *app, struct str host) {
    for (size_t i = 0; i < app->host.n; i++)
        if (str_eq(str_of(app->host.v[i]), host))
            return true;
    return false;
}

static void consider(struct route_match *best, const struct app_config *app, struct str path) {
    for (size_t r = 0; r < app->route.n; r++) {
        struct str prefix = str_of(app->route.v[r]);
        bool slash = path.n + 1 == prefix.n && str_starts(prefix, path);
        if ((slash || str_starts(path, prefix)) && (best->app == NULL || prefix.n > best->prefix.n))
            *best = (struct route_match){app, prefix, slash};
    }
}

static struct route_match oracle(const struct snapshot *s, struct str host, struct str path) {
    struct route_match with_host = {0}, without = {0};
    for (size_t i = 0; i < s->app_count; i++) {
        if (s->apps[i]->host.n == 0)
            consider(&without, s->apps[i], path);
        else if (app_has_host(s->apps[i], host))
            consider(&with_host, s->apps[i], path);
    }
    return with_host.app != NULL ? with_host : without;
}

static uint64_t seed = 88172645463325252u;
static size_t dice(size_t sides) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed >> 11) % sides;
}

static void random_path(char *out, size_t segments, bool slash) {
    char *p = out;
    for (size_t i = 0; i < segments; i++) {
        *p++ = '/';
        for (size_t n = dice(3); n > 0; n--)
            *p++ = (char)('a' + dice(2));
    }
    if (slash || p == out)
        *p++ = '/';
    *p = '\0';
}

static void random_tables(void **state) {
    (void)state;
    static const char *const hosts[] = {"", "a", "b", "a, b", "b, c"}, *const asked[] = {"", "a", "b", "c", "d"};
    for (int round = 0; round < 200; round++) {
        struct table *t = table_new();
        for (size_t i = 0, n = dice(APPS_MAX); i < n; i++) {
            char routes[80], name[32];
            random_path(routes, dice(5), true);
            snprintf(name, sizeof name, "app%zu", i);
            add(t, name, hosts[dice(5)], routes);
        }
        t->routes = route_table_new(&t->snapshot);
        for (int question = 0; question < 500; question++) {
            char path[80];
            random_path(path, dice(7), dice(2) == 0);
            struct str host = str_of(asked[dice(5)]);
            struct route_match m = route_find(t->routes, host, str_of(path)),
                               o = oracle(&t->snapshot, host, str_of(path));
            if (m.app != o.app || m.add_slash != o.add_slash || !str_eq(m.prefix, o.prefix))
                fail_msg("%.*s%s: %s instead of %s", STR_ARG(host), path, m.app == NULL ? "none" : m.app->name,
                         o.app == NULL ? "none" : o.app->name);
        }
        arena_free(t->snapshot.arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(longest_prefix_wins),
        cmocka_unit_test(host_goes_before_no_host),
        cmocka_unit_test(a_host_without_match_falls_back),
        cmocka_unit_test(empty_table),
        cmocka_unit_test(no_route_means_the_name),
        cmocka_unit_test(random_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
