/*
 * On the path of every request, twice (reserved, finished): no printf, one
 * buffer; what the end of a request may change comes last.
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

static void write_query(struct buf *out, struct str query, enum query_privacy privacy) {
    if (query.p == NULL || privacy == QUERY_OFF)
        return;
    if (privacy == QUERY_FULL) {
        record_text(out, COLUMN_OF_HTTP_query_params, cut(query, HTTP_EVENT_QUERY_MAX));
        return;
    }
    struct buf keys = {0};
    query_keys(&keys, query);
    struct str s = buf_str(&keys);
    record_text(out, COLUMN_OF_HTTP_query_params, s.p == NULL ? STR("") : cut(s, HTTP_EVENT_QUERY_MAX));
    buf_free(&keys);
}

static void write_time(struct buf *out, unsigned column, dur_t d) {
    if (d >= 0)
        record_integer(out, column, d);
}

static void write_worker(struct buf *out, const struct request_event *e) {
    record_text(out, COLUMN_OF_HTTP_target, e->target);
    record_text(out, COLUMN_OF_HTTP_app, e->app);
    if (e->worker_id == 0)
        return;
    record_text(out, COLUMN_OF_HTTP_worker_route, e->worker_route);
    record_integer(out, COLUMN_OF_HTTP_worker_id, e->worker_id);
    if (e->generation > 0)
        record_integer(out, COLUMN_OF_HTTP_generation, (int64_t)e->generation);
}

static void write_request(struct buf *out, const struct request_event *e, const struct http_event_rules *r) {
    struct ip ip = ip_private(&e->client, r->ip);

    record_ip(out, COLUMN_OF_HTTP_ip_addr, &ip);
    if (e->method.p == NULL)
        return;
    record_text(out, COLUMN_OF_HTTP_method, cut(e->method, HTTP_EVENT_METHOD_MAX));
    record_text(out, COLUMN_OF_HTTP_path, cut(e->path, HTTP_EVENT_PATH_MAX));
    write_query(out, e->query, r->query);
    record_text(out, COLUMN_OF_HTTP_http_version, e->http_minor == 0 ? STR("HTTP/1.0") : STR("HTTP/1.1"));
    record_text(out, COLUMN_OF_HTTP_user_agent, cut(e->user_agent, HTTP_EVENT_USER_AGENT_MAX));
    record_text(out, COLUMN_OF_HTTP_host, cut(e->host, HTTP_EVENT_HOST_MAX));
    record_text(out, COLUMN_OF_HTTP_trace_id, e->trace_id);
}

void http_event_begin(struct buf *out, const struct request_event *e, const struct http_event_rules *r) {
    record_begin(out, RECORD_HTTP);
    record_uuid(out, COLUMN_OF_HTTP_request_uuid, &e->request_uuid);
    record_text(out, COLUMN_OF_HTTP_namespace, e->namespace);
    record_text(out, COLUMN_OF_HTTP_version, e->version);
    record_time(out, COLUMN_OF_HTTP_time, e->began);
    write_worker(out, e);
    write_request(out, e, r);
    write_time(out, COLUMN_OF_HTTP_queue_us, e->queued);
    record_integer(out, COLUMN_OF_HTTP_attempts, e->attempts);
    record_integer(out, COLUMN_OF_HTTP_config, (int64_t)e->config);
    record_text(out, COLUMN_OF_HTTP_instance, r->instance);
}

void http_event_end(struct buf *out, const struct request_event *e, bool ended) {
    if (e->status > 0)
        record_integer(out, COLUMN_OF_HTTP_status, e->status);
    if (ended) {
        record_integer(out, COLUMN_OF_HTTP_elapsed, e->total / DUR_MS);
        record_integer(out, COLUMN_OF_HTTP_total_us, e->total);
    }
    record_text(out, COLUMN_OF_HTTP_error, str_of(e->error));
    record_integer(out, COLUMN_OF_HTTP_request_bytes, (int64_t)e->request_bytes);
    record_integer(out, COLUMN_OF_HTTP_response_bytes, (int64_t)e->response_bytes);
    write_time(out, COLUMN_OF_HTTP_first_byte_us, e->first_byte);
    record_end(out);
}
