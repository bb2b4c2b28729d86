/*
 * STREAM and FLUSH: the worker's reply on its way to the client.
 *
 * Bytes go into client->out when they are few and straight to the socket when
 * they are many. What the client does not take: where concurrency is limited
 * it goes to a spool, so that the worker is free as soon as it has answered;
 * otherwise the worker is not read until the client catches up.
 */
#include "http/writer.h"
#include "proxy/exchange.h"
#include "proxy/tunnel.h"

#define CLIENT_OUT_MAX (4 * BUF_BLOCK)
#define READ_LARGE     (4 * BUF_BLOCK)

/* ---- towards the client ---- */

static void download_progress(struct spool *s) {
    struct exchange *x;
    CAST_OBJ_NOTNULL(x, s->owner, EXCHANGE_MAGIC);
    exchange_run(x);
}

/* What the socket did not take. */
static void reply_keep(struct exchange *x, struct str rest) {
    if (!x->buffered) {
        buf_append(&x->client->out, rest);
        return;
    }
    if (x->download == NULL) {
        x->download = ARENA_NEW(x->arena, struct spool);
        spool_init(x->download, x->proxy->helpers, download_progress);
        x->download->owner = x;
    }
    spool_write(x->download, rest);
}

static bool spooling(const struct exchange *x) {
    return x->download != NULL && !spool_drained(x->download);
}

void reply_put(struct exchange *x, struct str bytes) {
    struct client *c = x->client;
    if (spooling(x) || (ev_is_active(&c->conn.write) && buf_length(&c->out) > 0)) { /* the socket is full */
        reply_keep(x, bytes);
        return;
    }
    size_t waiting = buf_length(&c->out);
    if (waiting + bytes.n <= BUF_BLOCK) {
        buf_append(&c->out, bytes);
        return;
    }
    struct iovec v[2] = {{c->out.data + c->out.start, waiting}, {(void *)(uintptr_t)bytes.p, bytes.n}};
    size_t sent = 0;
    enum io io = conn_writev(&c->conn, v, 2, &sent);
    if (io == IO_ERROR) {
        x->client_broken = true; /* reply_flush ends it, where nobody counts on the client any more */
        return;
    }
    if (sent > 0 && c->wait == CLIENT_WAIT_WRITE)
        client_set_wait(c, CLIENT_WAIT_WRITE, x->snapshot->daemon.timeout_write);
    size_t of_out = sent < waiting ? sent : waiting;
    if (of_out > 0)
        buf_consume(&c->out, of_out);
    if (sent < waiting + bytes.n) {
        conn_want_write(&c->conn, true);
        reply_keep(x, str_from(bytes, sent - of_out));
    }
}

/* One write from the spool. IO_OK with *none: nothing is at hand (or nothing left). */
static enum io flush_spool(struct exchange *x, size_t *sent, bool *none) {
    struct str s = x->download != NULL ? spool_peek(x->download) : STR_NONE;
    *none = s.n == 0;
    if (*none)
        return IO_OK;
    struct iovec v = {(void *)(uintptr_t)s.p, s.n};
    enum io io = conn_writev(&x->client->conn, &v, 1, sent);
    if (io == IO_OK)
        spool_consume(x->download, *sent);
    return io;
}

static enum io flush_all(struct exchange *x, bool *progress) {
    for (;;) {
        size_t sent = 0;
        bool none = true;
        enum io io = conn_write_buf(&x->client->conn, &x->client->out, &sent);
        *progress |= sent > 0;
        if (io == IO_OK) {
            sent = 0;
            io = flush_spool(x, &sent, &none);
            *progress |= sent > 0;
        }
        if (io != IO_OK || none)
            return io;
    }
}

