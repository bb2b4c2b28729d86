/*
 * An exchange as a whole: the table of steps, how it begins, how it is
 * answered by ourselves, and what happens when its client leaves.
 */
#include "proxy/exchange.h"

#include "http/canned.h"
#include "proxy/recycle.h"

static enum step_result (*const steps[STEP_COUNT])(struct exchange *x) = {
    [STEP_ROUTE] = step_route,     [STEP_COLLECT] = step_collect, [STEP_LEASE] = step_lease,
    [STEP_CONNECT] = step_connect, [STEP_SEND] = step_send,       [STEP_STREAM] = step_stream,
    [STEP_FILE] = step_file,       [STEP_FLUSH] = step_flush,     [STEP_FINISH] = step_finish,
};

void exchange_run(struct exchange *x) {
    CHECK_OBJ_NOTNULL(x, EXCHANGE_MAGIC);
    if (x->running || x->gone) /* the loop below sees x->step */
        return;
    x->running = true;
    enum step_result r;
    do
        r = steps[x->step](x);
    while (r == STEP_MORE);
    x->running = false; /* a finished exchange is freed after the turn */
}

void exchange_resume(struct exchange *x, enum exchange_step step) {
    x->step = step;
    exchange_run(x);
}

void exchange_begin(struct client *c, const struct http_error *error) {
    struct exchange *x = ARENA_NEW(c->arena, struct exchange);
    x->magic = EXCHANGE_MAGIC;
    x->arena = c->arena;
    x->reader = c->reader;
    x->proxy = c->proxy;
    x->client = c;
    x->snapshot = snapshot_ref(c->proxy->snapshot);
    x->began = c->began;
    x->began_mono = c->began_mono;
    x->uuid = uuid_v7(x->began);
    uuid_format(&x->uuid, x->uuid_text);
    x->first_byte = x->queued = -1;
    c->arena = NULL;
    c->reader = NULL;
    c->exchange = x;
    list_move(&c->proxy->busy, &c->node);
    proxy_began(c->proxy);
    client_set_wait(c, CLIENT_WAIT_NOTHING, 0);
    c->proxy->requests++;
    if (error != NULL) {
        x->client_ip = c->peer;
        (void)exchange_answer(x, error->status, error->status == 408 ? "header_timeout" : "bad_request", error->why);
    } else {
        x->request = http_reader_head(x->reader);
        x->keep_alive = x->request->keep_alive && x->snapshot->daemon.timeout_keepalive > 0;
        x->step = STEP_ROUTE;
    }
    exchange_run(x);
}

/* ---- the worker's side ---- */

void exchange_release_upstream(struct exchange *x, bool reuse, enum close_reason why) {
    if (x->dialling)
        dial_cancel(&x->dial);
    x->dialling = false;
    struct upstream *u = x->upstream;
    if (u != NULL) {
        x->upstream = NULL;
        u->exchange = NULL;
        if (reuse)
            upstream_keep(u);
        else
            upstream_close(u, why);
    }
    if (x->lease.state == LEASE_HELD)
        lease_release(&x->lease);
    else
        lease_cancel(&x->lease);
}

enum step_result exchange_answer(struct exchange *x, unsigned status, const char *error, const char *detail) {
    ASSERT(!x->head_sent);
    exchange_release_upstream(x, false, CLOSE_WORKER_ERROR);
    x->status = status;
    x->error = error;
    x->step = STEP_FLUSH;
    x->reply_read = true;
    struct client *c = x->client;
    if (c == NULL) {
        x->step = STEP_FINISH;
        return STEP_MORE;
    }
    if (!x->request_read) {
        x->keep_alive = false;
        c->ours_unread = true;
    }
    struct http_canned canned = {
        .status = status,
        .detail = str_of(detail),
        .request_uuid = str_make(x->uuid_text, 36),
        .location = x->location,
        .allow = status == 405 ? STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS") : STR_NONE,
        .retry_after = status != 503    ? 0
                       : x->app != NULL ? app_retry_after(x->app)
                                        : 1,
        .keep_alive = x->keep_alive && !x->proxy->draining,
        .head_method = x->request != NULL && x->request->head_method,
        .client_minor = x->request != NULL ? x->request->minor : 1,
        .request = x->request,
    };
    x->response_bytes = http_write_canned(&c->out, &canned);
    x->head_sent = true;
    exchange_reserve(x);
    return STEP_MORE;
}

