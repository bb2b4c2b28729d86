/*
 * FAUCET_… variables as layers. A variable's name cannot be taken apart (is
 * FAUCET_APPS_A_APP_DIR app_dir of a, or dir of a-app?), so every key that
 * could be meant is compared with it; more than one is an error.
 */
#include <stdlib.h>

#include "config/alias.h"
#include "config/layer.h"
#include "config/nearest.h"

/* What we give to workers, or what the command line code reads: no setting, no warning. */
static const char *const ours[] = {"FAUCET_APP",        "FAUCET_WORKER_ID",   "FAUCET_SOCKET",
                                   "FAUCET_SESSION_ID", "FAUCET_ROUTER_CONF", "FAUCET_CONFIG"};

/* One key that a variable may mean. */
struct meaning {
    struct destination to;
    struct key_row row;
};
#define MEANINGS_MAX 8
struct meanings {
    struct meaning v[MEANINGS_MAX];
    size_t n;
};

/* Rows of one level that `rest`, what follows the prefix in the variable's name, may mean. */
static void match_rows(struct layers *l, struct str rest, const struct destination *to, struct meanings *out) {
    for (size_t i = 0; i < setting_count && out->n < MEANINGS_MAX; i++) {
        const struct setting *s = &setting_table[i];
        struct key_row row = {.setting = s};
        struct str entry;

        if (to->app ? !setting_in_app(s) : !setting_in_daemon(s))
            continue;
        if (s->secret && str_ends(rest, STR("_FILE")) &&
            name_is_variable(str_make(rest.p, rest.n - strlen("_FILE")), s->key))
            row.is_file = true;
        else if (s->type->merges && name_begins_variable(rest, s->key, &entry) && entry.n > 0)
            row.entry = arena_str(l->arena, entry).p;
        else if (!name_is_variable(rest, s->key))
            continue;
        out->v[out->n++] = (struct meaning){*to, row};
    }
}

static bool after(struct str name, const char *prefix, struct str *rest) {
    if (!str_starts(name, str_of(prefix)))
        return false;
    *rest = str_from(name, strlen(prefix));
    return true;
}

/* name: without FAUCET_. In `faucet start` the app's keys need no prefix; the daemon's own come first. */
static void find_meanings(struct layers *l, struct str name, const char *variable, struct meanings *out) {
    struct destination to = {.scope = &l->daemon, .layer = LAYER_ENVIRONMENT, .prefix = "", .variable = variable};
    struct str rest;

    match_rows(l, name, &to, out);
    to.app = true;
    if (out->n == 0 && l->sources->app_name != NULL && l->app_count == 1) {
        to.scope = l->apps[0];
        to.prefix = l->apps[0]->prefix;
        match_rows(l, name, &to, out);
    }
    if (after(name, "DEFAULTS_", &rest)) {
        to = (struct destination){NULL, true, LAYER_ENVIRONMENT_DEFAULTS, "defaults.", variable};
        match_rows(l, rest, &to, out);
    }
    if (after(name, "APPS_*_", &rest) || after(name, "APPS___", &rest)) {
        to = (struct destination){NULL, true, LAYER_ENVIRONMENT_ALL, "apps.*.", variable};
        match_rows(l, rest, &to, out);
    }
    if (!after(name, "APPS_", &rest))
        return;
    for (size_t i = 0; i < l->app_count; i++) {
        struct str key;
        if (!name_begins_variable(rest, l->apps[i]->name, &key))
            continue;
        to = (struct destination){l->apps[i], true, LAYER_ENVIRONMENT, l->apps[i]->prefix, variable};
        match_rows(l, key, &to, out);
    }
}

/* Does FAUCET_APPS_<something>_<a key of apps> stand there: an app that is not declared? */
static const struct setting *names_app_key(struct str rest, struct str *app) {
    const struct setting *best = NULL;

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        size_t n = strlen(s->key);
        if (!setting_in_app(s) || rest.n < n + 2 || rest.p[rest.n - n - 1] != '_')
            continue;
        if (name_is_variable(str_from(rest, rest.n - n), s->key) && (best == NULL || n > strlen(best->key))) {
            best = s;
            *app = str_make(rest.p, rest.n - n - 1);
        }
    }
    return best;
}

static void unknown_app(struct layers *l, struct str app, const char *where) {
    char *name = arena_strdup(l->arena, arena_str(l->arena, app).p);
    struct nearest near;

    for (char *c = name; *c != '\0'; c++)
        *c = ascii_lower(*c);
    nearest_init(&near, str_of(name));
    for (size_t i = 0; i < l->app_count; i++)
        nearest_offer(&near, l->apps[i]->name);
    problem_add(l->problems, PROBLEM_ERROR, where, "",
                "there is no app %s, and the environment cannot make one; %s%s%s%s", name, layers_app_names(l),
                near.best == NULL ? "" : "; did you mean ", near.best == NULL ? "" : near.best,
                near.best == NULL ? "" : "?");
}