bool reply_flush(struct exchange *x) {
    struct client *c = x->client;
    if (c == NULL)
        return false;
    bool progress = false;
    enum io io = x->client_broken ? IO_ERROR : flush_all(x, &progress);
    if (io == IO_ERROR) {
        exchange_client_left(x, CLOSE_CLIENT_RESET);
        return false;
    }
    if (x->download != NULL && x->download->broken) {
        log_warn(x->proxy->log, "a reply's temporary file cannot be read: %s", strerror(x->download->error));
        exchange_client_left(x, CLOSE_CLIENT_ERROR);
        return false;
    }
    bool full = io == IO_AGAIN;
    conn_want_write(&c->conn, full);
    if (full && (progress || c->wait != CLIENT_WAIT_WRITE))
        client_set_wait(c, CLIENT_WAIT_WRITE, x->snapshot->daemon.timeout_write);
    else if (!full && c->wait == CLIENT_WAIT_WRITE)
        client_set_wait(c, CLIENT_WAIT_NOTHING, 0);
    if (x->download != NULL && x->download->length > 0 && spool_drained(x->download) && !x->download->busy)
        spool_reset(x->download);
    return true;
}

static bool client_takes(const struct exchange *x) {
    if (x->client == NULL)
        return true;
    return buf_length(&x->client->out) < CLIENT_OUT_MAX && (x->download == NULL || spool_takes(x->download));
}

/* ---- the head ---- */

/* A Location that begins with '/' but not with the prefix is the worker's idea of its own root. */
static struct str rewritten_location(struct exchange *x, const struct http_head *reply) {
    struct str l = http_value(reply, STR("Location"));
    if (x->prefix.n <= 1 || l.n == 0 || l.p[0] != '/' || (l.n > 1 && l.p[1] == '/') || str_starts(l, x->prefix))
        return STR_NONE;
    struct str bare = str_make(x->prefix.p, x->prefix.n - 1);
    if (str_starts(l, bare) && (l.n == bare.n || l.p[bare.n] == '?' || l.p[bare.n] == '#'))
        return STR_NONE;
    return arena_printf(x->arena, "%.*s%.*s", STR_ARG(bare), STR_ARG(l));
}

static enum http_framing client_framing(const struct exchange *x, const struct http_head *reply) {
    if (reply->framing == HTTP_NO_BODY || reply->framing == HTTP_LENGTH)
        return reply->framing;
    return x->request->minor >= 1 ? HTTP_CHUNKED : HTTP_UNTIL_CLOSE;
}

static bool bodiless(const struct exchange *x, const struct http_head *reply) {
    return x->request->head_method || reply->status == 204 || reply->status == 304;
}

static void write_head(struct exchange *x, const struct http_head *reply) {
    struct http_reply_out out = {
        .head = reply,
        .client_minor = x->request->minor,
        .framing = x->client_framing,
        .framing_fields = reply->status >= 200 && reply->status != 204 && reply->status != 304,
        .content_length = reply->content_length,
        .keep_alive = x->keep_alive && !x->proxy->draining,
        .upgrade = reply->status == 101 ? x->upgrade : STR_NONE,
        .location = rewritten_location(x, reply),
        .request_uuid = str_make(x->uuid_text, 36),
        .set_cookie = x->set_cookie,
    };
    http_write_reply(&x->client->out, &out);
}

static void reply_head(struct exchange *x) {
    const struct http_head *reply = http_reader_head(x->reply_reader);
    x->status = reply->status;
    if (x->client == NULL)
        return;
    x->client_framing = client_framing(x, reply);
    /* The request is not complete yet, or its end could not be told: the connection cannot be used again. */
    if (!x->request_read || x->client_framing == HTTP_UNTIL_CLOSE)
        x->keep_alive = false;
    if (!x->request_read)
        x->client->ours_unread = true;
    if (x->upload != NULL && x->request_sent && !x->upload->busy) /* it is not needed again */
        spool_free(x->upload);
    write_head(x, reply);
    x->head_sent = true;
}

static void reply_informational(struct exchange *x) {
    const struct http_head *reply = http_reader_head(x->reply_reader);
    if (x->client == NULL || x->request->minor == 0 || reply->status == 100) /* 100 is ours to say */
        return;
    struct http_reply_out out = {.head = reply, .client_minor = 1, .framing = HTTP_NO_BODY, .keep_alive = true};
    http_write_reply(&x->client->out, &out);
}

