/*
 * settings.def as a table, and the names that follow from a key.
 */
#include <stddef.h>

#include "config/setting.h"

#define NO_RANGE         .has_range = false
#define RANGE(low, high) .has_range = true, .min = (int64_t)(low), .max = (int64_t)(high)
#define ONE_OF(...)                                                                                                    \
    .choices = (const char *const[]) {                                                                                 \
        __VA_ARGS__, NULL                                                                                              \
    }
#define OPEN   .secret = false
#define SECRET .secret = true
/* Without the range, which brings commas and would count as several arguments of a second macro. */
#define ROW(level_, key_, type_, fallback_, secret_, reload_, help_)                                                   \
    .level = (level_), .key = (key_), .type = &setting_type_##type_, .fallback = (fallback_), secret_,                 \
    .reload = RELOAD_##reload_, .help = (help_)
#define IN_TELEMETRY(field) (offsetof(struct daemon_settings, telemetry) + offsetof(struct telemetry_settings, field))

const struct setting setting_table[] = {
#define DAEMON(field, key, type, fallback, range, secret, reload, help)                                                \
    {ROW(SETTING_DAEMON, key, type, fallback, secret, reload, help), range,                                            \
     .daemon_offset = offsetof(struct daemon_settings, field)},
#define TELEMETRY(field, key, type, fallback, range, secret, reload, help)                                             \
    {ROW(SETTING_TELEMETRY, key, type, fallback, secret, reload, help), range, .daemon_offset = IN_TELEMETRY(field)},
#define TELEMETRY_APP(field, key, type, fallback, range, secret, reload, help)                                         \
    {ROW(SETTING_TELEMETRY_APP, key, type, fallback, secret, reload, help), range,                                     \
     .daemon_offset = IN_TELEMETRY(field), .app_offset = offsetof(struct app_config, telemetry.field)},
#define APP(field, key, type, fallback, range, secret, reload, help)                                                   \
    {ROW(SETTING_APP, key, type, fallback, secret, reload, help), range,                                               \
     .app_offset = offsetof(struct app_config, field)},
#include "config/settings.def"
};
const size_t setting_count = ARRAY_LENGTH(setting_table);

static bool in_scope(const struct setting *s, bool app) {
    return app ? setting_in_app(s) : setting_in_daemon(s);
}

const struct setting *setting_find(struct str key, bool app) {
    for (size_t i = 0; i < setting_count; i++)
        if (in_scope(&setting_table[i], app) && str_eq(str_of(setting_table[i].key), key))
            return &setting_table[i];
    return NULL;
}

bool setting_is_group(struct str key, bool app) {
    for (size_t i = 0; i < setting_count; i++) {
        struct str whole = str_of(setting_table[i].key);
        if (in_scope(&setting_table[i], app) && whole.n > key.n && str_starts(whole, key) && whole.p[key.n] == '.')
            return true;
    }
    return false;
}

void setting_absent(const struct setting *s, void *out) {
    if (s->type->absent == NULL)
        memset(out, 0, s->type->size);
    else
        memcpy(out, s->type->absent, s->type->size);
}

void setting_fallback(const struct setting *s, struct arena *a, void *out) {
    setting_absent(s, out);
    if (s->fallback == NULL || (s->type->merges && strcmp(s->fallback, "{}") == 0) || strcmp(s->fallback, "[]") == 0)
        return;

    struct problems problems;
    problems_init(&problems);
    struct yaml_node *node = yaml_parse_value(a, s->fallback, "default", "/", &problems);
    AN(node);
    struct setting_parse parse = {.arena = a, .setting = s, .key = s->key, .problems = &problems};
    if (node->type == YAML_NULL) /* the empty text */
        node->type = YAML_SCALAR;
    ASSERT(s->type->parse(&parse, node, out));
    AZ(problems.errors);
    problems_free(&problems);
}

const char *setting_reload_name(enum setting_reload reload) {
    static const char *const names[] = {[RELOAD_HOT] = "hot",
                                        [RELOAD_RESIZE] = "resize",
                                        [RELOAD_PROCESS] = "process",
                                        [RELOAD_LISTENER] = "listener",
                                        [RELOAD_RESTART] = "restart"};
    ASSERT((size_t)reload < ARRAY_LENGTH(names));
    return names[reload];
}

const char *setting_variable(struct arena *a, const char *prefix, const char *key) {
    struct str name = arena_printf(a, "FAUCET_%s%s", prefix, key);
    char *out = arena_strdup(a, name.p);

    for (char *p = out; *p != '\0'; p++) {
        char lower = ascii_lower(*p);
        if (lower >= 'a' && lower <= 'z')
            *p = (char)(lower & ~0x20);
        else if (!(*p >= '0' && *p <= '9'))
            *p = '_';
    }
    return out;
}

const char *setting_flag(struct arena *a, const char *key) {
    char *out = arena_strdup(a, arena_printf(a, "--%s", key).p);

    for (char *p = out; *p != '\0'; p++)
        if (*p == '.' || *p == '_')
            *p = '-';
    return out;
}
