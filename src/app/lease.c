/*
 * Leases. One rule keeps the order fair: nobody waits while there is room for
 * him. A freed endpoint is given to the next in line at once, in the books;
 * the exchange that got it is told a little later, from a fresh stack, so that
 * lease_release never runs another exchange's code. A new request therefore
 * never overtakes, and needs no look at the queue.
 */
#include "app/lease.h"

#include <errno.h>

#include "app/balance.h"
#include "app/live.h"
#include "app/upstream_health.h"
#include "base/miniobj.h"

static void decide(struct lease *l) {
    struct apps *apps = l->app->apps;

    list_append(&apps->decided, &l->node);
    apps_wake(apps);
}

static void refuse(struct lease *l, enum lease_refusal why) {
    l->endpoint = NULL;
    l->verdict = why;
    decide(l);
}

static void assign(struct lease *l, struct endpoint *e) {
    l->endpoint = e;
    endpoint_take(e);
    decide(l);
}

static enum lease_refusal nobody_ready(const struct app *a) {
    return a->stopping || a->removed       ? LEASE_APP_GONE
           : a->kind->type == APP_UPSTREAM ? LEASE_NO_UPSTREAM
                                           : LEASE_NO_WORKER;
}

static void hold(struct lease *l, struct endpoint *e) {
    l->endpoint = e;
    l->granted_at = l->asked;
    l->state = LEASE_HELD;
    endpoint_take(e);
    e->requests++;
}

enum lease_refusal lease_request(struct lease *l, struct app *a, const struct app_config *config) {
    CHECK_OBJ_NOTNULL(a, APP_MAGIC);
    ASSERT(l->state == LEASE_NONE);
    l->app = a;
    l->asked = a->apps->loop->now;
    l->verdict = LEASE_OK;
    if (a->stopping)
        return LEASE_APP_GONE;

    struct balance_choice c = balance_choose(a, (enum strategy)config->strategy, &l->client, l->avoid);
    if (c.verdict == BALANCE_NOW) {
        hold(l, c.endpoint);
        return LEASE_OK;
    }
    if (c.verdict == BALANCE_NONE)
        return nobody_ready(a);
    if (a->queue.length >= (size_t)config->queue_size)
        return LEASE_QUEUE_FULL;
    l->state = LEASE_QUEUED;
    l->endpoint = NULL;
    l->timeout = config->queue_timeout;
    queue_wait(&a->queue, c.verdict == BALANCE_WAIT_FOR ? &c.endpoint->waiting : &a->queue.order, l);
    return LEASE_OK;
}

/* One that waits, or waited, gets a new place; it keeps its time of asking. It is on no line now. */
static void route_again(struct lease *l) {
    struct app *a = l->app;
    struct balance_choice c = {BALANCE_NONE, NULL};

    if (!a->stopping)
        c = balance_choose(a, (enum strategy)a->config->strategy, &l->client, l->avoid);
    switch (c.verdict) {
    case BALANCE_NOW:
        queue_leave(&a->queue, l);
        assign(l, c.endpoint);
        break;
    case BALANCE_WAIT_FOR:
        queue_wait(&a->queue, &c.endpoint->waiting, l);
        break;
    case BALANCE_WAIT:
        queue_wait(&a->queue, &a->queue.order, l);
        break;
    case BALANCE_NONE:
        queue_leave(&a->queue, l);
        refuse(l, nobody_ready(a));
        break;
    }
}

static struct lease *first_in(const struct list *line) {
    return list_empty(line) ? NULL : CONTAINER_OF(list_first(line), struct lease, node);
}

/* The first in the app's line who may go to e: all but those who failed to connect there, as long as others are ready.
 */
static struct lease *first_for(const struct endpoint *e) {
    const struct app *a = e->app;

    if (e->state != ENDPOINT_READY || a->current != e->generation)
        return NULL;
    LIST_FOREACH (&a->queue.order, struct lease, l, node) {
        if (l->avoid != e || a->current->endpoints[ENDPOINT_READY].length == 1)
            return l;
    }
    return NULL;
}

