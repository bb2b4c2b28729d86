/*
 * What both HTTP harnesses demand: the same bytes give the same transcript in
 * every cut, and what the writer makes of a message, the reader reads as that
 * message again. The first three bytes of an input are choices, the rest is
 * what the peer sends.
 */
#ifndef FAUCET_FUZZ_HTTP_DIFFERENTIAL_H
#define FAUCET_FUZZ_HTTP_DIFFERENTIAL_H

#include "../unit/http/transcript.h"

#include "base/check.h"
#include "http/name.h"
#include "http/writer.h"

#define CHOICES 3

/* A whole message, as the proxy would have it. */
struct message {
    struct http_reader *reader;
    const struct http_head *head; /* NULL: none was complete */
    struct buf body;
    bool whole;
    size_t left; /* bytes behind it */
    enum http_event last;
};

static inline struct message message_read(struct http_reader *r, struct str in, bool eof) {
    struct message m = {.reader = r};
    struct str body;
    while ((m.last = http_reader_next(r, &in, &body)) != HTTP_MORE && m.last != HTTP_BAD) {
        if (m.last == HTTP_BODY)
            buf_append(&m.body, body);
        if (m.last == HTTP_HEAD || m.last == HTTP_UPGRADED)
            m.head = http_reader_head(r);
        if (m.last == HTTP_DONE || m.last == HTTP_UPGRADED)
            break;
    }
    if (m.last == HTTP_MORE && eof)
        m.last = http_reader_eof(r, in.n > 0);
    m.whole = m.last == HTTP_DONE || m.last == HTTP_UPGRADED;
    m.left = in.n;
    return m;
}

/* The body as the writer frames it. */
static inline void body_write(struct buf *out, const struct message *m, enum http_framing framing) {
    size_t n = 0;
    const struct http_field *trailers = http_reader_trailers(m->reader, &n);
    if (framing != HTTP_CHUNKED) {
        buf_append(out, buf_str(&m->body));
        return;
    }
    if (buf_length(&m->body) > 0) {
        http_write_chunk_head(out, buf_length(&m->body));
        buf_append(out, buf_str(&m->body));
        buf_append(out, HTTP_CHUNK_TAIL);
    }
    http_write_last_chunk(out, trailers, n);
}

static inline bool same_fields(const struct http_field *a, size_t an, const struct http_field *b, size_t bn) {
    if (an != bn)
        return false;
    for (size_t i = 0; i < an; i++)
        if (!str_eq(a[i].name, b[i].name) || !str_eq(a[i].value, b[i].value))
            return false;
    return true;
}

/* Every field that went on stood in the original with that value, in that order; but for those that we say ourselves.
 */
static inline void fields_agree(const struct http_head *original, const struct http_head *written) {
    size_t at = 0;
    for (size_t i = 0; i < written->field_count; i++) {
        const struct http_field *f = &written->fields[i];
        const struct http_name_row *row = http_name_find(f->name);
        if (row->flags & (HTTP_NAME_HOP | HTTP_NAME_FRAMING) || row->id == HTTP_NAME_DATE)
            continue;
        while (at < original->field_count &&
               !(str_eq(original->fields[at].name, f->name) && str_eq(original->fields[at].value, f->value)))
            at++;
        ASSERT(at < original->field_count);
        at++;
    }
}

static inline void message_agrees(const struct message *original, const struct message *written) {
    size_t an = 0, bn = 0;
    const struct http_field *a = http_reader_trailers(original->reader, &an);
    const struct http_field *b = http_reader_trailers(written->reader, &bn);
    ASSERT(written->whole && written->left == 0);
    ASSERT(str_eq(buf_str(&original->body), buf_str(&written->body)));
    ASSERT(same_fields(a, an, b, bn));
    fields_agree(original->head, written->head);
}

static inline void cuts_agree(const struct feed *how, struct str bytes, size_t cut) {
    struct buf whole = transcript(how, bytes, bytes.n);
    struct buf halves = transcript(how, bytes, cut);
    struct buf single = transcript(how, bytes, SIZE_MAX);
    ASSERT(str_eq(buf_str(&whole), buf_str(&halves)));
    ASSERT(str_eq(buf_str(&whole), buf_str(&single)));
    buf_free(&whole);
    buf_free(&halves);
    buf_free(&single);
}

#endif
