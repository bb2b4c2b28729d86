/*
 * Client connections. The read watcher stays on while a request is under way,
 * so that a client that leaves is noticed; it is stopped only when bytes pile
 * up (pipelined requests, back-pressure) or after FIN.
 */
#include "proxy/client.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "proxy/exchange.h"
#include "proxy/recycle.h"
#include "proxy/tunnel.h"

#define LINGER_TIME (2 * DUR_S)

static struct client *client_of(struct conn *conn) {
    struct client *c = CONTAINER_OF(conn, struct client, conn);
    CHECK_OBJ(c, CLIENT_MAGIC);
    return c;
}

static const struct daemon_settings *settings(const struct client *c) {
    return &c->proxy->snapshot->daemon;
}

void client_set_wait(struct client *c, enum client_wait wait, dur_t timeout) {
    c->wait = wait;
    if (wait == CLIENT_WAIT_NOTHING)
        deadline_clear(&c->conn.deadline);
    else
        deadline_set(&c->conn.deadline, timeout);
}

static void client_destroy(void *object) {
    struct client *c;
    CAST_OBJ_NOTNULL(c, object, CLIENT_MAGIC);
    FREE_OBJ(c);
}

static void client_drop_request(struct client *c) {
    if (c->arena != NULL)
        recycle_give(c->proxy, c->arena);
    c->arena = NULL;
    c->reader = NULL;
}

void client_close(struct client *c, enum close_reason reason, bool abort) {
    CHECK_OBJ_NOTNULL(c, CLIENT_MAGIC);
    ASSERT(c->exchange == NULL && c->tunnel == NULL);
    if (!conn_is_open(&c->conn))
        return;
    if (abort)
        conn_abort(&c->conn, reason);
    else
        conn_close(&c->conn, reason);
    buf_free(&c->in);
    buf_free(&c->out);
    client_drop_request(c);
    list_remove(&c->node);
    loop_free_later(c->proxy->loop, &c->freed, client_destroy, c);
    proxy_ended(c->proxy);
}

void client_close_idle(struct client *c, enum close_reason reason) {
    ASSERT(c->node.on == &c->proxy->idle);
    client_close(c, reason, false);
}

enum io client_read(struct client *c, size_t limit) {
    if (buf_length(&c->in) >= limit) {
        conn_want_read(&c->conn, false);
        return IO_AGAIN;
    }
    size_t got = 0;
    enum io io = conn_read(&c->conn, &c->in, BUF_BLOCK, &got);
    if (io == IO_EOF) {
        c->eof = true;
        conn_want_read(&c->conn, false);
    }
    if (buf_length(&c->in) == 0)
        buf_free(&c->in);
    return io;
}

/* ---- goodbye: the reply must reach a client that still sends (RFC 9112 9.6) ---- */

static void client_linger(struct client *c) {
    list_move(&c->proxy->lingers, &c->node);
    conn_shutdown_write(&c->conn);
    buf_free(&c->in);
    conn_want_write(&c->conn, false);
    if (c->eof) {
        client_close(c, CLOSE_REPLY_DONE, false);
        return;
    }
    conn_want_read(&c->conn, true);
    client_set_wait(c, CLIENT_WAIT_LINGER, LINGER_TIME);
    proxy_ended(c->proxy);
}

static void client_linger_readable(struct client *c) {
    size_t got;
    enum io io = conn_read(&c->conn, &c->in, BUF_BLOCK, &got);
    buf_free(&c->in);
    if (io == IO_EOF || io == IO_ERROR)
        client_close(c, CLOSE_REPLY_DONE, false);
}

static void client_goodbye(struct client *c) {
    int unread = 0;
    if (c->ours_unread || buf_length(&c->in) > 0 || (ioctl(c->conn.fd, FIONREAD, &unread) == 0 && unread > 0))
        client_linger(c);
    else
        client_close(c, CLOSE_REPLY_DONE, false);
}

/* ---- requests ---- */

static void client_begin_request(struct client *c) {
    c->arena = recycle_take(c->proxy);
    c->reader = http_request_reader(c->arena, &c->proxy->limits);
    c->began = wall_now();
    c->began_mono = c->proxy->loop->now;
    client_set_wait(c, CLIENT_WAIT_HEAD, settings(c)->timeout_header);
}

static bool client_may_parse(const struct client *c) {
    return conn_is_open(&c->conn) && c->exchange == NULL && c->tunnel == NULL && c->node.on == &c->proxy->idle;
}

