/* One HTTP request to a worker that has just started; see probe.h. */
#include "app/probe.h"

#include <errno.h>

#define BODY_TIME (500 * DUR_MS)
#define PROBE_REQUEST                                                                                                  \
    STR("GET / HTTP/1.1\r\n"                                                                                           \
        "Host: localhost\r\n"                                                                                          \
        "User-Agent: faucet\r\n"                                                                                       \
        "Accept: */*\r\n"                                                                                              \
        "Connection: close\r\n\r\n")

static void forget(struct probe *p) {
    dial_cancel(&p->dial);
    conn_close(&p->conn, CLOSE_REPLY_DONE);
    buf_free(&p->in);
    buf_free(&p->out);
    arena_free(p->arena);
    p->arena = NULL;
    p->reader = NULL;
    p->answered = false;
}

/* Once a head has arrived it is an answer, whatever becomes of its body. */
static void finish(struct probe *p, bool answered, int error, const char *why) {
    bool yes = answered || p->answered;
    forget(p);
    p->done(p, yes, yes ? 0 : error, yes ? NULL : why);
}

/* The body is read as well, for a moment: a worker that writes to a closed connection would log an error at each start.
 */
static void head_arrived(struct probe *p) {
    p->answered = true;
    deadline_set(&p->conn.deadline, BODY_TIME);
}

static void send_request(struct conn *c) {
    struct probe *p = CONTAINER_OF(c, struct probe, conn);
    size_t sent;

    switch (conn_write_buf(c, &p->out, &sent)) {
    case IO_OK:
        conn_want_write(c, false);
        break;
    case IO_AGAIN:
        conn_want_write(c, true);
        break;
    case IO_EOF:
    case IO_ERROR:
        finish(p, false, 0, "closed the connection before the request was sent");
        break;
    }
}

/* Informational heads are read over: only a final one is an answer. */
static void judge(struct probe *p) {
    for (;;) {
        struct str in = buf_str(&p->in), body;
        size_t before = in.n;
        enum http_event event = http_reader_next(p->reader, &in, &body);
        buf_consume(&p->in, before - in.n);
        switch (event) {
        case HTTP_MORE:
            return;
        case HTTP_INFORMATIONAL:
            continue;
        case HTTP_BAD:
            finish(p, false, 0, "answered with something that is not HTTP");
            return;
        case HTTP_HEAD:
            head_arrived(p);
            continue;
        case HTTP_BODY:
            continue;
        case HTTP_UPGRADED:
        case HTTP_DONE:
            finish(p, true, 0, NULL);
            return;
        }
    }
}

static void on_readable(struct conn *c) {
    struct probe *p = CONTAINER_OF(c, struct probe, conn);
    size_t got;

    switch (conn_read(c, &p->in, 4096, &got)) {
    case IO_OK:
        judge(p);
        break;
    case IO_AGAIN:
        break;
    case IO_EOF:
        finish(p, false, 0, "closed the connection without an answer");
        break;
    case IO_ERROR:
        finish(p, false, 0, "reset the connection without an answer");
        break;
    }
}

static void on_expired(struct conn *c) {
    finish(CONTAINER_OF(c, struct probe, conn), false, 0, "took the request but did not answer in time");
}

static const struct conn_ops probe_ops = {on_readable, send_request, on_expired};

static void use_connection(struct probe *p, int fd) {
    const struct http_limits limits = {.header_size = p->header_size};

    conn_init(&p->conn, p->loop, fd, &probe_ops);
    p->answered = false;
    p->arena = arena_new(4096);
    p->reader = http_reply_reader(p->arena, &limits, false, false);
    buf_append(&p->out, PROBE_REQUEST);
    conn_want_read(&p->conn, true);
    conn_want_write(&p->conn, true); /* from the loop, so that done() never runs inside probe_start */
    deadline_set(&p->conn.deadline, mono_since(p->loop->now, p->give_up));
}

static void dialled(struct dial *d, int fd, int error) {
    struct probe *p = CONTAINER_OF(d, struct probe, dial);

    if (fd >= 0)
        use_connection(p, fd);
    else
        finish(p, false, error, strerror(error));
}

void probe_init(struct probe *p, struct loop *loop, void (*done)(struct probe *, bool, int, const char *)) {
    *p = (struct probe){.loop = loop, .done = done};
    p->conn.fd = -1;
}

int probe_start(struct probe *p, const struct address *to, dur_t timeout, size_t header_size) {
    ASSERT(p->reader == NULL);
    p->header_size = header_size;
    p->give_up = mono_add(p->loop->now, timeout);
    p->dial = (struct dial){0};
    int fd = dial_start(&p->dial, p->loop, to, timeout, dialled);
    if (fd >= 0)
        use_connection(p, fd);
    else if (errno != EINPROGRESS)
        return errno;
    return 0;
}

void probe_cancel(struct probe *p) {
    forget(p);
}
