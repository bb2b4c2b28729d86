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
    const char *key; /* "workers", "telemetry.version", "log.level"; "dir (another directory)", "app_dir (another
                        directory)", "dir/restart.txt", ".env or .Renviron", "interpreter" for what is not a setting */
    enum change_needs needs;
    /* Its values as YAML flow text; NULL: there is none. Secrets are redacted; of variables (env, .env) only the names
     * of those that differ are told. */
    const char *was, *now;
};
struct changes {
    size_t n;
    struct change *v; /* what needs most comes first, then in the order of settings.def */
};

/* Of one app under two snapshots.
 * - A setting that means nothing to the app's type is no change (config/meaning.h).
 * - A change of the daemon's rscript, quarto, uv counts where the app's kind runs it.
 * - route needs a process where the kind learns its base path (app_config.learns_base_path).
 * - A static app has no process: what would need one is hot.
 * - A consequence is not told beside its cause: another dir has another .env and restart.txt, and an interpreter that
 *   was found elsewhere because of a process setting goes without saying. */
struct changes changes_app(struct arena *a, const struct daemon_settings *from_daemon, const struct app_config *from,
                           const struct daemon_settings *to_daemon, const struct app_config *to);
/* Of the daemon's own settings, telemetry included. */
struct changes changes_daemon(struct arena *a, const struct daemon_settings *from, const struct daemon_settings *to);
/* What a person must do about it: "state_dir changed from … to …: restart faucet to use it". NULL: nothing. */
const char *change_warning(struct arena *a, const struct change *c);
const char *change_needs_name(enum change_needs needs); /* "hot", "process" */

#endif
