/*
 * The strategies; see balance.h. Round-robin costs O(1): the endpoints with
 * room stand on a list, the chosen one goes to its end. The hashing ones are
 * rendezvous (highest random weight): when a worker comes or goes, only its
 * own clients move.
 */
#include "app/balance.h"

#include "app/live.h"
#include "base/hash.h"

typedef struct endpoint *choose_any(struct generation *g, const struct endpoint *avoid);

static struct endpoint *next_in_turn(struct generation *g, const struct endpoint *avoid) {
    LIST_FOREACH (&g->with_room, struct endpoint, e, room) {
        if (e != avoid)
            return e;
    }
    return NULL;
}

/* Ties go to the least recently chosen. */
static struct endpoint *least_busy(struct generation *g, const struct endpoint *avoid) {
    struct endpoint *best = NULL;

    LIST_FOREACH (&g->with_room, struct endpoint, e, room) {
        if (e != avoid && (best == NULL || e->leases < best->leases))
            best = e;
        if (best != NULL && best->leases == 0)
            break;
    }
    return best;
}

static struct endpoint *rendezvous(struct generation *g, const struct client_key *client,
                                   const struct endpoint *avoid) {
    struct endpoint *best = NULL;
    uint64_t best_weight = 0;

    LIST_FOREACH (&g->endpoints[ENDPOINT_READY], struct endpoint, e, node) {
        uint64_t weight = hash_bytes(e->seed, client->b, sizeof client->b);
        if (e != avoid && (best == NULL || weight > best_weight)) {
            best = e;
            best_weight = weight;
        }
    }
    return best;
}

static const struct {
    bool sticky;
    choose_any *any; /* for a sticky strategy: when nobody is known */
} strategies[] = {
    [STRATEGY_ROUND_ROBIN] = {false, next_in_turn}, [STRATEGY_LEAST_BUSY] = {false, least_busy},
    [STRATEGY_IP_HASH] = {true, least_busy},        [STRATEGY_COOKIE_HASH] = {true, least_busy},
    [STRATEGY_RPS] = {false, next_in_turn}, /* refused by check; a snapshot cannot hold it */
};

static struct balance_choice choose_this(struct endpoint *e) {
    return (struct balance_choice){endpoint_has_room(e) ? BALANCE_NOW : BALANCE_WAIT_FOR, e};
}

struct balance_choice balance_choose(struct app *a, enum strategy strategy, const struct client_key *client,
                                     const struct endpoint *avoid) {
    struct endpoint *e = pins_find(&a->pins, client);
    struct generation *g = a->current;

    if (e != NULL && e != avoid)
        return choose_this(e);
    if (g == NULL || a->closed || list_empty(&g->endpoints[ENDPOINT_READY]))
        return (struct balance_choice){BALANCE_NONE, NULL};
    if (g->endpoints[ENDPOINT_READY].length == 1)
        avoid = NULL; /* there is no other */
    if (strategies[strategy].sticky && client->kind != CLIENT_NOBODY)
        return choose_this(rendezvous(g, client, avoid));
    e = strategies[strategy].any(g, avoid);
    if (e == NULL)
        return (struct balance_choice){BALANCE_WAIT, NULL};
    list_move(&g->with_room, &e->room);
    return (struct balance_choice){BALANCE_NOW, e};
}
