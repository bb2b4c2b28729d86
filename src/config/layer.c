/*
 * The layers themselves, and what all three sources need to fill them.
 */
#include "config/layer.h"
#include "config/nearest.h"

#define APP_NAME_MAX 63

static void scope_init(struct layers *l, struct scope *scope, const char *name, const char *where) {
    *scope = (struct scope){.name = name, .where = where, .slots = ARENA_ARRAY(l->arena, struct slot, setting_count)};
    scope->prefix = name == NULL ? "" : arena_printf(l->arena, "apps.%s.", name).p;
    scope->variable = name == NULL ? NULL : setting_variable(l->arena, "", name);
}

struct slot *scope_slot(const struct scope *scope, const char *key) {
    const struct setting *s = setting_find(str_of(key), scope->name != NULL);
    AN(s);
    return &scope->slots[setting_index(s)];
}

struct scope *layers_app(const struct layers *l, struct str name) {
    for (size_t i = 0; i < l->app_count; i++)
        if (str_eq(str_of(l->apps[i]->name), name))
            return l->apps[i];
    return NULL;
}

const char *layers_app_names(const struct layers *l) {
    struct buf text = {0};

    if (l->app_count == 0)
        return "there are no apps";
    buf_append(&text, l->app_count == 1 ? STR("the only app is ") : STR("the apps are "));
    for (size_t i = 0; i < l->app_count; i++) {
        if (i == 20) {
            buf_printf(&text, " and %zu more", l->app_count - i);
            break;
        }
        buf_printf(&text, "%s%s", i == 0 ? "" : ", ", l->apps[i]->name);
    }
    struct str out = arena_str(l->arena, buf_str(&text));
    buf_free(&text);
    return out.p;
}

/* Above everything of its own layer and below. */
static void slot_push(struct layers *l, struct slot *slot, const struct given *given) {
    struct layered *new = ARENA_NEW(l->arena, struct layered), **at = &slot->top;

    while (*at != NULL && (*at)->given->layer > given->layer)
        at = &(*at)->beaten;
    *new = (struct layered){given, *at};
    *at = new;
}

void layers_give(struct layers *l, const struct destination *d, const struct setting *s, bool is_file,
                 const struct yaml_node *node) {
    struct given *given = ARENA_NEW(l->arena, struct given);
    size_t index = setting_index(s);

    *given = (struct given){.setting = s,
                            .key = arena_printf(l->arena, "%s%s%s", d->prefix, s->key, is_file ? "_file" : "").p,
                            .node = node,
                            .layer = d->layer,
                            .is_file = is_file,
                            .variable = d->variable};
    if (d->scope != NULL) {
        slot_push(l, &d->scope->slots[index], given);
        return;
    }
    slot_push(l, &l->every.slots[index], given);
    for (size_t i = 0; i < l->app_count; i++)
        slot_push(l, &l->apps[i]->slots[index], given);
}

bool key_row_find(struct str key, bool app, struct key_row *out) {
    *out = (struct key_row){.setting = setting_find(key, app)};
    if (out->setting != NULL)
        return true;
    if (str_ends(key, STR("_file"))) {
        out->setting = setting_find(str_make(key.p, key.n - strlen("_file")), app);
        out->is_file = true;
        if (out->setting != NULL && out->setting->secret)
            return true;
    }
    size_t dot = str_chr(key, '.');
    if (dot + 1 < key.n) {
        *out = (struct key_row){.setting = setting_find(str_make(key.p, dot), app), .entry = key.p + dot + 1};
        if (out->setting != NULL && out->setting->type->merges)
            return true;
    }
    *out = (struct key_row){0};
    return false;
}

/* What the unknown key may have meant; also when it stands on the wrong level. */
static void unknown_key(struct layers *l, const struct destination *d, const struct yaml_node *key, const char *path) {
    const char *whole = arena_printf(l->arena, "%s%s", path, key->text.p).p, *hint = "";
    const char *shown = arena_printf(l->arena, "%s%s", d->prefix, whole).p;
    struct nearest near;

    nearest_init(&near, str_of(whole));
    for (size_t i = 0; i < setting_count; i++)
        if (d->app ? setting_in_app(&setting_table[i]) : setting_in_daemon(&setting_table[i])) {
            nearest_offer(&near, setting_table[i].key);
            struct str group = str_make(setting_table[i].key, str_chr(str_of(setting_table[i].key), '.'));
            nearest_offer(&near, arena_str(l->arena, group).p);
        }
    if (!d->app && path[0] == '\0') {
        nearest_offer(&near, "apps");
        nearest_offer(&near, "defaults");
        nearest_offer(&near, "include");
    }
    struct key_row row;
    bool exists = key_row_find(str_of(whole), !d->app, &row) || setting_is_group(str_of(whole), !d->app);
    if (str_chr(key->text, '.') < key->text.n)
        hint = "; the parts of a key are nested maps in a file, as in log: { level: info }";
    else if (exists && d->app)
        hint = "; it belongs to the top of the file, not to an app";
    else if (exists)
        hint = "; it belongs to an app (apps.NAME) or to defaults";
    else if (near.best != NULL)
        hint = arena_printf(l->arena, "; did you mean %s?", near.best).p;
    problem_add(l->problems, PROBLEM_ERROR, key->where, shown, "no such key%s", hint);
}

/* "{ level, format, file, max_size }": what may stand in a group. */
static const char *group_keys(struct layers *l, struct str group, bool app) {
    struct buf text = {0};

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if ((app ? setting_in_app(s) : setting_in_daemon(s)) && str_starts(str_of(s->key), group) &&
            s->key[group.n] == '.')
            buf_printf(&text, "%s%s", buf_length(&text) == 0 ? "" : ", ", s->key + group.n + 1);
    }
    struct str out = arena_str(l->arena, buf_str(&text));
    buf_free(&text);
    return out.p;
}

