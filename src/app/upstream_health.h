/*
 * Kind upstream: addresses that others serve. A written address (host:port,
 * unix:/path) is a `struct upstream`; a name stands for every address it
 * resolves to, and is resolved again every half a minute and after failures.
 * Each address is an endpoint: READY until connecting fails, then DOWN and
 * tried with back-off until it answers.
 */
#ifndef FAUCET_APP_UPSTREAM_HEALTH_H
#define FAUCET_APP_UPSTREAM_HEALTH_H

#include "app/generation.h"

struct upstream;

/* Makes the upstreams of g->config->upstream; numeric ones are READY at once. */
void upstreams_start(struct generation *g);
/* Is a name among them of which nothing is known yet, not even that it cannot be found? */
bool upstreams_asking(const struct generation *g);
/* Names are not resolved any more; what is known may go on draining. */
void upstreams_rest(struct generation *g);
/* After the last endpoint. */
void upstreams_free(struct generation *g);
/* How many of the written ones have an address that is READY. */
size_t upstreams_ready(const struct generation *g);

/* Connecting to it failed: it is DOWN and watched. */
void upstream_address_failed(struct upstream_address *u, int error);
/* Retired: no more probes. */
void upstream_address_rest(struct upstream_address *u);
void upstream_address_free(struct upstream_address *u);

#endif
