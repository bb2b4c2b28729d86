/*
 * Telling systemd that the loop turns (sd_watchdog_enabled(3), WatchdogSec= of
 * the unit): WATCHDOG=1 at half the time it allows, from a timer of the loop
 * itself, so that a loop that hangs is seen, and its daemon started anew.
 */
#ifndef FAUCET_CONTROL_WATCHDOG_H
#define FAUCET_CONTROL_WATCHDOG_H

#include "base/loop.h"

struct watchdog;

/* From $WATCHDOG_USEC; the first word is sent at once. NULL where nobody asks: the variable is missing or no time, or
 * $WATCHDOG_PID is another process. The loop and environ_ must outlive it. */
struct watchdog *watchdog_start(struct loop *l, char *const *environ_);
void watchdog_stop(struct watchdog *w); /* NULL is fine */

#endif
