/* RLIMIT_NOFILE: raised at the start, and held against what the settings ask for. */
#ifndef FAUCET_CONTROL_DESCRIPTOR_LIMIT_H
#define FAUCET_CONTROL_DESCRIPTOR_LIMIT_H

#include "config/config.h"

/* The soft limit of this process becomes the hard one. Workers get the soft limit of the start back (the keeper
 * remembers it). */
void descriptor_limit_raise(void);
/* Adds a warning where limits.connections asks for more than the limit carries. It is about the process that serves, so
 * `faucet check`, which may run anywhere, does not say it. */
void descriptor_limit_check(const struct snapshot *s, struct problems *problems);

#endif
