/*
 * Relaying. Each direction: bytes are read into the source's `in`, written to
 * the sink at once; what the sink does not take stays there, the source is not
 * read meanwhile (back-pressure), and the sink's `out` holds only what we put
 * in ourselves (the 101 head, a Close frame).
 */
#include "proxy/tunnel.h"

#include <netinet/tcp.h>

#include "proxy/exchange.h"
#include "proxy/former_routes.h"
#include "proxy/session.h"

#define TUNNEL_BLOCK    ((size_t)32 * 1024)
#define TUNNEL_CUT_TIME (1 * DUR_S)

/* One direction, seen from its pump. */
struct direction {
    struct tunnel *t;
    struct conn *from, *to;
    struct buf *pending; /* read, not yet written */
    struct buf *ours;    /* goes first */
    struct ws_follower *follower;
    uint64_t *bytes;
    bool *done;
    bool eof; /* the source ended */
    bool to_client;
};

static struct direction direction_up(struct tunnel *t) {
    return (struct direction){t,      &t->client->conn, &t->upstream->conn, &t->client->in, &t->upstream->out,
                              &t->up, &t->up_bytes,     &t->up_done,        t->client->eof, false};
}

static struct direction direction_down(struct tunnel *t, bool eof) {
    return (struct direction){t,
                              &t->upstream->conn,
                              &t->client->conn,
                              &t->upstream->in,
                              &t->client->out,
                              &t->down,
                              &t->down_bytes,
                              &t->down_done,
                              eof,
                              true};
}

static void tunnel_destroy(void *object) {
    struct tunnel *t;
    CAST_OBJ_NOTNULL(t, object, TUNNEL_MAGIC);
    FREE_OBJ(t);
}

/* Who began the end is what the session is told to have ended by, whatever follows. */
static void tunnel_ends(struct tunnel *t, enum close_reason why) {
    if (t->ended != CLOSE_NONE)
        return;
    t->ended = why;
    if (why == CLOSE_WORKER_ERROR || why == CLOSE_WORKER_CLOSED)
        t->worker_left = t->proxy->loop->now;
}

static void tunnel_end(struct tunnel *t, enum close_reason why, bool abort) {
    CHECK_OBJ_NOTNULL(t, TUNNEL_MAGIC);
    if (t->client == NULL)
        return;
    struct client *c = t->client;
    struct upstream *u = t->upstream;
    t->client = NULL;
    t->upstream = NULL;
    tunnel_ends(t, why);
    c->tunnel = NULL;
    u->tunnel = NULL;
    dur_t lasted = mono_since(t->began, mono_now());
    log_debug(t->proxy->log, "tunnel to %s ended after %.3f s: %s; %llu bytes up, %llu down", t->endpoint->source,
              (double)lasted / (double)DUR_S, close_reason_text(t->ended), (unsigned long long)t->up_bytes,
              (unsigned long long)t->down_bytes);
    const struct session_end end = {
        .ended = t->ended, .worker_left = t->worker_left, .lasted = lasted, .up = t->up_bytes, .down = t->down_bytes};
    session_over(t->session, &end);
    t->session = NULL;
    endpoint_unpin(t->endpoint, &t->client_key);
    list_remove(&t->node);
    upstream_close(u, why);
    client_close(c, why, abort);
    if (!list_empty(&t->proxy->former))
        former_routes_sweep(t->proxy);
    loop_free_later(t->proxy->loop, &t->freed, tunnel_destroy, t);
}

/* How many of the pending bytes may go now: while cutting, those up to the last frame boundary among them. */
static size_t direction_allowed(const struct direction *d) {
    if (!d->t->cutting)
        return buf_length(d->pending);
    if (ws_at_boundary(d->follower))
        return 0;
    struct ws_follower ahead = *d->follower;
    size_t whole = ws_follow(&ahead, buf_str(d->pending));
    return whole > 0 ? whole : buf_length(d->pending);
}

/* Puts the Close in, once. */
static void direction_close_frame(struct direction *d) {
    struct tunnel *t = d->t;
    if (!t->cutting || *d->done || !ws_at_boundary(d->follower))
        return;
    if (!d->follower->close_seen && !d->follower->broken)
        ws_write_close(d->ours, t->close_code, str_of(t->close_text), !d->to_client);
    *d->done = true;
}

/* Everything that can be said to the sink was said: half-close. True: both directions are done. */
static void direction_finish(struct direction *d) {
    if (d->eof && !*d->done && buf_length(d->pending) == 0 && buf_length(d->ours) == 0) {
        conn_shutdown_write(d->to);
        *d->done = true;
    }
}

/* A Close among the bytes that are about to pass is the beginning of the end. */
static void direction_look_for_close(struct direction *d) {
    if (!d->t->websocket || d->t->ended != CLOSE_NONE || buf_length(d->pending) == 0)
        return;
    struct ws_follower ahead = *d->follower;
    (void)ws_follow(&ahead, buf_str(d->pending));
    if (!ahead.close_seen)
        return;
    tunnel_ends(d->t, d->to_client ? CLOSE_WORKER_CLOSED : CLOSE_CLIENT_CLOSED);
    d->t->worker_left = MONO_NONE; /* whoever says goodbye was alive */
}