void lease_offer(struct endpoint *e) {
    while (endpoint_has_room(e)) {
        struct lease *own = first_in(&e->waiting), *any = first_for(e);
        struct lease *l = own == NULL || (any != NULL && any->asked.us < own->asked.us) ? any : own;
        if (l == NULL)
            return;
        queue_leave(&e->app->queue, l);
        assign(l, e);
    }
}

void lease_reroute(struct endpoint *e) {
    struct app *a = e->app;
    struct list moving;
    struct list_node *n;

    list_init(&moving);
    while ((n = list_first(&e->waiting)) != NULL)
        list_move(&moving, n);
    while ((n = list_first(&moving)) != NULL) {
        list_remove(n);
        route_again(CONTAINER_OF(n, struct lease, node));
    }
    if (e->state != ENDPOINT_DRAINING) /* what was given to it counts as running there */
        LIST_FOREACH (&a->apps->decided, struct lease, l, node) {
            if (l->endpoint != e)
                continue;
            list_remove(&l->node);
            l->endpoint = NULL;
            endpoint_give_back(e);
            route_again(l);
        }
    lease_refuse_stranded(a);
}

void lease_reroute_all(struct app *a) {
    struct list moving;
    struct list_node *n;

    list_init(&moving);
    queue_collect(&a->queue, &moving);
    while ((n = list_first(&moving)) != NULL) {
        list_remove(n);
        route_again(CONTAINER_OF(n, struct lease, node));
    }
}

void lease_refuse_all(struct app *a, enum lease_refusal why) {
    struct lease *l;

    while ((l = queue_any(&a->queue)) != NULL) {
        queue_leave(&a->queue, l);
        refuse(l, why);
    }
}

void lease_refuse_stranded(struct app *a) {
    struct lease *l;

    if (a->current != NULL && !list_empty(&a->current->endpoints[ENDPOINT_READY]))
        return;
    while ((l = first_in(&a->queue.order)) != NULL) {
        queue_leave(&a->queue, l);
        refuse(l, nobody_ready(a));
    }
}

void lease_timed_out(struct lease *l) {
    refuse(l, LEASE_QUEUE_TIMEOUT);
}

void lease_cancel(struct lease *l) {
    struct endpoint *e = l->endpoint;

    if (l->state == LEASE_NONE)
        return;
    ASSERT(l->state == LEASE_QUEUED);
    l->state = LEASE_NONE;
    l->endpoint = NULL;
    queue_leave(&l->app->queue, l);
    list_remove(&l->node); /* decided, but not told yet */
    if (e != NULL) {
        endpoint_give_back(e);
        lease_offer(e);
        endpoint_consider(e);
    } else if (l->app->stopping) {
        apps_check_stopped(l->app->apps);
    }
}

void lease_release(struct lease *l) {
    struct endpoint *e = l->endpoint;

    ASSERT(l->state == LEASE_HELD);
    l->state = LEASE_NONE;
    l->endpoint = NULL;
    endpoint_give_back(e);
    if (l->app->queue.length > 0)
        lease_offer(e);
    endpoint_consider(e);
}

bool lease_error_is_ours(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM || error == EADDRNOTAVAIL;
}

void lease_connect_failed(struct lease *l, int error) {
    struct endpoint *e = l->endpoint;

    ASSERT(l->state == LEASE_HELD);
    /* Looked after first: otherwise the next in line would get the endpoint that just refused. */
    if (!lease_error_is_ours(error)) {
        if (e->upstream != NULL)
            upstream_address_failed(e->upstream, error);
        else if (e->worker != NULL && e->worker->endpoint == e)
            worker_refused(e->worker, error);
    }
    lease_release(l);
}

void lease_tell(struct apps *apps) {
    struct list_node *n;

    for (size_t left = apps->decided.length; left > 0 && (n = list_first(&apps->decided)) != NULL; left--) {
        struct lease *l = CONTAINER_OF(n, struct lease, node);
        list_remove(n);
        ASSERT(l->state == LEASE_QUEUED);
        if (l->endpoint != NULL) {
            l->state = LEASE_HELD;
            l->granted_at = apps->loop->now;
            l->endpoint->requests++;
            l->granted(l);
        } else {
            l->state = LEASE_NONE;
            l->refused(l, l->verdict);
        }
    }
    if (!list_empty(&apps->decided))
        apps_wake(apps);
}
