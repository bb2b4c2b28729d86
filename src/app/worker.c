/*
 * The states of a worker and what moves it from one to the next; drawn beside
 * the enum in worker.h. worker_start.c has what happens within STARTING.
 * Everything goes through worker_move, which also moves the endpoint.
 */
#include "app/worker.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/live.h"
#include "app/obituary.h"
#include "base/miniobj.h"
#include "base/uuid.h"

#define BACKOFF_FIRST   (250 * DUR_MS)
#define BACKOFF_MOST    (30 * DUR_S)
#define BACKOFF_FORGET  (1 * DUR_MIN) /* this long ready: the next crash counts as the first */
#define REVIVAL_TIMEOUT (10 * DUR_S)  /* a worker that refused connections has this long to answer again */
#define PORT_TRIES      5
#define ASKED_TIMES     2              /* within timeouts.stop a worker is asked this often to end */
#define LAST_WORDS      (200 * DUR_MS) /* for a worker to see its last tunnel's end before it is asked to end itself */
#define GOODBYE_TIME    (1 * DUR_S)    /* for tunnels to end with a Close, once drain_timeout passed */

#define BIT(state) (1u << (state))

static const struct {
    const char *name;
    unsigned from; /* the states that may lead here */
    enum endpoint_state endpoint;
} states[WORKER_STATES] = {
    [WORKER_STARTING] = {"starting", BIT(WORKER_READY) | BIT(WORKER_BACKOFF), ENDPOINT_STARTING},
    [WORKER_READY] = {"ready", BIT(WORKER_STARTING), ENDPOINT_READY},
    [WORKER_DRAINING] = {"draining", BIT(WORKER_READY) | BIT(WORKER_STARTING), ENDPOINT_DRAINING},
    [WORKER_STOPPING] = {"stopping", BIT(WORKER_STARTING) | BIT(WORKER_READY) | BIT(WORKER_DRAINING), ENDPOINT_RETIRED},
    [WORKER_BACKOFF] = {"backoff", BIT(WORKER_STARTING) | BIT(WORKER_READY) | BIT(WORKER_STOPPING), ENDPOINT_STARTING},
    [WORKER_GONE] = {"gone", BIT(WORKER_STARTING) | BIT(WORKER_DRAINING) | BIT(WORKER_STOPPING) | BIT(WORKER_BACKOFF),
                     ENDPOINT_RETIRED},
};

const char *worker_state_name(enum worker_state s) {
    return states[s].name;
}

static void worker_move(struct worker *w, enum worker_state to) {
    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    ASSERT(states[to].from & BIT(w->state));
    list_move(&w->generation->workers[to], &w->node);
    w->state = to;
    deadline_clear(&w->deadline);
    endpoint_move(w->endpoint, states[to].endpoint);
    app_changed(w->generation->app);
}

struct worker_of worker_of(const struct worker *w) {
    const struct generation *g = w->generation;

    return (struct worker_of){.snapshot = g->snapshot,
                              .config = g->config,
                              .origin = {.app = str_of(g->app->name),
                                         .target = str_of(w->endpoint->source),
                                         .generation = g->number,
                                         .worker_id = w->id}};
}

void worker_tell(struct worker *w, struct worker_event e) {
    const struct app_callbacks *c = &w->generation->app->apps->env.callbacks;
    const struct worker_of of = worker_of(w);

    if (c->worker_event == NULL)
        return;
    e.pid = w->pid;
    if (e.uptime < 0 && w->pid > 0)
        e.uptime = mono_since(w->spawned, w->generation->app->apps->loop->now);
    c->worker_event(c->owner, &of, &e);
}

/* A log event in a line of its standard error. */
static void logged_event(struct worker_output *o, const struct log_event *e) {
    struct worker *w = CONTAINER_OF(o, struct worker, output);
    const struct app_callbacks *c = &w->generation->app->apps->env.callbacks;
    const struct worker_of of = worker_of(w);

    CHECK_OBJ(w, WORKER_MAGIC);
    if (c->log_event != NULL)
        c->log_event(c->owner, &of, e);
}

static void destroy_later(void *worker) {
    struct generation *g = ((struct worker *)worker)->generation;

    worker_destroy(worker);
    generation_consider(g);
}

static void worker_gone(struct worker *w) {
    struct apps *apps = w->generation->app->apps;

    ASSERT(w->process == NULL);
    worker_move(w, WORKER_GONE);
    loop_free_later(apps->loop, &w->freed, destroy_later, w);
    apps_check_stopped(apps);
}

