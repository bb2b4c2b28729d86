/*
 * On the path of every request: no printf, one buffer, each field written once,
 * in the order of columns.def.
 */
#include "telemetry/http_event.h"

#include "telemetry/columns.h"

/* The longest beginning of at most max bytes that ends between two characters. Bytes that are no UTF-8 may be parted
 * anywhere. */
static struct str cut(struct str s, size_t max) {
    if (s.n <= max)
        return s;
    size_t n = max;
    for (size_t back = 0; back < 4 && n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80; back++)
        n--;
    return str_make(s.p, ((unsigned char)s.p[n] & 0xc0) == 0x80 ? max : n);
}

void query_keys(struct buf *out, struct str query) {
    while (query.n > 0) {
        struct str piece = str_make(query.p, str_chr(query, '&'));
        buf_append(out, str_make(piece.p, str_chr(piece, '=')));
        if (piece.n < query.n)
            buf_append_char(out, '&');
        query = str_from(query, piece.n + 1);
    }
}

struct ip ip_private(const struct ip *ip, enum ip_privacy privacy) {
    struct ip out = *ip;

    if (privacy == IP_OFF)
        out.family = AF_UNSPEC;
    else if (privacy == IP_TRUNCATED && ip->family == AF_INET)
        out.b[15] = 0;
    else if (privacy == IP_TRUNCATED && ip->family == AF_INET6)
        memset(out.b + 6, 0, sizeof out.b - 6);
    return out;
}

static void write_query(struct record_draft *d, struct str query, enum query_privacy privacy) {
    if (query.p == NULL || privacy == QUERY_OFF)
        return;
    if (privacy == QUERY_FULL) {
        record_text(d, COLUMN_OF_HTTP_query_params, cut(query, HTTP_EVENT_QUERY_MAX));
        return;
    }
    struct buf keys = {0};
    query_keys(&keys, query);
    struct str s = buf_str(&keys);
    record_text(d, COLUMN_OF_HTTP_query_params, s.p == NULL ? STR("") : cut(s, HTTP_EVENT_QUERY_MAX));
    buf_free(&keys);
}

static void write_duration(struct record_draft *d, unsigned column, dur_t v) {
    if (v >= 0)
        record_integer(d, column, v);
}

static void write_worker(struct record_draft *d, const struct request_event *e) {
    record_text(d, COLUMN_OF_HTTP_target, e->target);
    if (e->worker_id == 0)
        return;
    record_text(d, COLUMN_OF_HTTP_worker_route, e->worker_route);
    record_integer(d, COLUMN_OF_HTTP_worker_id, e->worker_id);
}

static void write_request(struct record_draft *d, const struct request_event *e, const struct http_event_rules *r) {
    struct ip ip = ip_private(&e->client, r->ip);

    record_ip(d, COLUMN_OF_HTTP_ip_addr, &ip);
    if (e->method.p == NULL)
        return;
    record_text(d, COLUMN_OF_HTTP_method, cut(e->method, HTTP_EVENT_METHOD_MAX));
    record_text(d, COLUMN_OF_HTTP_path, cut(e->path, HTTP_EVENT_PATH_MAX));
    write_query(d, e->query, r->query);
    record_text(d, COLUMN_OF_HTTP_http_version, e->http_minor == 0 ? STR("HTTP/1.0") : STR("HTTP/1.1"));
    record_text(d, COLUMN_OF_HTTP_user_agent, cut(e->user_agent, HTTP_EVENT_USER_AGENT_MAX));
}

/* Columns that are not the seed's. */
static void write_more(struct record_draft *d, const struct request_event *e, const struct http_event_rules *r) {
    record_text(d, COLUMN_OF_HTTP_app, e->app);
    record_text(d, COLUMN_OF_HTTP_instance, r->instance);
    record_integer(d, COLUMN_OF_HTTP_config, (int64_t)e->config);
    if (e->worker_id > 0 && e->generation > 0)
        record_integer(d, COLUMN_OF_HTTP_generation, (int64_t)e->generation);
    if (e->method.p != NULL)
        record_text(d, COLUMN_OF_HTTP_host, cut(e->host, HTTP_EVENT_HOST_MAX));
    write_duration(d, COLUMN_OF_HTTP_queue_us, e->queued);
    record_integer(d, COLUMN_OF_HTTP_attempts, e->attempts);
    if (e->method.p != NULL)
        record_text(d, COLUMN_OF_HTTP_trace_id, e->trace_id);
}

void http_event_begin(struct record_draft *d, const struct request_event *e, const struct http_event_rules *r) {
    record_begin(d, RECORD_HTTP);
    record_uuid(d, COLUMN_OF_HTTP_request_uuid, &e->request_uuid);
    record_text(d, COLUMN_OF_HTTP_namespace, e->namespace);
    record_text(d, COLUMN_OF_HTTP_version, e->version);
    write_worker(d, e);
    write_request(d, e, r);
    record_time(d, COLUMN_OF_HTTP_time, e->began);
    write_more(d, e, r);
    record_skip_to(d, HTTP_EVENT_END);
}

void http_event_end(struct record_draft *d, const struct request_event *e) {
    if (e->status > 0)
        record_integer(d, COLUMN_OF_HTTP_status, e->status);
    record_integer(d, COLUMN_OF_HTTP_elapsed, e->total / DUR_MS);
    record_integer(d, COLUMN_OF_HTTP_request_bytes, (int64_t)e->request_bytes);
    record_integer(d, COLUMN_OF_HTTP_response_bytes, (int64_t)e->response_bytes);
    write_duration(d, COLUMN_OF_HTTP_first_byte_us, e->first_byte);
    record_integer(d, COLUMN_OF_HTTP_total_us, e->total);
    record_text(d, COLUMN_OF_HTTP_error, str_of(e->error));
    record_end(d);
}
