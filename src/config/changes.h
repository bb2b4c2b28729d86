/*
 * What differs between two snapshots, key by key, with what each change needs.
 * Read by control/plan.c. Pure.
 */
#ifndef FAUCET_CONFIG_CHANGES_H
#define FAUCET_CONFIG_CHANGES_H

#include "base/arena.h"
#include "config/snapshot.h"

/* Least to most; the RELOAD column of settings.def. */
enum change_needs { CHANGE_HOT, CHANGE_RESIZE, CHANGE_PROCESS, CHANGE_LISTENER, CHANGE_RESTART };

struct change {
    const char *key; /* "workers", "telemetry.version", "log.level"; "dir (another directory)", "dir/restart.txt",
                        ".env or .Renviron", "interpreter" for what is not a setting */
    enum change_needs needs;
};
struct changes {
    size_t n;
    struct change *v; /* what needs most comes first */
};

/* Of one app under two snapshots. A change of the daemon's rscript, quarto, uv counts where the app's kind uses it;
 * route needs a process where the kind learns its base path (app_config.learns_base_path). */
struct changes changes_app(struct arena *a, const struct daemon_settings *from_daemon, const struct app_config *from,
                           const struct daemon_settings *to_daemon, const struct app_config *to);
/* Of the daemon's own settings, telemetry included. */
struct changes changes_daemon(struct arena *a, const struct daemon_settings *from, const struct daemon_settings *to);

#endif