/* ---- from the worker ---- */

static void reply_body(struct exchange *x, struct str body) {
    const struct http_head *reply = http_reader_head(x->reply_reader);
    x->response_bytes += body.n;
    if (x->client == NULL)
        return;
    if (reply->framing == HTTP_LENGTH && x->response_bytes >= reply->content_length)
        exchange_reserve(x);
    if (x->client_framing != HTTP_CHUNKED) {
        reply_put(x, body);
        return;
    }
    struct buf head = {0};
    http_write_chunk_head(&head, body.n);
    reply_put(x, buf_str(&head));
    buf_free(&head);
    reply_put(x, body);
    reply_put(x, HTTP_CHUNK_TAIL);
}

static void reply_end(struct exchange *x) {
    const struct http_head *reply = http_reader_head(x->reply_reader);
    bool clean = reply->keep_alive && x->request_sent && reply->framing != HTTP_UNTIL_CLOSE;
    exchange_reserve(x);
    if (x->client != NULL && x->client_framing == HTTP_CHUNKED && !bodiless(x, reply)) {
        size_t n;
        const struct http_field *trailers = http_reader_trailers(x->reply_reader, &n);
        struct buf last = {0};
        http_write_last_chunk(&last, trailers, n);
        reply_put(x, buf_str(&last));
        buf_free(&last);
    }
    x->reply_read = true;
    if (!x->request_read && x->client != NULL) { /* it answered without reading all: the rest is not wanted */
        x->client->ours_unread = true;
        x->keep_alive = false;
    }
    exchange_release_upstream(x, clean && buf_length(&x->upstream->in) == 0, CLOSE_REPLY_DONE);
    x->step = x->client != NULL ? STEP_FLUSH : STEP_FINISH;
}

/* RFC 9110 7.8: what was not asked for must not be switched to. */
static bool upgrade_was_asked(const struct exchange *x) {
    struct str list = http_reader_head(x->reply_reader)->upgrade_tokens, token, more;
    return str_next_element(&list, &token) && str_ieq(token, x->upgrade) && !str_next_element(&list, &more);
}

static void reply_upgraded(struct exchange *x) {
    if (!upgrade_was_asked(x)) {
        log_printf(x->proxy->log, LOG_WARN, x->target, "101 to another protocol than was asked for");
        (void)exchange_fail(x, 502, CLOSE_WORKER_MALFORMED, "The app switched to a protocol that nobody asked for.");
        return;
    }
    x->status = 101;
    if (x->client == NULL) {
        exchange_release_upstream(x, false, CLOSE_CLIENT_CLOSED);
        x->step = STEP_FINISH;
        return;
    }
    x->client_framing = HTTP_NO_BODY;
    write_head(x, http_reader_head(x->reply_reader));
    x->head_sent = true;
    exchange_reserve(x);
    tunnel_begin(x); /* pins first, so that the lease's end cannot let the worker go */
    exchange_release_upstream(x, false, CLOSE_NONE);
    x->step = STEP_FINISH;
}

static void reply_bad(struct exchange *x) {
    const struct http_error *e = http_reader_error(x->reply_reader);
    log_printf(x->proxy->log, LOG_WARN, x->target, "malformed reply: %s", e->why);
    (void)exchange_fail(x, 502, CLOSE_WORKER_MALFORMED, "The app sent a reply that is not valid HTTP.");
}

static void reply_parse(struct exchange *x) {
    while (x->step == STEP_STREAM && x->upstream != NULL) {
        struct upstream *u = x->upstream;
        struct str in = buf_str(&u->in), body;
        size_t before = in.n;
        enum http_event event = http_reader_next(x->reply_reader, &in, &body);
        size_t taken = before - in.n;
        if (event == HTTP_BODY)
            reply_body(x, body); /* a view into u->in */
        buf_consume(&u->in, taken);
        switch (event) {
        case HTTP_MORE:
            return;
        case HTTP_HEAD:
            reply_head(x);
            break;
        case HTTP_INFORMATIONAL:
            reply_informational(x);
            break;
        case HTTP_BODY:
            break;
        case HTTP_DONE:
            reply_end(x);
            break;
        case HTTP_UPGRADED:
            reply_upgraded(x);
            break;
        case HTTP_BAD:
            reply_bad(x);
            break;
        }
    }
}

