/*
 * The turn of the loop: callbacks run, the dead are freed, the kernel is
 * asked, the clock is read, callbacks run.
 *
 * Deadlines are kept as libev's manual advises ("Be smart about timeouts"):
 * moving one later or clearing it only writes a number. The timer stays in
 * the heap, looks at the number when it fires, and waits for the rest.
 */
#include "base/loop.h"

#include <errno.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/miniobj.h"

static void drain_freed(struct loop *l) {
    struct list_node *n;

    while ((n = list_first(&l->freed)) != NULL) { /* destroying one may give us more */
        struct loop_freed *slot = CONTAINER_OF(n, struct loop_freed, node);

        list_remove(n);
        slot->destroy(slot->object);
    }
}

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int events) {
    struct loop *l = CONTAINER_OF(w, struct loop, drain);

    (void)ev;
    (void)events;
    CHECK_OBJ(l, LOOP_MAGIC);
    drain_freed(l);
}

static void on_check(struct ev_loop *ev, ev_check *w, int events) {
    struct loop *l = CONTAINER_OF(w, struct loop, tick);

    (void)ev;
    (void)events;
    CHECK_OBJ(l, LOOP_MAGIC);
    l->now = mono_now();
}

struct loop *loop_new(void) {
    struct ev_loop *ev = ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL);
    struct loop *l;

    if (ev == NULL) {
        if (errno == 0) /* libev does not promise one */
            errno = EMFILE;
        return NULL;
    }
    ALLOC_OBJ(l, LOOP_MAGIC);
    l->ev = ev;
    l->now = mono_now();
    list_init(&l->freed);
    ev_prepare_init(&l->drain, on_prepare);
    ev_set_priority(&l->drain, EV_MINPRI); /* after every other callback that is still pending */
    ev_prepare_start(ev, &l->drain);
    ev_check_init(&l->tick, on_check);
    ev_set_priority(&l->tick, EV_MAXPRI); /* before the callbacks of this turn: they read l->now */
    ev_check_start(ev, &l->tick);
    /* the two alone are no reason to go on running */
    ev_unref(ev);
    ev_unref(ev);
    buf_keep_blocks(BUF_KEPT_MAX);
    return l;
}

void loop_free(struct loop *l) {
    CHECK_OBJ_NOTNULL(l, LOOP_MAGIC);
    drain_freed(l);
    ev_ref(l->ev);
    ev_ref(l->ev);
    ev_prepare_stop(l->ev, &l->drain);
    ev_check_stop(l->ev, &l->tick);
    ev_loop_destroy(l->ev);
    buf_keep_blocks(0);
    FREE_OBJ(l);
}

void loop_free_later(struct loop *l, struct loop_freed *slot, void (*destroy)(void *object), void *object) {
    CHECK_OBJ_NOTNULL(l, LOOP_MAGIC);
    slot->destroy = destroy;
    slot->object = object;
    list_append(&l->freed, &slot->node);
}

/* ---- deadlines ----------------------------------------------------------------------------------------------------
 */

static void arm(struct deadline *d) {
    dur_t rest = mono_since(d->loop->now, d->at);

    ev_timer_set(&d->timer, (double)(rest > 0 ? rest : 0) / (double)DUR_S, 0.);
    ev_timer_start(d->loop->ev, &d->timer);
    d->armed = d->at;
}

/* A dormant timer does not count among what keeps ev_run running; libev thinks it does, so the count is put right. */
static void wake(struct deadline *d) {
    if (d->dormant) {
        ev_ref(d->loop->ev);
        d->dormant = false;
    }
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events) {
    struct deadline *d = CONTAINER_OF(w, struct deadline, timer);

    (void)ev;
    (void)events;
    wake(d);
    if (d->at.us == MONO_NONE.us || ev_is_active(&d->timer)) /* cleared, or set anew since libev queued this call */
        return;
    if (d->at.us > d->loop->now.us) {
        arm(d);
        return;
    }
    d->at = MONO_NONE;
    d->expired(d);
}

void deadline_init(struct deadline *d, struct loop *l, void (*expired)(struct deadline *d)) {
    CHECK_OBJ_NOTNULL(l, LOOP_MAGIC);
    ev_timer_init(&d->timer, on_timer, 0., 0.);
    d->at = d->armed = MONO_NONE;
    d->dormant = false;
    d->loop = l;
    d->expired = expired;
}

void deadline_set(struct deadline *d, dur_t after) {
    if (ev_depth(d->loop->ev) == 0) { /* not in a turn: both clocks stand at the last one, or at loop_new */
        ev_now_update(d->loop->ev);
        d->loop->now = mono_now();
    }
    wake(d);
    d->at = mono_add(d->loop->now, after > 0 ? after : 0);
    if (ev_is_active(&d->timer)) {
        if (d->armed.us <= d->at.us)
            return;
        ev_timer_stop(d->loop->ev, &d->timer);
    }
    arm(d);
}

void deadline_clear(struct deadline *d) {
    if (d->at.us == MONO_NONE.us)
        return;
    d->at = MONO_NONE;
    if (ev_is_active(&d->timer)) {
        ev_unref(d->loop->ev);
        d->dormant = true;
    }
}

void deadline_destroy(struct deadline *d) {
    if (d->loop == NULL) /* zeroed, never initialised */
        return;
    d->at = MONO_NONE;
    wake(d);
    ev_timer_stop(d->loop->ev, &d->timer);
}
