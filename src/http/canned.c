/*
 * Our own replies. A browser gets a page that explains itself and needs nothing
 * else (no script, no font, no image); everybody else gets problem+json
 * (RFC 9457). What a page shows comes from us or is escaped.
 */
#include "http/canned.h"

#include <stdio.h>

#include "base/json.h"
#include "http/writer.h"

static const char page_head[] = "<!DOCTYPE html>\n"
                                "<html lang=\"en\">\n"
                                "<head>\n"
                                "<meta charset=\"utf-8\">\n"
                                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                                "<meta name=\"color-scheme\" content=\"light dark\">\n";

static const char page_style[] =
    "<style>\n"
    ":root{color-scheme:light dark;--ink:#1d2733;--quiet:#5a6673;--paper:#fff}\n"
    "@media (prefers-color-scheme:dark){:root{--ink:#e6eaee;--quiet:#9aa6b2;--paper:#14181c}}\n"
    "body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--paper);color:var(--ink);"
    "font:1.05rem/1.5 system-ui,sans-serif}\n"
    "main{max-width:34rem;padding:2rem}\n"
    "h1{font-size:1.6rem;margin:0 0 .75rem}\n"
    "p{margin:0 0 1rem}\n"
    "small{color:var(--quiet)}\n"
    "code{font-family:ui-monospace,monospace}\n"
    "</style>\n"
    "</head>\n";

static void append_escaped(struct buf *b, struct str s) {
    static const struct {
        char byte;
        struct str entity;
    } entities[] = {
        {'&', {"&amp;", 5}}, {'<', {"&lt;", 4}}, {'>', {"&gt;", 4}}, {'"', {"&quot;", 6}}, {'\'', {"&#39;", 5}}};
    for (size_t i = 0; i < s.n; i++) {
        struct str piece = str_make(s.p + i, 1);
        for (size_t k = 0; k < ARRAY_LENGTH(entities); k++)
            if (entities[k].byte == s.p[i])
                piece = entities[k].entity;
        buf_append(b, piece);
    }
}

/* One media range: is it text/html, and not refused by q=0? */
static bool is_html(struct str range) {
    size_t end = str_chr(range, ';');
    if (!str_ieq(str_trim(str_make(range.p, end)), STR("text/html")))
        return false;
    for (struct str rest = str_from(range, end + 1); rest.n > 0;) {
        size_t next = str_chr(rest, ';');
        struct str parameter = str_trim(str_make(rest.p, next));
        rest = str_from(rest, next + 1);
        if (parameter.n > 2 && ascii_lower(parameter.p[0]) == 'q' && parameter.p[1] == '=') {
            for (size_t i = 2; i < parameter.n; i++)
                if (parameter.p[i] >= '1' && parameter.p[i] <= '9')
                    return true;
            return false;
        }
    }
    return true;
}

static bool wants_html(const struct http_head *request) {
    for (size_t i = 0; request != NULL && i < request->field_count; i++) {
        struct str list = request->fields[i].value, range;
        if (!str_ieq(request->fields[i].name, STR("Accept")))
            continue;
        while (str_next_element(&list, &range))
            if (is_html(range))
                return true;
    }
    return false;
}

/* What stands in a reply without a detail of its own. */
static struct str sentence(const struct http_canned *c) {
    if (c->detail.n > 0)
        return c->detail;
    if (c->location.n > 0)
        return STR("The page is at another address.");
    return c->status >= 500 ? STR("The server could not answer this request.")
                            : STR("The server cannot answer this request as it was sent.");
}

