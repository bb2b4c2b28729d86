/*
 * YAML text → a tree whose every node knows file, line and column. The only
 * module that includes yaml.h of libyaml. Aliases are expanded (each use is a
 * copy of its own, so a tree may be edited in place), merge keys (<<) applied,
 * duplicate keys are problems. Nothing here knows a setting.
 *
 * A node that was copied through an alias keeps the `where` of its anchor: the
 * place where the text stands. Lines and columns count from 1; columns count
 * characters.
 */
#ifndef FAUCET_CONFIG_YAML_H
#define FAUCET_CONFIG_YAML_H

#include "base/arena.h"
#include "config/config.h"

#define YAML_FILE_SIZE_MAX ((size_t)1024 * 1024)
#define YAML_DEPTH_MAX     64     /* after aliases; checked per event: libyaml is quadratic in depth */
#define YAML_NODES_MAX     100000 /* after aliases; a file, or all included files together */
#define YAML_INCLUDES_MAX  1000
#define YAML_EXPANDED_MAX  ((size_t)16 * 1024 * 1024) /* bytes that ${…} may make of one tree */

enum yaml_type { YAML_NULL, YAML_SCALAR, YAML_LIST, YAML_MAP };

struct yaml_pair {
    struct yaml_node *key; /* a scalar, never empty */
    struct yaml_node *value;
};

struct yaml_node {
    enum yaml_type type;
    const char *where;  /* "conf/faucet.yaml:12:3", or "environment FAUCET_X", "flag --set" for values given there */
    const char *file;   /* "conf/faucet.yaml", as it was named; NULL for values of the environment or a flag */
    const char *origin; /* directory that relative paths in this value start from, absolute */
    struct str text; /* YAML_SCALAR: as written, unquoted, NUL-terminated; holds no NUL. YAML_NULL: "", "~", "null" */
    bool plain;      /* YAML_SCALAR: not quoted (so it may be a number, a bool); stays so through interpolation */
    bool flow;       /* list or map: written as [ ] or { }. A forgotten quote in [python3, {socket}] shows as a map
                        with flow set, n == 1 and a pair whose value is YAML_NULL: yaml_is_unquoted_brace */
    struct strings variables; /* YAML_SCALAR: the variables that yaml_interpolate met in this value */
    bool unresolved; /* yaml_interpolate reported a mistake in this value or in one below: it says nothing reliable */
    size_t n;        /* items or pairs */
    struct yaml_node **items;
    struct yaml_pair *pairs; /* in file order; those that merge keys brought come last */
};

/* Reads a file (stable across size, mtime and inode, retried); path is relative to the current directory or absolute,
 * and `where` shows it as it is given here. The tree is always a map; a file with no document gives an empty one. NULL
 * after adding a problem when there is no tree to go on with (unreadable, syntax, limits, not a map). Duplicate keys,
 * tags, unknown aliases and the like are problems too, but leave a tree, so that all mistakes come out in one go. More
 * than one document is a problem. */
struct yaml_node *yaml_load_file(struct arena *a, const char *path, struct problems *problems);
/* Parses flow text given in the environment or by a flag: text that begins with [ and ends with ], or with { and }. Any
 * other text ("[::1]:80" too) is one plain scalar, character for character; "", "~" and "null" are YAML_NULL. NULL
 * after adding a problem. All nodes have `where` as given. */
struct yaml_node *yaml_parse_value(struct arena *a, const char *text, const char *where, const char *origin,
                                   struct problems *problems);
/* `include:` of the top map, one pattern or a list: reads the files (glob, sorted by bytes; relative to the including
 * file) and returns the list of their trees, in order; they may hold `apps:` and `x-…` only, nested includes are a
 * problem. A pattern with *, ? or [ may match nothing; a plain name must exist. The key itself is removed. False when
 * problems were added, now or when a pattern was interpolated; *trees then holds those that could be read. Interpolate
 * `top` before and each tree after. */
bool yaml_load_includes(struct arena *a, struct yaml_node *top, struct yaml_node ***trees, size_t *n,
                        struct problems *problems);
/* Expands ${VAR}, ${VAR:-default}, ${VAR:?message} and $${ once, in every scalar value (not in keys): to be called once
 * per tree. The default stands for an unset or an empty variable, as in a shell; braces in it must be balanced and it
 * holds no further ${. What comes out is text and never parsed as YAML: it stays YAML_SCALAR, also when it is empty
 * (text.n == 0) or "null", and keeps `plain`, so that a plain ${X} of "4" is as good as 4. Variables named are
 * remembered in node->variables and, if not NULL, in *used, without repetition (for the secrets' sake: variables a
 * secret was taken from do not go on to workers). environ_ may be NULL. */
void yaml_interpolate(struct arena *a, struct yaml_node *node, char *const *environ_, struct strings *used,
                      struct problems *problems);
/* NULL: no such key, or not a map. */
struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* Is this {socket} or ${X} of which the quotes were forgotten: a flow map of one key without a value? */
static inline bool yaml_is_unquoted_brace(const struct yaml_node *node) {
    return node->type == YAML_MAP && node->flow && node->n == 1 && node->pairs[0].value->type == YAML_NULL &&
           node->pairs[0].value->text.n == 0;
}

#endif
