/* Hashes over settings: is this app, is this configuration the same as before? */
#ifndef FAUCET_CONFIG_FINGERPRINT_H
#define FAUCET_CONFIG_FINGERPRINT_H

#include "config/snapshot.h"

/* Everything of the app a change of which needs new workers: its PROCESS settings, what its kind and config/identity.h
 * found, and the daemon's programs that its kind uses. Settings that mean nothing to its type do not count. */
uint64_t fingerprint_process(const struct daemon_settings *daemon, const struct app_config *app);
/* The same and every other effective value that means something to it, its telemetry included. The same hash: nothing
 * changed (config/changes.h says what did). */
uint64_t fingerprint_settings(const struct daemon_settings *daemon, const struct app_config *app);
/* snapshot->hash from all effective values. Secrets are in it; a hash of 64 bits does not give them away. */
void fingerprint_snapshot(struct snapshot *s);

#endif
