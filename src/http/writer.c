/*
 * Heads are written in one pass into room reserved beforehand: the upper bound of
 * a head is the sum of its parts, so no append has to look for room.
 *
 * Every field passes through the table of names (name.h): what frames, routes or
 * belongs to one hop is left out and said anew.
 */
#include "http/writer.h"

#include "base/clock.h"
#include "http/name.h"

/* Where the next byte goes. The caller has reserved enough. */
static inline char *put(char *p, struct str s) {
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return p + s.n;
}

static inline char *put_field(char *p, struct str name, struct str value) {
    p = put(p, name);
    *p++ = ':';
    *p++ = ' ';
    p = put(p, value);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

#define U64_DIGITS 20

static char *put_u64(char *p, uint64_t v) {
    char digits[U64_DIGITS];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    while (n > 0)
        *p++ = digits[--n];
    return p;
}

static char *put_framing(char *p, enum http_framing framing, uint64_t length) {
    if (framing == HTTP_CHUNKED)
        return put(p, STR("Transfer-Encoding: chunked\r\n"));
    if (framing == HTTP_LENGTH) {
        p = put_u64(put(p, STR("Content-Length: ")), length);
        return put(p, STR("\r\n"));
    }
    return p;
}

#define FIELD_EXTRA   4   /* ": " and CRLF */
#define OWN_NAMES_MAX 512 /* all names and fixed texts that we add to one head, generously */

static size_t fields_bound(const struct http_head *h) {
    size_t n = 0;
    for (size_t i = 0; i < h->field_count; i++)
        n += h->fields[i].name.n + h->fields[i].value.n + FIELD_EXTRA;
    return n;
}

/* RFC 9110 7.6.1: an intermediary leaves out what Connection names. Rare, so it is looked up in the text. */
static bool connection_names(const struct http_head *h, struct str name) {
    for (size_t i = 0; i < h->field_count; i++)
        if (str_ieq(h->fields[i].name, STR("Connection")) && str_list_has(h->fields[i].value, name))
            return true;
    return false;
}

/* Is this end-to-end field left out, given the flags that mean "we say that ourselves"? */
static bool left_out(const struct http_head *h, const struct http_name_row *row, struct str name, unsigned ours) {
    if ((row->flags & (HTTP_NAME_HOP | HTTP_NAME_FRAMING | ours)) != 0)
        return true;
    return h->connection_names && (row->flags & HTTP_NAME_KEPT) == 0 && connection_names(h, name);
}

static char *put_request_fields(char *p, const struct http_request_out *r) {
    for (size_t i = 0; i < r->head->field_count; i++) {
        const struct http_field *f = &r->head->fields[i];
        const struct http_name_row *row = http_name_find(f->name);
        if (!left_out(r->head, row, f->name, HTTP_NAME_SET))
            p = put_field(p, f->name, f->value);
    }
    return p;
}

void http_write_request(struct buf *out, const struct http_request_out *r) {
    const struct {
        struct str name, value;
    } own[] = {{STR("X-Forwarded-For"), r->forwarded_for},
               {STR("X-Forwarded-Proto"), r->forwarded_proto},
               {STR("X-Forwarded-Host"), r->forwarded_host},
               {STR("X-Forwarded-Prefix"), r->forwarded_prefix},
               {STR("Faucet-Request-Uuid"), r->request_uuid},
               {STR("traceparent"), r->traceparent},
               {STR("Upgrade"), r->upgrade}};
    size_t bound = fields_bound(r->head) + r->head->method.n + r->path.n + r->query.n + r->host.n + OWN_NAMES_MAX;
    for (size_t i = 0; i < ARRAY_LENGTH(own); i++)
        bound += own[i].value.n;
    char *start = buf_reserve(out, bound);
    char *p = put(start, r->head->method);
    *p++ = ' ';
    p = put(p, r->path);
    if (r->query.p != NULL) {
        *p++ = '?';
        p = put(p, r->query);
    }
    p = put(p, STR(" HTTP/1.1\r\n"));
    p = put_field(p, STR("Host"), r->host);
    p = put_request_fields(p, r);
    for (size_t i = 0; i < ARRAY_LENGTH(own); i++)
        if (own[i].value.n > 0)
            p = put_field(p, own[i].name, own[i].value);
    if (r->upgrade.n > 0)
        p = put(p, STR("Connection: Upgrade\r\n"));
    else if (!r->keep_alive)
        p = put(p, STR("Connection: close\r\n"));
    p = put_framing(p, r->framing, r->content_length);
    p = put(p, STR("\r\n"));
    ASSERT((size_t)(p - start) <= bound);
    buf_commit(out, (size_t)(p - start));
}

/* The time changes once a second, replies come by the ten thousand: the formatted second is kept, for each thread its
 * own. */
static struct str date_now(void) {
    static _Thread_local struct {
        int64_t second;
        size_t length;
        char text[30];
    } cache;
    wall_t now = wall_now();
    int64_t second = now.us / DUR_S;
    if (second != cache.second || cache.length == 0) {
        cache.length = wall_http_date(now, cache.text);
        cache.second = second;
    }
    return str_make(cache.text, cache.length);
}

/* *dated: was there a Date among them? */
static char *put_reply_fields(char *p, const struct http_reply_out *r, bool own_length, bool *dated) {
    for (size_t i = 0; i < r->head->field_count; i++) {
        const struct http_field *f = &r->head->fields[i];
        const struct http_name_row *row = http_name_find(f->name);
        if (row->id == HTTP_NAME_CONTENT_LENGTH && own_length && http_name_exact(row, f->name)) {
            p = put_field(p, f->name, f->value);
            continue;
        }
        if (left_out(r->head, row, f->name, HTTP_NAME_SET_REPLY))
            continue;
        *dated = *dated || row->id == HTTP_NAME_DATE;
        p = put_field(p, f->name, row->id == HTTP_NAME_LOCATION && r->location.n > 0 ? r->location : f->value);
    }
    return p;
}

static char *put_reply_connection(char *p, const struct http_reply_out *r) {
    if (r->upgrade.n > 0)
        return put(put_field(p, STR("Upgrade"), r->upgrade), STR("Connection: Upgrade\r\n"));
    if (r->head->status < 200)
        return p;
    if (!r->keep_alive)
        return put(p, STR("Connection: close\r\n"));
    return r->client_minor == 0 ? put(p, STR("Connection: keep-alive\r\n")) : p;
}

void http_write_reply(struct buf *out, const struct http_reply_out *r) {
    const struct http_head *h = r->head;
    struct str reason = h->reason.n > 0 ? h->reason : str_of(http_reason(h->status));
    bool bodiless = h->status < 200 || h->status == 204;
    /* 1xx heads carry no Date of ours: it belongs to the reply that follows. */
    bool dated = h->status < 200;
    size_t bound = fields_bound(h) + h->field_count * r->location.n + reason.n + r->upgrade.n + r->request_uuid.n +
                   r->set_cookie.n + OWN_NAMES_MAX;
    ASSERT(r->framing != HTTP_CHUNKED || !r->framing_fields || r->client_minor > 0);
    char *start = buf_reserve(out, bound);
    char *p = put_u64(put(start, STR("HTTP/1.1 ")), h->status);
    *p++ = ' ';
    p = put(put(p, reason), STR("\r\n"));
    p = put_reply_fields(p, r, r->framing == HTTP_NO_BODY && !bodiless, &dated);
    if (!dated)
        p = put_field(p, STR("Date"), date_now());
    if (r->request_uuid.n > 0)
        p = put_field(p, STR("Faucet-Request-Uuid"), r->request_uuid);
    if (r->set_cookie.n > 0)
        p = put_field(p, STR("Set-Cookie"), r->set_cookie);
    p = put_reply_connection(p, r);
    if (r->framing_fields && !bodiless)
        p = put_framing(p, r->framing, r->content_length);
    p = put(p, STR("\r\n"));
    ASSERT((size_t)(p - start) <= bound);
    buf_commit(out, (size_t)(p - start));
}

void http_write_chunk_head(struct buf *out, size_t n) {
    static const char hex[] = "0123456789abcdef";
    char digits[2 * sizeof n + 2];
    size_t at = sizeof digits;
    ASSERT(n > 0);
    digits[--at] = '\n';
    digits[--at] = '\r';
    for (; n > 0; n >>= 4)
        digits[--at] = hex[n & 15];
    buf_append(out, str_make(digits + at, sizeof digits - at));
}

void http_write_last_chunk(struct buf *out, const struct http_field *trailers, size_t n) {
    size_t bound = 5;
    for (size_t i = 0; i < n; i++)
        bound += trailers[i].name.n + trailers[i].value.n + FIELD_EXTRA;
    char *start = buf_reserve(out, bound);
    char *p = put(start, STR("0\r\n"));
    for (size_t i = 0; i < n; i++)
        p = put_field(p, trailers[i].name, trailers[i].value);
    p = put(p, STR("\r\n"));
    ASSERT((size_t)(p - start) <= bound);
    buf_commit(out, (size_t)(p - start));
}