void layers_walk(struct layers *l, const struct destination *d, const struct yaml_node *node, const char *path) {
    for (size_t i = 0; i < node->n; i++) {
        const struct yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
        struct str whole = arena_printf(l->arena, "%s%s", path, key->text.p);
        struct key_row row;

        if (str_chr(key->text, '.') < key->text.n) /* log.level: is for flags; here it is log: { level: } */
            unknown_key(l, d, key, path);
        else if (key_row_find(whole, d->app, &row))
            layers_give(l, d, row.setting, row.is_file, value);
        else if (setting_is_group(whole, d->app) && value->type == YAML_MAP)
            layers_walk(l, d, value, arena_printf(l->arena, "%s.", whole.p).p);
        else if (setting_is_group(whole, d->app)) {
            if (value->type != YAML_NULL)
                problem_add(l->problems, PROBLEM_ERROR, value->where,
                            arena_printf(l->arena, "%s%s", d->prefix, whole.p).p, "must be a map of %s, not a %s",
                            group_keys(l, whole, d->app), value->type == YAML_LIST ? "list" : "text");
        } else
            unknown_key(l, d, key, path);
    }
}

static bool is_app_name(struct str name) {
    if (name.n == 0 || name.n > APP_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool first = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!first && (i == 0 || (c != '-' && c != '_')))
            return false;
    }
    return true;
}

/* sales-x and sales_x are both FAUCET_APPS_SALES_X_… */
static const struct scope *same_variable(const struct layers *l, const char *name) {
    const char *variable = setting_variable(l->arena, "", name);

    for (size_t i = 0; i < l->app_count; i++)
        if (strcmp(l->apps[i]->variable, variable) == 0)
            return l->apps[i];
    return NULL;
}

struct scope *layers_add_app(struct layers *l, const struct yaml_node *key) {
    const char *name = key->text.p, *shown = arena_printf(l->arena, "apps.%s", name).p;
    const struct scope *other;

    if (!is_app_name(key->text)) {
        problem_add(l->problems, PROBLEM_ERROR, key->where, shown,
                    "an app's name must begin with a-z or 0-9, then a-z, 0-9, - and _, %d characters at most",
                    APP_NAME_MAX);
        return NULL;
    }
    other = layers_app(l, key->text);
    if (other != NULL) {
        problem_add(l->problems, PROBLEM_ERROR, key->where, shown, "this app is declared twice; first at %s",
                    other->where);
        return NULL;
    }
    other = same_variable(l, name);
    if (other != NULL)
        problem_add(l->problems, PROBLEM_ERROR, key->where, shown,
                    "this name and %s (%s) share the variables %s_…; rename one", other->name, other->where,
                    setting_variable(l->arena, "apps.", name));
    if (l->app_count == l->app_room) {
        struct scope **old = l->apps;
        l->app_room = l->app_room == 0 ? 16 : 2 * l->app_room;
        l->apps = ARENA_ARRAY(l->arena, struct scope *, l->app_room);
        if (old != NULL)
            memcpy(l->apps, old, l->app_count * sizeof(l->apps[0]));
    }
    struct scope *scope = ARENA_NEW(l->arena, struct scope);
    scope_init(l, scope, arena_strdup(l->arena, name), key->where);
    l->apps[l->app_count++] = scope;
    return scope;
}

const struct yaml_node *layers_value(struct layers *l, const struct setting *s, const char *text, const char *where) {
    struct yaml_node *node;

    if (s != NULL && !s->type->flow) { /* a password may begin with { */
        node = ARENA_NEW(l->arena, struct yaml_node);
        *node = (struct yaml_node){.type = YAML_SCALAR,
                                   .where = where,
                                   .origin = l->sources->start_dir,
                                   .text = arena_str(l->arena, str_of(text)),
                                   .plain = true};
        if (!s->type->text && (str_eq(node->text, STR("null")) || str_eq(node->text, STR("~"))))
            node->type = YAML_NULL;
        return node;
    }
    return yaml_parse_value(l->arena, text, where, l->sources->start_dir, l->problems);
}

const struct yaml_node *layers_entry(struct layers *l, const char *entry, const struct yaml_node *node) {
    struct yaml_node *map = ARENA_NEW(l->arena, struct yaml_node), *key = ARENA_NEW(l->arena, struct yaml_node);

    *key = *node;
    key->type = YAML_SCALAR;
    key->text = str_of(entry);
    *map = *node;
    map->type = YAML_MAP;
    map->n = 1;
    map->pairs = ARENA_NEW(l->arena, struct yaml_pair);
    map->pairs[0].key = key;
    map->pairs[0].value = ARENA_NEW(l->arena, struct yaml_node);
    *map->pairs[0].value = *node;
    return map;
}

bool layers_build(struct layers *l, struct arena *a, const struct config_sources *sources, struct problems *problems) {
    *l = (struct layers){.arena = a, .sources = sources, .problems = problems};
    scope_init(l, &l->daemon, NULL, sources->file == NULL ? "" : sources->file);
    scope_init(l, &l->every, "*", "");
    if (sources->file != NULL) {
        if (!layers_read_file(l))
            return false;
    } else if (sources->app_name != NULL) {
        const struct yaml_node key = {.type = YAML_SCALAR, .where = "command line", .text = str_of(sources->app_name)};
        layers_add_app(l, &key);
    }
    layers_read_environment(l);
    layers_read_flags(l);
    return true;
}
