/*
 * Telling systemd how we are (sd_notify(3)): one datagram to $NOTIFY_SOCKET, a
 * path or "@name" in the abstract namespace. Nothing happens where that is not
 * set.
 *
 *   READY=1                              at boot, and after each reload, whatever came of it
 *   RELOADING=1\nMONOTONIC_USEC=…        a reload begins; the time is mono_now().us
 *   STOPPING=1                           a stop was asked
 *   WATCHDOG=1                           control/watchdog.h
 *   STATUS=…                             a sentence for `systemctl status`, with any of them
 */
#ifndef FAUCET_CONTROL_NOTIFY_H
#define FAUCET_CONTROL_NOTIFY_H

#include "base/check.h"

#define NOTIFY_MAX 1024 /* bytes; what is longer is cut, never inside a character */

/* Errors are ignored, as the manual suggests. What is said of READY, RELOADING or STOPPING waits up to
 * NOTIFY_PATIENCE_MS where the receiver's queue is full (systemd holds few datagrams of many services at boot): lost,
 * the unit would be `activating` or `reloading` for ever. The rest is never waited for. No argument may bring a
 * newline. */
void notify(char *const *environ_, const char *format, ...) PRINTF_LIKE(2, 3);
#define NOTIFY_PATIENCE_MS 500

#endif
