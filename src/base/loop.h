/*
 * The event loop: one libev loop and what hangs off every turn of it. This
 * header is the only one that includes ev.h.
 *
 * An object that dies inside a callback may still be on the stack of that
 * callback: it is given to loop_free_later and freed once the turn is over.
 */
#ifndef FAUCET_BASE_LOOP_H
#define FAUCET_BASE_LOOP_H

#include <ev.h>

#include "base/clock.h"
#include "base/list.h"

struct loop {
    unsigned magic;
#define LOOP_MAGIC 0x100f1e5a
    struct ev_loop *ev;
    mono_t now;        /* set once a turn, after polling */
    struct list freed; /* of struct loop_freed, drained by the prepare watcher */
    ev_prepare drain;
    ev_check tick;
};

/* ev_loop_new(EVFLAG_NOENV | EVBACKEND_EPOLL). NULL with errno when the system has no epoll descriptor left. */
struct loop *loop_new(void);
/* Drains the just-freed list, then destroys the loop. */
void loop_free(struct loop *l);

struct loop_freed {
    struct list_node node;
    void (*destroy)(void *object);
    void *object;
};
/* destroy(object) runs after the current turn's callbacks. `slot` is a member of the object. Once per object. */
void loop_free_later(struct loop *l, struct loop_freed *slot, void (*destroy)(void *object), void *object);

/*
 * A deadline that moves often and fires seldom: moving it later costs no heap
 * operation (the timer is re-armed lazily when it fires early). Granularity
 * is the loop's turn. Zero-initialise, then deadline_init.
 */
struct deadline {
    ev_timer timer;
    mono_t at;    /* MONO_NONE: not set */
    mono_t armed; /* when the timer will look, if it is active: at or earlier */
    bool dormant; /* cleared, the timer left in the heap (and not counted among what keeps ev_run running) */
    struct loop *loop;
    void (*expired)(struct deadline *d);
};
void deadline_init(struct deadline *d, struct loop *l, void (*expired)(struct deadline *d));
/* `after` counts from loop->now. <= 0 fires in the next turn. */
void deadline_set(struct deadline *d, dur_t after);
void deadline_clear(struct deadline *d);
/* Before the memory goes. */
void deadline_destroy(struct deadline *d);

#endif
