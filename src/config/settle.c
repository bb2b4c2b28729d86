/*
 * What is odd: null is not "not written" but "absent": it takes away what the
 * layers below said (so an app can undo `defaults:`), and the built-in default
 * stands. An empty text is the same for every type that has no use for one;
 * an empty variable counts as not set.
 */
#include "config/settle.h"
#include "config/file_read.h"

#define SECRET_MAX ((size_t)64 * 1024)

/* postgres_string "" says that telemetry is off; no other text may be empty. */
static bool empty_is_value(const struct setting *s) {
    return s->type->text && s->fallback != NULL && s->fallback[0] == '\0';
}

static bool is_absent(const struct given *given) {
    const struct yaml_node *node = given->node;

    if (node->unresolved) /* "${UNSET}" leaves nothing behind, and was not meant to */
        return false;
    if (node->type == YAML_SCALAR)
        return node->text.n == 0 && (given->is_file || !empty_is_value(given->setting));
    return node->type == YAML_NULL;
}

/* FAUCET_LOG_FILE= of a compose file. */
static bool is_unset_variable(const struct given *given) {
    return given->variable != NULL && is_absent(given) && given->node->text.n == 0;
}

static void base_value(struct settle *s, const struct scope *scope, const struct setting *setting, void *out) {
    if (scope->name != NULL && setting->level == SETTING_TELEMETRY_APP)
        setting_absent(setting, out); /* the daemon's, see settle_inherit */
    else
        setting_fallback(setting, s->arena, out);
}

/* The text of a secret's file, as a node that stands where the file is named. NULL after adding a problem. */
static const struct yaml_node *read_secret(struct settle *s, const struct given *given) {
    struct problems *problems = s->layers->problems;
    struct yaml_node *node = ARENA_NEW(s->layers->arena, struct yaml_node);
    const char *why = NULL;

    *node = *given->node;
    if (node->type != YAML_SCALAR) {
        problem_add(problems, PROBLEM_ERROR, node->where, given->key, "must be the path of a file, not a %s",
                    node->type == YAML_LIST ? "list" : "map");
        return NULL;
    }
    const char *path = setting_absolute(s->layers->arena, node, node->text.p);
    node->text = STR("");
    if (s->layers->sources->skip_paths && !s->layers->sources->read_secrets)
        return node;
    if (!file_read_stable(s->layers->arena, path, SECRET_MAX, &node->text, &why)) {
        problem_add(problems, PROBLEM_ERROR, node->where, given->key, "%s %s", path, why);
        return NULL;
    }
    if (str_chr(node->text, '\0') < node->text.n) {
        problem_add(problems, PROBLEM_ERROR, node->where, given->key, "%s holds a NUL byte; it must be text", path);
        return NULL;
    }
    if (str_ends(node->text, STR("\n")))
        node->text.n--;
    if (str_ends(node->text, STR("\r")))
        node->text.n--;
    node->text = arena_str(s->layers->arena, node->text);
    return node;
}

static void remember_variable(struct settle *s, const char *name) {
    struct strings *all = &s->secret_variables;

    for (size_t i = 0; i < all->n; i++)
        if (strcmp(all->v[i], name) == 0)
            return;
    const char **v = ARENA_ARRAY(s->arena, const char *, all->n + 1);
    if (all->n > 0)
        memcpy(v, all->v, all->n * sizeof(v[0]));
    v[all->n] = arena_strdup(s->arena, name);
    *all = (struct strings){all->n + 1, v};
}

static void remember_variables(struct settle *s, const struct given *given) {
    if (!given->setting->secret)
        return;
    if (given->variable != NULL)
        remember_variable(s, given->variable);
    for (size_t i = 0; !given->is_file && i < given->node->variables.n; i++)
        remember_variable(s, given->node->variables.v[i]);
}

static bool read_given(struct settle *s, const struct given *given, void *out) {
    if (given->node->unresolved) /* reported already; what is left of it would only give a second, false error */
        return false;
    const struct yaml_node *node = given->is_file ? read_secret(s, given) : given->node;
    struct setting_parse parse = {
        .arena = s->arena, .setting = given->setting, .key = given->key, .problems = s->layers->problems};

    return node != NULL && given->setting->type->parse(&parse, node, out);
}

/* postgres_string and postgres_string_file in one place: which one was meant? */
static void check_both(struct settle *s, const struct layered *at) {
    const struct given *a = at->given, *b = at->beaten == NULL ? NULL : at->beaten->given;

    if (b != NULL && a->layer == b->layer && a->is_file != b->is_file && !is_absent(a) && !is_absent(b))
        problem_add(s->layers->problems, PROBLEM_ERROR, a->node->where, a->key,
                    "%s (%s) is set too; use one of the two", b->key, b->node->where);
}

/* From the lowest up. `top`: nothing is above, so that its file is worth reading. */
static void settle_layer(struct settle *s, const struct scope *scope, struct slot *slot, const struct layered *at,
                         bool top, void *out) {
    union {
        max_align_t align;
        char bytes[64];
    } value;
    const struct given *given = at->given;
    const struct setting *setting = given->setting;

    if (at->beaten != NULL)
        settle_layer(s, scope, slot, at->beaten, top && is_unset_variable(given), out);
    remember_variables(s, given);
    check_both(s, at);
    if (is_unset_variable(given))
        return;
    if (is_absent(given)) {
        base_value(s, scope, setting, out);
        slot->winner = NULL;
        slot->bad = false;
        return;
    }
    slot->winner = given;
    slot->bad = false;
    if (given->is_file && !top)
        return;
    ASSERT(setting->type->size <= sizeof(value));
    if (setting->type->merges)
        memcpy(value.bytes, out, setting->type->size);
    else
        setting_absent(setting, value.bytes);
    if (read_given(s, given, value.bytes)) {
        memcpy(out, value.bytes, setting->type->size);
        return;
    }
    base_value(s, scope, setting, out);
    slot->bad = true;
}

void settle_scope(struct settle *s, struct scope *scope, void *base) {
    bool app = scope->name != NULL;

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *setting = &setting_table[i];
        if (app ? !setting_in_app(setting) : !setting_in_daemon(setting))
            continue;
        struct slot *slot = &scope->slots[i];
        void *out = setting_place(setting, app, base);
        base_value(s, scope, setting, out);
        if (slot->top != NULL)
            settle_layer(s, scope, slot, slot->top, true, out);
    }
}

void settle_inherit(struct scope *app, struct app_config *config, const struct daemon_settings *daemon) {
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (s->level == SETTING_TELEMETRY_APP && app->slots[i].winner == NULL)
            memcpy(setting_place(s, true, config), (const char *)daemon + s->daemon_offset, s->type->size);
    }
}
