/*
 * A plain repeating timer. It does not count among what keeps the loop
 * running.
 */
#include "control/watchdog.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/environ.h"
#include "base/miniobj.h"
#include "control/notify.h"

#define LONGEST ((uint64_t)DUR_H) /* saying it more often than asked does no harm */

struct watchdog {
    unsigned magic;
#define WATCHDOG_MAGIC 0xd06d06d0
    struct loop *loop;
    char *const *environ_;
    ev_timer timer;
};

/* The time that is allowed, in microseconds; 0: none. */
static uint64_t allowed(char *const *environ_) {
    struct str time = str_of(environ_value(environ_, STR("WATCHDOG_USEC")));
    struct str pid = str_of(environ_value(environ_, STR("WATCHDOG_PID")));
    uint64_t usec, owner;

    if (!str_to_u64(time, &usec))
        return 0;
    if (pid.n > 0 && (!str_to_u64(pid, &owner) || owner != (uint64_t)getpid()))
        return 0;
    return usec;
}

static void tick(struct ev_loop *ev, ev_timer *timer, int events) {
    struct watchdog *w;

    (void)ev;
    (void)events;
    CAST_OBJ_NOTNULL(w, timer->data, WATCHDOG_MAGIC);
    notify(w->environ_, "WATCHDOG=1");
}

struct watchdog *watchdog_start(struct loop *l, char *const *environ_) {
    uint64_t usec = allowed(environ_);
    struct watchdog *w;

    if (usec == 0)
        return NULL;
    double every = (double)(usec < LONGEST ? usec : LONGEST) / (double)DUR_S / 2;
    ALLOC_OBJ(w, WATCHDOG_MAGIC);
    XXXAN(w);
    w->loop = l;
    w->environ_ = environ_;
    ev_timer_init(&w->timer, tick, every, every);
    w->timer.data = w;
    ev_timer_start(l->ev, &w->timer);
    ev_unref(l->ev);
    notify(environ_, "WATCHDOG=1");
    return w;
}

void watchdog_stop(struct watchdog *w) {
    if (w == NULL)
        return;
    CHECK_OBJ(w, WATCHDOG_MAGIC);
    ev_ref(w->loop->ev);
    ev_timer_stop(w->loop->ev, &w->timer);
    w->magic = 0;
    free(w);
}