/* ---- stopping ---------------------------------------------------------------------------------------------------- */

static void ask_to_end(struct worker *w) {
    int stop_signal = w->generation->kind->stop_signal;

    keeper_kill(w->generation->app->apps->env.keeper, w->process, stop_signal != 0 ? stop_signal : SIGTERM, true);
}

/* Asks the process to end, with the signal its kind likes best; its exit leads to `next`. */
static void worker_terminate(struct worker *w, enum worker_state next) {
    struct app *a = w->generation->app;

    worker_probe_end(w);
    w->next = next;
    worker_move(w, WORKER_STOPPING);
    w->asked = 1;
    deadline_set(&w->deadline, a->snapshot->daemon.timeout_stop / ASKED_TIMES);
    ask_to_end(w);
}

void worker_stop(struct worker *w) {
    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    if (w->state == WORKER_STOPPING) {
        w->next = WORKER_GONE;
    } else if (w->state != WORKER_GONE && w->process != NULL) {
        worker_terminate(w, WORKER_GONE);
    } else if (w->state != WORKER_GONE) {
        worker_probe_end(w);
        worker_gone(w);
    }
}

void worker_drain(struct worker *w) {
    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    if (w->state == WORKER_DRAINING)
        return;
    if (w->state != WORKER_READY && (w->state != WORKER_STARTING || endpoint_is_free(w->endpoint))) {
        worker_stop(w);
        return;
    }
    worker_probe_end(w);
    w->draining_since = w->generation->app->apps->loop->now;
    worker_move(w, WORKER_DRAINING); /* which calls worker_unused when nobody uses it */
    if (w->state == WORKER_DRAINING && w->endpoint->state == ENDPOINT_DRAINING)
        deadline_set(&w->deadline, w->generation->config->drain_timeout);
}

static void set_deadline_from(struct worker *w, mono_t since, dur_t timeout) {
    deadline_set(&w->deadline, timeout - mono_since(since, w->generation->app->apps->loop->now));
}

void worker_retime(struct worker *w) {
    const struct app_config *config = w->generation->config;

    if (w->state == WORKER_STARTING && w->process != NULL && w->ready_at.us == MONO_NONE.us)
        set_deadline_from(w, w->spawned, config->start_timeout);
    else if (w->state == WORKER_DRAINING && w->endpoint->state == ENDPOINT_DRAINING)
        set_deadline_from(w, w->draining_since, config->drain_timeout);
}

void worker_unused(struct worker *w) {
    mono_t unpinned = w->endpoint->unpinned;

    if (w->state != WORKER_DRAINING)
        return;
    dur_t left = LAST_WORDS - mono_since(unpinned, w->generation->app->apps->loop->now);
    if (unpinned.us == MONO_NONE.us || left <= 0) {
        worker_stop(w);
        return;
    }
    deadline_set(&w->deadline, left);
    endpoint_move(w->endpoint, ENDPOINT_RETIRED);
}

/* ---- starting ---------------------------------------------------------------------------------------------------- */

static void restart(struct worker *w) {
    worker_move(w, WORKER_STARTING);
    start_pacer_enter(&w->generation->app->apps->pacer, &w->ticket, worker_launch);
}

void worker_answered(struct worker *w) {
    struct app *a = w->generation->app;
    struct buf b = {0};

    worker_probe_end(w);
    w->ready_at = a->apps->loop->now;
    w->port_tries = 0;
    obituary_span(&b, mono_since(w->spawned, w->ready_at));
    const struct log_field fields[] = {LOG_STR("app", str_of(a->name)), LOG_INT("worker_id", w->id),
                                       LOG_INT("pid", w->pid)};
    struct buf line = {0};
    buf_printf(&line, "worker %u of %s (pid %d) is ready after %.*s", w->id, a->name, (int)w->pid,
               STR_ARG(buf_str(&b)));
    log_record(a->apps->log, LOG_INFO, STR("faucet"), buf_str(&line), fields, ARRAY_LENGTH(fields));
    buf_free(&line);
    buf_free(&b);
    worker_move(w, WORKER_READY);
    worker_tell(w, worker_event_of("ready", NULL));
    candidate_look(w->generation->candidate);
}

