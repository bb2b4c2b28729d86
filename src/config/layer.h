/*
 * Who says what: every key of the daemon and of each app, with all the places
 * that name it, lowest precedence first. Built from the file, the environment
 * and the flags; values are not looked at yet (settle.h does that), but keys
 * that do not exist are found here.
 *
 *   default < defaults: < apps.NAME: < environment apps.* < environment apps.NAME < flags apps.* < flags apps.NAME
 *
 * FAUCET_DEFAULTS_… and --set defaults.… change what the file's `defaults:` say; an app's own key in the file beats
 * them.
 */
#ifndef FAUCET_CONFIG_LAYER_H
#define FAUCET_CONFIG_LAYER_H

#include "config/setting.h"

enum layer {
    LAYER_FILE_DEFAULTS,
    LAYER_ENVIRONMENT_DEFAULTS,
    LAYER_FLAG_DEFAULTS,
    LAYER_FILE,
    LAYER_ENVIRONMENT_ALL,
    LAYER_ENVIRONMENT,
    LAYER_FLAG_ALL,
    LAYER_FLAG
};

/* One place that names one key. */
struct given {
    const struct setting *setting;
    const char *key;              /* as it was addressed: "apps.sales.workers", "defaults.workers", "apps.*.workers" */
    const struct yaml_node *node; /* what stands there; node->where is the place */
    enum layer layer;
    bool is_file;         /* …_file: node names a file that holds the secret */
    const char *variable; /* the environment variable it came from, or NULL */
};

/* A key's places, highest precedence first. */
struct layered {
    const struct given *given;
    struct layered *beaten;
};

struct slot {
    struct layered *top; /* NULL: nobody names the key */
    /* Filled by settle: */
    const struct given *winner; /* NULL: nobody, or null stands on top: the default */
    bool bad;                   /* a value was refused; the struct holds the default */
};

/* The daemon, or one app. */
struct scope {
    const char *name;     /* NULL: the daemon */
    const char *prefix;   /* "" or "apps.sales." */
    const char *variable; /* "FAUCET_SALES_X" of sales-x: two apps may not share it. NULL: the daemon */
    const char *where;    /* of the app's key */
    struct slot *slots;   /* setting_count, by setting_index */
};

struct layers {
    struct arena *arena; /* scratch: goes when the snapshot is made */
    const struct config_sources *sources;
    struct problems *problems;
    struct scope daemon;
    struct scope **apps; /* in file order */
    size_t app_count, app_room;
    struct scope every; /* takes what is said of all apps, so that it is checked even where there is no app */
};

/* Reads all sources. False when there is nothing to go on with (the file is not readable or not YAML). */
bool layers_build(struct layers *l, struct arena *a, const struct config_sources *sources, struct problems *problems);
struct scope *layers_app(const struct layers *l, struct str name);   /* NULL: none of that name */
struct slot *scope_slot(const struct scope *scope, const char *key); /* the key must exist */

/* The parts, each in its own file. */

/* Where a source's values go. */
struct destination {
    struct scope *scope; /* NULL: every app */
    bool app;            /* scope is an app, or NULL */
    enum layer layer;
    const char *prefix; /* "apps.sales.", "defaults.", "apps.*.", "": before the key, in messages */
    const char *variable;
};
void layers_give(struct layers *l, const struct destination *d, const struct setting *s, bool is_file,
                 const struct yaml_node *node);
/* Every pair of the map `node` that stands at `path` ("" or "telemetry.") of the destination. */
void layers_walk(struct layers *l, const struct destination *d, const struct yaml_node *node, const char *path);
/* Makes an app. NULL after adding a problem: a bad name, or there already. */
struct scope *layers_add_app(struct layers *l, const struct yaml_node *key);
bool layers_read_file(struct layers *l);
void layers_read_environment(struct layers *l);
void layers_read_flags(struct layers *l);
/* "the apps are sales, api" */
const char *layers_app_names(const struct layers *l);

/* A value of the environment or of a flag; lists and maps as flow text. NULL after adding a problem. */
const struct yaml_node *layers_value(struct layers *l, const struct setting *s, const char *text, const char *where);
/* The row of `key` ("workers", "postgres_string_file", "env.NAME") in a scope. */
struct key_row {
    const struct setting *setting;
    bool is_file;
    const char *entry; /* "NAME" of "env.NAME", or NULL */
};
bool key_row_find(struct str key, bool app, struct key_row *out);
/* { entry: node } */
const struct yaml_node *layers_entry(struct layers *l, const char *entry, const struct yaml_node *node);

#endif
