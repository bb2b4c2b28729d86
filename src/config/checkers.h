/*
 * What config must know of single values and cannot find out, since it includes
 * nobody who could tell: a table of checkers by key, handed down with the
 * sources by control/.
 */
#ifndef FAUCET_CONFIG_CHECKERS_H
#define FAUCET_CONFIG_CHECKERS_H

#include <stdbool.h>
#include <stddef.h>

struct value_checker {
    const char *key; /* of a STRING setting, of the daemon, of apps or of both: "telemetry.postgres_string" */
    /* What is wrong with a value that is not empty and what is allowed, allocated; NULL: nothing. No word of a secret
     * may be in it. skip_paths: no file is looked for. */
    char *(*problem)(const char *value, bool skip_paths);
};

struct value_checkers {
    const struct value_checker *rows;
    size_t n;
};

#endif
