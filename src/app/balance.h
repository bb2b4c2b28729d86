/*
 * Which endpoint: pins first, then the strategy among the READY endpoints of
 * the current generation. Pure: looks, and turns the round-robin order only.
 */
#ifndef FAUCET_APP_BALANCE_H
#define FAUCET_APP_BALANCE_H

#include "app/lease.h"

enum balance_verdict {
    BALANCE_NOW,      /* endpoint has room */
    BALANCE_WAIT_FOR, /* wait for this very endpoint (pinned or hashed there) */
    BALANCE_WAIT,     /* wait for any */
    BALANCE_NONE      /* none is ready */
};
struct balance_choice {
    enum balance_verdict verdict;
    struct endpoint *endpoint; /* NOW, WAIT_FOR */
};

struct balance_choice balance_choose(struct app *a, enum strategy strategy, const struct client_key *client,
                                     const struct endpoint *avoid);

#endif
