/*
 * Reads one variable of an environment block: the one that faucet was started
 * with is handed around, since getenv() would make what a test sees depend on
 * the test's own process.
 */
#ifndef FAUCET_BASE_ENVIRON_H
#define FAUCET_BASE_ENVIRON_H

#include "base/str.h"

/* What follows "name=" in a NULL-terminated block, borrowed from it; the first entry of that name counts. NULL: not
 * set, or environ_ is NULL. */
const char *environ_value(char *const *environ_, struct str name);
/* The same, but NULL where it is set to nothing: to most settings that is as if it were not there. */
const char *environ_nonempty(char *const *environ_, struct str name);
/* The same, but NULL where it is not an absolute path: the XDG base directory specification wants others ignored. */
const char *environ_path(char *const *environ_, struct str name);

#endif
