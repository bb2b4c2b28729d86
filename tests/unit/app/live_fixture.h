/*
 * A live app for tests of src/app: real loop, log and apps; the snapshot is an
 * empty one with values put in. Endpoints may be made without any process.
 */
#ifndef FAUCET_TESTS_LIVE_FIXTURE_H
#define FAUCET_TESTS_LIVE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/live.h"

#define LIVE_ENDPOINTS 8

struct live {
    struct loop *loop;
    struct log *log;
    struct apps *apps;
    struct keeper *keeper;
    struct resolver *resolver;
    struct snapshot *snapshot;
    struct app_config config;
    struct app *app;
    struct generation *generation;
    struct endpoint *endpoints[LIVE_ENDPOINTS];
    char directory[64];
    size_t retired; /* endpoint_retired calls */
    size_t drained; /* endpoint_drained calls */
    void (*at_drained)(struct live *l, struct endpoint *e);
    size_t gone; /* app_gone calls */
    bool stopped;
    enum app_state state; /* last announced */
    size_t announced;
    char reason[APP_REASON_MAX];
    char events[4096]; /* "started ready exited …" */
};

static inline struct live **live_singleton(void) {
    static struct live *l; /* endpoint_retired has no owner */
    return &l;
}
static inline void live_retired(struct endpoint *e) {
    (void)e;
    (*live_singleton())->retired++;
}
static inline void live_drained(void *owner, struct endpoint *e) {
    struct live *l = owner;
    l->drained++;
    if (l->at_drained != NULL)
        l->at_drained(l, e);
}
static inline void live_gone(void *owner, struct app *a) {
    (void)a;
    ((struct live *)owner)->gone++;
}
static inline void live_stopped(void *owner) {
    ((struct live *)owner)->stopped = true;
}
static inline void live_state(void *owner, struct app *a, enum app_state state, const char *reason) {
    struct live *l = owner;
    (void)a;
    l->state = state;
    l->announced++;
    (void)snprintf(l->reason, sizeof l->reason, "%s", reason);
}
static inline void live_event(void *owner, const struct worker_of *w, const struct worker_event *e) {
    struct live *l = owner;
    size_t n = strlen(l->events);
    assert_int_equal(w->origin.generation > 0 && w->origin.worker_id > 0 && w->origin.target.n > 0, true);
    (void)snprintf(l->events + n, sizeof l->events - n, "%s ", e->event);
}

/* keeper may be NULL: then nothing can be spawned. The log goes to log_file, or is thrown away. */
static inline void live_open(struct live *l, struct keeper *keeper, const char *log_file) {
    static char *environment[] = {(char *)"PATH=/usr/bin:/bin", NULL};
    char *error = NULL;

    *l = (struct live){.keeper = keeper};
    *live_singleton() = l;
    (void)snprintf(l->directory, sizeof l->directory, "/tmp/faucet-unit-XXXXXX");
    assert_non_null(mkdtemp(l->directory));
    l->loop = loop_new();
    assert_non_null(l->loop);
    l->log = log_open_stderr();
    assert_true(log_start_thread(l->log));
    log_configure(l->log, LOG_DEBUG, LOG_TEXT, log_file != NULL ? log_file : "/dev/null", 0);
    l->resolver = resolver_new(l->loop);
    assert_non_null(l->resolver);
    const struct apps_env env = {
        .loop = l->loop,
        .log = l->log,
        .keeper = keeper,
        .resolver = l->resolver,
        .environ_ = environment,
        .runtime_dir = l->directory,
        .callbacks = {.endpoint_retired = live_retired,
                      .state_changed = live_state,
                      .worker_event = live_event,
                      .endpoint_drained = live_drained,
                      .app_gone = live_gone,
                      .stopped = live_stopped,
                      .owner = l},
    };
    l->apps = apps_new(&env, &error);
    assert_non_null(l->apps);
    l->snapshot = snapshot_empty();
    l->snapshot->daemon.max_parallel_starts = 4;
    l->snapshot->daemon.timeout_stop = 2 * DUR_S;
    l->snapshot->daemon.timeout_connect = 2 * DUR_S;
    l->snapshot->daemon.shutdown_timeout = 30 * DUR_S;
    l->snapshot->daemon.limit_header_size = 32768;
    l->config = (struct app_config){
        .name = "sales",
        .type = APP_COMMAND,
        .workers = 1,
        .strategy = STRATEGY_ROUND_ROBIN,
        .concurrency = 1,
        .queue_size = 100,
        .queue_timeout = 30 * DUR_S,
        .start_timeout = 10 * DUR_S,
        .drain_timeout = 30 * DUR_S,
    };
}

