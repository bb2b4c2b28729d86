/*
 * yaml → merge → check → snapshot. Checks go on after errors as far as they
 * make sense, so that a person sees every mistake in one go.
 */
#include "config/load.h"
#include "base/miniobj.h"
#include "config/alias.h"
#include "config/fingerprint.h"
#include "config/identity.h"
#include "config/settle.h"

const char *scope_where(const struct scope *scope, const char *key) {
    const struct setting *s = setting_find(str_of(key), scope->name != NULL);

    if (s != NULL) {
        const struct slot *slot = &scope->slots[setting_index(s)];
        if (slot->winner != NULL)
            return slot->winner->node->where;
        if (slot->top != NULL)
            return slot->top->given->node->where;
    }
    return scope->where;
}

bool scope_is_set(const struct scope *scope, const char *key) {
    const struct setting *s = setting_find(str_of(key), scope->name != NULL);
    return s != NULL && scope->slots[setting_index(s)].winner != NULL;
}

static struct snapshot *snapshot_new(const struct config_sources *sources, uint64_t number) {
    struct arena *a = arena_new((size_t)16 * 1024);
    struct snapshot *s = ARENA_NEW(a, struct snapshot);

    s->magic = SNAPSHOT_MAGIC;
    s->references = 1;
    s->number = number;
    s->arena = a;
    s->file = sources->file == NULL ? NULL : arena_strdup(a, sources->file);
    s->loaded = wall_now();
    return s;
}

/* Values of `defaults:` are read with each app; where there is none, with one that nobody sees. */
static void settle_nobody(struct settle *settle, struct layers *l) {
    struct arena *a = arena_new(4096), *real = settle->arena;
    struct app_config *nobody = ARENA_NEW(a, struct app_config);

    settle->arena = a;
    settle_scope(settle, &l->every, nobody);
    settle->arena = real;
    arena_free(a);
}

static void settle_all(struct build *b) {
    struct snapshot *s = b->snapshot;
    struct layers *l = &b->layers;
    struct settle settle = {.arena = s->arena, .layers = l};

    settle_scope(&settle, &l->daemon, &s->daemon);
    s->app_count = l->app_count;
    s->apps = ARENA_ARRAY(s->arena, struct app_config *, l->app_count);
    for (size_t i = 0; i < l->app_count; i++) {
        struct app_config *app = ARENA_NEW(s->arena, struct app_config);
        app->name = arena_strdup(s->arena, l->apps[i]->name);
        app->where = arena_strdup(s->arena, l->apps[i]->where);
        app->index = i;
        settle_scope(&settle, l->apps[i], app);
        settle_inherit(l->apps[i], app, &s->daemon);
        s->apps[i] = app;
    }
    if (l->app_count == 0 && l->problems->errors < PROBLEMS_KEPT_MAX) {
        size_t secrets = settle.secret_variables.n;
        settle_nobody(&settle, l);
        settle.secret_variables.n = secrets; /* those beyond went with nobody's arena */
    }
    s->secret_variables = settle.secret_variables;
}

bool build_make(struct build *b, const struct config_sources *sources, const struct kind_table *kinds, uint64_t number,
                struct problems *problems) {
    size_t errors_before = problems->errors;

    *b = (struct build){.scratch = arena_new((size_t)64 * 1024), .kinds = kinds, .problems = problems};
    if (!layers_build(&b->layers, b->scratch, sources, problems))
        return false;
    b->snapshot = snapshot_new(sources, number);
    settle_all(b);
    check_daemon(b);
    check_routes(b);
    for (size_t i = 0; i < b->snapshot->app_count; i++)
        check_app(b, i);
    check_values(b);
    if (problems->errors > errors_before)
        return false;
    for (size_t i = 0; i < b->snapshot->app_count && !sources->skip_paths; i++)
        identity_find(b->snapshot->arena, b->snapshot->apps[i]);
    fingerprint_snapshot(b->snapshot);
    return true;
}

void build_free(struct build *b, bool keep) {
    if (!keep)
        snapshot_unref(b->snapshot);
    arena_free(b->scratch);
}

struct snapshot *config_load(const struct config_sources *sources, const struct kind_table *kinds, uint64_t number,
                             struct problems *problems) {
    struct build b;
    bool good = build_make(&b, sources, kinds, number, problems);
    struct snapshot *s = good ? b.snapshot : NULL;

    build_free(&b, good);
    return s;
}