/* The same process is asked again whether it lives. What it was doing for others goes on. */
void worker_refused(struct worker *w, int error) {
    if (w->state != WORKER_READY || (error != ECONNREFUSED && error != ENOENT && error != ECONNRESET))
        return; /* a timeout or a full backlog: it is busy, others are chosen meanwhile */
    log_warn(w->generation->app->apps->log, "worker %u of %s (pid %d) refuses connections: %s; asking it again", w->id,
             w->generation->app->name, (int)w->pid, strerror(error));
    worker_move(w, WORKER_STARTING);
    deadline_set(&w->deadline, REVIVAL_TIMEOUT);
    worker_probe_begin(w);
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */

/* The next process gets an endpoint of its own; what still runs on the old one ends there. */
static void renew_endpoint(struct worker *w) {
    struct endpoint *old = w->endpoint;

    w->endpoint = endpoint_new(w->generation, w, w->id);
    w->endpoint->requests = old->requests;
    endpoint_hold(w->endpoint);
    if (old->state != ENDPOINT_RETIRED)
        endpoint_move(old, ENDPOINT_RETIRED);
    endpoint_drop(old);
}

static dur_t next_delay(struct worker *w) {
    dur_t d = BACKOFF_FIRST;

    for (unsigned i = 1; i < w->failures && d < BACKOFF_MOST; i++)
        d *= 2;
    if (d > BACKOFF_MOST)
        d = BACKOFF_MOST;
    /* Up to a quarter less, so that workers that died together do not come back together. */
    return d - (dur_t)(random_u64() % (uint64_t)(d / 4 + 1));
}

static void back_off(struct worker *w, const char *what) {
    struct app *a = w->generation->app;
    struct buf line = {0};

    w->failures++;
    buf_printf(&line, "worker %u of %s %s", w->id, a->name, what);
    buf_append_char(&line, '\0');
    if (candidate_is_preparing(w->generation->candidate)) { /* the end of that: nobody starts it again */
        w->pid = 0;
        worker_move(w, WORKER_BACKOFF);
        candidate_fail(w->generation->candidate, buf_str(&line).p);
        buf_free(&line);
        return;
    }
    dur_t delay = next_delay(w);
    generation_set_reason(w->generation, buf_str(&line).p);
    line.end--;
    buf_append(&line, STR("; restart in "));
    obituary_span(&line, delay);
    const struct log_field fields[] = {LOG_STR("app", str_of(a->name)), LOG_INT("worker_id", w->id),
                                       LOG_INT("pid", w->pid), LOG_INT("delay_ms", delay / DUR_MS)};
    log_record(a->apps->log, LOG_ERROR, STR("faucet"), buf_str(&line), fields, ARRAY_LENGTH(fields));
    buf_free(&line);
    w->pid = 0;
    worker_move(w, WORKER_BACKOFF);
    deadline_set(&w->deadline, delay);
    struct worker_event event = worker_event_of("backoff", what);
    event.delay = delay;
    worker_tell(w, event);
}

void worker_not_started(struct worker *w, const char *why) {
    struct buf b = {0};

    worker_probe_end(w);
    worker_output_finish(&w->output);
    if (w->process != NULL) {
        process_release(w->generation->app->apps->env.keeper, w->process);
        w->process = NULL;
    }
    if (w->state == WORKER_STOPPING && w->next == WORKER_GONE) {
        worker_gone(w);
        return;
    }
    renew_endpoint(w);
    buf_printf(&b, "could not be started: %s", why);
    buf_append_char(&b, '\0');
    back_off(w, b.data);
    buf_free(&b);
}

static void log_usage(struct worker *w, const struct process_exit *e) {
    struct app *a = w->generation->app;
    log_debug(a->apps->log, "worker %u of %s (pid %d) used %ld.%03ld s of CPU and %ld MiB of memory at most", w->id,
              a->name, (int)w->pid, (long)(e->usage.ru_utime.tv_sec + e->usage.ru_stime.tv_sec),
              (long)((e->usage.ru_utime.tv_usec + e->usage.ru_stime.tv_usec) / 1000 % 1000), e->usage.ru_maxrss / 1024);
}

/* "(pid 123) exited with status 1 after 3.2 s", and what it last said if it never got ready. */
static void write_obituary(struct worker *w, const struct process_exit *e, bool was_ready, struct buf *b) {
    buf_printf(b, "(pid %d) ", (int)w->pid);
    obituary_cause(b, e->status);
    buf_append(b, STR(" after "));
    obituary_span(b, mono_since(w->spawned, w->generation->app->apps->loop->now));
    if (w->state == WORKER_STOPPING && w->next == WORKER_BACKOFF)
        buf_printf(b, ", stopped because it did not answer in time (%s)", w->probe_error);
    if (!was_ready && w->output.last_count > 0) {
        buf_append(b, STR("; it said: "));
        worker_output_last(&w->output, b);
    }
    buf_append_char(b, '\0');
}

/* Its process ended: as `what`, with how, what it last said, and what it used. */
static void tell_end(struct worker *w, const char *what, const char *obituary, const struct process_exit *e) {
    const struct rusage *u = &e->usage;
    struct worker_event event = worker_event_of(what, obituary);
    struct buf tail = {0};

    worker_output_last(&w->output, &tail);
    event.stderr_tail = buf_str(&tail);
    if (WIFSIGNALED(e->status))
        event.signal = WTERMSIG(e->status);
    if (WIFEXITED(e->status))
        event.exit_code = WEXITSTATUS(e->status);
    event.cpu = (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * DUR_S + u->ru_utime.tv_usec + u->ru_stime.tv_usec;
    event.max_rss = (int64_t)u->ru_maxrss * 1024;
    worker_tell(w, event);
    buf_free(&tail);
}

/* A newer generation has taken its place. */
static bool is_replaced(const struct worker *w) {
    const struct app *a = w->generation->app;
    return a->current != NULL && a->current != w->generation && !a->removed && !a->stopping && !a->apps->stopping;
}

static void stopped_as_wanted(struct worker *w, const char *obituary, const struct process_exit *e) {
    struct app *a = w->generation->app;

    log_info(a->apps->log, "worker %u of %s %s", w->id, a->name, obituary);
    tell_end(w, is_replaced(w) ? "recycled" : "stopped", obituary, e);
    worker_gone(w);
}

static void crashed(struct worker *w, const char *obituary, bool was_ready, const struct process_exit *e) {
    struct apps *apps = w->generation->app->apps;

    /* one that did not answer in time was stopped by us */
    tell_end(w, w->state == WORKER_STOPPING ? "stopped" : "crashed", obituary, e);
    if (was_ready && mono_since(w->ready_at, apps->loop->now) >= BACKOFF_FORGET)
        w->failures = 0;
    /* Somebody else was faster: not this worker's fault. */
    if (!was_ready && w->state == WORKER_STARTING && w->port_tries < PORT_TRIES && worker_port_is_taken(w)) {
        w->port_tries++;
        log_info(apps->log, "port %u for worker %u of %s is taken, trying another", w->port, w->id,
                 w->generation->app->name);
        deadline_clear(&w->deadline);
        renew_endpoint(w);
        start_pacer_enter(&apps->pacer, &w->ticket, worker_launch);
        return;
    }
    renew_endpoint(w);
    back_off(w, obituary);
}

void worker_exited(void *worker, const struct process_exit *e) {
    struct worker *w = worker;
    struct buf obituary = {0};

    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    struct keeper *keeper = w->generation->app->apps->env.keeper;
    w->endpoint->ended = w->generation->app->apps->loop->now;
    bool was_ready = w->ready_at.us != MONO_NONE.us;
    worker_probe_end(w);
    keeper_kill(keeper, w->process, SIGKILL, true); /* grandchildren go with it */
    process_release(keeper, w->process);
    w->process = NULL;
    worker_output_finish(&w->output);
    if (w->socket[0] != '\0')
        (void)unlink(w->socket);
    write_obituary(w, e, was_ready, &obituary);
    log_usage(w, e);
    if (w->state == WORKER_DRAINING || (w->state == WORKER_STOPPING && w->next == WORKER_GONE))
        stopped_as_wanted(w, obituary.data, e);
    else
        crashed(w, obituary.data, was_ready, e);
    buf_free(&obituary);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

static void fail_candidate(struct worker *w) {
    struct buf why = {0};

    buf_printf(&why, "worker %u of %s (pid %d) did not answer within ", w->id, w->generation->app->name, (int)w->pid);
    obituary_span(&why, w->generation->config->start_timeout);
    buf_printf(&why, ": it %s", w->probe_error);
    if (w->output.last_count > 0) {
        buf_append(&why, STR("; it said: "));
        worker_output_last(&w->output, &why);
    }
    buf_append_char(&why, '\0');
    worker_stop(w);
    candidate_fail(w->generation->candidate, why.data);
    buf_free(&why);
}

static void start_timed_out(struct worker *w) {
    struct app *a = w->generation->app;

    if (candidate_is_preparing(w->generation->candidate)) {
        fail_candidate(w);
        return;
    }
    log_warn(a->apps->log, "worker %u of %s (pid %d) did not answer in time: it %s; stopping it", w->id, a->name,
             (int)w->pid, w->probe_error);
    worker_terminate(w, WORKER_BACKOFF);
}

/* R may swallow an interrupt (one that arrives while Shiny or later runs C code), so it is asked more than once. */
static void ask_again_or_kill(struct worker *w) {
    struct app *a = w->generation->app;

    if (w->asked++ < ASKED_TIMES) {
        deadline_set(&w->deadline, a->snapshot->daemon.timeout_stop / ASKED_TIMES);
        ask_to_end(w);
        return;
    }
    log_warn(a->apps->log, "worker %u of %s (pid %d) did not end when asked to: killing it", w->id, a->name,
             (int)w->pid);
    worker_tell(w, worker_event_of("killed", "did not end when asked to"));
    keeper_kill(a->apps->env.keeper, w->process, SIGKILL, true);
}

/* Clients that come back are not served here any more, so that nobody is told goodbye twice. */
static void say_goodbye(struct worker *w) {
    const struct app_callbacks *c = &w->generation->app->apps->env.callbacks;

    deadline_set(&w->deadline, GOODBYE_TIME);
    endpoint_move(w->endpoint, ENDPOINT_RETIRED);
    c->endpoint_drained(c->owner, w->endpoint); /* the last tunnel's end stops the worker */
}

static void drained_long_enough(struct worker *w) {
    const struct endpoint *e = w->endpoint;
    struct app *a = w->generation->app;

    if (endpoint_is_free(e)) {
        worker_stop(w);
        return;
    }
    dur_t left =
        w->generation->config->request_timeout - mono_since(w->draining_since, w->generation->app->apps->loop->now);

    if (e->pins > 0 && e->state != ENDPOINT_RETIRED && a->apps->env.callbacks.endpoint_drained != NULL) {
        log_info(a->apps->log, "drain_timeout passed: ending %zu tunnels of worker %u of %s (pid %d)", e->pins, w->id,
                 a->name, (int)w->pid);
        say_goodbye(w);
        return;
    }
    if (e->leases > 0 && left > 0) { /* no session any more: these requests will end */
        deadline_set(&w->deadline, left);
        return;
    }
    log_info(a->apps->log,
             "worker %u of %s (pid %d) is still used after drain_timeout (%zu requests, %zu tunnels): stopping it",
             w->id, a->name, (int)w->pid, e->leases, e->pins);
    worker_stop(w);
}

static void deadline_passed(struct deadline *d) {
    static void (*const passed[WORKER_STATES])(struct worker *) = {
        [WORKER_STARTING] = start_timed_out,
        [WORKER_STOPPING] = ask_again_or_kill,
        [WORKER_BACKOFF] = restart,
        [WORKER_DRAINING] = drained_long_enough,
    };
    struct worker *w = CONTAINER_OF(d, struct worker, deadline);

    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    AN(passed[w->state]);
    passed[w->state](w);
}

dur_t worker_delay_left(const struct worker *w) {
    if (w->state != WORKER_BACKOFF || w->deadline.at.us == MONO_NONE.us)
        return -1;
    dur_t left = mono_since(w->deadline.loop->now, w->deadline.at);
    return left > 0 ? left : 0;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

struct worker *worker_new(struct generation *g, unsigned id) {
    struct apps *apps = g->app->apps;
    struct worker *w;

    ALLOC_OBJ(w, WORKER_MAGIC);
    w->generation = g;
    w->id = id;
    w->state = WORKER_STARTING;
    w->endpoint = endpoint_new(g, w, id);
    endpoint_hold(w->endpoint);
    deadline_init(&w->deadline, apps->loop, deadline_passed);
    worker_output_init(&w->output, apps->loop, apps->log);
    w->output.event = logged_event;
    worker_start_init(w);
    list_append(&g->workers[WORKER_STARTING], &w->node);
    start_pacer_enter(&apps->pacer, &w->ticket, worker_launch);
    return w;
}

void worker_destroy(void *worker) {
    struct worker *w = worker;

    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    for (size_t s = 0; s < ENDPOINT_STATES; s++)
        LIST_FOREACH (&w->generation->endpoints[s], struct endpoint, e, node) {
            if (e->worker == w)
                e->worker = NULL;
        }
    worker_probe_end(w);
    worker_output_finish(&w->output);
    endpoint_drop(w->endpoint);
    if (w->process != NULL)
        process_release(w->generation->app->apps->env.keeper, w->process);
    if (w->socket[0] != '\0')
        (void)unlink(w->socket);
    deadline_destroy(&w->deadline);
    deadline_destroy(&w->again);
    list_remove(&w->node);
    list_remove(&w->freed.node);
    FREE_OBJ(w);
}
