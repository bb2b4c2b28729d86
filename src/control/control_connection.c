/*
 * One client of the control socket. It asks one thing at a time; what it asks
 * may take minutes (a reload), and it may leave meanwhile, so reading goes on
 * while it waits.
 */
#include <stdio.h>
#include <sys/socket.h>

#include "control/control_parts.h"
#include "http/writer.h"

#define HEAD_MAX        16384
#define BODY_MAX        65536
#define REQUEST_TIMEOUT (10 * DUR_S)
#define IDLE_TIMEOUT    (60 * DUR_S)
#define WRITE_TIMEOUT   (60 * DUR_S)
#define LINGER_TIMEOUT  (1 * DUR_S)
#define READ_SIZE       16384

static void destroy(void *object) {
    struct control_connection *c;
    CAST_OBJ_NOTNULL(c, object, CONTROL_CONNECTION_MAGIC);
    arena_free(c->arena);
    buf_free(&c->in);
    buf_free(&c->out);
    FREE_OBJ(c);
}

void control_connection_close(struct control_connection *c, enum close_reason why) {
    CHECK_OBJ_NOTNULL(c, CONTROL_CONNECTION_MAGIC);
    if (c->state == CONTROL_CLOSED)
        return;
    if (c->state == CONTROL_WAITING)
        reload_forget(c->socket->faucet, c);
    c->state = CONTROL_CLOSED;
    struct loop *loop = c->conn.loop;
    conn_close(&c->conn, why);
    list_remove(&c->node);
    loop_free_later(loop, &c->freed, destroy, c);
}

static void await_request(struct control_connection *c) {
    static const struct http_limits limits = {.header_size = HEAD_MAX};
    arena_reset(c->arena);
    c->reader = http_request_reader(c->arena, &limits);
    c->body = 0;
    c->timed = false;
    c->keep_alive = c->head_method = false; /* a reply before there is a head closes */
    c->state = CONTROL_READING;
    deadline_set(&c->conn.deadline, IDLE_TIMEOUT);
}

/* ---- out ---- */

/* WRITING until all is out. */
static void send_reply(struct control_connection *c) {
    size_t sent;
    switch (conn_write_buf(&c->conn, &c->out, &sent)) {
    case IO_OK:
        conn_want_write(&c->conn, false);
        if (c->keep_alive) {
            await_request(c);
            return;
        }
        conn_shutdown_write(&c->conn);
        c->state = CONTROL_LINGERING;
        buf_free(&c->in);
        deadline_set(&c->conn.deadline, LINGER_TIMEOUT);
        return;
    case IO_AGAIN:
        conn_want_write(&c->conn, true);
        deadline_set(&c->conn.deadline, WRITE_TIMEOUT);
        return;
    case IO_EOF:
    case IO_ERROR:
        break;
    }
    control_connection_close(c, CLOSE_CLIENT_CLOSED);
}

void control_connection_flush(struct control_connection *c) {
    CHECK_OBJ_NOTNULL(c, CONTROL_CONNECTION_MAGIC);
    size_t sent;
    (void)conn_write_buf(&c->conn, &c->out, &sent); /* an error shows again when the rest is sent */
}

/* ---- in ---- */

static void too_large(struct control_connection *c) {
    c->keep_alive = false;
    control_reply_error(c, 413, NULL, "nothing that is asked here needs a body, and none may have more than 64 KiB");
}

static void head_came(struct control_connection *c) {
    const struct http_head *head = http_reader_head(c->reader);
    c->keep_alive = head->keep_alive;
    c->head_method = head->head_method;
    if (head->framing == HTTP_LENGTH && head->content_length > BODY_MAX)
        too_large(c);
    else if (head->expect_continue)
        buf_append(&c->out, HTTP_CONTINUE); /* goes out before more is awaited */
}

static void refused(struct control_connection *c) {
    const struct http_error *e = http_reader_error(c->reader);
    c->keep_alive = false;
    control_reply_error(c, e->status, NULL, "%s", e->why);
}

static void request_came(struct control_connection *c) {
    const struct http_head *head = http_reader_head(c->reader);
    deadline_clear(&c->conn.deadline);
    control_route(c, head);
}

/* What still must go out while we read: 100 Continue. */
static void send_interim(struct control_connection *c) {
    size_t sent;
    if (buf_length(&c->out) > 0 && conn_write_buf(&c->conn, &c->out, &sent) == IO_ERROR)
        control_connection_close(c, CLOSE_CLIENT_CLOSED);
}

