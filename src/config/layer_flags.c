/*
 * Command line flags as layers. A flag comes with its key (config_flag_key);
 * --set comes with any key at all, so keys are looked for here.
 */
#include "config/alias.h"
#include "config/layer.h"
#include "config/nearest.h"

static void unknown_app(struct layers *l, struct str app, const char *where, const char *key) {
    struct nearest near;

    nearest_init(&near, app);
    for (size_t i = 0; i < l->app_count; i++)
        nearest_offer(&near, l->apps[i]->name);
    problem_add(l->problems, PROBLEM_ERROR, where, key, "there is no app %.*s, and a flag cannot make one; %s%s%s%s",
                STR_ARG(app), layers_app_names(l), near.best == NULL ? "" : "; did you mean ",
                near.best == NULL ? "" : near.best, near.best == NULL ? "" : "?");
}

/* Takes "apps.NAME.", "apps.*." or "defaults." off the front of *key. False after adding a problem. */
static bool find_destination(struct layers *l, struct str *key, const char *where, struct destination *to) {
    const char *whole = key->p;

    *to = (struct destination){.scope = &l->daemon, .layer = LAYER_FLAG, .prefix = ""};
    if (str_starts(*key, STR("defaults."))) {
        *to = (struct destination){.app = true, .layer = LAYER_FLAG_DEFAULTS, .prefix = "defaults."};
        *key = str_from(*key, strlen("defaults."));
    } else if (str_starts(*key, STR("apps."))) {
        struct str rest = str_from(*key, strlen("apps."));
        struct str name = str_make(rest.p, str_chr(rest, '.'));
        *to = (struct destination){.app = true, .layer = LAYER_FLAG_ALL, .prefix = "apps.*."};
        if (!str_eq(name, STR("*"))) {
            to->layer = LAYER_FLAG;
            to->scope = layers_app(l, name);
            if (to->scope == NULL) {
                unknown_app(l, name, where, whole);
                return false;
            }
            to->prefix = to->scope->prefix;
        }
        *key = str_from(rest, name.n + 1);
    }
    return true;
}

static void unknown_key(struct layers *l, struct str key, const struct destination *to, const char *where,
                        const char *whole) {
    struct nearest near;
    struct key_row row;

    nearest_init(&near, key);
    for (size_t i = 0; i < setting_count; i++)
        if (to->app ? setting_in_app(&setting_table[i]) : setting_in_daemon(&setting_table[i]))
            nearest_offer(&near, setting_table[i].key);
    if (!to->app && key_row_find(key, true, &row))
        problem_add(l->problems, PROBLEM_ERROR, where, whole,
                    "no such key; it belongs to apps: apps.NAME.%s, or apps.*.%s for all", whole, whole);
    else
        problem_add(l->problems, PROBLEM_ERROR, where, whole, "no such key%s%s%s%s",
                    near.best == NULL ? "" : "; did you mean ", near.best == NULL ? "" : to->prefix,
                    near.best == NULL ? "" : near.best, near.best == NULL ? "" : "?");
}

static void read_flag(struct layers *l, const struct config_flag *flag) {
    const char *where = arena_printf(l->arena, "flag %s", flag->name).p;
    struct str key = str_of(flag->key);
    struct destination to;
    struct key_row row;

    if (strcmp(flag->key, ALIAS_IGNORED) == 0) {
        problem_add(l->problems, PROBLEM_WARNING, where, "",
                    "has no effect: WebSocket messages are streamed, of any size, and never held in memory whole");
        return;
    }
    if (!find_destination(l, &key, where, &to))
        return;
    if (key_row_find(key, to.app, &row)) {
        const char *text = alias_translate(alias_of_flag(str_of(flag->name), true), l->arena, flag->value);
        const struct yaml_node *node =
            layers_value(l, row.entry != NULL ? setting_find(STR("dir"), true) : row.setting, text, where);
        if (node != NULL && row.entry != NULL)
            node = layers_entry(l, row.entry, node);
        if (node != NULL)
            layers_give(l, &to, row.setting, row.is_file, node);
    } else if (key.n == 0 ? to.app : setting_is_group(key, to.app)) {
        /* --set 'apps.sales.queue={ size: 5 }' */
        const struct yaml_node *node = layers_value(l, NULL, flag->value, where);
        if (node != NULL && node->type == YAML_MAP)
            layers_walk(l, &to, node, key.n == 0 ? "" : arena_printf(l->arena, "%.*s.", STR_ARG(key)).p);
        else if (node != NULL)
            problem_add(l->problems, PROBLEM_ERROR, where, flag->key, "must be a map such as \"{ key: value }\"");
    } else
        unknown_key(l, key, &to, where, flag->key);
}

void layers_read_flags(struct layers *l) {
    for (size_t i = 0; i < l->sources->flag_count; i++)
        read_flag(l, &l->sources->flags[i]);
}
