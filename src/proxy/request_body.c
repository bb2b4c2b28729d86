/*
 * The request on its way to the worker. Where concurrency is limited the whole
 * body is collected before a lease is taken (COLLECT), so that a slow client
 * holds no worker; otherwise it streams, with back-pressure.
 */
#include "http/writer.h"
#include "proxy/exchange.h"

#define PIECE_MAX (2 * BUF_BLOCK) /* taken from the spool at once */

static void say_continue(struct exchange *x) {
    if (!x->request->expect_continue || x->continue_sent || x->head_sent)
        return;
    x->continue_sent = true;
    buf_append(&x->client->out, HTTP_CONTINUE);
}

enum take { TAKE_PIECE, TAKE_MORE, TAKE_DONE, TAKE_FAILED };

static enum take refuse(struct exchange *x, unsigned status, const char *error, const char *detail) {
    if (x->head_sent) /* an early reply is on its way already: the request is simply cut */
        (void)exchange_fail(x, status, CLOSE_BAD_REQUEST, detail);
    else
        (void)exchange_answer(x, status, error, detail);
    return TAKE_FAILED;
}

/* The client owes us nothing now: its body is complete, or it is the worker or the disk that is behind. */
static void body_not_awaited(struct client *c) {
    if (c->wait == CLIENT_WAIT_BODY)
        client_set_wait(c, CLIENT_WAIT_NOTHING, 0);
}

/* The next piece of body from what the client sent; valid until `taken` bytes are consumed from client->in. */
static enum take take_piece(struct exchange *x, struct str *piece, size_t *taken) {
    struct client *c = x->client;
    struct str in = buf_str(&c->in);
    size_t before = in.n;
    enum http_event event = http_reader_next(x->reader, &in, piece);
    *taken = before - in.n;
    switch (event) {
    case HTTP_BODY:
        x->request_bytes += piece->n;
        if (x->config->body_size != SIZE_UNLIMITED && x->request_bytes > (uint64_t)x->config->body_size)
            return refuse(x, 413, "body_too_large", "The request's body is larger than this app takes.");
        return TAKE_PIECE;
    case HTTP_DONE:
        buf_consume(&c->in, *taken);
        x->request_read = true;
        body_not_awaited(c);
        conn_want_read(&c->conn, !c->eof); /* back-pressure may have stopped it; from now on it tells who leaves */
        return TAKE_DONE;
    case HTTP_BAD: {
        const struct http_error *e = http_reader_error(x->reader);
        return refuse(x, e->status, "bad_request", e->why);
    }
    default:
        buf_consume(&c->in, *taken);
        return TAKE_MORE;
    }
}

/* More bytes are needed from the client, whatever is left in `in` (an incomplete trailer section, say). True: the
 * caller waits for them; false: none can come, the client is gone. */
static bool await_client(struct exchange *x) {
    struct client *c = x->client;
    if (c->eof) {
        exchange_client_left(x, CLOSE_CLIENT_CLOSED);
        return false;
    }
    conn_want_read(&c->conn, true);
    if (c->wait != CLIENT_WAIT_WRITE)
        client_set_wait(c, CLIENT_WAIT_BODY, x->snapshot->daemon.timeout_body);
    return true;
}

/* ---- COLLECT ---- */

static void upload_progress(struct spool *s);

static void upload_begin(struct exchange *x) {
    x->upload = ARENA_NEW(x->arena, struct spool);
    spool_init(x->upload, x->proxy->helpers, upload_progress);
    x->upload->owner = x;
    say_continue(x);
}

static void upload_progress(struct spool *s) {
    struct exchange *x;
    CAST_OBJ_NOTNULL(x, s->owner, EXCHANGE_MAGIC);
    exchange_run(x);
}

static enum step_result upload_failed(struct exchange *x) {
    log_warn(x->proxy->log, "a request's body cannot be kept in a temporary file: %s", strerror(x->upload->error));
    return x->head_sent ? exchange_fail(x, 503, CLOSE_WORKER_ERROR, NULL)
                        : exchange_answer(x, 503, "no_space", "The server cannot take this request's body now.");
}

enum step_result step_collect(struct exchange *x) {
    if (x->upload == NULL)
        upload_begin(x);
    if (!reply_flush(x)) /* 100 Continue */
        return STEP_MORE;
    while (!x->request_read) {
        if (x->upload->failed)
            return upload_failed(x);
        if (!spool_takes(x->upload)) {
            conn_want_read(&x->client->conn, false);
            body_not_awaited(x->client);
            return STEP_WAIT;
        }
        struct str piece;
        size_t taken;
        switch (take_piece(x, &piece, &taken)) {
        case TAKE_PIECE:
            spool_write(x->upload, piece);
            buf_consume(&x->client->in, taken);
            break;
        case TAKE_MORE:
            return await_client(x) ? STEP_WAIT : STEP_MORE;
        case TAKE_DONE:
            break;
        case TAKE_FAILED:
            return STEP_MORE;
        }
    }
    x->step = STEP_LEASE;
    return STEP_MORE;
}

/* ---- SEND ---- */

/* What the worker is told of the body: a collected one has a known length. */
static enum http_framing worker_framing(const struct exchange *x, uint64_t *length) {
    *length = x->request->content_length;
    if (x->upload == NULL)
        return x->request->framing;
    *length = x->upload->length;
    return HTTP_LENGTH;
}

