/*
 * Who waits for a worker. One FIFO for the app (`order`), one per endpoint
 * where the client is sticky (endpoint->waiting), one count over all.
 *
 * Timeouts cost no timer each: leases with the same timeout expire in the
 * order they came, so they stand on one list per timeout value (one, but for
 * the time after a reload that changed it), and one deadline watches the heads.
 */
#ifndef FAUCET_APP_QUEUE_H
#define FAUCET_APP_QUEUE_H

#include "app/lease.h"

struct queue {
    struct list order;    /* of struct lease by node: any endpoint will do */
    struct list timeouts; /* of struct queue_timeout */
    size_t length;        /* all that wait, for any or for one endpoint */
    struct deadline deadline;
    struct loop *loop;
    void (*expired)(struct lease *l);
};

/* expired: the lease is off all lists already. */
void queue_init(struct queue *q, struct loop *loop, void (*expired)(struct lease *l));
/* Nobody waits any more. */
void queue_destroy(struct queue *q);
/* line: &q->order or an endpoint's `waiting`. Stands where its `asked` belongs; a lease that already waits moves there
 * and keeps its timeout. */
void queue_wait(struct queue *q, struct list *line, struct lease *l);
/* Off its line and its timeout. Harmless for one that does not wait. */
void queue_leave(struct queue *q, struct lease *l);
/* Everybody who waits moves to `into`, in the order of asking; they keep their timeouts. */
void queue_collect(struct queue *q, struct list *into);
/* One of those who wait, in whichever line; NULL: nobody does. */
struct lease *queue_any(const struct queue *q);

#endif