static void more_is_needed(struct control_connection *c) {
    if (!c->timed && http_reader_progress(c->reader) > 0) {
        c->timed = true;
        deadline_set(&c->conn.deadline, REQUEST_TIMEOUT);
    }
    send_interim(c);
}

/* Takes from `in` what is there. False: more is needed. */
static bool read_on(struct control_connection *c) {
    struct str in = buf_str(&c->in), body = STR_NONE;
    size_t before = in.n;
    enum http_event event = http_reader_next(c->reader, &in, &body);
    buf_consume(&c->in, before - in.n);
    switch (event) {
    case HTTP_HEAD:
        head_came(c);
        return true;
    case HTTP_BODY:
        c->body += body.n;
        if (c->body > BODY_MAX)
            too_large(c);
        return true;
    case HTTP_DONE:
        request_came(c);
        return true;
    case HTTP_BAD:
        refused(c);
        return true;
    case HTTP_MORE:
    case HTTP_INFORMATIONAL: /* replies only */
    case HTTP_UPGRADED:
        break;
    }
    more_is_needed(c);
    return false;
}

void control_connection_go(struct control_connection *c) {
    CHECK_OBJ_NOTNULL(c, CONTROL_CONNECTION_MAGIC);
    if (c->busy) /* answered from inside control_route */
        return;
    c->busy = true;
    for (bool more = true; more;) {
        if (c->state == CONTROL_WRITING) {
            send_reply(c);
            more = c->state == CONTROL_READING;
        } else
            more = c->state == CONTROL_READING && read_on(c);
    }
    c->busy = false;
    if (c->state != CONTROL_CLOSED)
        conn_want_read(&c->conn, c->state != CONTROL_WRITING);
}

/* ---- what the loop says ---- */

static void readable(struct conn *conn) {
    struct control_connection *c = CONTAINER_OF(conn, struct control_connection, conn);
    size_t got;
    CHECK_OBJ(c, CONTROL_CONNECTION_MAGIC);
    enum io io = conn_read(conn, &c->in, READ_SIZE, &got);
    if (io == IO_AGAIN)
        return;
    if (io != IO_OK) {
        control_connection_close(c, CLOSE_CLIENT_CLOSED);
        return;
    }
    if (c->state == CONTROL_LINGERING)
        buf_free(&c->in);
    else if (c->state == CONTROL_WAITING && buf_length(&c->in) > BODY_MAX)
        control_connection_close(c, CLOSE_BAD_REQUEST); /* it must not ask that much while it waits */
    else
        control_connection_go(c);
}

static void writable(struct conn *conn) {
    struct control_connection *c = CONTAINER_OF(conn, struct control_connection, conn);
    CHECK_OBJ(c, CONTROL_CONNECTION_MAGIC);
    control_connection_go(c);
}

static void expired(struct conn *conn) {
    struct control_connection *c = CONTAINER_OF(conn, struct control_connection, conn);
    CHECK_OBJ(c, CONTROL_CONNECTION_MAGIC);
    if (c->state != CONTROL_READING || !c->timed) {
        control_connection_close(c, CLOSE_KEEPALIVE_TIMEOUT);
        return;
    }
    c->keep_alive = false;
    control_reply_error(c, 408, NULL, "the request did not arrive within 10 s");
    control_connection_go(c);
}

static const struct conn_ops ops = {readable, writable, expired};

void control_connection_new(struct control_socket *s, int fd) {
    struct control_connection *c;
    struct ucred peer = {.pid = 0, .uid = (uid_t)-1, .gid = (gid_t)-1};
    socklen_t size = sizeof peer;
    ALLOC_OBJ(c, CONTROL_CONNECTION_MAGIC);
    c->socket = s;
    (void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
    c->uid = peer.uid;
    c->gid = peer.gid;
    c->pid = peer.pid;
    (void)snprintf(c->who, sizeof c->who, "uid %u (pid %d)", (unsigned)peer.uid, (int)peer.pid);
    c->arena = arena_new(4096);
    conn_init(&c->conn, s->faucet->loop, fd, &ops);
    list_append(&s->connections, &c->node);
    await_request(c);
    conn_want_read(&c->conn, true);
}
