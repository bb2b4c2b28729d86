/*
 * What a reader makes of some bytes, as text: one line an event, body bytes
 * together. The same bytes must give the same transcript however they are cut;
 * the tests and the fuzz harnesses feed through here.
 */
#ifndef FAUCET_TEST_TRANSCRIPT_H
#define FAUCET_TEST_TRANSCRIPT_H

#include <stdlib.h>

#include "base/buf.h"
#include "http/reader.h"

struct feed {
    bool request, head_method, upgrade_sent;
    bool eof; /* close after the last byte */
    size_t header_size, fields;
};

#define FEED_HEADER_SIZE 8192

static inline void transcript_fields(struct buf *t, const char *what, const struct http_field *f, size_t n) {
    for (size_t i = 0; i < n; i++) {
        buf_printf(t, "%s ", what);
        buf_append(t, f[i].name);
        buf_append(t, STR(": "));
        buf_append(t, f[i].value);
        buf_append(t, STR("\n"));
    }
}

static inline void transcript_head(struct buf *t, const char *what, const struct http_head *h) {
    static const char *const framing[] = {"none", "length", "chunked", "close"};
    buf_printf(t, "%s ", what);
    if (h->request) {
        buf_append(t, h->method);
        buf_append(t, STR(" "));
        buf_append(t, h->path);
        if (h->query.p != NULL)
            buf_append(t, STR("?"));
        buf_append(t, h->query);
        buf_append(t, STR(" host="));
        buf_append(t, h->host);
        buf_printf(t, "%s%s", h->head_method ? " head" : "", h->expect_continue ? " expect" : "");
        buf_printf(t, "%s%s", h->safe ? " safe" : "", h->idempotent ? " idempotent" : "");
    } else {
        buf_printf(t, "%u ", h->status);
        buf_append(t, h->reason);
    }
    buf_printf(t, " 1.%u %s %llu%s%s\n", h->minor, framing[h->framing], (unsigned long long)h->content_length,
               h->keep_alive ? " keep" : "", h->upgrade ? " upgrade" : "");
    transcript_fields(t, "field", h->fields, h->field_count);
}

struct feeding {
    struct http_reader *reader;
    struct buf text, pending, body;
    bool over;
};

static inline void feeding_run(struct feeding *f) {
    while (!f->over) {
        struct str in = buf_str(&f->pending), before = in, body = STR_NONE;
        enum http_event event = http_reader_next(f->reader, &in, &body);
        if (event == HTTP_BODY) { /* a view into what was offered */
            ASSERT(body.n > 0 && body.p >= before.p && body.p + body.n <= before.p + before.n);
            buf_append(&f->body, body);
        }
        if (event == HTTP_BAD) {
            const struct http_error *e = http_reader_error(f->reader);
            ASSERT(e->status >= 400 && e->why != NULL);
            buf_printf(&f->text, "bad %u %s\n", e->status, e->why);
            f->over = true;
            return;
        }
        if (event == HTTP_HEAD)
            transcript_head(&f->text, "head", http_reader_head(f->reader));
        if (event == HTTP_INFORMATIONAL)
            transcript_head(&f->text, "informational", http_reader_head(f->reader));
        if (event == HTTP_UPGRADED)
            transcript_head(&f->text, "upgraded", http_reader_head(f->reader));
        f->over = event == HTTP_DONE || event == HTTP_UPGRADED;
        if (before.n > in.n)
            buf_consume(&f->pending, before.n - in.n);
        if (event == HTTP_MORE)
            return;
    }
}

/* cuts: every byte alone for each set bit modulo 64 when cut == SIZE_MAX, else two pieces, cut at `cut`. Caller frees.
 */
static inline struct buf transcript(const struct feed *how, struct str bytes, size_t cut) {
    struct arena *a = arena_new(1024);
    struct http_limits limits = {how->header_size > 0 ? how->header_size : FEED_HEADER_SIZE, how->fields};
    struct feeding f = {.reader = how->request ? http_request_reader(a, &limits)
                                               : http_reply_reader(a, &limits, how->head_method, how->upgrade_sent)};
    size_t left = 0;
    for (size_t at = 0; at < bytes.n;) {
        size_t n = cut == SIZE_MAX ? 1 : at < cut && cut < bytes.n ? cut - at : bytes.n - at;
        if (f.over) {
            left += n;
        } else {
            /* memory of its own for every piece, so that a reader that keeps a pointer is found out */
            struct buf moved = {0};
            buf_append(&moved, buf_str(&f.pending));
            buf_free(&f.pending);
            f.pending = moved;
            buf_append(&f.pending, str_make(bytes.p + at, n));
            feeding_run(&f);
        }
        at += n;
    }
    left += buf_length(&f.pending);
    if (buf_length(&f.body) > 0) {
        buf_append(&f.text, STR("body "));
        buf_append(&f.text, buf_str(&f.body));
        buf_append(&f.text, STR("\n"));
    }
    if (how->eof && !f.over) {
        enum http_event event = http_reader_eof(f.reader, buf_length(&f.pending) > 0);
        buf_printf(&f.text, "eof %s\n", event == HTTP_DONE ? "done" : event == HTTP_MORE ? "nothing" : "bad");
        f.over = event != HTTP_MORE;
    }
    if (f.over && (f.text.end < 4 || memcmp(f.text.data + f.text.start, "bad ", 4) != 0)) {
        size_t n = 0;
        const struct http_field *trailers = http_reader_trailers(f.reader, &n);
        transcript_fields(&f.text, "trailer", trailers, n);
    }
    if (f.over && http_reader_error(f.reader)->why == NULL)
        buf_printf(&f.text, "over, %zu left\n", left);
    buf_free(&f.pending);
    buf_free(&f.body);
    arena_free(a);
    buf_append_char(&f.text, '\0');
    return f.text;
}

#endif