enum step_result step_send(struct exchange *x) {
    struct upstream *u = x->upstream;
    struct http_request_out out = {
        .head = x->request,
        .path = x->worker_path,
        .query = x->request->query,
        .host = x->request->host.n > 0 ? x->request->host : STR("localhost"), /* HTTP/1.0 may come without */
        .keep_alive = true,
        .upgrade = x->upgrade,
        .forwarded_for = x->forwarded_for,
        .forwarded_proto = x->forwarded_proto,
        .forwarded_host = x->forwarded_host,
        .forwarded_prefix = x->forwarded_prefix,
        .request_uuid = str_make(x->uuid_text, 36),
        .traceparent = x->traceparent,
    };
    out.framing = worker_framing(x, &out.content_length);
    x->request_framing = out.framing;
    http_write_request(&u->out, &out);
    x->reply_reader = http_reply_reader(x->arena, &x->proxy->limits, x->request->head_method, x->upgrade.n > 0);
    x->request_queued = x->request_read && (x->upload == NULL || x->upload->length == 0);
    x->reply_began = false;
    if (x->upload == NULL && !x->request_read)
        say_continue(x);
    conn_want_read(&u->conn, true);
    x->step = STEP_STREAM;
    (void)reply_flush(x); /* 100 Continue; when the client is gone, x->step says what follows */
    return STEP_MORE;
}

static void queue_piece(struct exchange *x, struct str piece) {
    struct buf *out = &x->upstream->out;
    if (x->request_framing == HTTP_CHUNKED)
        http_write_chunk_head(out, piece.n);
    buf_append(out, piece);
    if (x->request_framing == HTTP_CHUNKED)
        buf_append(out, HTTP_CHUNK_TAIL);
}

static void queue_end(struct exchange *x) {
    if (x->request_framing == HTTP_CHUNKED) {
        size_t n;
        const struct http_field *trailers = http_reader_trailers(x->reader, &n);
        http_write_last_chunk(&x->upstream->out, trailers, n);
    }
    x->request_queued = true;
}

enum fill { FILL_MORE, FILL_WAIT, FILL_STOP };

static enum fill fill_from_spool(struct exchange *x) {
    struct str piece = spool_peek(x->upload);
    if (piece.n > 0) {
        piece.n = piece.n < PIECE_MAX ? piece.n : PIECE_MAX;
        queue_piece(x, piece);
        spool_consume(x->upload, piece.n);
    } else if (spool_drained(x->upload))
        queue_end(x);
    else if (x->upload->broken) {
        (void)upload_failed(x);
        return FILL_STOP;
    } else
        return FILL_WAIT;
    return FILL_MORE;
}

static enum fill fill_from_client(struct exchange *x) {
    if (x->client == NULL)
        return FILL_WAIT;
    struct str piece;
    size_t taken;
    switch (take_piece(x, &piece, &taken)) {
    case TAKE_PIECE:
        queue_piece(x, piece);
        buf_consume(&x->client->in, taken);
        return FILL_MORE;
    case TAKE_DONE:
        queue_end(x);
        return FILL_MORE;
    case TAKE_MORE:
        return await_client(x) ? FILL_WAIT : FILL_STOP;
    default:
        return FILL_STOP;
    }
}

/* The worker has something to do: request_timeout runs from here. */
static void upstream_expect(struct exchange *x) {
    deadline_set(&x->upstream->conn.deadline, x->config->request_timeout);
}

/* The worker closed its reading side: it may have answered early, so reading its reply decides what happened. */
static void request_broken(struct exchange *x) {
    struct upstream *u = x->upstream;
    buf_free(&u->out);
    conn_want_write(&u->conn, false);
    x->request_broken = true;
    upstream_expect(x);
    if (x->client != NULL && !x->request_read) {
        conn_want_read(&x->client->conn, false);
        body_not_awaited(x->client);
    }
}

/* Puts head and body together into upstream->out until it is worth a write; small chunks would cost a system call each
 * otherwise. */
static enum fill request_fill(struct exchange *x) {
    enum fill fill = FILL_MORE;
    while (fill == FILL_MORE && !x->request_queued && buf_length(&x->upstream->out) < BUF_BLOCK)
        fill = x->upload != NULL ? fill_from_spool(x) : fill_from_client(x);
    return fill;
}

bool request_pump(struct exchange *x) {
    struct upstream *u = x->upstream;
    for (;;) {
        enum fill fill = request_fill(x);
        if (fill == FILL_STOP)
            return false;
        size_t sent = 0;
        enum io io = conn_write_buf(&u->conn, &u->out, &sent);
        if (io == IO_ERROR) {
            request_broken(x);
            return true;
        }
        if (sent > 0 || (io == IO_AGAIN && u->conn.deadline.at.us == MONO_NONE.us))
            upstream_expect(x);
        if (io == IO_AGAIN) { /* the client's bytes pile up in `in` meanwhile, client_read stops at its limit */
            conn_want_write(&u->conn, true);
            if (x->client != NULL)
                body_not_awaited(x->client);
            return true;
        }
        if (!x->request_queued && fill == FILL_MORE)
            continue;
        conn_want_write(&u->conn, false);
        if (x->request_queued) {
            x->request_sent = true;
            upstream_expect(x);
        } else if (!x->head_sent) /* the worker waits for the client too: its time has not begun */
            deadline_clear(&u->conn.deadline);
        return true;
    }
}