/* Writes what is there. False: the tunnel ended. */
static bool direction_write(struct direction *d) {
    size_t sent = 0;
    direction_look_for_close(d);
    for (;;) {
        direction_close_frame(d);
        enum io io = conn_write_buf(d->to, d->ours, &sent);
        size_t allowed = *d->done ? 0 : direction_allowed(d);
        if (io == IO_OK && allowed > 0) {
            struct iovec v = {d->pending->data + d->pending->start, allowed};
            io = conn_writev(d->to, &v, 1, &sent);
            if (io == IO_OK) {
                if (d->t->websocket)
                    (void)ws_follow(d->follower, str_make(v.iov_base, sent));
                *d->bytes += sent;
                buf_consume(d->pending, sent);
                continue;
            }
        }
        if (io == IO_ERROR) {
            tunnel_end(d->t, d->to_client ? CLOSE_CLIENT_RESET : CLOSE_WORKER_ERROR, false);
            return false;
        }
        if (*d->done)
            buf_free(d->pending);
        bool full = io == IO_AGAIN;
        conn_want_write(d->to, full);
        conn_want_read(d->from, !full && !d->eof);
        direction_finish(d);
        return true;
    }
}

static void tunnel_look_finished(struct tunnel *t) {
    if (!t->up_done || !t->down_done)
        return;
    if (t->cutting && (buf_length(&t->client->out) > 0 || buf_length(&t->upstream->out) > 0))
        return;
    tunnel_end(t, CLOSE_TUNNEL_ENDED, false);
}

/* Something moved. An open tunnel may be silent for ever; where one side has ended the other may not, or a worker that
 * never closes would keep its client pinned. */
static void tunnel_moved(struct tunnel *t) {
    if ((t->client->eof || t->worker_eof) && !t->cutting)
        deadline_set(&t->client->conn.deadline, t->half_closed_time);
    tunnel_look_finished(t);
}

static void direction_readable(struct direction *d) {
    size_t got;
    enum io io = conn_read(d->from, d->pending, TUNNEL_BLOCK, &got);
    if (buf_length(d->pending) == 0)
        buf_free(d->pending);
    if (io == IO_ERROR) {
        tunnel_end(d->t, d->to_client ? CLOSE_WORKER_ERROR : CLOSE_CLIENT_RESET, true);
        return;
    }
    if (io == IO_EOF) {
        d->eof = true;
        conn_want_read(d->from, false);
        if (!d->to_client)
            d->t->client->eof = true;
        else
            d->t->worker_eof = true;
        tunnel_ends(d->t, d->to_client ? CLOSE_WORKER_CLOSED : CLOSE_CLIENT_CLOSED);
    }
    if (direction_write(d))
        tunnel_moved(d->t);
}

void tunnel_client_readable(struct tunnel *t) {
    struct direction d = direction_up(t);
    direction_readable(&d);
}

void tunnel_upstream_readable(struct tunnel *t) {
    struct direction d = direction_down(t, t->worker_eof);
    direction_readable(&d);
}

void tunnel_client_writable(struct tunnel *t) {
    struct direction d = direction_down(t, t->worker_eof);
    if (direction_write(&d))
        tunnel_moved(t);
}

void tunnel_upstream_writable(struct tunnel *t) {
    struct direction d = direction_up(t);
    if (direction_write(&d))
        tunnel_moved(t);
}

void tunnel_expired(struct tunnel *t) {
    /* after a Close frame no RST: the frame must reach its reader */
    tunnel_end(t, t->ended == CLOSE_NONE ? CLOSE_SHUTDOWN : t->ended, !t->cutting);
}

void tunnel_cut(struct tunnel *t, unsigned code, const char *reason, enum close_reason why) {
    CHECK_OBJ_NOTNULL(t, TUNNEL_MAGIC);
    tunnel_ends(t, why);
    t->close_text = reason;
    if (!t->websocket) {
        tunnel_end(t, why, false);
        return;
    }
    t->cutting = true;
    t->close_code = code;
    deadline_set(&t->client->conn.deadline, TUNNEL_CUT_TIME);
    struct direction down = direction_down(t, t->worker_eof), up = direction_up(t);
    if (direction_write(&down) && direction_write(&up))
        tunnel_look_finished(t);
}

/* A tunnel has no deadline, so the kernel finds out when the other machine is gone. Fails for Unix sockets, harmlessly.
 */
static void tunnel_keepalive(int fd) {
    const int on = 1, idle_s = 120, interval_s = 30, probes = 4;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void tunnel_begin(struct exchange *x) {
    struct client *c = x->client;
    struct upstream *u = x->upstream;
    struct tunnel *t;
    ALLOC_OBJ(t, TUNNEL_MAGIC);
    t->proxy = x->proxy;
    t->client = c;
    t->upstream = u;
    t->endpoint = u->endpoint;
    t->client_key = x->client_key;
    t->websocket = str_ieq(x->upgrade, STR("websocket"));
    t->began = mono_now();
    t->half_closed_time = x->config->request_timeout;
    t->session = session_begin(x, u->endpoint);
    x->client = NULL;
    x->upstream = NULL;
    c->exchange = NULL;
    c->tunnel = t;
    u->exchange = NULL;
    u->tunnel = t;
    list_remove(&c->node);
    list_append(&t->proxy->tunnels, &t->node);
    client_set_wait(c, CLIENT_WAIT_NOTHING, 0);
    deadline_clear(&u->conn.deadline);
    tunnel_keepalive(c->conn.fd);
    endpoint_pin(t->endpoint, &t->client_key);
    former_routes_pinned(t->proxy, x);
    struct direction down = direction_down(t, false), up = direction_up(t);
    if (direction_write(&down) && direction_write(&up))
        tunnel_moved(t);
}
