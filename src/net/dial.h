/* Making a connection without blocking. A full backlog of a Unix socket (EAGAIN, unix(7)) is tried again until the
 * timeout. */
#ifndef FAUCET_NET_DIAL_H
#define FAUCET_NET_DIAL_H

#include "base/loop.h"
#include "net/address.h"

struct dial {
    struct loop *loop;
    ev_io connected;
    struct deadline deadline, again;
    mono_t give_up;
    struct address address;
    int fd;
    /* Once, unless cancelled: fd >= 0 (yours, nonblocking, CLOEXEC, TCP_NODELAY), or -1 with an errno (ETIMEDOUT). */
    void (*done)(struct dial *d, int fd, int error);
};

/* Zeroed struct in. Returns an fd at once when the kernel connects at once (done is not called then), -1 with errno
 * EINPROGRESS when done will be called later (never from inside dial_start), or -1 with another errno: failed. */
int dial_start(struct dial *d, struct loop *l, const struct address *to, dur_t timeout,
               void (*done)(struct dial *d, int fd, int error));
/* Harmless when nothing is under way. */
void dial_cancel(struct dial *d);

#endif
