/* A parsed HTTP/1.x head. Strings point into memory of the arena the reader was given. */
#ifndef FAUCET_HTTP_MESSAGE_H
#define FAUCET_HTTP_MESSAGE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/str.h"

enum http_framing {
    HTTP_NO_BODY,
    HTTP_LENGTH, /* content_length bytes, may be 0 */
    HTTP_CHUNKED,
    HTTP_UNTIL_CLOSE /* replies only */
};

struct http_field {
    struct str name, value; /* value trimmed; name as sent (case kept) */
};

struct http_head {
    bool request;
    unsigned minor; /* HTTP/1.minor, 0 or 1 */
    /* request */
    struct str method;
    struct str target; /* as sent */
    struct str path;   /* of origin-form or absolute-form, percent-encoded as sent; "*" for OPTIONS * */
    struct str query;  /* after '?', raw; .p NULL: no '?' */
    struct str host; /* of absolute-form, else Host: as sent with port; checked (RFC 9110 7.2); empty allowed in 1.0 */
    bool head_method, safe, idempotent; /* HEAD · RFC 9110 9.2.1 · 9.2.2 */
    bool expect_continue;               /* Expect: 100-continue in 1.1, with a body to come */
    /* reply */
    unsigned status;
    struct str reason;
    /* both */
    struct http_field *fields; /* in order as received, hop-by-hop ones included */
    size_t field_count;
    enum http_framing framing;
    uint64_t content_length;   /* HTTP_LENGTH */
    bool keep_alive;           /* the sender wants the connection kept, and it can be */
    bool upgrade;              /* Connection names upgrade, and an Upgrade field stands (requests: 1.1, GET) */
    struct str upgrade_tokens; /* the Upgrade field's value */
    bool connection_names;     /* Connection names fields beyond the hop-by-hop ones: the writer looks them up */
};

/* The first field of that name (ASCII case-insensitive), or NULL. */
const struct http_field *http_find(const struct http_head *h, struct str name);
/* Its value, or STR_NONE. */
struct str http_value(const struct http_head *h, struct str name);
/* Value of one cookie in the Cookie fields (RFC 6265 5.4), STR_NONE when absent. */
struct str http_cookie(const struct http_head *h, struct str name);
/* The standard reason phrase, "" for an unknown code. */
const char *http_reason(unsigned status);

#endif
