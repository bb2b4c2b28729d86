/* A hash over settings: is this configuration the same as before? */
#ifndef FAUCET_CONFIG_FINGERPRINT_H
#define FAUCET_CONFIG_FINGERPRINT_H

#include "config/snapshot.h"

/* snapshot->hash from all effective values. Secrets are in it; a hash of 64 bits does not give them away. */
void fingerprint_snapshot(struct snapshot *s);

#endif