static void unknown_variable(struct layers *l, struct str variable, const char *where) {
    struct nearest near;

    nearest_init(&near, variable);
    for (size_t i = 0; i < setting_alias_count; i++)
        if (setting_aliases[i].variable != NULL)
            nearest_offer(&near, setting_aliases[i].variable);
    for (size_t i = 0; i < setting_count; i++) {
        if (setting_in_daemon(&setting_table[i]))
            nearest_offer(&near, setting_variable(l->arena, "", setting_table[i].key));
        if (!setting_in_app(&setting_table[i]))
            continue;
        nearest_offer(&near, setting_variable(l->arena, "defaults.", setting_table[i].key));
        if (l->sources->app_name != NULL)
            nearest_offer(&near, setting_variable(l->arena, "", setting_table[i].key));
        for (size_t k = 0; k < l->app_count; k++)
            nearest_offer(&near, setting_variable(l->arena, l->apps[k]->prefix, setting_table[i].key));
    }
    const char *hint = "";
    const struct setting *s = NULL;
    for (size_t i = 0; i < setting_count && s == NULL; i++)
        if (setting_in_app(&setting_table[i]) &&
            name_is_variable(str_from(variable, strlen("FAUCET_")), setting_table[i].key))
            s = &setting_table[i];
    if (s != NULL)
        hint = arena_printf(l->arena,
                            "; only faucet start reads it; for the apps of a file it is FAUCET_APPS_NAME_%s or %s",
                            variable.p + strlen("FAUCET_"), setting_variable(l->arena, "defaults.", s->key))
                   .p;
    else if (near.best != NULL)
        hint = arena_printf(l->arena, "; did you mean %s?", near.best).p;
    problem_add(l->problems, PROBLEM_WARNING, where, "", "no setting has this variable%s", hint);
}

static void give(struct layers *l, const struct meaning *m, const char *text, const char *where) {
    const struct setting *s = m->row.setting;
    struct destination to = m->to;
    /* An entry of a map is text; so is the name of a file. */
    const struct yaml_node *node =
        layers_value(l, m->row.entry != NULL ? setting_find(STR("dir"), true) : s, text, where);

    if (node == NULL)
        return;
    if (m->row.entry != NULL)
        node = layers_entry(l, m->row.entry, node);
    layers_give(l, &to, s, m->row.is_file, node);
}

static void ambiguous(struct layers *l, const struct meanings *found, const char *where) {
    const struct meaning *a = &found->v[0], *b = &found->v[1];

    problem_add(l->problems, PROBLEM_ERROR, where, "", "may mean %s%s or %s%s; use --set KEY=VALUE instead",
                a->to.prefix, a->row.setting->key, b->to.prefix, b->row.setting->key);
}

static void read_alias(struct layers *l, const struct setting_alias *alias, const char *text, const char *where) {
    if (strcmp(alias->key, ALIAS_IGNORED) == 0) {
        problem_add(l->problems, PROBLEM_WARNING, where, "",
                    "has no effect: WebSocket messages are streamed, of any size, and never held in memory whole");
        return;
    }
    struct meaning m = {.to = {&l->daemon, false, LAYER_ENVIRONMENT, "", alias->variable}};
    ASSERT(key_row_find(str_of(alias->key), false, &m.row));
    give(l, &m, alias_translate(alias, l->arena, text), where);
}

static void read_variable(struct layers *l, struct str variable, const char *text, const char *where) {
    struct meanings found = {.n = 0};
    struct str name = str_from(variable, strlen("FAUCET_")), app;

    for (size_t i = 0; i < ARRAY_LENGTH(ours); i++)
        if (str_eq(variable, str_of(ours[i])))
            return;
    find_meanings(l, name, variable.p, &found);
    if (found.n == 1)
        give(l, &found.v[0], text, where);
    else if (found.n > 1)
        ambiguous(l, &found, where);
    else if (str_starts(name, STR("APPS_")) && names_app_key(str_from(name, strlen("APPS_")), &app) != NULL)
        unknown_app(l, app, where);
    else
        unknown_variable(l, variable, where);
}

/* Aliases first: where both names are set, ours is on top. */
void layers_read_environment(struct layers *l) {
    if (l->sources->environ_ == NULL)
        return;
    for (int round = 0; round < 2; round++)
        for (char *const *at = l->sources->environ_; *at != NULL; at++) {
            struct str whole = str_of(*at);
            size_t equals = str_chr(whole, '=');
            if (!str_starts(whole, STR("FAUCET_")) || equals == whole.n)
                continue;
            struct str variable = arena_str(l->arena, str_make(whole.p, equals));
            const struct setting_alias *alias = alias_of_variable(variable);
            const char *where = arena_printf(l->arena, "environment %s", variable.p).p;
            if (alias != NULL && round == 0)
                read_alias(l, alias, *at + equals + 1, where);
            else if (alias == NULL && round == 1)
                read_variable(l, variable, *at + equals + 1, where);
        }
}
