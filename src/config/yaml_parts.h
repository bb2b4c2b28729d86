/*
 * What the files of the YAML reader share among themselves; everybody else
 * includes config/yaml.h. A source is one text: yaml_source.c judges its bytes,
 * yaml.c builds the tree from libyaml's events, yaml_merge.c collects the pairs
 * of a map, yaml_tag.c judges tags, yaml_syntax.c puts libyaml's complaints
 * into a person's words.
 */
#ifndef FAUCET_CONFIG_YAML_PARTS_H
#define FAUCET_CONFIG_YAML_PARTS_H

#include "config/name_table.h"
#include "config/yaml.h"

struct yaml_source {
    struct str text;    /* valid UTF-8 without byte order mark, once yaml_source_check was content */
    const char *name;   /* "conf/faucet.yaml"; NULL: a value of the environment or a flag */
    const char *where;  /* "flag --set" where name is NULL */
    const char *origin; /* see struct yaml_node */
};

/* A place in a source, from 1; line 0: none. */
struct yaml_place {
    size_t line, column;
};

/* "name:line:column", or the source's `where`. */
const char *yaml_where(struct arena *a, const struct yaml_source *source, struct yaml_place place);
/* "line 3", or "character 7" for a value; for the inside of a message. */
const char *yaml_where_in_words(struct arena *a, const struct yaml_source *source, struct yaml_place place);
/* Takes the byte order mark off; refuses what is no UTF-8, holds NUL or other control characters, or has more %TAG
 * lines than a sane file (libyaml compares each with all). False after adding a problem. */
bool yaml_source_check(struct arena *a, struct yaml_source *source, struct problems *problems);
/* Line `line` without its end; empty when there is none. */
struct str yaml_source_line(const struct yaml_source *source, size_t line);
/* The bytes of that line from `column` on. */
struct str yaml_source_from(const struct yaml_source *source, struct yaml_place place);

/* The way from the top to a value, on the stack of who walks: "apps.sales.env". Items of a list have their list's. */
struct key_path {
    const struct key_path *up; /* NULL: the top, whose name is not used */
    struct str name;
};
/* Names longer than YAML_NAME_SHOWN bytes are cut, so that no message is as long as a file. */
#define YAML_NAME_SHOWN 64
const char *yaml_short(struct arena *a, struct str text);
const char *key_path_text(struct arena *a, const struct key_path *path);

/* What a tag makes of its value. PLAIN: !!int, !!float, !!bool, as if it had no quotes. */
enum yaml_tag { TAG_NONE, TAG_STR, TAG_PLAIN, TAG_NULL, TAG_SEQ, TAG_MAP, TAG_WRONG };
/* text: as libyaml resolved it, NULL: none. */
enum yaml_tag yaml_tag_of(const char *text);
/* The sentence that refuses it: it is not known, or does not fit `on_what` ("a list"). */
const char *yaml_tag_refusal(struct arena *a, const char *tag, const char *on_what);

/* What libyaml said, marks turned into places. */
struct yaml_fault {
    const char *problem, *context; /* NULL: not said */
    struct yaml_place place, context_place;
};
/* The sentence for a person. May move fault->place to where the mistake is. */
const char *yaml_fault_explain(struct arena *a, const struct yaml_source *source, struct yaml_fault *fault);

/* The text → tree. *nodes: nodes so far, counted against YAML_NODES_MAX. NULL with nothing added: no document. */
struct yaml_node *yaml_build(struct arena *a, const struct yaml_source *source, size_t *nodes,
                             struct problems *problems, bool *ok);
/* yaml_load_file with the name for messages apart from the path that is opened (absolute or not), and with a count of
 * nodes that several files share. */
struct yaml_node *yaml_load_named(struct arena *a, const char *path, const char *name, size_t *nodes,
                                  struct problems *problems);
/* Are these bytes null in a plain scalar? */
bool yaml_text_is_null(struct str text);

/* A map in the making. Zeroed: empty. */
struct yaml_map_build {
    struct yaml_pair *pairs; /* arena */
    size_t n, room;
    struct name_table names; /* text of key → its key node */
};
/* Adds a pair; where the key is taken, returns the key node that took it and adds nothing. */
const struct yaml_node *yaml_map_add(struct arena *a, struct yaml_map_build *m, struct yaml_node *key,
                                     struct yaml_node *value);
/* The value of `<<`: a map or a list of maps. Pairs whose keys are not taken yet are added: call it after all written
 * pairs, once. */
void yaml_map_merge(struct arena *a, struct yaml_map_build *m, const struct yaml_node *value,
                    const struct key_path *path, struct problems *problems);
/* Hands the pairs to `map` and forgets the rest. */
void yaml_map_finish(struct yaml_map_build *m, struct yaml_node *map);
/* Without a node, when it is given up. */
void yaml_map_drop(struct yaml_map_build *m);

#endif