/* Bytes ended inside or between heads. */
static void client_at_eof(struct client *c) {
    if (c->reader != NULL && http_reader_progress(c->reader) > 0) {
        static const struct http_error cut = {400, "the connection ended inside the request's head", 0};
        exchange_begin(c, &cut);
    } else
        client_close(c, CLOSE_CLIENT_CLOSED, false);
}

void client_parse(struct client *c) {
    if (c->parsing) /* the loop below goes on when the exchange that it began has ended */
        return;
    c->parsing = true;
    while (client_may_parse(c) && buf_length(&c->in) > 0) {
        if (c->reader == NULL)
            client_begin_request(c);
        struct str in = buf_str(&c->in), body;
        size_t before = in.n;
        enum http_event event = http_reader_next(c->reader, &in, &body);
        buf_consume(&c->in, before - in.n);
        if (event == HTTP_MORE)
            break;
        exchange_begin(c, event == HTTP_BAD ? http_reader_error(c->reader) : NULL);
    }
    if (client_may_parse(c) && c->eof)
        client_at_eof(c);
    c->parsing = false;
}

void client_exchange_ended(struct client *c) {
    list_move(&c->proxy->idle, &c->node);
    if (c->close_after || c->proxy->draining) {
        client_goodbye(c);
        return;
    }
    if (buf_length(&c->in) > 0 || c->eof)
        client_parse(c);
    if (!client_may_parse(c))
        return;
    conn_want_read(&c->conn, !c->eof);
    if (c->reader == NULL)
        client_set_wait(c, CLIENT_WAIT_REQUEST, settings(c)->timeout_keepalive);
    proxy_ended(c->proxy);
}

/* ---- events ---- */

static void client_readable(struct conn *conn) {
    struct client *c = client_of(conn);
    if (c->tunnel != NULL) {
        tunnel_client_readable(c->tunnel);
        return;
    }
    if (c->exchange != NULL) {
        exchange_client_readable(c->exchange);
        return;
    }
    if (c->node.on == &c->proxy->lingers) {
        client_linger_readable(c);
        return;
    }
    enum io io = client_read(c, c->proxy->limits.header_size + 2 * BUF_BLOCK);
    if (io == IO_ERROR)
        client_close(c, CLOSE_CLIENT_RESET, false);
    else
        client_parse(c);
}

static void client_writable(struct conn *conn) {
    struct client *c = client_of(conn);
    if (c->tunnel != NULL)
        tunnel_client_writable(c->tunnel);
    else if (c->exchange != NULL)
        exchange_client_writable(c->exchange);
    else
        conn_want_write(conn, false);
}

static void client_expired(struct conn *conn) {
    struct client *c = client_of(conn);
    if (c->tunnel != NULL)
        tunnel_expired(c->tunnel);
    else if (c->exchange != NULL)
        exchange_client_expired(c->exchange);
    else if (c->wait == CLIENT_WAIT_HEAD && c->reader != NULL && http_reader_progress(c->reader) > 0) {
        static const struct http_error late = {408, "the request's head did not arrive in time", 0};
        exchange_begin(c, &late);
    } else
        client_close(c, c->wait == CLIENT_WAIT_HEAD ? CLOSE_HEADER_TIMEOUT : CLOSE_KEEPALIVE_TIMEOUT, false);
}

static const struct conn_ops client_ops = {client_readable, client_writable, client_expired};

/* At the limit an idle connection makes room, the least recently used first; without one, accepting pauses. */
static struct client *client_to_evict(const struct proxy *p) {
    LIST_FOREACH (&p->idle, struct client, c, node) {
        if (c->wait == CLIENT_WAIT_REQUEST) /* not one whose first request may be in the socket already */
            return c;
    }
    return NULL;
}

static void client_make_room(struct proxy *p) {
    while ((int64_t)proxy_client_count(p) >= p->connection_limit) {
        struct client *oldest = client_to_evict(p);
        if (oldest == NULL)
            break;
        client_close_idle(oldest, CLOSE_TOO_MANY_CONNECTIONS);
    }
}

void client_accept(struct listener *l, int fd, const struct address *peer) {
    struct proxy *p;
    CAST_OBJ_NOTNULL(p, l->owner, PROXY_MAGIC);
    client_make_room(p);
    struct client *c;
    ALLOC_OBJ(c, CLIENT_MAGIC);
    c->proxy = p;
    c->peer = address_ip(peer);
    c->peer_unix = peer->length == 0 || peer->any.sa_family == AF_UNIX;
    conn_init(&c->conn, p->loop, fd, &client_ops);
    list_append(&p->idle, &c->node);
    p->connections++;
    conn_want_read(&c->conn, true);
    client_set_wait(c, CLIENT_WAIT_HEAD, settings(c)->timeout_header);
    proxy_began(p);
}
