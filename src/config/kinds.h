/*
 * What config must know of the kinds of app, handed down at init by app/kind.c
 * (config may not include app/): how `auto` is found out, and how a declared
 * app is completed and checked. A checker reports with problem_add.
 */
#ifndef FAUCET_CONFIG_KINDS_H
#define FAUCET_CONFIG_KINDS_H

#include "config/snapshot.h"

struct problems;

/* The circumstances of one check. */
struct kind_check {
    struct arena *arena; /* the snapshot's: what the checker stores goes here */
    const struct daemon_settings *daemon;
    struct app_config *app; /* to be completed: strategy, concurrency, interpreter, dotenv */
    struct problems *problems;
    bool skip_paths;
    /* Was the key written (file, environment or flag)? */
    bool (*is_set)(const struct kind_check *check, const char *key);
    /* "file:line:col" of the app's key, or of the app where the key is not written. */
    const char *(*where)(const struct kind_check *check, const char *key);
    void *private_;
};

struct kind_row {
    const char *name;  /* "shiny" */
    const char *alias; /* "fastapi", or NULL */
    enum app_type type;
    /* Fills defaults, finds interpreter and files, adds problems. Must not block beyond stat/open of local files. */
    void (*check)(struct kind_check *check);
    bool learns_base_path; /* its workers are told the route at start: a new route means new workers */
};

struct kind_table {
    const struct kind_row *rows;
    size_t n;
    /* Resolves `auto` from app->dir: the type, or APP_AUTO after adding a problem that names what was looked for. */
    enum app_type (*detect)(struct kind_check *check);
};

#endif
