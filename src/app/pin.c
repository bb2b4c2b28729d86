/* The table of pinned clients; see pin.h. Chained; the newest entry of a bucket stands first. */
#include "app/pin.h"

#include "base/hash.h"
#include "base/miniobj.h"

struct pin {
    struct pin *next;
    uint64_t hash;
    struct client_key client;
    struct endpoint *endpoint;
    size_t tunnels;
};

static uint64_t client_hash(const struct client_key *c) {
    return hash_bytes((uint64_t)c->kind, c->b, sizeof c->b);
}

static bool same_client(const struct pin *p, uint64_t hash, const struct client_key *c) {
    return p->hash == hash && p->client.kind == c->kind && memcmp(p->client.b, c->b, sizeof c->b) == 0;
}

void pins_destroy(struct pins *p) {
    for (size_t i = 0; i < p->bucket_count; i++)
        for (struct pin *pin = p->buckets[i], *next; pin != NULL; pin = next) {
            next = pin->next;
            free(pin);
        }
    free(p->buckets);
    *p = (struct pins){NULL, 0, 0};
}

static void grow(struct pins *p) {
    size_t count = p->bucket_count == 0 ? 16 : p->bucket_count * 2;
    struct pin **buckets = calloc(count, sizeof(struct pin *));
    XXXAN(buckets);
    for (size_t i = 0; i < p->bucket_count; i++) {
        /* Turned round first: pushing each to the front of its new chain then keeps newest first. */
        struct pin *turned = NULL;
        for (struct pin *pin = p->buckets[i], *next; pin != NULL; pin = next) {
            next = pin->next;
            pin->next = turned;
            turned = pin;
        }
        for (struct pin *pin = turned, *next; pin != NULL; pin = next) {
            next = pin->next;
            pin->next = buckets[pin->hash & (count - 1)];
            buckets[pin->hash & (count - 1)] = pin;
        }
    }
    free(p->buckets);
    p->buckets = buckets;
    p->bucket_count = count;
}

void pins_add(struct pins *p, const struct client_key *client, struct endpoint *e) {
    uint64_t hash = client_hash(client);

    ASSERT(client->kind != CLIENT_NOBODY);
    if (p->entries >= p->bucket_count)
        grow(p);
    struct pin **bucket = &p->buckets[hash & (p->bucket_count - 1)];
    for (struct pin *pin = *bucket; pin != NULL; pin = pin->next)
        if (pin->endpoint == e && same_client(pin, hash, client)) {
            pin->tunnels++;
            return;
        }
    struct pin *pin = calloc(1, sizeof *pin);
    XXXAN(pin);
    pin->hash = hash;
    pin->client = *client;
    pin->endpoint = e;
    pin->tunnels = 1;
    pin->next = *bucket;
    *bucket = pin;
    p->entries++;
}

bool pins_remove(struct pins *p, const struct client_key *client, const struct endpoint *e) {
    if (p->entries == 0)
        return false;
    uint64_t hash = client_hash(client);
    for (struct pin **at = &p->buckets[hash & (p->bucket_count - 1)]; *at != NULL; at = &(*at)->next) {
        struct pin *pin = *at;
        if (pin->endpoint != e || !same_client(pin, hash, client))
            continue;
        if (--pin->tunnels == 0) {
            *at = pin->next;
            free(pin);
            p->entries--;
        }
        return true;
    }
    return false;
}

struct endpoint *pins_find(const struct pins *p, const struct client_key *client) {
    if (p->entries == 0 || client->kind == CLIENT_NOBODY)
        return NULL;
    uint64_t hash = client_hash(client);
    for (const struct pin *pin = p->buckets[hash & (p->bucket_count - 1)]; pin != NULL; pin = pin->next)
        if (same_client(pin, hash, client) &&
            (pin->endpoint->state == ENDPOINT_READY || pin->endpoint->state == ENDPOINT_DRAINING))
            return pin->endpoint;
    return NULL;
}
