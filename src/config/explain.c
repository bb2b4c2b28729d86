/*
 * `faucet config [KEY]`: each key's effective value, where it came from and
 * what it beat. A secret is shown as "<redacted>", wherever it was written.
 */
#include <stdlib.h>

#include "config/load.h"
#include "config/nearest.h"
#include "config/settle.h"

#define REDACTED "<redacted>"

struct explanation {
    struct build *build;
    const char *key; /* what was asked for; NULL: all */
    bool json;
    json_t *rows; /* array, when json */
    struct buf *out;
    size_t shown;
};

static json_t *redact(const struct setting *s, json_t *value) {
    if (!s->secret || !json_is_string(value) || json_string_length(value) == 0)
        return value;
    json_decref(value);
    return json_string(REDACTED);
}

/* What stands at a place, as it was written; of a secret's file, its name. */
static json_t *written(const struct given *given) {
    json_t *value = setting_node_json(given->node);
    return given->is_file ? value : redact(given->setting, value);
}

static const char *origin(const struct explanation *e, const struct given *given) {
    if (!given->is_file || given->node->type != YAML_SCALAR)
        return given->node->where;
    return arena_printf(e->build->scratch, "%s, from the file %s", given->node->where, given->node->text.p).p;
}

/* Nobody named it: the table, the kind, or the daemon's telemetry. */
static const char *default_origin(const struct explanation *e, const struct scope *scope, const struct setting *s,
                                  const json_t *value) {
    if (scope->name != NULL && s->level == SETTING_TELEMETRY_APP) {
        const struct given *daemon = scope_slot(&e->build->layers.daemon, s->key)->winner;
        return arena_printf(e->build->scratch, "the daemon's %s, %s", s->key,
                            daemon == NULL ? "default" : origin(e, daemon))
            .p;
    }
    if (s->fallback != NULL || json_is_null(value))
        return "default";
    return "default of this app";
}

static void show_text(struct explanation *e, const char *key, const json_t *value, const char *from,
                      const struct layered *beaten, const struct setting *s, bool default_beaten) {
    struct buf line = {0};
    const char *between = "; beats ";

    buf_printf(&line, "%s: ", key);
    setting_flow_text(value, &line);
    if (json_is_string(value) && json_string_length(value) == 0 && s->fallback == NULL)
        buf_append(&line, STR("\"\""));
    size_t width = buf_length(&line);
    buf_append(e->out, buf_str(&line));
    buf_printf(e->out, "%*s  # %s", width < 48 ? (int)(48 - width) : 0, "", from);
    buf_free(&line);
    for (; beaten != NULL; beaten = beaten->beaten, between = ", ") {
        json_t *other = written(beaten->given);
        buf_append(e->out, str_of(between));
        if (json_is_null(other))
            buf_append(e->out, STR("null"));
        setting_flow_text(other, e->out);
        buf_printf(e->out, " (%s)", beaten->given->node->where);
        json_decref(other);
    }
    if (default_beaten && s->fallback != NULL && s->fallback[0] != '\0')
        buf_printf(e->out, "%s%s (default)", between, s->fallback);
    buf_append_char(e->out, '\n');
}

static void show_json(struct explanation *e, const char *key, json_t *value, const char *from,
                      const struct layered *beaten, const struct setting *s, bool default_beaten) {
    json_t *beats = json_array();

    for (; beaten != NULL; beaten = beaten->beaten)
        json_array_append_new(
            beats, json_pack("{s:o, s:s}", "value", written(beaten->given), "from", beaten->given->node->where));
    if (default_beaten && s->fallback != NULL)
        json_array_append_new(beats, json_pack("{s:s, s:s}", "value", s->fallback, "from", "default"));
    json_array_append_new(e->rows, json_pack("{s:s, s:O, s:o, s:o}", "key", key, "value", value, "from",
                                             setting_text_json(from), "beats", beats));
}

/* "apps.sales" asks for all of that app, "log" for all of log. */
static bool is_asked(const struct explanation *e, const char *key) {
    if (e->key == NULL || e->key[0] == '\0')
        return true;
    size_t n = strlen(e->key);
    return strncmp(key, e->key, n) == 0 && (key[n] == '\0' || key[n] == '.');
}

static void show(struct explanation *e, const struct scope *scope, const struct setting *s, const void *base) {
    bool app = scope->name != NULL;
    const char *key = arena_printf(e->build->scratch, "%s%s", scope->prefix, s->key).p;

    if (!is_asked(e, key))
        return;
    const struct slot *slot = &scope->slots[setting_index(s)];
    json_t *value = redact(s, s->type->json(s, (const char *)base + (app ? s->app_offset : s->daemon_offset)));
    const char *from = slot->winner == NULL ? default_origin(e, scope, s, value) : origin(e, slot->winner);
    const struct layered *beaten = slot->top;
    if (beaten != NULL && beaten->given == slot->winner)
        beaten = beaten->beaten;
    bool default_beaten = slot->winner != NULL && !(app && s->level == SETTING_TELEMETRY_APP);
    if (e->json)
        show_json(e, key, value, from, beaten, s, default_beaten);
    else
        show_text(e, key, value, from, beaten, s, default_beaten);
    json_decref(value);
    e->shown++;
}

static void show_scope(struct explanation *e, const struct scope *scope, const void *base) {
    for (size_t i = 0; i < setting_count; i++)
        if (scope->name == NULL ? setting_in_daemon(&setting_table[i]) : setting_in_app(&setting_table[i]))
            show(e, scope, &setting_table[i], base);
}

static void no_such_key(struct explanation *e) {
    struct layers *l = &e->build->layers;
    struct nearest near;

    nearest_init(&near, str_of(e->key));
    for (size_t i = 0; i < setting_count; i++) {
        if (setting_in_daemon(&setting_table[i]))
            nearest_offer(&near, setting_table[i].key);
        for (size_t k = 0; setting_in_app(&setting_table[i]) && k < l->app_count; k++)
            nearest_offer(&near, arena_printf(e->build->scratch, "%s%s", l->apps[k]->prefix, setting_table[i].key).p);
    }
    if (setting_find(str_of(e->key), true) != NULL || setting_is_group(str_of(e->key), true))
        problem_add(e->build->problems, PROBLEM_ERROR, "", e->key, "no such key; it belongs to apps: apps.NAME.%s (%s)",
                    e->key, layers_app_names(l));
    else
        problem_add(e->build->problems, PROBLEM_ERROR, "", e->key, "no such key%s%s%s",
                    near.best == NULL ? "" : "; did you mean ", near.best == NULL ? "" : near.best,
                    near.best == NULL ? "" : "?");
}

bool config_explain(const struct config_sources *sources, const struct kind_table *kinds, const char *key, bool json,
                    struct buf *out, struct problems *problems) {
    struct build b;
    struct explanation e = {.build = &b, .key = key, .json = json, .rows = json_array(), .out = out};
    bool good = build_make(&b, sources, kinds, 0, problems);

    if (good) {
        show_scope(&e, &b.layers.daemon, &b.snapshot->daemon);
        for (size_t i = 0; i < b.layers.app_count; i++)
            show_scope(&e, b.layers.apps[i], b.snapshot->apps[i]);
        good = e.shown > 0;
        if (!good)
            no_such_key(&e);
    }
    if (good && json) {
        char *text = json_dumps(e.rows, JSON_INDENT(2));
        XXXAN(text);
        buf_append(out, str_of(text));
        buf_append_char(out, '\n');
        free(text);
    }
    json_decref(e.rows);
    build_free(&b, false);
    return good;
}
