/*
 * Stopping. The first signal closes the listeners and lets exchanges and tunnels
 * end, shutdown.timeout at most, saying what it waits for; then workers get
 * SIGTERM; when the last has ended, telemetry sends what there is, this stop's own
 * events among it. The second signal ends everything now.
 */
#include "control/faucet.h"
#include "control/notify.h"
#include "control/observe.h"
#include "control/reload.h"

#define REMINDER (5 * DUR_S)
/* Telemetry has what is left of shutdown.timeout, and this at least: what the stop itself makes happen (sessions cut,
 * workers stopped) comes when nothing is left of it. contrib/systemd's TimeoutStopSec has room for it. */
#define EVENTS_TIME           (2 * DUR_S)
#define EVENTS_TIME_IMMEDIATE (1 * DUR_S)

void faucet_quit(struct faucet *f, int status) {
    f->exit_status = status;
    ev_break(f->loop->ev, EVBREAK_ALL);
}

static void events_sent(void *faucet) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, faucet, FAUCET_MAGIC);
    faucet_quit(f, f->exit_status);
}

static dur_t events_time(const struct faucet *f) {
    if (f->stop_until.us == 0)
        return EVENTS_TIME_IMMEDIATE;
    dur_t left = mono_since(mono_now(), f->stop_until);
    return left > EVENTS_TIME ? left : EVENTS_TIME;
}

/* What is not sent in time is kept on disk. */
void faucet_apps_stopped(void *faucet) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, faucet, FAUCET_MAGIC);
    proxy_end_tunnels(f->proxy); /* nobody is behind them any more: their events are the last */
    telemetry_stop(f->telemetry, events_time(f), events_sent, f);
}

static void stop_apps(struct faucet *f) {
    if (f->apps_stopping)
        return;
    f->apps_stopping = true;
    deadline_clear(&f->stop_deadline);
    deadline_clear(&f->stop_reminder);
    apps_stop(f->apps, true);
}

static void drained(void *faucet) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, faucet, FAUCET_MAGIC);
    log_info(f->log, "stopping: every exchange has ended; stopping the workers");
    stop_apps(f);
}

static void deadline_passed(struct deadline *d) {
    struct faucet *f = CONTAINER_OF(d, struct faucet, stop_deadline);
    CHECK_OBJ(f, FAUCET_MAGIC);
    log_warn(f->log, "stopping: shutdown.timeout passed; cutting what is under way (requests: %zu, WebSockets: %zu)",
             f->proxy->busy.length, f->proxy->tunnels.length);
    f->proxy->drained = NULL;
    proxy_close_all(f->proxy);
    stop_apps(f);
}

static void say_what_it_waits_for(struct faucet *f) {
    dur_t left = mono_since(mono_now(), f->stop_until);
    log_info(f->log,
             "stopping: waiting for what is under way (requests: %zu, WebSockets: %zu), %.0f s at most; "
             "a second signal (Ctrl-C) stops now",
             f->proxy->busy.length, f->proxy->tunnels.length, left > 0 ? (double)left / (double)DUR_S : 0);
    notify(f->options->environ_, "STATUS=Stopping: waiting for what is under way (requests: %zu, WebSockets: %zu)",
           f->proxy->busy.length, f->proxy->tunnels.length);
}

static void remind(struct deadline *d) {
    struct faucet *f = CONTAINER_OF(d, struct faucet, stop_reminder);
    CHECK_OBJ(f, FAUCET_MAGIC);
    say_what_it_waits_for(f);
    deadline_set(&f->stop_reminder, REMINDER);
}

static void stop_now(struct faucet *f, const char *why) {
    log_warn(f->log, "%s: stopping now", why);
    f->proxy->drained = NULL;
    proxy_close_all(f->proxy);
    faucet_quit(f, EXIT_DONE); /* the keeper kills what is left */
}

static void stop_gracefully(struct faucet *f, const char *why) {
    dur_t timeout = f->snapshot->daemon.shutdown_timeout;
    f->stop_until = mono_add(mono_now(), timeout);
    log_info(f->log, "%s: stopping gracefully", why);
    deadline_init(&f->stop_deadline, f->loop, deadline_passed);
    deadline_init(&f->stop_reminder, f->loop, remind);
    deadline_set(&f->stop_deadline, timeout);
    deadline_set(&f->stop_reminder, REMINDER);
    proxy_drain(f->proxy, drained, f);
    if (!f->apps_stopping)
        say_what_it_waits_for(f);
}

void faucet_stop(struct faucet *f, const char *why) {
    CHECK_OBJ_NOTNULL(f, FAUCET_MAGIC);
    if (f->stop_signals++ > 0) {
        stop_now(f, why);
        return;
    }
    f->stopping = true;
    reload_abandon(f);
    observe_stop(f, why);
    notify(f->options->environ_, "STOPPING=1\nSTATUS=Stopping");
    if (f->snapshot->daemon.shutdown_mode == SHUTDOWN_GRACEFUL)
        stop_gracefully(f, why);
    else {
        log_info(f->log, "%s: stopping (shutdown.mode is immediate)", why);
        proxy_close_all(f->proxy);
        stop_apps(f);
    }
}
