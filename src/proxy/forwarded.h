/* Who the client is and what the worker is told of it: X-Forwarded-*, trusted proxies, trace context. */
#ifndef FAUCET_PROXY_FORWARDED_H
#define FAUCET_PROXY_FORWARDED_H

#include "proxy/exchange.h"

/* Fills client_ip, forwarded_for, _proto and _host. Needs request and snapshot. */
void forwarded_client(struct exchange *x);
/* Fills forwarded_prefix. Needs the route. */
void forwarded_prefix(struct exchange *x);
/* Fills traceparent and trace_id: the client's own when it is valid (https://www.w3.org/TR/trace-context/), else a new
 * one whose trace-id is the request's uuid. */
void forwarded_trace(struct exchange *x);

#endif
