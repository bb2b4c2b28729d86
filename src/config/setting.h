/*
 * The table of all settings, made from settings.def, and the table of their
 * types. A type is a row of functions: how a value is read from YAML, shown,
 * described to a person and described to an editor (JSON Schema). Nothing
 * else in config/ knows what a duration or an address is.
 */
#ifndef FAUCET_CONFIG_SETTING_H
#define FAUCET_CONFIG_SETTING_H

#include <jansson.h>

#include "config/yaml.h"

enum setting_level {
    SETTING_DAEMON,        /* top of the file */
    SETTING_TELEMETRY,     /* telemetry: of the daemon */
    SETTING_TELEMETRY_APP, /* telemetry: of the daemon, and of an app */
    SETTING_APP
};
enum setting_reload { RELOAD_HOT, RELOAD_RESIZE, RELOAD_PROCESS, RELOAD_LISTENER, RELOAD_RESTART };

struct setting;

/* One value being read. */
struct setting_parse {
    struct arena *arena; /* what the value points to goes here */
    const struct setting *setting;
    const char *key; /* for messages: "apps.sales.workers" */
    struct problems *problems;
};

struct setting_type {
    const char *name; /* "DURATION" */
    bool flow;        /* a list or map: read as YAML flow text in the environment and in flags */
    bool merges;      /* a map: layers add to each other key by key */
    bool text;        /* an empty text is a value, not an absent one */
    size_t size;
    const void *absent; /* `size` bytes; NULL: zeros */
    /* Reads node (never YAML_NULL) into *out. False after adding a problem. */
    bool (*parse)(struct setting_parse *p, const struct yaml_node *node, void *out);
    /* The value as JSON; null when absent. New reference. */
    json_t *(*json)(const struct setting *s, const void *value);
    /* What is allowed, after "must be": "a whole number from 1 to 1000". */
    void (*allowed)(const struct setting *s, struct buf *out);
    /* JSON Schema (draft 7) of a value that is written in full, without ${…}. New reference. */
    json_t *(*schema)(const struct setting *s);
};

struct setting {
    enum setting_level level;
    const char *key; /* "log.level", "workers" */
    const struct setting_type *type;
    const char *fallback; /* the default as a person would write it; NULL: absent */
    bool has_range;
    int64_t min, max;           /* in the unit of the type */
    const char *const *choices; /* NULL-terminated; NULL: not an enum */
    bool secret;
    enum setting_reload reload;
    const char *help;
    size_t daemon_offset; /* in struct daemon_settings, where setting_in_daemon */
    size_t app_offset;    /* in struct app_config, where setting_in_app */
};

extern const struct setting setting_table[];
extern const size_t setting_count;

static inline bool setting_in_daemon(const struct setting *s) {
    return s->level != SETTING_APP;
}
static inline bool setting_in_app(const struct setting *s) {
    return s->level == SETTING_APP || s->level == SETTING_TELEMETRY_APP;
}
static inline size_t setting_index(const struct setting *s) {
    return (size_t)(s - setting_table);
}
/* The row of that key in an app or at the top; NULL: none. */
const struct setting *setting_find(struct str key, bool app);
/* Is `key` a group: "log" of "log.level"? */
bool setting_is_group(struct str key, bool app);

/* Writes the default (or absence) of a row to *out. It cannot fail: defaults are ours. */
void setting_fallback(const struct setting *s, struct arena *a, void *out);
void setting_absent(const struct setting *s, void *out);
const char *setting_reload_name(enum setting_reload reload); /* "hot" */
/* FAUCET_ + prefix + key, upper-cased, other characters `_`: setting_variable(a, "apps.sales.", "workers"). */
const char *setting_variable(struct arena *a, const char *prefix, const char *key);
/* "--telemetry-namespace" */
const char *setting_flag(struct arena *a, const char *key);

/* Adds "must be <allowed>, not <what node is>" and, if hint is not NULL, ": <hint>". Returns false. */
bool setting_refuse(struct setting_parse *p, const struct yaml_node *node, const char *hint);
/* Adds a message of its own. Returns false. */
bool setting_complain(struct setting_parse *p, const struct yaml_node *node, const char *format, ...) PRINTF_LIKE(3, 4);
/* The text of a scalar as a C string; NULL after setting_refuse when node is a list or map. */
const char *setting_scalar(struct setting_parse *p, const struct yaml_node *node);
/* A list's items, or node itself as the only one where it is written without a list. */
static inline size_t setting_item_count(const struct yaml_node *node) {
    return node->type == YAML_LIST ? node->n : 1;
}
static inline const struct yaml_node *setting_item(const struct yaml_node *node, size_t i) {
    return node->type == YAML_LIST ? node->items[i] : node;
}
/* path, made absolute from node->origin, without trailing or doubled slashes and "." segments. */
const char *setting_absolute(struct arena *a, const struct yaml_node *node, const char *path);

/* Text as a JSON string; bytes that are not UTF-8 (the environment may hold them) become "\\xNN". New reference. */
json_t *setting_text_json(const char *text);
json_t *setting_strings_json(const struct strings *strings);
/* A value as one line of YAML flow text, quoted where YAML would misread it: [a, "{b}"]. null is "". */
void setting_flow_text(const json_t *value, struct buf *out);
/* The same for what is written at a node, whatever its type. New reference. */
json_t *setting_node_json(const struct yaml_node *node);

#define SETTING_TYPES(X)                                                                                               \
    X(BOOL)                                                                                                            \
    X(INTEGER)                                                                                                         \
    X(COUNT_AUTO)                                                                                                      \
    X(COUNT_UNLIMITED)                                                                                                 \
    X(NUMBER)                                                                                                          \
    X(DURATION)                                                                                                        \
    X(SIZE)                                                                                                            \
    X(SIZE_OR_UNLIMITED)                                                                                               \
    X(STRING)                                                                                                          \
    X(TOKEN)                                                                                                           \
    X(PATH)                                                                                                            \
    X(PATH_IN_DIR)                                                                                                     \
    X(COMMAND_NAME)                                                                                                    \
    X(ENUM)                                                                                                            \
    X(STRINGS)                                                                                                         \
    X(ROUTES)                                                                                                          \
    X(HOSTS)                                                                                                           \
    X(COMMAND)                                                                                                         \
    X(MAP)                                                                                                             \
    X(ADDRESSES)                                                                                                       \
    X(ADDRESS)                                                                                                         \
    X(NETWORKS)
#define SETTING_DECLARE_TYPE(name) extern const struct setting_type setting_type_##name;
SETTING_TYPES(SETTING_DECLARE_TYPE)
#undef SETTING_DECLARE_TYPE

#endif
