/*
 * The static kind: one request → what to send. Looking a file up is file work
 * that can block, so it is a helper job; deciding on conditions and ranges is
 * pure (RFC 9110 13, 14).
 *
 * Nothing outside the root is ever opened: openat2(RESOLVE_BENEATH |
 * RESOLVE_NO_MAGICLINKS); symlinks that stay inside are followed. Encoded
 * slashes, NUL, invalid UTF-8, empty segments ("a//b") and hidden ones (".git", ".env"; "/.well-known/" is
 * fine) are 404. Only regular files. A directory without slash: 308; with one:
 * its index.html.
 */
#ifndef FAUCET_PROXY_STATIC_FILE_H
#define FAUCET_PROXY_STATIC_FILE_H

#include "base/arena.h"
#include "base/helper.h"
#include "http/message.h"

struct static_lookup {
    struct helper_job job; /* job.done: set by the caller */
    /* in, borrowed until done */
    const char *root; /* the app's dir */
    struct str path;  /* normalised, prefix stripped, begins with '/', still percent-encoded */
    /* out */
    int fd;          /* open for reading, or -1 */
    unsigned status; /* 200, 404, 403, 308 (add a slash), 500 (also: no root), 503 (EMFILE) */
    uint64_t size;
    int64_t mtime_s, mtime_ns;
    uint64_t inode;
    char name[256]; /* last segment, for the content type */
};

/* Sets job.run; the caller sets root, path, job.done and submits. */
void static_lookup_prepare(struct static_lookup *s);

struct static_reply {
    unsigned status;         /* 200, 206, 304, 412, 416, 405 */
    uint64_t offset, length; /* bytes of the file to send; length 0 for HEAD, 304 … */
    bool send_body;
    struct http_head
        head; /* status, reason and fields: Content-Type, ETag, Last-Modified, Accept-Ranges, Content-Range,
                 Cache-Control, X-Content-Type-Options; framing HTTP_LENGTH with content_length (HEAD: of the
                 GET), 304: HTTP_NO_BODY. 405, 412, 416: no body of their own, length 0 */
};
/* After a lookup with status 200. Methods other than GET and HEAD: 405 (Allow is among the fields). */
void static_reply_decide(struct static_reply *r, const struct static_lookup *found, const struct http_head *request,
                         struct arena *a);
/* "text/html; charset=utf-8" by the name's extension; application/octet-stream otherwise. */
const char *static_content_type(struct str name);

#endif
