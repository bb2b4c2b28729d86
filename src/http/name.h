/*
 * The field names that mean something to a proxy, each with what follows from
 * it. Names are compared as a careless receiver would: without case, and with
 * every character that is no letter or digit read as '-', because CGI-like
 * environments (httpuv's among them) map X_Forwarded_For onto X-Forwarded-For.
 */
#ifndef FAUCET_HTTP_NAME_H
#define FAUCET_HTTP_NAME_H

#include <stdbool.h>

#include "base/str.h"

enum http_name {
    HTTP_NAME_OTHER,
    HTTP_NAME_CONNECTION,
    HTTP_NAME_CONTENT_LENGTH,
    HTTP_NAME_DATE,
    HTTP_NAME_EXPECT,
    HTTP_NAME_HOST,
    HTTP_NAME_LOCATION,
    HTTP_NAME_TRANSFER_ENCODING,
    HTTP_NAME_UPGRADE
};

enum {
    HTTP_NAME_HOP = 1 << 0,     /* for the next hop only (RFC 9110 7.6.1): never passed on */
    HTTP_NAME_FRAMING = 1 << 1, /* says where a message ends, or whom it is for: written by us */
    HTTP_NAME_SET = 1 << 2,     /* towards a worker ours replaces the client's */
    HTTP_NAME_KEPT =
        1 << 3, /* stays, even where Connection names it: meant for the end, or put in by a proxy before us */
    HTTP_NAME_NO_TRAILER = 1 << 4, /* framing, routing, credentials, content format (RFC 9110 6.5.1) */
    HTTP_NAME_SET_REPLY = 1 << 5   /* towards a client ours replaces the worker's */
};

struct http_name_row {
    const char *text; /* lower case */
    enum http_name id;
    unsigned flags;
};

/* Never NULL: an unknown name gives a row with HTTP_NAME_OTHER and no flag. */
const struct http_name_row *http_name_find(struct str name);
/* Is `name` that row's very name (case aside), not an alias with other punctuation? */
bool http_name_exact(const struct http_name_row *row, struct str name);

#endif
