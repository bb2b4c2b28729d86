/*
 * One nonblocking stream socket in the loop. This file is on the path of every
 * byte: watchers are touched only when their state changes, reads go straight
 * into the buffer's memory, writes are tried before anybody waits. All sends
 * carry MSG_NOSIGNAL, so that a peer that left is an EPIPE and never a SIGPIPE.
 */
#include "net/conn.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_readable(struct ev_loop *loop, ev_io *w, int events) {
    struct conn *c = CONTAINER_OF(w, struct conn, read);

    (void)loop;
    (void)events;
    c->ops->readable(c);
}

static void on_writable(struct ev_loop *loop, ev_io *w, int events) {
    struct conn *c = CONTAINER_OF(w, struct conn, write);

    (void)loop;
    (void)events;
    c->ops->writable(c);
}

static void on_expired(struct deadline *d) {
    struct conn *c = CONTAINER_OF(d, struct conn, deadline);

    c->ops->expired(c);
}

void conn_init(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops) {
    ASSERT(fd >= 0);
    memset(c, 0, sizeof *c);
    c->loop = l;
    c->ops = ops;
    c->fd = fd;
    c->closed = CLOSE_NONE;
    ev_io_init(&c->read, on_readable, fd, EV_READ);
    ev_io_init(&c->write, on_writable, fd, EV_WRITE);
    deadline_init(&c->deadline, l, on_expired);
}

void conn_close(struct conn *c, enum close_reason reason) {
    if (c->fd < 0)
        return;
    ASSERT(reason != CLOSE_NONE);
    /* stopping clears pending events too: no callback comes after this, not even in this turn */
    ev_io_stop(c->loop->ev, &c->read);
    ev_io_stop(c->loop->ev, &c->write);
    deadline_destroy(&c->deadline);
    (void)close(c->fd);
    c->fd = -1;
    c->closed = reason;
}

void conn_abort(struct conn *c, enum close_reason reason) {
    static const struct linger hard = {.l_onoff = 1, .l_linger = 0};

    if (c->fd < 0)
        return;
    /* Unix sockets take the option and ignore it */
    (void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    conn_close(c, reason);
}

void conn_want_read(struct conn *c, bool on) {
    if (on == (bool)ev_is_active(&c->read))
        return;
    ASSERT(c->fd >= 0);
    if (on)
        ev_io_start(c->loop->ev, &c->read);
    else
        ev_io_stop(c->loop->ev, &c->read);
}

void conn_want_write(struct conn *c, bool on) {
    if (on == (bool)ev_is_active(&c->write))
        return;
    ASSERT(c->fd >= 0);
    if (on)
        ev_io_start(c->loop->ev, &c->write);
    else
        ev_io_stop(c->loop->ev, &c->write);
}

static bool would_block(int error) {
    return error == EAGAIN || error == EWOULDBLOCK;
}

enum io conn_read(struct conn *c, struct buf *b, size_t room, size_t *got) {
    ssize_t n;

    ASSERT(c->fd >= 0);
    ASSERT(room > 0);
    *got = 0;
    char *to = buf_reserve(b, room);
    do
        n = recv(c->fd, to, room, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        *got = (size_t)n;
        buf_commit(b, (size_t)n);
        return IO_OK;
    }

    int error = errno;
    if (buf_length(b) == 0)
        buf_free(b); /* idle connections hold no memory */
    errno = error;
    if (n == 0)
        return IO_EOF;
    return would_block(error) ? IO_AGAIN : IO_ERROR;
}

enum io conn_writev(struct conn *c, const struct iovec *v, int n, size_t *sent) {
    struct msghdr message = {0};
    ssize_t moved;

    ASSERT(c->fd >= 0);
    ASSERT(n >= 0);
    *sent = 0;
    message.msg_iov = (struct iovec *)(uintptr_t)v; /* sendmsg does not write to it */
    message.msg_iovlen = (size_t)(n > IOV_MAX ? IOV_MAX : n);
    do
        moved = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    while (moved < 0 && errno == EINTR);
    if (moved < 0)
        return would_block(errno) ? IO_AGAIN : IO_ERROR;
    *sent = (size_t)moved;
    return IO_OK;
}

enum io conn_write_buf(struct conn *c, struct buf *b, size_t *sent) {
    size_t length = buf_length(b);
    ssize_t moved;

    ASSERT(c->fd >= 0);
    *sent = 0;
    if (length == 0)
        return IO_OK;
    do
        moved = send(c->fd, b->data + b->start, length, MSG_NOSIGNAL);
    while (moved < 0 && errno == EINTR);
    if (moved < 0)
        return would_block(errno) ? IO_AGAIN : IO_ERROR;
    *sent = (size_t)moved;
    buf_consume(b, (size_t)moved);
    /* a short count means that the socket buffer is full: asking again would only say so */
    return (size_t)moved == length ? IO_OK : IO_AGAIN;
}

bool conn_is_quiet(const struct conn *c) {
    char byte;

    return c->fd >= 0 && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && would_block(errno);
}

void conn_shutdown_write(struct conn *c) {
    if (c->fd >= 0)
        (void)shutdown(c->fd, SHUT_WR);
}

static void set_tcp_flag(int fd, int option) {
    static const int on = 1;

    (void)setsockopt(fd, IPPROTO_TCP, option, &on, sizeof on); /* EOPNOTSUPP on a Unix socket is fine */
}

void conn_set_nodelay(int fd) {
    set_tcp_flag(fd, TCP_NODELAY);
}

void conn_set_quickack(int fd) {
    set_tcp_flag(fd, TCP_QUICKACK);
}
