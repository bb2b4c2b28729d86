/*
 * One nonblocking stream socket in the loop, with its close reason. Client
 * connections, upstream connections and the control socket's embed one.
 * Level-triggered; a watcher that stays started costs no system call, so
 * users keep the read watcher on and try to write before they wait.
 */
#ifndef FAUCET_NET_CONN_H
#define FAUCET_NET_CONN_H

#include <sys/uio.h>

#include "base/buf.h"
#include "base/loop.h"

enum close_reason {
#define CLOSE(id, name, text) CLOSE_##id,
#include "net/close_reason.def"
#undef CLOSE
    CLOSE_REASON_COUNT
};
const char *close_reason_name(enum close_reason r);
const char *close_reason_text(enum close_reason r);

struct conn;
struct conn_ops {
    void (*readable)(struct conn *c);
    void (*writable)(struct conn *c);
    void (*expired)(struct conn *c); /* the deadline passed; it is cleared */
};

struct conn {
    struct loop *loop;
    const struct conn_ops *ops;
    ev_io read, write;
    struct deadline deadline;
    int fd;                   /* -1: closed */
    enum close_reason closed; /* CLOSE_NONE while open */
};

enum io {
    IO_OK,    /* moved at least one byte */
    IO_AGAIN, /* nothing now; for writes: the watcher is not started by itself */
    IO_EOF,   /* reads only */
    IO_ERROR  /* errno says */
};

/* Takes the nonblocking fd over. Watchers are initialised, not started. */
void conn_init(struct conn *c, struct loop *l, int fd, const struct conn_ops *ops);
/* Stops watchers and deadline, closes the fd. Harmless twice; the first reason stays. */
void conn_close(struct conn *c, enum close_reason reason);
/* The same, but with a TCP RST (SO_LINGER 0), so that the peer cannot mistake a cut reply for a whole one. */
void conn_abort(struct conn *c, enum close_reason reason);
static inline bool conn_is_open(const struct conn *c) {
    return c->fd >= 0;
}
void conn_want_read(struct conn *c, bool on); /* starts or stops the watcher; no-op when already so */
void conn_want_write(struct conn *c, bool on);
/* Reads once, at most `room` bytes, to the end of b. *got: bytes (0 unless IO_OK). */
enum io conn_read(struct conn *c, struct buf *b, size_t room, size_t *got);
enum io conn_writev(struct conn *c, const struct iovec *v, int n, size_t *sent);
/* Writes b's bytes, as far as they go, and consumes them. IO_OK: all of it is out (or b was empty). */
enum io conn_write_buf(struct conn *c, struct buf *b, size_t *sent);
void conn_shutdown_write(struct conn *c);
/* Open, and nothing to be read: neither bytes nor an end, also none that the loop has not told of yet. */
bool conn_is_quiet(const struct conn *c);
/* TCP only, harmless elsewhere. */
void conn_set_nodelay(int fd);
void conn_set_quickack(int fd);

#endif