/* `count` READY endpoints without processes. */
static inline void live_open_fake(struct live *l, size_t count, int64_t concurrency, enum strategy strategy) {
    live_open(l, NULL, NULL);
    l->config.concurrency = concurrency;
    l->config.strategy = strategy;
    l->app = app_new(l->apps, l->snapshot, &l->config);
    l->generation = l->app->current = generation_new(l->app, l->snapshot, &l->config);
    for (size_t i = 0; i < count; i++) {
        l->endpoints[i] = endpoint_new(l->generation, NULL, (unsigned)i + 1);
        endpoint_move(l->endpoints[i], ENDPOINT_READY);
    }
}

static inline void live_close(struct live *l) {
    apps_free(l->apps);
    resolver_free(l->resolver);
    snapshot_unref(l->snapshot);
    loop_free(l->loop);
    log_close(l->log);
    (void)rmdir(l->directory);
}

/* What is pending, without waiting. */
static inline void live_turn(struct live *l) {
    for (int i = 0; i < 3; i++)
        (void)ev_run(l->loop->ev, EVRUN_NOWAIT);
}

/* Runs the loop until the condition holds; fails the test after ten seconds. */
#define live_until(l, condition)                                                                                       \
    do {                                                                                                               \
        mono_t give_up_ = mono_add(mono_now(), 10 * DUR_S);                                                            \
        while (!(condition)) {                                                                                         \
            if (mono_now().us > give_up_.us)                                                                           \
                fail_msg("waited in vain for: %s", #condition);                                                        \
            live_once(l);                                                                                              \
        }                                                                                                              \
    } while (0)

static inline void live_nothing(struct ev_loop *ev, ev_timer *t, int events) {
    (void)ev;
    (void)t;
    (void)events;
}
/* One turn, 10 ms at most. */
static inline void live_once(struct live *l) {
    ev_timer t;
    ev_timer_init(&t, live_nothing, 0.01, 0.);
    ev_timer_start(l->loop->ev, &t);
    (void)ev_run(l->loop->ev, EVRUN_ONCE);
    ev_timer_stop(l->loop->ev, &t);
}

/* An exchange's lease that notes what it is told. */
struct asker {
    struct lease lease;
    unsigned granted, refused;
    unsigned order; /* of being told, among all: 1, 2, 3… */
    enum lease_refusal why;
};
static inline unsigned *asker_counter(void) {
    static unsigned n;
    return &n;
}
static inline void asker_granted(struct lease *l) {
    struct asker *a = CONTAINER_OF(l, struct asker, lease);
    a->granted++;
    a->order = ++*asker_counter();
}
static inline void asker_refused(struct lease *l, enum lease_refusal why) {
    struct asker *a = CONTAINER_OF(l, struct asker, lease);
    a->refused++;
    a->why = why;
    a->order = ++*asker_counter();
}
static inline struct client_key client_number(unsigned n) {
    struct client_key c = {.kind = CLIENT_COOKIE};
    memcpy(c.b, &n, sizeof n);
    return c;
}
static inline enum lease_refusal ask(struct live *l, struct asker *a, struct client_key client) {
    const struct endpoint *avoid = a->lease.avoid;
    *a =
        (struct asker){.lease = {.client = client, .avoid = avoid, .granted = asker_granted, .refused = asker_refused}};
    return lease_request(&a->lease, l->app, &l->config);
}
static inline enum lease_refusal ask_as_nobody(struct live *l, struct asker *a) {
    return ask(l, a, (struct client_key){.kind = CLIENT_NOBODY});
}

#endif
