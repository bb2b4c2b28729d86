/*
 * Where a daemon's control socket is by default, and how a command finds the
 * daemon that is meant.
 */
#ifndef FAUCET_CONTROL_CONTROL_PLACE_H
#define FAUCET_CONTROL_CONTROL_PLACE_H

#include "control/options.h"

/* "sales-1a2b3c4d": of a file's (or a directory's) absolute path. In a. */
const char *control_place_instance(struct arena *a, const char *path);
/* $RUNTIME_DIRECTORY/control.sock, else <runtime dir>/<instance>.sock. In a. */
const char *control_place_default(struct arena *a, char *const *environ_, const char *path);
/* For a command: the path of the socket of the daemon that is meant: of --control, $FAUCET_CONTROL or `control:` in -c;
 * else the default place of that file; without -c, the only daemon there is. It may be that nobody answers there. NULL:
 * *why (in o->arena) says what is wrong with the question (EXIT_USAGE), or that no daemon runs (*none). */
const char *control_place_find(const struct options *o, const char **why, bool *none);

#endif