/* The worker closed. A connection that was used before may have been closed before it saw our request: once more, on a
 * fresh one (only requests that may be repeated, body included, ever go on such a connection). */
static void reply_cut(struct exchange *x, enum close_reason why) {
    struct upstream *u = x->upstream;
    if (!x->reply_began && u->reused && !x->retried && x->client != NULL) {
        x->retried = true;
        x->upstream = NULL;
        u->exchange = NULL;
        upstream_close(u, why);
        x->request_sent = x->request_broken = false;
        if (x->upload != NULL)
            spool_rewind(x->upload);
        x->step = STEP_CONNECT;
        return;
    }
    if (x->reply_reader != NULL && why == CLOSE_WORKER_CLOSED &&
        http_reader_eof(x->reply_reader, buf_length(&u->in) > 0) == HTTP_DONE) {
        buf_free(&u->in);
        reply_end(x);
        return;
    }
    (void)exchange_fail(x, 502, why, "The app closed the connection before it had answered.");
}

/* httpuv writes head and body apart and waits for our acknowledgement in between (FACTS: 44 ms). */
static void quick_ack(const struct exchange *x) {
    if (x->upstream != NULL && x->upstream->tcp && x->upstream->endpoint->worker != NULL)
        conn_set_quickack(x->upstream->conn.fd);
}

static size_t read_size(const struct exchange *x) {
    return x->reply_began ? READ_LARGE : BUF_BLOCK;
}

void exchange_upstream_readable(struct exchange *x) {
    struct upstream *u = x->upstream;
    if (x->step != STEP_STREAM || !client_takes(x)) {
        conn_want_read(&u->conn, false);
        deadline_clear(&u->conn.deadline);
        return;
    }
    size_t got = 0;
    enum io io = conn_read(&u->conn, &u->in, read_size(x), &got);
    if (buf_length(&u->in) == 0)
        buf_free(&u->in);
    if (io == IO_OK) {
        if (!x->reply_began)
            x->first_byte = mono_since(x->began_mono, x->proxy->loop->now);
        x->reply_began = true;
        if (x->client != NULL) /* for one that left the time is not prolonged: the reply may never end */
            deadline_set(&u->conn.deadline, x->config->request_timeout);
        reply_parse(x);
        quick_ack(x);
    } else if (io != IO_AGAIN)
        reply_cut(x, io == IO_EOF ? CLOSE_WORKER_CLOSED : CLOSE_WORKER_ERROR);
    exchange_run(x);
}

void exchange_upstream_writable(struct exchange *x) {
    exchange_run(x);
}

void exchange_upstream_expired(struct exchange *x) {
    (void)exchange_fail(x, 504, CLOSE_WORKER_TIMEOUT, "The app did not answer in time.");
    exchange_run(x);
}

/* ---- the steps ---- */

enum step_result step_stream(struct exchange *x) {
    /* flush before pump: once the client takes the reply again, its body is awaited again */
    if (x->client != NULL && !reply_flush(x))
        return STEP_MORE;
    if (x->upstream != NULL && !x->request_sent && !x->request_broken && !request_pump(x))
        return STEP_MORE;
    if (x->upstream != NULL && !ev_is_active(&x->upstream->conn.read) && client_takes(x)) {
        conn_want_read(&x->upstream->conn, true);
        deadline_set(&x->upstream->conn.deadline, x->config->request_timeout);
    }
    return STEP_WAIT;
}

enum step_result step_flush(struct exchange *x) {
    if (x->client != NULL && !reply_flush(x))
        return STEP_MORE;
    if (x->client != NULL && (buf_length(&x->client->out) > 0 || spooling(x)))
        return STEP_WAIT;
    x->step = STEP_FINISH;
    return STEP_MORE;
}
