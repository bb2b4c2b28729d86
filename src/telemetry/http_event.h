/*
 * A request as a record of faucet_http_events: the rules of what a row says and
 * what is left out of it because of privacy.
 */
#ifndef FAUCET_TELEMETRY_HTTP_EVENT_H
#define FAUCET_TELEMETRY_HTTP_EVENT_H

#include "telemetry/columns.h"
#include "telemetry/event.h"

/* Longer text of a client's is cut, between characters (docs/telemetry.md names these). */
#define HTTP_EVENT_PATH_MAX       ((size_t)4096)
#define HTTP_EVENT_QUERY_MAX      ((size_t)4096)
#define HTTP_EVENT_USER_AGENT_MAX ((size_t)1024)
#define HTTP_EVENT_HOST_MAX       ((size_t)255)
#define HTTP_EVENT_METHOD_MAX     ((size_t)64)

struct http_event_rules {
    struct str instance;
    enum query_privacy query;
    enum ip_privacy ip;
};

/* The first column that is not known before the reply's last byte goes out. */
#define HTTP_EVENT_END COLUMN_OF_HTTP_status

/* The record up to there, which is what is reserved. */
void http_event_begin(struct record_draft *d, const struct request_event *e, const struct http_event_rules *r);
/* Behind it, in the same draft or in one of record_continue(…, HTTP_EVENT_END): the rest. */
void http_event_end(struct record_draft *d, const struct request_event *e);

/* "a=1&b&=x" → "a&b&": what is before the first '=' of each piece. Appends. */
void query_keys(struct buf *out, struct str query);
/* IPv4: the last 8 bits are zero, IPv6: the last 80; AF_UNSPEC for IP_OFF. */
struct ip ip_private(const struct ip *ip, enum ip_privacy privacy);

#endif
