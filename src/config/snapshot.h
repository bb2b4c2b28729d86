/*
 * A snapshot: one immutable, fully checked configuration. Everybody may read
 * this header; the rest of config/ is for config and control. Nothing reads a
 * setting from anywhere else.
 *
 * All memory of a snapshot is in its arena and lives until the last reference
 * goes. Exchanges pin the snapshot they began with.
 */
#ifndef FAUCET_CONFIG_SNAPSHOT_H
#define FAUCET_CONFIG_SNAPSHOT_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/str.h"
#include "base/unit.h"

/* Enum values stand in the order of ONE_OF in settings.def. */
enum ip_from { IP_FROM_CLIENT, IP_FROM_X_FORWARDED_FOR, IP_FROM_X_REAL_IP };
enum shutdown_mode { SHUTDOWN_GRACEFUL, SHUTDOWN_IMMEDIATE };
enum app_type {
    APP_AUTO, /* never in a snapshot: resolved by check */
    APP_SHINY,
    APP_PLUMBER,
    APP_QUARTO_SHINY,
    APP_FAST_API,
    APP_COMMAND,
    APP_STATIC,
    APP_UPSTREAM
};
enum strategy { STRATEGY_ROUND_ROBIN, STRATEGY_LEAST_BUSY, STRATEGY_IP_HASH, STRATEGY_COOKIE_HASH, STRATEGY_RPS };
enum same_site { SAME_SITE_LAX, SAME_SITE_STRICT, SAME_SITE_NONE };
enum query_privacy { QUERY_FULL, QUERY_KEYS, QUERY_OFF };
enum ip_privacy { IP_FULL, IP_TRUNCATED, IP_OFF };
enum buffer_mode { BUFFER_AUTO, BUFFER_ON, BUFFER_OFF };

#define COUNT_IS_AUTO      ((int64_t)-1) /* limits.connections */
#define COUNT_IS_UNLIMITED ((int64_t)-1) /* concurrency */

struct strings {
    size_t n;
    const char **v; /* NUL-terminated each */
};
struct string_map {
    size_t n;
    struct {
        const char *key, *value;
    } * v;
};
/* As written, checked for form: "host:port", "[::1]:port", "unix:/abs/path" (paths made absolute). net/address.h
 * resolves them. */
struct address_list {
    size_t n;
    struct str *v;
};
/* An IPv4 network is kept as its v4-mapped IPv6 form (::ffff:a.b.c.d/96+n). */
struct network {
    uint8_t address[16];
    unsigned prefix; /* bits, 0..128 */
};
struct network_list {
    size_t n;
    struct network *v;
};

/* The C type of a setting, by the TYPE column of settings.def. NULL / .n == 0 / -1 stand for "absent". */
typedef bool setting_BOOL;
typedef int64_t setting_INTEGER;
typedef int64_t setting_COUNT_AUTO;
typedef int64_t setting_COUNT_UNLIMITED;
typedef double setting_NUMBER;
typedef dur_t setting_DURATION;
typedef int64_t setting_SIZE;              /* bytes; -1 absent */
typedef int64_t setting_SIZE_OR_UNLIMITED; /* bytes or SIZE_UNLIMITED */
typedef const char *setting_STRING;
typedef const char *setting_TOKEN;
typedef const char *setting_PATH;         /* absolute */
typedef const char *setting_PATH_IN_DIR;  /* relative to dir, or absolute; never leaves it by .. */
typedef const char *setting_COMMAND_NAME; /* a name without slash, looked up on PATH, or an absolute path */
typedef int setting_ENUM;
typedef struct strings setting_STRINGS;
typedef struct strings setting_ROUTES; /* each begins and ends with '/', normalised */
typedef struct strings setting_HOSTS;  /* lower case, without port */
typedef struct strings setting_COMMAND;
typedef struct string_map setting_MAP;
typedef struct address_list setting_ADDRESSES;
typedef struct str setting_ADDRESS;
typedef struct network_list setting_NETWORKS;

#define SETTING_FIELD(field, key, type, ...) setting_##type field;

struct telemetry_settings {
#define TELEMETRY     SETTING_FIELD
#define TELEMETRY_APP SETTING_FIELD
#include "config/settings.def"
};

struct app_telemetry {
#define TELEMETRY_APP SETTING_FIELD
#include "config/settings.def"
};

struct daemon_settings {
#define DAEMON SETTING_FIELD
#include "config/settings.def"
    struct telemetry_settings telemetry;
};

/* One declared app, complete: defaults, kind and file are merged; nothing is absent that the kind needs. */
struct app_config {
    const char *name;
    size_t index; /* in snapshot->apps */
#define APP SETTING_FIELD
#include "config/settings.def"
    struct app_telemetry telemetry; /* the daemon's where the app names none */
    /* Filled by the kind (app/kind.h) during check: */
    struct strings interpreter; /* argv prefix found for the kind: e.g. {"/usr/bin/Rscript"} */
    struct string_map dotenv;   /* .Renviron and .env of the app, later wins */
    bool learns_base_path;      /* the kind tells its workers the route at start */
    /* Identity of the directories that dir and app_dir lead to: a flipped symlink or a touched restart.txt needs new
     * workers. 0: none. */
    uint64_t dir_device, dir_inode, app_dir_device, app_dir_inode;
    const char *dir_target;   /* dir without symlinks; NULL: none */
    int64_t restart_mtime_ns; /* of <dir>/restart.txt */
    const char *where;        /* "faucet.yaml:12:3" of the app's key, for messages */
};

struct snapshot {
    unsigned magic;
#define SNAPSHOT_MAGIC 0x5aa9540d
    unsigned references;
    uint64_t number; /* 1, 2, 3…: "config 7" */
    struct arena *arena;
    const char *file; /* absolute; NULL: faucet start, no file */
    char hash[17];    /* hex, over the effective values, secrets hashed too */
    struct daemon_settings daemon;
    size_t app_count;
    struct app_config **apps;        /* in file order */
    struct strings secret_variables; /* names of variables a secret was taken from: not for workers */
    wall_t loaded;
};
#undef SETTING_FIELD

/* The empty snapshot (number 0, no app), against which boot plans. Caller owns one reference. */
struct snapshot *snapshot_empty(void);
struct snapshot *snapshot_ref(struct snapshot *s);
/* The last one frees. NULL is fine. */
void snapshot_unref(struct snapshot *s);
/* NULL: no app of that name. */
const struct app_config *snapshot_app(const struct snapshot *s, const char *name);

/* Is the app given limited concurrency, so that bodies are buffered in `auto`? */
static inline bool app_config_buffers(const struct app_config *a) {
    return a->buffer == BUFFER_ON || (a->buffer == BUFFER_AUTO && a->concurrency != COUNT_IS_UNLIMITED);
}

#endif
