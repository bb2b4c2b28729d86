/*
 * YAML text → a tree whose every node knows file, line and column. The only
 * module that includes yaml.h of libyaml. Aliases are expanded, merge keys
 * (<<) applied, duplicate keys are problems. Nothing here knows a setting.
 */
#ifndef FAUCET_CONFIG_YAML_H
#define FAUCET_CONFIG_YAML_H

#include "base/arena.h"
#include "config/config.h"

#define YAML_FILE_SIZE_MAX ((size_t)1024 * 1024)
#define YAML_DEPTH_MAX 64       /* checked per event: libyaml is quadratic in depth */
#define YAML_NODES_MAX 100000   /* after aliases */

enum yaml_type { YAML_NULL, YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_pair {
    struct yaml_node *key; /* a scalar */
    struct yaml_node *value;
};

struct yaml_node {
    enum yaml_type type;
    const char *where;  /* "conf/faucet.yaml:12:3", or "environment FAUCET_X", "flag --set" for values given there */
    const char *origin; /* directory that relative paths in this value start from, absolute */
    struct str text;    /* YAML_SCALAR: as written, unquoted, NUL-terminated; holds no NUL */
    bool plain;         /* YAML_SCALAR: not quoted (so it may be a number, a bool, null) */
    size_t n;           /* items or pairs */
    struct yaml_node **items;
    struct yaml_pair *pairs;
};

/* Reads a file (stable across size, mtime and inode, retried). NULL after adding problems. A file with no document gives
 * an empty map. More than one document is a problem. */
struct yaml_node *yaml_load_file(struct arena *a, const char *path, struct problems *problems);
/* Parses flow text given in the environment or by a flag. A text that is not a list or map is one plain scalar. */
struct yaml_node *yaml_parse_value(struct arena *a, const char *text, const char *where, const char *origin,
                                   struct problems *problems);
/* `include:` of the top map: reads the files (glob, sorted; relative to the including file) and returns the list of their
 * trees, in order; they may hold `apps:` and `x-…` only, nested includes are a problem. The key itself is removed. */
bool yaml_load_includes(struct arena *a, struct yaml_node *top, struct yaml_node ***trees, size_t *n,
                        struct problems *problems);
/* Expands ${VAR}, ${VAR:-default}, ${VAR:?message} and $${ once, in every scalar value (not in keys). Variables named are
 * remembered in *used (for the secrets' sake: variables a secret was taken from do not go on to workers). */
void yaml_interpolate(struct arena *a, struct yaml_node *node, char *const *environ_, struct strings *used,
                      struct problems *problems);
/* NULL: no such key. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

#endif
