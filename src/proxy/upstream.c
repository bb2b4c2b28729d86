/*
 * Upstream connections. An idle one keeps its read watcher: readable while
 * idle means that the worker closed it (or sent what nobody asked for).
 */
#include "proxy/upstream.h"

#include "proxy/exchange.h"
#include "proxy/tunnel.h"

#define UPSTREAM_IDLE_TIME (60 * DUR_S)
#define UPSTREAM_IDLE_MAX  512 /* per endpoint; the least recently used goes */

static struct upstream *upstream_of(struct conn *conn) {
    struct upstream *u = CONTAINER_OF(conn, struct upstream, conn);
    CHECK_OBJ(u, UPSTREAM_MAGIC);
    return u;
}

static void upstream_readable(struct conn *conn) {
    struct upstream *u = upstream_of(conn);
    if (u->exchange != NULL)
        exchange_upstream_readable(u->exchange);
    else if (u->tunnel != NULL)
        tunnel_upstream_readable(u->tunnel);
    else
        upstream_close(u, CLOSE_WORKER_CLOSED);
}

static void upstream_writable(struct conn *conn) {
    struct upstream *u = upstream_of(conn);
    if (u->exchange != NULL)
        exchange_upstream_writable(u->exchange);
    else if (u->tunnel != NULL)
        tunnel_upstream_writable(u->tunnel);
    else
        conn_want_write(conn, false);
}

static void upstream_expired(struct conn *conn) {
    struct upstream *u = upstream_of(conn);
    if (u->exchange != NULL)
        exchange_upstream_expired(u->exchange);
    else if (u->tunnel == NULL)
        upstream_close(u, CLOSE_UPSTREAM_IDLE);
}

static const struct conn_ops upstream_ops = {upstream_readable, upstream_writable, upstream_expired};

struct upstream *upstream_new(struct proxy *p, struct endpoint *e, int fd) {
    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    struct upstream *u;
    ALLOC_OBJ(u, UPSTREAM_MAGIC);
    u->proxy = p;
    u->endpoint = e;
    u->tcp = address_is_tcp(&e->address);
    endpoint_hold(e);
    conn_init(&u->conn, p->loop, fd, &upstream_ops);
    conn_want_read(&u->conn, true);
    return u;
}

/* One with something to read is closed: bytes that nobody asked for would be taken for the reply to the next request,
 * which may be another client's. The loop tells of them too, but perhaps later in this turn. */
struct upstream *upstream_take_idle(struct endpoint *e) {
    struct list_node *n;
    while ((n = list_first(&e->idle)) != NULL) {
        struct upstream *u = CONTAINER_OF(n, struct upstream, node);
        CHECK_OBJ(u, UPSTREAM_MAGIC);
        if (conn_is_quiet(&u->conn)) {
            list_remove(n);
            deadline_clear(&u->conn.deadline);
            u->reused = true;
            return u;
        }
        upstream_close(u, CLOSE_WORKER_CLOSED);
    }
    return NULL;
}

void upstream_keep(struct upstream *u) {
    ASSERT(u->exchange == NULL && u->tunnel == NULL && buf_length(&u->in) == 0 && buf_length(&u->out) == 0);
    struct endpoint *e = u->endpoint;
    if (e->state == ENDPOINT_RETIRED || u->proxy->draining) {
        upstream_close(u, CLOSE_UPSTREAM_IDLE);
        return;
    }
    conn_want_write(&u->conn, false);
    conn_want_read(&u->conn, true);
    list_prepend(&e->idle, &u->node);
    deadline_set(&u->conn.deadline, UPSTREAM_IDLE_TIME);
    if (e->idle.length > UPSTREAM_IDLE_MAX)
        upstream_close(CONTAINER_OF(list_last(&e->idle), struct upstream, node), CLOSE_UPSTREAM_IDLE);
}

static void upstream_destroy(void *object) {
    struct upstream *u;
    CAST_OBJ_NOTNULL(u, object, UPSTREAM_MAGIC);
    FREE_OBJ(u);
}

void upstream_close(struct upstream *u, enum close_reason reason) {
    CHECK_OBJ_NOTNULL(u, UPSTREAM_MAGIC);
    ASSERT(u->exchange == NULL && u->tunnel == NULL);
    if (!conn_is_open(&u->conn))
        return;
    conn_close(&u->conn, reason);
    list_remove(&u->node);
    buf_free(&u->in);
    buf_free(&u->out);
    struct endpoint *e = u->endpoint;
    u->endpoint = NULL;
    loop_free_later(u->proxy->loop, &u->freed, upstream_destroy, u);
    endpoint_drop(e);
}
