/*
 * faucet.yaml and what it includes, as layers. Apps of all files are made
 * first, then filled, so that `defaults:` reaches every one of them.
 */
#include "config/layer.h"

/* Top-level x-… keys are a place for anchors: neither checked nor expanded. */
static void drop_extensions(struct yaml_node *top) {
    size_t kept = 0;

    for (size_t i = 0; i < top->n; i++)
        if (!str_starts(top->pairs[i].key->text, STR("x-")))
            top->pairs[kept++] = top->pairs[i];
    top->n = kept;
}

/* An app that was declared, and its map. */
struct declared {
    struct scope *scope;
    const struct yaml_node *node;
};

/* `dir:apps/sales` is a text for YAML, and not at all for who wrote it. */
static void app_is_no_map(struct layers *l, const struct yaml_node *key, const struct yaml_node *node) {
    const char *path = arena_printf(l->arena, "apps.%s", key->text.p).p;
    size_t colon = str_chr(node->text, ':');
    struct key_row row;

    if (node->type == YAML_LIST)
        problem_add(l->problems, PROBLEM_ERROR, node->where, path,
                    "must be a map of this app's settings such as { dir: ./sales }, not a list");
    else if (colon < node->text.n && key_row_find(str_make(node->text.p, colon), true, &row))
        problem_add(l->problems, PROBLEM_ERROR, node->where, path,
                    "a space is missing after the colon: write \"%.*s: …\"", (int)colon, node->text.p);
    else
        problem_add(l->problems, PROBLEM_ERROR, node->where, path,
                    "must be a map of this app's settings such as { dir: ./sales }, not the text \"%.80s\"",
                    node->text.p);
}

/* Makes the apps of one file; the map of each is appended to `out`, which has room. */
static size_t declare(struct layers *l, const struct yaml_node *top, struct declared *out) {
    const struct yaml_node *apps = yaml_get(top, "apps");
    size_t n = 0;

    if (apps == NULL || apps->type == YAML_NULL)
        return 0;
    if (apps->type != YAML_MAP) {
        problem_add(l->problems, PROBLEM_ERROR, apps->where, "apps", "must be a map of app names, not a %s",
                    apps->type == YAML_LIST ? "list" : "text");
        return 0;
    }
    for (size_t i = 0; i < apps->n; i++) {
        const struct yaml_node *key = apps->pairs[i].key, *node = apps->pairs[i].value;
        if (node->type != YAML_MAP && node->type != YAML_NULL) {
            app_is_no_map(l, key, node);
            continue;
        }
        struct scope *scope = layers_add_app(l, key);
        if (scope != NULL)
            out[n++] = (struct declared){scope, node};
    }
    return n;
}

static size_t apps_in(const struct yaml_node *top) {
    const struct yaml_node *apps = yaml_get(top, "apps");
    return apps == NULL ? 0 : apps->n;
}

static void read_defaults(struct layers *l, const struct yaml_node *node) {
    const struct destination every = {.app = true, .layer = LAYER_FILE_DEFAULTS, .prefix = "defaults."};

    if (node->type == YAML_MAP)
        layers_walk(l, &every, node, "");
    else if (node->type != YAML_NULL)
        problem_add(l->problems, PROBLEM_ERROR, node->where, "defaults", "must be a map of app settings, not a %s",
                    node->type == YAML_LIST ? "list" : "text");
}

/* The keys at the top, less those that are no settings. */
static void read_top(struct layers *l, struct yaml_node *top) {
    const struct destination daemon = {.scope = &l->daemon, .layer = LAYER_FILE, .prefix = ""};
    struct yaml_node settings = *top;

    settings.pairs = ARENA_ARRAY(l->arena, struct yaml_pair, top->n);
    settings.n = 0;
    for (size_t i = 0; i < top->n; i++) {
        struct str key = top->pairs[i].key->text;
        if (str_eq(key, STR("defaults")))
            read_defaults(l, top->pairs[i].value);
        else if (!str_eq(key, STR("apps")))
            settings.pairs[settings.n++] = top->pairs[i];
    }
    layers_walk(l, &daemon, &settings, "");
}

bool layers_read_file(struct layers *l) {
    struct yaml_node *top = yaml_load_file(l->arena, l->sources->file, l->problems), **trees = NULL;
    size_t tree_count = 0, room, n;

    if (top == NULL)
        return false;
    drop_extensions(top);
    yaml_interpolate(l->arena, top, l->sources->environ_, NULL, l->problems);
    bool all_included = yaml_load_includes(l->arena, top, &trees, &tree_count, l->problems);
    room = apps_in(top);
    for (size_t i = 0; i < tree_count; i++) {
        drop_extensions(trees[i]);
        yaml_interpolate(l->arena, trees[i], l->sources->environ_, NULL, l->problems);
        room += apps_in(trees[i]);
    }

    struct declared *declared = ARENA_ARRAY(l->arena, struct declared, room);
    n = declare(l, top, declared);
    for (size_t i = 0; i < tree_count; i++)
        n += declare(l, trees[i], declared + n);
    if (room == 0 && all_included && !l->sources->no_apps_allowed) {
        const struct yaml_node *apps = yaml_get(top, "apps");
        problem_add(l->problems, PROBLEM_ERROR, apps == NULL ? l->sources->file : apps->where, "apps",
                    "declares no app: must be a map with at least one, such as \"apps: { sales: { dir: ./sales } }\"");
    }
    read_top(l, top);
    for (size_t i = 0; i < n; i++) {
        const struct destination app = {
            .scope = declared[i].scope, .app = true, .layer = LAYER_FILE, .prefix = declared[i].scope->prefix};
        if (declared[i].node->type == YAML_MAP)
            layers_walk(l, &app, declared[i].node, "");
    }
    return true;
}
