/*
 * Making a connection without blocking. Two oddities of connect(2): a Unix
 * socket whose backlog is full says EAGAIN and gives nothing to wait for, so it
 * is tried again every 5 ms; and a connect that was begun is finished by calling
 * connect again, which tells "still going" (EALREADY) from "made" and "failed" in
 * one call, also after a spurious wake-up.
 */
#include "net/dial.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "net/conn.h"

#define BACKLOG_RETRY (5 * DUR_MS)

/* d->loop is set while something is under way, and only then. */
static void dial_stop(struct dial *d) {
    ev_io_stop(d->loop->ev, &d->connected);
    deadline_destroy(&d->deadline);
    deadline_destroy(&d->again);
    d->loop = NULL;
}

/* The last thing that is done with d: the callee may free it. */
static void dial_finish(struct dial *d, int error) {
    int fd = d->fd;

    dial_stop(d);
    d->fd = -1;
    if (error != 0) {
        (void)close(fd);
        fd = -1;
    }
    d->done(d, fd, error);
}

/* 0: connected, EINPROGRESS: wait until writable, EAGAIN: backlog full, else failed. */
static int dial_attempt(struct dial *d) {
    if (connect(d->fd, &d->address.any, d->address.length) == 0)
        return 0;
    switch (errno) {
    case EISCONN:
        return 0;
    case EALREADY:
    case EINTR: /* goes on by itself, connect(2) */
        return EINPROGRESS;
    case EAGAIN: /* for TCP it means that no local port is left */
        return d->address.any.sa_family == AF_UNIX ? EAGAIN : EADDRNOTAVAIL;
    default:
        return errno;
    }
}

static void dial_proceed(struct dial *d) {
    int error = dial_attempt(d);

    if (error == EINPROGRESS)
        ev_io_start(d->loop->ev, &d->connected); /* no-op when started */
    else if (error == EAGAIN)
        deadline_set(&d->again, BACKLOG_RETRY);
    else
        dial_finish(d, error);
}

static void on_connected(struct ev_loop *loop, ev_io *w, int events) {
    (void)loop;
    (void)events;
    dial_proceed(CONTAINER_OF(w, struct dial, connected));
}

static void on_again(struct deadline *again) {
    dial_proceed(CONTAINER_OF(again, struct dial, again));
}

static void on_deadline(struct deadline *deadline) {
    dial_finish(CONTAINER_OF(deadline, struct dial, deadline), ETIMEDOUT);
}

static void dial_wait(struct dial *d, struct loop *l, int why, dur_t timeout) {
    d->loop = l;
    d->give_up = mono_add(mono_now(), timeout);
    ev_io_init(&d->connected, on_connected, d->fd, EV_WRITE);
    deadline_init(&d->deadline, l, on_deadline);
    deadline_init(&d->again, l, on_again);
    deadline_set(&d->deadline, timeout);
    if (why == EAGAIN)
        deadline_set(&d->again, BACKLOG_RETRY);
    else
        ev_io_start(l->ev, &d->connected);
}

int dial_start(struct dial *d, struct loop *l, const struct address *to, dur_t timeout,
               void (*done)(struct dial *d, int fd, int error)) {
    ASSERT(d->loop == NULL);
    ASSERT(to->length > 0);
    d->address = *to;
    d->done = done;
    d->fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return -1;
    if (address_is_tcp(to))
        conn_set_nodelay(d->fd);

    int error = dial_attempt(d);
    int fd = d->fd;
    if (error == EINPROGRESS || error == EAGAIN) {
        dial_wait(d, l, error, timeout);
        errno = EINPROGRESS;
        return -1;
    }
    d->fd = -1;
    if (error == 0)
        return fd;
    (void)close(fd);
    errno = error;
    return -1;
}

void dial_cancel(struct dial *d) {
    if (d->loop == NULL)
        return;
    dial_stop(d);
    (void)close(d->fd);
    d->fd = -1;
}
