/*
 * What `GET /metrics` says, in Prometheus' text format 0.0.4. Names take the
 * prefix faucet_ with a second word; counters end in _total.
 */
#ifndef FAUCET_CONTROL_METRICS_H
#define FAUCET_CONTROL_METRICS_H

#include "base/buf.h"
#include "control/faucet.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

void metrics_write(const struct faucet *f, struct buf *out);

#endif
