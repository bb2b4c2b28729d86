/*
 * Pins: a client with a live tunnel is served by that tunnel's endpoint. A
 * hash table per app, (client, endpoint) → number of tunnels. A client whose
 * worker died and who came back elsewhere has two entries for a moment; the
 * newest usable one counts.
 */
#ifndef FAUCET_APP_PIN_H
#define FAUCET_APP_PIN_H

#include "app/lease.h"

struct pin;
struct pins {
    struct pin **buckets;
    size_t bucket_count; /* a power of two, or 0 */
    size_t entries;
};

/* A zeroed struct is empty. */
void pins_destroy(struct pins *p);
/* Not for CLIENT_NOBODY. */
void pins_add(struct pins *p, const struct client_key *client, struct endpoint *e);
/* False: there is no such pin. */
bool pins_remove(struct pins *p, const struct client_key *client, const struct endpoint *e);
/* The endpoint this client must be served by, READY or DRAINING; NULL: none. */
struct endpoint *pins_find(const struct pins *p, const struct client_key *client);

#endif
