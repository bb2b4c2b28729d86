/* The lines in front of the workers; see queue.h. */
#include "app/queue.h"

#include "base/miniobj.h"

/* Leases that wait equally long, oldest first: the head expires first. */
struct queue_timeout {
    struct list_node node;
    dur_t timeout;
    struct list leases; /* of struct lease by timed */
};

static struct lease *first_timed(const struct queue_timeout *t) {
    return list_empty(&t->leases) ? NULL : CONTAINER_OF(list_first(&t->leases), struct lease, timed);
}

static void check_timeouts(struct deadline *d) {
    struct queue *q = CONTAINER_OF(d, struct queue, deadline);
    mono_t now = q->loop->now;
    dur_t next = -1;

    LIST_FOREACH (&q->timeouts, struct queue_timeout, t, node) {
        struct lease *l;
        while ((l = first_timed(t)) != NULL && mono_since(l->asked, now) >= t->timeout) {
            queue_leave(q, l);
            q->expired(l);
        }
        if (l != NULL) {
            dur_t left = t->timeout - mono_since(l->asked, now);
            next = next < 0 || left < next ? left : next;
        }
    }
    if (next >= 0)
        deadline_set(&q->deadline, next);
}

void queue_init(struct queue *q, struct loop *loop, void (*expired)(struct lease *l)) {
    list_init(&q->order);
    list_init(&q->timeouts);
    q->length = 0;
    q->loop = loop;
    q->expired = expired;
    deadline_init(&q->deadline, loop, check_timeouts);
}

void queue_destroy(struct queue *q) {
    AZ(q->length);
    LIST_FOREACH (&q->timeouts, struct queue_timeout, t, node) {
        list_remove(&t->node);
        free(t);
    }
    deadline_destroy(&q->deadline);
}

/* The list for this timeout; an empty one is used again, so there are as many as values in use at one time. */
static struct queue_timeout *timeout_list(struct queue *q, dur_t timeout) {
    struct queue_timeout *unused = NULL;

    LIST_FOREACH (&q->timeouts, struct queue_timeout, t, node) {
        if (t->timeout == timeout)
            return t;
        if (list_empty(&t->leases))
            unused = t;
    }
    if (unused == NULL) {
        unused = calloc(1, sizeof *unused);
        XXXAN(unused);
        list_init(&unused->leases);
        list_append(&q->timeouts, &unused->node);
    }
    unused->timeout = timeout;
    return unused;
}

static void start_timeout(struct queue *q, struct lease *l) {
    list_append(&timeout_list(q, l->timeout)->leases, &l->timed);

    /* The deadline may be set too early (its lease left since), never too late. */
    dur_t left = l->timeout - mono_since(l->asked, q->loop->now);
    if (q->deadline.at.us == MONO_NONE.us || mono_since(q->loop->now, q->deadline.at) > left)
        deadline_set(&q->deadline, left);
}

void queue_wait(struct queue *q, struct list *line, struct lease *l) {
    struct list_node *at = &line->head;

    list_remove(&l->node);
    /* Newcomers belong at the end; only a lease that is routed anew walks. */
    while (at->prev != &line->head && CONTAINER_OF(at->prev, struct lease, node)->asked.us > l->asked.us)
        at = at->prev;
    list_insert_before(line, at, &l->node);
    if (l->timed.on == NULL) {
        q->length++;
        start_timeout(q, l);
    }
}

void queue_leave(struct queue *q, struct lease *l) {
    if (l->timed.on == NULL)
        return;
    list_remove(&l->timed);
    list_remove(&l->node);
    q->length--;
}

void queue_collect(struct queue *q, struct list *into) {
    LIST_FOREACH (&q->timeouts, struct queue_timeout, t, node) {
        LIST_FOREACH (&t->leases, struct lease, l, timed) {
            queue_wait(q, into, l);
        }
    }
}

struct lease *queue_any(const struct queue *q) {
    LIST_FOREACH (&q->timeouts, struct queue_timeout, t, node) {
        if (!list_empty(&t->leases))
            return first_timed(t);
    }
    return NULL;
}
