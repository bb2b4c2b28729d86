/*
 * Two hash tables: host → group, and (group, prefix) → app. A path is walked
 * once from the left, hashing as it goes; at every slash the prefix so far is
 * looked up, and the last hit is the longest. The walk ends where the group's
 * longest prefix does, so a long path costs nothing more.
 */
#include "route/route.h"

#include <stdio.h>

#include "base/check.h"
#include "base/hash.h"

#define SEED     UINT64_C(0x6661756365742d72)
#define NO_GROUP SIZE_MAX

struct route_entry {
    size_t group;
    uint64_t hash; /* of group and prefix */
    struct str prefix;
    const struct app_config *app; /* NULL: empty slot */
};

struct route_group {
    struct str host; /* .n == 0: any host */
    size_t longest;  /* prefix, in bytes */
};

struct route_table {
    size_t group_count, host_slots, slots; /* slots: powers of two, at most half full */
    struct route_group *groups;            /* groups[0] is any host */
    size_t *hosts;                         /* index of a group, NO_GROUP: empty */
    struct route_entry *entries;
};

/* FNV-1a, since it can go on from byte to byte; keys are our own configuration, so nobody can aim at a slot's chain but
 * with paths, which are compared and not stored. */
static uint64_t hash_begin(size_t group) {
    return (UINT64_C(0xcbf29ce484222325) ^ group) * UINT64_C(0x100000001b3);
}
static inline uint64_t hash_step(uint64_t h, char c) {
    return (h ^ (unsigned char)c) * UINT64_C(0x100000001b3);
}
static size_t slot_of(uint64_t h, size_t slots) {
    return (size_t)((h ^ h >> 29) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (slots - 1);
}

static const struct route_entry *find_entry(const struct route_table *t, size_t group, uint64_t hash,
                                            struct str prefix) {
    for (size_t i = slot_of(hash, t->slots);; i = (i + 1) & (t->slots - 1)) {
        const struct route_entry *e = &t->entries[i];
        if (e->app == NULL)
            return NULL;
        if (e->hash == hash && e->group == group && str_eq(e->prefix, prefix))
            return e;
    }
}

static size_t find_group(const struct route_table *t, struct str host) {
    if (host.n == 0 || t->group_count == 1)
        return NO_GROUP;
    size_t i = (size_t)hash_bytes(SEED, host.p, host.n) & (t->host_slots - 1);
    for (; t->hosts[i] != NO_GROUP; i = (i + 1) & (t->host_slots - 1))
        if (str_eq(t->groups[t->hosts[i]].host, host))
            return t->hosts[i];
    return NO_GROUP;
}

/* ---- building ---- */

static size_t power_above(size_t n) {
    size_t p = 4;
    while (p < 2 * n)
        p *= 2;
    return p;
}

static size_t make_group(struct route_table *t, struct str host) {
    size_t found = find_group(t, host);
    if (found != NO_GROUP)
        return found;
    size_t i = (size_t)hash_bytes(SEED, host.p, host.n) & (t->host_slots - 1);
    while (t->hosts[i] != NO_GROUP)
        i = (i + 1) & (t->host_slots - 1);
    t->hosts[i] = t->group_count;
    t->groups[t->group_count].host = host;
    return t->group_count++;
}

/* Two apps on one route are refused by check; should it happen, the first one in the file stays. */
static void add_entry(struct route_table *t, size_t group, struct str prefix, const struct app_config *app) {
    uint64_t hash = hash_begin(group);
    for (size_t i = 0; i < prefix.n; i++)
        hash = hash_step(hash, prefix.p[i]);
    if (find_entry(t, group, hash, prefix) != NULL)
        return;
    size_t slot = slot_of(hash, t->slots);
    while (t->entries[slot].app != NULL)
        slot = (slot + 1) & (t->slots - 1);
    t->entries[slot] = (struct route_entry){group, hash, prefix, app};
    if (prefix.n > t->groups[group].longest)
        t->groups[group].longest = prefix.n;
}

/* Of an app that names no route: its name, or everything below its hosts. */
static struct str default_prefix(struct arena *a, const struct app_config *app) {
    return app->host.n > 0 ? STR("/") : arena_printf(a, "/%s/", app->name);
}

static void add_app(struct route_table *t, struct arena *a, const struct app_config *app) {
    size_t prefixes = app->route.n > 0 ? app->route.n : 1;
    for (size_t p = 0; p < prefixes; p++) {
        struct str prefix = app->route.n > 0 ? str_of(app->route.v[p]) : default_prefix(a, app);
        ASSERT(prefix.n > 0 && prefix.p[0] == '/' && prefix.p[prefix.n - 1] == '/');
        if (app->host.n == 0)
            add_entry(t, 0, prefix, app);
        for (size_t h = 0; h < app->host.n; h++)
            add_entry(t, make_group(t, str_of(app->host.v[h])), prefix, app);
    }
}

struct route_table *route_table_new(struct snapshot *s) {
    struct route_table *t = ARENA_NEW(s->arena, struct route_table);
    size_t hosts = 0, routes = 0;
    for (size_t i = 0; i < s->app_count; i++) {
        size_t own_hosts = s->apps[i]->host.n, own_routes = s->apps[i]->route.n > 0 ? s->apps[i]->route.n : 1;
        hosts += own_hosts;
        routes += own_routes * (own_hosts > 0 ? own_hosts : 1);
    }
    t->host_slots = power_above(hosts);
    t->hosts = ARENA_ARRAY(s->arena, size_t, t->host_slots);
    for (size_t i = 0; i < t->host_slots; i++)
        t->hosts[i] = NO_GROUP;
    t->groups = ARENA_ARRAY(s->arena, struct route_group, hosts + 1);
    t->group_count = 1;
    t->slots = power_above(routes);
    t->entries = ARENA_ARRAY(s->arena, struct route_entry, t->slots);
    for (size_t i = 0; i < s->app_count; i++)
        add_app(t, s->arena, s->apps[i]);
    return t;
}

/* ---- asking ---- */

static struct route_match find_in_group(const struct route_table *t, size_t group, struct str path) {
    const struct route_entry *best = NULL, *e = NULL;
    size_t longest = t->groups[group].longest;
    uint64_t hash = hash_begin(group);
    size_t end = path.n < longest ? path.n : longest;
    for (size_t i = 0; i < end; i++) {
        hash = hash_step(hash, path.p[i]);
        if (path.p[i] == '/' && (e = find_entry(t, group, hash, str_make(path.p, i + 1))) != NULL)
            best = e;
    }
    if (path.n + 1 <= longest) { /* "/sales" for "/sales/" */
        hash = hash_step(hash, '/');
        for (size_t i = slot_of(hash, t->slots); t->entries[i].app != NULL; i = (i + 1) & (t->slots - 1)) {
            e = &t->entries[i];
            if (e->hash == hash && e->group == group && e->prefix.n == path.n + 1 && str_starts(e->prefix, path))
                return (struct route_match){e->app, e->prefix, true};
        }
    }
    return best == NULL ? (struct route_match){0} : (struct route_match){best->app, best->prefix, false};
}

struct route_match route_find(const struct route_table *t, struct str host, struct str path) {
    size_t group = find_group(t, host);
    struct route_match m = {0};
    if (group != NO_GROUP)
        m = find_in_group(t, group, path);
    return m.app != NULL ? m : find_in_group(t, 0, path);
}
