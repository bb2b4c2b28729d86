/*
 * What an app is: one row of functions and defaults per kind. check() is what
 * config is handed (config/kinds.h); command() builds what the keeper runs.
 */
#ifndef FAUCET_APP_KIND_H
#define FAUCET_APP_KIND_H

#include "base/arena.h"
#include "config/kinds.h"

/* Where a worker is told to listen. */
struct kind_listen {
    const char *socket; /* path, or NULL */
    unsigned port;      /* loopback TCP port when socket is NULL */
};

struct kind {
    enum app_type type;
    const char *name, *alias;
    int64_t concurrency;    /* default: requests a worker gets at once, or COUNT_IS_UNLIMITED */
    enum strategy strategy; /* default */
    bool has_workers;       /* static and upstream have none */
    bool parallel;          /* a request whose client left frees its lease at once (the worker notices by itself) */
    bool unix_socket;       /* can listen on a Unix socket */
    bool learns_base_path;  /* route is a process setting */
    int stop_signal; /* what a graceful stop sends to the group: R runs its onStop and exit hooks at SIGINT only */
    void (*check)(struct kind_check *check);
    /* argv for one worker, NULL-terminated, in a; NULL for kinds without workers. */
    const char *const *(*command)(struct arena *a, const struct daemon_settings *daemon, const struct app_config *app,
                                  const struct kind_listen *listen);
};

const struct kind *kind_of(enum app_type type);
/* For config_load. */
const struct kind_table *kind_table(void);
/* Whether this app's workers listen on a Unix socket (a command app with "{port}" does not). */
bool kind_uses_socket(const struct app_config *app);

#endif
