/*
 * Start pacing: at most `limit` workers, over all apps, are between spawn and
 * ready; the others stand in one FIFO. A thousand workers that die at once
 * come back a few at a time.
 */
#ifndef FAUCET_APP_START_PACER_H
#define FAUCET_APP_START_PACER_H

#include "base/loop.h"

struct start_pacer {
    struct loop *loop;
    size_t limit;
    struct list waiting, under_way; /* of struct start_ticket */
    ev_prepare wake;                /* never started, only fed: go() runs from a fresh stack */
};

/* Embedded in a worker; zeroed it is on no list. */
struct start_ticket {
    struct list_node node;
    void (*go)(struct start_ticket *t);
};

void start_pacer_init(struct start_pacer *p, struct loop *loop, size_t limit);
void start_pacer_destroy(struct start_pacer *p);
/* max_parallel_starts of the newest snapshot. */
void start_pacer_set_limit(struct start_pacer *p, size_t limit);
/* go() is called later, once, when it is this ticket's turn; the turn lasts until start_pacer_leave. No-op for a ticket
 * that is in already. */
void start_pacer_enter(struct start_pacer *p, struct start_ticket *t, void (*go)(struct start_ticket *t));
/* Started, failed or not wanted any more. Harmless for a ticket that is not in. */
void start_pacer_leave(struct start_pacer *p, struct start_ticket *t);

#endif
