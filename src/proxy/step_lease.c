/*
 * LEASE and CONNECT: the right to use an endpoint, then a connection to it.
 * Connecting failed: any method is tried elsewhere. Only idempotent requests
 * with a body that can be replayed go on a connection that was used before
 * (RFC 9110 9.2.2): the worker may close it at the moment we write.
 */
#include <errno.h>

#include "proxy/exchange.h"

#define CONNECT_ATTEMPTS 4

static enum step_result refused(struct exchange *x, enum lease_refusal why) {
    static const struct {
        unsigned status;
        const char *error, *detail;
    } answers[] = {
        [LEASE_QUEUE_FULL] = {503, "queue_full", "Too many requests wait for this app. Try again in a moment."},
        [LEASE_QUEUE_TIMEOUT] = {503, "queue_timeout", "This app is busy. Try again in a moment."},
        [LEASE_NO_WORKER] = {503, "no_worker", "This app is starting or being restarted. Try again in a moment."},
        [LEASE_NO_UPSTREAM] = {503, "no_upstream", "This app cannot be reached. Try again in a moment."},
        [LEASE_APP_GONE] = {503, "app_gone", "This app is being stopped."},
    };
    ASSERT((size_t)why < ARRAY_LENGTH(answers) && answers[why].status != 0);
    if (why == LEASE_NO_UPSTREAM && x->attempts > 0) /* this request found out */
        return exchange_answer(x, 502, close_reason_name(CLOSE_CONNECT_FAILED), answers[why].detail);
    return exchange_answer(x, answers[why].status, answers[why].error, answers[why].detail);
}

static struct exchange *exchange_of_lease(struct lease *l) {
    struct exchange *x = CONTAINER_OF(l, struct exchange, lease);
    CHECK_OBJ(x, EXCHANGE_MAGIC);
    return x;
}

static void lease_granted(struct lease *l) {
    exchange_resume(exchange_of_lease(l), STEP_CONNECT);
}

static void lease_refused(struct lease *l, enum lease_refusal why) {
    struct exchange *x = exchange_of_lease(l);
    (void)refused(x, why);
    exchange_run(x);
}

enum step_result step_lease(struct exchange *x) {
    if (x->lease.state == LEASE_QUEUED)
        return STEP_WAIT;
    x->lease.client = x->client_key;
    x->lease.granted = lease_granted;
    x->lease.refused = lease_refused;
    enum lease_refusal why = lease_request(&x->lease, x->app, x->config);
    if (why != LEASE_OK)
        return refused(x, why);
    if (x->lease.state == LEASE_QUEUED) {
        if (x->client->eof) { /* FIN while queued: the client left */
            exchange_client_left(x, CLOSE_CLIENT_CLOSED);
            return STEP_MORE;
        }
        client_set_wait(x->client, CLIENT_WAIT_NOTHING, 0);
        return STEP_WAIT;
    }
    x->step = STEP_CONNECT;
    return STEP_MORE;
}

static void served_by(struct exchange *x, const struct endpoint *e) {
    x->queued = mono_since(x->lease.asked, x->lease.granted_at);
    x->worker_id = e->worker_id;
    x->generation = app_generation_of(e);
    size_t n = strnlen(e->source, sizeof x->target - 1);
    memcpy(x->target, e->source, n);
    x->target[n] = '\0';
}

static enum step_result attach(struct exchange *x, struct upstream *u) {
    ASSERT(u->exchange == NULL);
    u->exchange = x;
    x->upstream = u;
    x->step = STEP_SEND;
    return STEP_MORE;
}

static enum step_result connect_failed(struct exchange *x, int error) {
    const struct endpoint *e = x->lease.endpoint;
    log_printf(x->proxy->log, LOG_WARN, x->target, "connecting failed: %s", strerror(error));
    lease_connect_failed(&x->lease, error);
    x->lease.avoid = e;
    if (x->attempts < CONNECT_ATTEMPTS) {
        x->step = STEP_LEASE;
        return STEP_MORE;
    }
    bool late = error == ETIMEDOUT;
    return exchange_fail(x, lease_error_is_ours(error) ? 503 : 502, late ? CLOSE_CONNECT_TIMEOUT : CLOSE_CONNECT_FAILED,
                         "This app cannot be reached. Try again in a moment.");
}

static void dialled(struct dial *d, int fd, int error) {
    struct exchange *x = CONTAINER_OF(d, struct exchange, dial);
    CHECK_OBJ(x, EXCHANGE_MAGIC);
    x->dialling = false;
    if (fd < 0)
        (void)connect_failed(x, error);
    else
        (void)attach(x, upstream_new(x->proxy, x->lease.endpoint, fd));
    exchange_run(x);
}

static bool may_reuse(const struct exchange *x) {
    bool replayable = x->request->framing == HTTP_NO_BODY || x->request->content_length == 0 || x->upload != NULL;
    if (x->request->framing == HTTP_CHUNKED)
        replayable = x->upload != NULL;
    return x->request->idempotent && replayable && x->upgrade.n == 0 && !x->retried;
}

enum step_result step_connect(struct exchange *x) {
    if (x->dialling)
        return STEP_WAIT;
    struct endpoint *e = x->lease.endpoint;
    CHECK_OBJ_NOTNULL(e, ENDPOINT_MAGIC);
    x->attempts++;
    served_by(x, e);
    struct upstream *idle = may_reuse(x) ? upstream_take_idle(e) : NULL;
    if (idle != NULL)
        return attach(x, idle);
    memset(&x->dial, 0, sizeof x->dial);
    int fd = dial_start(&x->dial, x->proxy->loop, &e->address, x->snapshot->daemon.timeout_connect, dialled);
    if (fd >= 0)
        return attach(x, upstream_new(x->proxy, e, fd));
    x->dialling = errno == EINPROGRESS;
    return x->dialling ? STEP_WAIT : connect_failed(x, errno);
}
