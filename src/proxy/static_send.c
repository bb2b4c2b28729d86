/*
 * FILE: a static file on its way. It is looked up by a helper; its bytes go out
 * by sendfile(2) once a helper has brought them into the page cache, so that a
 * slow disk stops nobody: RWF_NOWAIT tells whether they are there already.
 */
#include <errno.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#include "http/writer.h"
#include "proxy/exchange.h"

#define WINDOW ((uint64_t)512 * 1024)

static void looked_up(struct helper_job *job) {
    struct static_send *f = CONTAINER_OF(job, struct static_send, lookup.job);
    f->looking = false;
    exchange_run(f->exchange);
}

static enum step_result look_up(struct exchange *x) {
    struct static_send *f = ARENA_NEW(x->arena, struct static_send);
    x->file = f;
    f->exchange = x;
    f->lookup.root = x->config->dir;
    f->lookup.path = x->worker_path;
    f->lookup.fd = -1;
    static_lookup_prepare(&f->lookup);
    f->lookup.job.done = looked_up;
    f->looking = helper_submit(x->proxy->helpers, &f->lookup.job);
    return f->looking ? STEP_WAIT
                      : exchange_answer(x, 503, "helpers_busy", "The server is busy. Try again in a moment.");
}

static enum step_result answer_lookup(struct exchange *x, unsigned status) {
    switch (status) {
    case 308:
        return exchange_redirect_to_slash(x);
    case 403:
        return exchange_answer(x, 403, "forbidden", "This file cannot be read.");
    case 404:
        return exchange_answer(x, 404, "no_file", "There is nothing at this address.");
    case 503:
        return exchange_answer(x, 503, "no_descriptors", "The server is busy. Try again in a moment.");
    default:
        return exchange_answer(x, 500, "file_error", "This file cannot be read.");
    }
}

/* For telemetry. NULL: nothing is wrong. */
static const char *error_of(unsigned status) {
    return status == 405 ? "method_not_allowed" : status == 416 ? "bad_range" : NULL;
}

static void begin_reply(struct exchange *x) {
    struct static_send *f = x->file;
    struct static_reply reply;
    static_reply_decide(&reply, &f->lookup, x->request, x->arena);
    x->status = reply.status;
    x->error = error_of(reply.status);
    if (!x->request_read) {
        x->keep_alive = false;
        x->client->ours_unread = true;
    }
    struct http_reply_out out = {
        .head = &reply.head,
        .client_minor = x->request->minor,
        .framing = HTTP_LENGTH,
        .framing_fields = reply.status != 304,
        .content_length = reply.head.content_length,
        .keep_alive = x->keep_alive && !x->proxy->draining,
        .request_uuid = str_make(x->uuid_text, 36),
    };
    http_write_reply(&x->client->out, &out);
    x->head_sent = true;
    f->offset = reply.offset;
    f->left = reply.send_body ? reply.length : 0;
    if (f->left == 0)
        exchange_reserve(x);
}

/* ---- page cache ---- */

static void warm_run(struct helper_job *job) {
    struct static_send *f = CONTAINER_OF(job, struct static_send, warm);
    char scratch[64 * 1024];
    uint64_t at = f->offset, end = f->offset + (f->left < WINDOW ? f->left : WINDOW);
    while (at < end) {
        ssize_t n = pread(f->lookup.fd, scratch, sizeof scratch, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        at += (uint64_t)n;
    }
}

static void warm_done(struct helper_job *job) {
    struct static_send *f = CONTAINER_OF(job, struct static_send, warm);
    f->warming = false;
    exchange_run(f->exchange);
}

static bool in_cache(int fd, uint64_t at) {
    char byte;
    struct iovec v = {&byte, 1};
    return preadv2(fd, &v, 1, (off_t)at, RWF_NOWAIT) >= 0;
}

/* May sendfile go from f->offset on? False: a helper reads ahead and comes back. */
static bool warm(struct exchange *x) {
    struct static_send *f = x->file;
    if (f->offset < f->warmed)
        return true;
    uint64_t window = f->left < WINDOW ? f->left : WINDOW;
    f->warmed = f->offset + window;
    if (in_cache(f->lookup.fd, f->offset) && in_cache(f->lookup.fd, f->warmed - 1))
        return true;
    f->warm.run = warm_run;
    f->warm.done = warm_done;
    f->warming = helper_submit(x->proxy->helpers, &f->warm);
    return !f->warming;
}

/* ---- sending ---- */

static enum step_result await_writable(struct exchange *x, bool progress) {
    struct client *c = x->client;
    conn_want_write(&c->conn, true);
    if (progress || c->wait != CLIENT_WAIT_WRITE)
        client_set_wait(c, CLIENT_WAIT_WRITE, x->snapshot->daemon.timeout_write);
    return STEP_WAIT;
}

static enum step_result send_some(struct exchange *x) {
    struct static_send *f = x->file;
    bool progress = false;
    for (unsigned budget = 8; f->left > 0; budget--) {
        if (budget == 0) /* the others' turn; the socket is writable, so this comes back */
            return await_writable(x, progress);
        if (!warm(x)) {
            conn_want_write(&x->client->conn, false);
            client_set_wait(x->client, CLIENT_WAIT_NOTHING, 0);
            return STEP_WAIT;
        }
        uint64_t window = f->warmed - f->offset;
        off_t at = (off_t)f->offset;
        if (window >= f->left)
            exchange_reserve(x);
        ssize_t n = sendfile(x->client->conn.fd, f->lookup.fd, &at, (size_t)(window < f->left ? window : f->left));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return await_writable(x, progress);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET || errno == ETIMEDOUT)) {
            exchange_client_left(x, CLOSE_CLIENT_RESET);
            return STEP_MORE;
        }
        if (n <= 0) /* the disk failed, or the file was truncated meanwhile: the reply is cut off */
            return exchange_fail(x, 500, CLOSE_WORKER_ERROR, NULL);
        progress = true;
        f->offset += (uint64_t)n;
        f->left -= (uint64_t)n;
        x->response_bytes += (uint64_t)n;
    }
    x->step = STEP_FLUSH;
    return STEP_MORE;
}

enum step_result step_file(struct exchange *x) {
    struct static_send *f = x->file;
    if (f == NULL)
        return look_up(x);
    if (f->looking || f->warming)
        return STEP_WAIT;
    if (!x->head_sent) {
        if (f->lookup.status != 200)
            return answer_lookup(x, f->lookup.status);
        begin_reply(x);
    }
    if (!reply_flush(x))
        return STEP_MORE;
    return buf_length(&x->client->out) > 0 ? STEP_WAIT : send_some(x);
}
