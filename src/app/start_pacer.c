/* One FIFO of workers that want to start; see start_pacer.h. */
#include "app/start_pacer.h"

static void let_go(struct ev_loop *ev, ev_prepare *w, int events) {
    struct start_pacer *p = CONTAINER_OF(w, struct start_pacer, wake);
    (void)ev;
    (void)events;

    while (!list_empty(&p->waiting) && p->under_way.length < p->limit) {
        struct start_ticket *t = CONTAINER_OF(list_first(&p->waiting), struct start_ticket, node);
        list_move(&p->under_way, &t->node);
        t->go(t);
    }
}

static void wake(struct start_pacer *p) {
    if (!list_empty(&p->waiting) && p->under_way.length < p->limit)
        ev_feed_event(p->loop->ev, &p->wake, EV_CUSTOM);
}

void start_pacer_init(struct start_pacer *p, struct loop *loop, size_t limit) {
    p->loop = loop;
    p->limit = limit;
    list_init(&p->waiting);
    list_init(&p->under_way);
    ev_prepare_init(&p->wake, let_go);
}

void start_pacer_destroy(struct start_pacer *p) {
    ev_clear_pending(p->loop->ev, &p->wake);
}

void start_pacer_set_limit(struct start_pacer *p, size_t limit) {
    p->limit = limit;
    wake(p);
}

void start_pacer_enter(struct start_pacer *p, struct start_ticket *t, void (*go)(struct start_ticket *t)) {
    if (t->node.on != NULL)
        return;
    t->go = go;
    list_append(&p->waiting, &t->node);
    wake(p);
}

void start_pacer_leave(struct start_pacer *p, struct start_ticket *t) {
    list_remove(&t->node);
    wake(p);
}
