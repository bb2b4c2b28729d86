/* Telling systemd how we are (sd_notify(3)): one datagram to $NOTIFY_SOCKET. Nothing happens where that is not set. */
#ifndef FAUCET_CONTROL_NOTIFY_H
#define FAUCET_CONTROL_NOTIFY_H

#include "base/check.h"

/* "READY=1\nSTATUS=…". Errors are ignored, as the manual suggests. */
void notify(char *const *environ_, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