enum step_result exchange_fail(struct exchange *x, unsigned status, enum close_reason why, const char *detail) {
    x->error = close_reason_name(why);
    if (!x->head_sent)
        return exchange_answer(x, status, x->error, detail);
    exchange_release_upstream(x, false, why);
    x->reply_failed = true;
    x->step = STEP_FINISH;
    return STEP_MORE;
}

/* ---- the client leaves ---- */

/* The worker goes on with a request it has whole; the lease stays its until it has answered, so that the next request
 * does not wait behind it unseen. Kinds that notice a closed connection by themselves are simply closed. */
static bool becomes_orphan(const struct exchange *x) {
    return x->upstream != NULL && x->lease.state == LEASE_HELD && x->request_sent && !x->reply_read &&
           !kind_of(x->config->type)->parallel;
}

void exchange_client_left(struct exchange *x, enum close_reason why) {
    CHECK_OBJ_NOTNULL(x, EXCHANGE_MAGIC);
    struct client *c = x->client;
    if (c == NULL)
        return;
    x->client = NULL;
    c->exchange = NULL;
    client_close(c, why, x->head_sent);
    x->error = close_reason_name(why);
    x->status = 499;
    exchange_record(x);
    if (why != CLOSE_SHUTDOWN && becomes_orphan(x)) {
        list_append(&x->proxy->orphans, &x->node);
        conn_want_read(&x->upstream->conn, true);
        deadline_set(&x->upstream->conn.deadline, x->config->request_timeout);
        x->step = STEP_STREAM;
        return;
    }
    exchange_release_upstream(x, false, why);
    exchange_resume(x, STEP_FINISH);
}

/* FIN: half-close, unless the request is not complete or waits in a queue. */
static void client_half_closed(struct exchange *x) {
    if (x->step == STEP_FLUSH)
        return;
    if (x->lease.state == LEASE_QUEUED || (!x->request_read && buf_length(&x->client->in) == 0))
        exchange_client_left(x, CLOSE_CLIENT_CLOSED);
}

void exchange_client_readable(struct exchange *x) {
    struct client *c = x->client;
    size_t limit = x->request_read ? x->proxy->limits.header_size + BUF_BLOCK : 4 * BUF_BLOCK;
    enum io io = client_read(c, limit);
    if (io == IO_ERROR) {
        exchange_client_left(x, CLOSE_CLIENT_RESET);
        return;
    }
    if (!x->request_read && (x->step == STEP_COLLECT || x->step == STEP_STREAM)) /* those that take the body */
        exchange_run(x);
    if (c->eof && x->client == c)
        client_half_closed(x);
}

void exchange_client_expired(struct exchange *x) {
    struct client *c = x->client;
    enum client_wait wait = c->wait;
    c->wait = CLIENT_WAIT_NOTHING;
    if (wait == CLIENT_WAIT_BODY && !x->head_sent) {
        (void)exchange_answer(x, 408, close_reason_name(CLOSE_BODY_TIMEOUT), "The request's body stopped arriving.");
        exchange_run(x);
    } else if (wait != CLIENT_WAIT_NOTHING)
        exchange_client_left(x, wait == CLIENT_WAIT_BODY ? CLOSE_BODY_TIMEOUT : CLOSE_WRITE_TIMEOUT);
}

void exchange_client_writable(struct exchange *x) {
    exchange_run(x);
}
