/*
 * Configuration: yaml → merge → check → snapshot. The same path serves boot,
 * `faucet check`, `faucet config` and reload.
 */
#ifndef FAUCET_CONFIG_CONFIG_H
#define FAUCET_CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/list.h"
#include "config/checkers.h"
#include "config/kinds.h"
#include "config/snapshot.h"

/* Where values come from, lowest precedence first: default < file < environment < flags. Borrowed for the call. */
struct config_flag {
    const char *name;  /* as written, for messages: "--listen", "--set" */
    const char *key;   /* "listen", "apps.sales.workers", "apps.*.workers", "defaults.workers" */
    const char *value; /* YAML flow text where the key is a list or map */
};
struct config_sources {
    const char *file;      /* absolute; NULL for `faucet start` (then app_name names the one app), and where only the
                              daemon's settings of environment and flags are wanted (faucet db; no app_name) */
    char *const *environ_; /* NULL-terminated, the environment of the start */
    const struct config_flag *flags;
    size_t flag_count;
    const char *start_dir;                 /* relative paths in flags and environment start here */
    const char *app_name;                  /* `faucet start` only */
    bool no_apps_allowed;                  /* a file without apps is no error: the caller asks back */
    bool skip_paths;                       /* check --no-paths: do not look for directories and interpreters */
    bool read_secrets;                     /* with skip_paths: read …_file all the same (faucet db) */
    const struct value_checkers *checkers; /* NULL: none */
};

/* What was found wrong, or worth a word. All semantic errors of one go; a syntax error is alone. */
enum problem_level { PROBLEM_WARNING, PROBLEM_ERROR };
struct problem {
    struct list_node node;
    enum problem_level level;
    const char *where;   /* "conf/faucet.yaml:12:3", "environment FAUCET_X", "flag --set" */
    const char *key;     /* "apps.sales.workers"; "" for the whole file */
    const char *message; /* what is wrong and what is allowed */
};
struct problems {
    struct arena *arena; /* owns the texts */
    struct list list;    /* of struct problem, in file order (files and other sources as they were first named) */
    size_t errors, warnings;
};
#define PROBLEMS_KEPT_MAX 1000 /* of each level; more are counted only */
/* Must not move in memory afterwards. */
void problems_init(struct problems *p);
void problems_free(struct problems *p);
/* Copies its arguments. The same problem at the same place is kept and counted once (a value that several aliases use).
 * where, key: NULL is "". */
void problem_add(struct problems *p, enum problem_level level, const char *where, const char *key, const char *format,
                 ...) PRINTF_LIKE(5, 6);
/* "file:line:col: key: message", without a newline; empty parts are left out, control characters written as \\xNN. */
void problem_format(const struct problem *p, struct buf *out);

/* Loads and checks everything. NULL when problems->errors > 0. The snapshot gets `number`. kinds: config/kinds.h.
 * The file is taken when size, mtime and inode agree before and after reading. */
struct snapshot *config_load(const struct config_sources *sources, const struct kind_table *kinds, uint64_t number,
                             struct problems *problems);

/* Where a running daemon's control socket is, for its clients: "unix:/path" from the flags, the environment or
 * `control:` of the file, which may be wrong in everything else, even in its syntax. NULL: nobody says. */
const char *config_control_address(const struct config_sources *sources, struct arena *a);

/* Translates a command line flag ("--telemetry-namespace", "--host", "--pg-con-string"…) to its key; NULL: no such
 * flag (then *nearest is the most similar flag, in a, or NULL). `start`: --workers, --type, … of `faucet start` count
 * too; their keys are "apps.*.workers". What follows a '=' is not looked at. Values go on as they are written. */
const char *config_flag_key(const char *flag, bool start, struct arena *a, const char **nearest);

/* `faucet config [KEY]`: effective values, where each came from and what it beat; secrets redacted. False: no such key
 * (a problem is added). */
bool config_explain(const struct config_sources *sources, const struct kind_table *kinds, const char *key, bool json,
                    struct buf *out, struct problems *problems);
/* `faucet schema` */
void config_schema(struct buf *out);
/* docs/settings.md: the table of all settings, Markdown. */
void config_settings_table(struct buf *out);
/* The usage text of every settings flag, for --help. */
void config_flags_help(struct buf *out, bool start);

#endif
