/* The access log: one line per exchange, in the words of the original faucet, with every field typed in JSON. */
#ifndef FAUCET_PROXY_ACCESS_LINE_H
#define FAUCET_PROXY_ACCESS_LINE_H

#include "base/log.h"
#include "telemetry/event.h"

/* 127.0.0.1 "GET /sales/x HTTP/1.1" 200 "curl/8" 12 */
void access_line(struct log *log, const struct request_event *e);

#endif
