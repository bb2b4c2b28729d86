/*
 * Bytes → messages, strictly. A raw guard (guard.h) looks at the bytes first,
 * http-parser parses what the guard let through; this file is the only one
 * that includes http_parser.h. See docs/http.md for what is refused, item by
 * item.
 *
 * Pull style: the caller offers bytes, the reader takes some off the front and
 * says what it found. While a head is incomplete it takes nothing: the caller
 * keeps the bytes and offers them again with more behind them (the guard
 * remembers how far it looked).
 */
#ifndef FAUCET_HTTP_READER_H
#define FAUCET_HTTP_READER_H

#include "http/message.h"

enum http_event {
    HTTP_MORE,          /* all bytes that can be taken are taken; more are needed */
    HTTP_HEAD,          /* head() is complete; go on calling for the body */
    HTTP_INFORMATIONAL, /* replies: a 1xx head other than 101; the next head follows */
    HTTP_UPGRADED,      /* replies: a 101; bytes left in *in belong to the tunnel */
    HTTP_BODY,          /* *body is a piece of the body (a view into *in's memory) */
    HTTP_DONE,          /* the message is complete; bytes left in *in belong to the next */
    HTTP_BAD            /* refused: see http_reader_error; the reader is dead */
};

struct http_error {
    unsigned status; /* what to answer: 400, 414, 417, 431, 501, 505; for replies 502 */
    const char *why; /* a static sentence: "space between field name and colon" */
    size_t offset;   /* of the offending byte in the message, when known */
};

struct http_reader;

struct http_limits {
    size_t header_size; /* bytes of head, request line included; also of a trailer section */
    size_t fields;      /* number of fields; 0: the default, 256 */
};

/* request side / reply side. Lives in the arena, as does all it hands out. */
struct http_reader *http_request_reader(struct arena *a, const struct http_limits *limits);
/* head_method: the request was HEAD. upgrade_sent: a 101 may come (otherwise one is HTTP_BAD). */
struct http_reader *http_reply_reader(struct arena *a, const struct http_limits *limits, bool head_method,
                                      bool upgrade_sent);
/* *in is advanced past what was taken. HTTP_BODY comes again and again; a body of no bytes gives no HTTP_BODY. */
enum http_event http_reader_next(struct http_reader *r, struct str *in, struct str *body);
/* The peer closed: HTTP_DONE for a reply that ends with the connection, HTTP_BAD for a cut one, HTTP_MORE when nothing
 * of a message had begun. */
enum http_event http_reader_eof(struct http_reader *r, bool bytes_pending);
/* After HTTP_HEAD or HTTP_INFORMATIONAL or HTTP_UPGRADED. */
const struct http_head *http_reader_head(const struct http_reader *r);
/* Trailer fields after HTTP_DONE of a chunked message (may be none). Framing and routing fields among them: HTTP_BAD.
 */
const struct http_field *http_reader_trailers(const struct http_reader *r, size_t *n);
const struct http_error *http_reader_error(const struct http_reader *r);
/* Bytes of head seen so far (0: not one byte of a message has come; leading CRLFs before a request do not count). */
size_t http_reader_progress(const struct http_reader *r);

/* Raises http-parser's process-wide header limit; once, before any reader. */
void http_reader_setup(void);

#endif
