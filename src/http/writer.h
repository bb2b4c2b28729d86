/*
 * Messages → bytes, in one canonical form (RFC 9112): what reaches a worker or
 * a client is written here from a checked head, never copied through. Hop-by-hop
 * fields (RFC 9110 7.6.1: Connection and what it names, Keep-Alive, Proxy-Connection,
 * TE, Trailer, Transfer-Encoding, Upgrade) are left out. No policy: what to say is given.
 */
#ifndef FAUCET_HTTP_WRITER_H
#define FAUCET_HTTP_WRITER_H

#include "base/buf.h"
#include "http/message.h"

struct http_request_out {
    const struct http_head *head; /* method and fields come from here */
    struct str path, query;       /* normalised, prefix stripped; query.p NULL: no '?' */
    struct str host;              /* goes on as Host */
    enum http_framing framing;    /* HTTP_NO_BODY, HTTP_LENGTH or HTTP_CHUNKED */
    uint64_t content_length;
    bool keep_alive;
    struct str upgrade; /* the one token that goes on ("websocket"), .n == 0: none */
    /* These replace whatever the client sent of that name (also spelt with underscores); .n == 0: dropped only. */
    struct str forwarded_for, forwarded_proto, forwarded_host, forwarded_prefix;
    struct str request_uuid; /* Faucet-Request-Uuid */
    struct str traceparent;
};
/* Always HTTP/1.1. Expect is not passed on. Fields whose name, with '_' read as '-', equals one of ours or a framing or
 * hop-by-hop field are dropped (httpuv maps X_Forwarded_For onto X-Forwarded-For). */
void http_write_request(struct buf *out, const struct http_request_out *r);

struct http_reply_out {
    const struct http_head *head; /* status, reason and fields */
    unsigned client_minor;        /* the client speaks HTTP/1.minor: chunked never goes to 1.0 */
    enum http_framing framing;    /* HTTP_UNTIL_CLOSE: the connection's end is the body's */
    bool framing_fields; /* write Content-Length / Transfer-Encoding as framing says; never done for 1xx and 204.
                            HTTP_NO_BODY (HEAD, 304): the worker's own Content-Length stays */
    uint64_t content_length;
    bool keep_alive;     /* Connection: close otherwise; keep-alive is said to 1.0 */
    struct str upgrade;  /* 101: the token */
    struct str location; /* replaces Location's value when .n > 0 */
    struct str request_uuid;
    struct str set_cookie; /* one more Set-Cookie value, .n == 0: none */
};
/* Status line HTTP/1.1. A missing Date is added (RFC 9110 6.6.1). */
void http_write_reply(struct buf *out, const struct http_reply_out *r);

/* "1f\r\n" before a chunk; "\r\n" must follow the bytes. n > 0. */
void http_write_chunk_head(struct buf *out, size_t n);
#define HTTP_CHUNK_TAIL STR("\r\n")
/* "0\r\n" trailers "\r\n" */
void http_write_last_chunk(struct buf *out, const struct http_field *trailers, size_t n);
#define HTTP_CONTINUE STR("HTTP/1.1 100 Continue\r\n\r\n")

#endif
