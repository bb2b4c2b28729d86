/* Replies of our own: errors as HTML for browsers and application/problem+json (RFC 9457) for the rest, and redirects.
 */
#ifndef FAUCET_HTTP_CANNED_H
#define FAUCET_HTTP_CANNED_H

#include "base/buf.h"
#include "http/message.h"

struct http_canned {
    unsigned status;
    struct str detail;       /* one sentence for the user, plain text; escaped here; never holds internals */
    struct str request_uuid; /* .n == 0: none yet */
    struct str location;     /* redirects: 308 */
    struct str set_cookie;
    struct str allow;     /* 405 */
    unsigned retry_after; /* seconds; 0: no header */
    bool keep_alive;
    bool head_method; /* no body, same headers */
    unsigned client_minor;
    const struct http_head *request; /* NULL: unparsable; Accept decides HTML (a browser names text/html) */
};
/* Writes the complete reply. Cache-Control: no-store. Returns the number of body bytes. */
size_t http_write_canned(struct buf *out, const struct http_canned *c);

#endif
