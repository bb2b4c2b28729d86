/*
 * On the path of every request: one buffer on the stack, no printf.
 */
#include "proxy/access_line.h"

#include "base/uuid.h"

#define LINE_MAX_BYTES 4096 /* a longer path or user agent is cut in the log */

struct line {
    char bytes[LINE_MAX_BYTES];
    size_t n;
};

static void put(struct line *l, struct str s) {
    size_t room = sizeof l->bytes - l->n;
    size_t n = s.n < room ? s.n : room;
    if (s.p == NULL)
        return;
    memcpy(l->bytes + l->n, s.p, n);
    l->n += n;
}

/* Inside quotes: a quote or backslash of the client's must not end the field. `most` bounds what is written, so that
 * what follows always has its room. */
static void put_quoted(struct line *l, struct str s, size_t most) {
    s.n = s.n < most ? s.n : most;
    if (s.p == NULL || (memchr(s.p, '"', s.n) == NULL && memchr(s.p, '\\', s.n) == NULL)) {
        put(l, s);
        return;
    }
    for (size_t i = 0, written = 0; i < s.n && written + 1 < most; i++, written++) {
        if (s.p[i] == '"' || s.p[i] == '\\') {
            put(l, STR("\\"));
            written++;
        }
        put(l, str_make(s.p + i, 1));
    }
}

static void put_number(struct line *l, uint64_t v) {
    char digits[20];
    size_t n = sizeof digits;
    do
        digits[--n] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    put(l, str_make(digits + n, sizeof digits - n));
}

static struct log_field optional(const char *name, struct str s) {
    return s.p != NULL ? LOG_STR(name, s) : (struct log_field){name, LOG_FIELD_NULL, STR_NONE, 0};
}

static struct log_field microseconds(const char *name, dur_t d) {
    return d >= 0 ? LOG_INT(name, d) : (struct log_field){name, LOG_FIELD_NULL, STR_NONE, 0};
}

void access_line(struct log *log, const struct request_event *e) {
    if (!log_enabled(log, LOG_INFO))
        return;
    struct line l;
    l.n = 0;
    char ip[IP_TEXT_MAX], uuid[37];
    struct str client = e->client.family != AF_UNSPEC ? str_make(ip, ip_format(&e->client, ip, sizeof ip)) : STR_NONE;
    put(&l, client.n > 0 ? client : STR("-"));
    put(&l, STR(" \""));
    if (e->method.p != NULL) {
        put(&l, e->method);
        put(&l, STR(" "));
        put_quoted(&l, e->raw_path, LINE_MAX_BYTES / 2);
        put(&l, e->http_minor == 0 ? STR(" HTTP/1.0") : STR(" HTTP/1.1"));
    } else
        put(&l, STR("-"));
    put(&l, STR("\" "));
    put_number(&l, e->status);
    put(&l, STR(" \""));
    put_quoted(&l, e->user_agent.n > 0 ? e->user_agent : STR("-"), LINE_MAX_BYTES / 4);
    put(&l, STR("\" "));
    put_number(&l, (uint64_t)(e->total / DUR_MS));

    uuid_format(&e->request_uuid, uuid);
    const struct log_field fields[] = {
        optional("ip", client),
        optional("method", e->method),
        optional("path", e->method.p != NULL ? e->raw_path : STR_NONE),
        optional("query", e->query),
        optional("route", e->worker_route),
        optional("host", e->host),
        LOG_INT("status", e->status),
        optional("user_agent", e->user_agent),
        LOG_INT("elapsed_ms", e->total / DUR_MS),
        LOG_STR("request_uuid", str_make(uuid, 36)),
        optional("app", e->app),
        e->worker_id > 0 ? LOG_INT("worker_id", e->worker_id) : optional("worker_id", STR_NONE),
        LOG_STR("namespace", e->namespace),
        optional("version", e->version),
        LOG_INT("request_bytes", e->request_bytes),
        LOG_INT("response_bytes", e->response_bytes),
        microseconds("queue_us", e->queued),
        microseconds("first_byte_us", e->first_byte),
        LOG_INT("total_us", e->total),
        optional("error", str_of(e->error)),
        LOG_INT("attempts", e->attempts),
        optional("trace_id", e->trace_id),
        LOG_INT("config", e->config),
    };
    log_record(log, LOG_INFO, e->target, str_make(l.bytes, l.n), fields, ARRAY_LENGTH(fields));
}