static void write_page(struct buf *b, const struct http_canned *c) {
    struct str reason = str_of(http_reason(c->status));
    buf_append(b, str_of(page_head));
    if (c->status == 503 && c->retry_after > 0) /* a page of a starting app becomes the app by itself */
        buf_printf(b, "<meta http-equiv=\"refresh\" content=\"%u\">\n", c->retry_after);
    buf_printf(b, "<title>%u %.*s</title>\n", c->status, STR_ARG(reason));
    buf_append(b, str_of(page_style));
    buf_printf(b, "<body>\n<main>\n<h1>%u %.*s</h1>\n<p>", c->status, STR_ARG(reason));
    append_escaped(b, sentence(c));
    buf_append(b, STR("</p>\n"));
    if (c->location.n > 0) {
        buf_append(b, STR("<p><a href=\""));
        append_escaped(b, c->location);
        buf_append(b, STR("\">Go there</a></p>\n"));
    }
    if (c->status == 503 && c->retry_after > 0)
        buf_printf(b, "<p>This page tries again in %u second%s.</p>\n", c->retry_after, c->retry_after == 1 ? "" : "s");
    if (c->request_uuid.n > 0) {
        buf_append(b, STR("<p><small>Request <code>"));
        append_escaped(b, c->request_uuid);
        buf_append(b, STR("</code></small></p>\n"));
    }
    buf_append(b, STR("</main>\n</body>\n</html>\n"));
}

static void write_problem(struct buf *b, const struct http_canned *c) {
    buf_append(b, STR("{\"type\":\"about:blank\",\"title\":"));
    json_append_string(b, str_of(http_reason(c->status)));
    buf_printf(b, ",\"status\":%u,\"detail\":", c->status);
    json_append_string(b, sentence(c));
    if (c->request_uuid.n > 0) {
        char instance[64];
        size_t n = c->request_uuid.n < 40 ? c->request_uuid.n : 40;
        memcpy(instance, "urn:uuid:", 9);
        memcpy(instance + 9, c->request_uuid.p, n);
        buf_append(b, STR(",\"instance\":"));
        json_append_string(b, str_make(instance, 9 + n));
    }
    buf_append(b, STR("}\n"));
}

/* A location is made of what a client asked for: nothing in it may end the field or the attribute. */
static struct str safe_location(struct buf *b, struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>' || c == '\\')
            buf_printf(b, "%%%02X", c);
        else
            buf_append_char(b, s.p[i]);
    }
    return buf_str(b);
}

struct field_list {
    struct http_field v[10];
    size_t n;
};

static void add(struct field_list *l, struct str name, struct str value) {
    if (value.n == 0)
        return;
    ASSERT(l->n < ARRAY_LENGTH(l->v));
    l->v[l->n].name = name;
    l->v[l->n++].value = value;
}

static void add_fields(struct field_list *l, const struct http_canned *c, bool html, struct str retry_after) {
    add(l, STR("Content-Type"), html ? STR("text/html; charset=utf-8") : STR("application/problem+json"));
    add(l, STR("Cache-Control"), STR("no-store"));
    add(l, STR("X-Content-Type-Options"), STR("nosniff"));
    if (html)
        add(l, STR("Content-Security-Policy"), STR("default-src 'none'; style-src 'unsafe-inline'"));
    add(l, STR("Location"), c->location);
    add(l, STR("Allow"), c->allow);
    add(l, STR("Retry-After"), retry_after);
}

size_t http_write_canned(struct buf *out, const struct http_canned *canned) {
    struct http_canned c = *canned;
    struct buf body = {0}, location = {0};
    struct field_list fields = {.n = 0};
    char seconds[16];
    bool html = wants_html(c.request);
    c.location = safe_location(&location, c.location);
    (html ? write_page : write_problem)(&body, &c);
    int digits = snprintf(seconds, sizeof seconds, "%u", c.retry_after);
    add_fields(&fields, &c, html, c.retry_after > 0 ? str_make(seconds, (size_t)digits) : STR_NONE);
    struct http_head head = {.status = c.status, .fields = fields.v, .field_count = fields.n};
    http_write_reply(out, &(struct http_reply_out){.head = &head,
                                                   .client_minor = c.client_minor,
                                                   .framing = HTTP_LENGTH,
                                                   .framing_fields = true,
                                                   .content_length = buf_length(&body),
                                                   .keep_alive = c.keep_alive,
                                                   .request_uuid = c.request_uuid,
                                                   .set_cookie = c.set_cookie});
    size_t sent = c.head_method ? 0 : buf_length(&body);
    if (sent > 0)
        buf_append(out, buf_str(&body));
    buf_free(&body);
    buf_free(&location);
    return sent;
}
