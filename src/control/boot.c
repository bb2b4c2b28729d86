/*
 * Boot is a reload from nothing: yaml → merge → check → snapshot → plan against
 * the empty snapshot → prepare (bind) → commit (start, serve). It differs in
 * one thing: it commits once the file is valid and the listeners are bound; apps
 * that are not ready yet answer 503.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/boot_report.h"
#include "control/commit.h"
#include "control/control_socket.h"
#include "control/descriptor_limit.h"
#include "control/faucet.h"
#include "control/notify.h"
#include "control/observe.h"
#include "control/plan.h"
#include "control/problem_report.h"
#include "control/reload.h"
#include "control/signals.h"
#include "control/watchdog.h"

#define LISTEN_FDS_START 3 /* sd_listen_fds(3) */
#define HELPER_THREADS   2
#define HELPER_RING      65536

static int failed(struct faucet *f, const char *what) {
    log_error(f->log, "%s: %s", what, strerror(errno));
    return EXIT_FAILED;
}

static int load(struct faucet *f, struct snapshot **first) {
    struct problems problems;
    problems_init(&problems);
    struct config_sources sources = options_sources(f->options);
    sources.app_name = f->app_name;
    *first = config_load(&sources, kind_table(), 1, &problems);
    if (*first != NULL)
        descriptor_limit_check(*first, &problems);
    problem_report_log(&problems, f->log);
    problems_free(&problems);
    return *first != NULL ? EXIT_DONE : EXIT_CONFIG;
}

/* A log that goes elsewhere than was asked for is found out when it is needed. */
static bool can_append(const char *path) {
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int start_log(struct faucet *f, const struct snapshot *first) {
    const struct daemon_settings *d = &first->daemon;
    if (d->log_file != NULL && !can_append(d->log_file)) {
        log_error(f->log, "log.file: %s cannot be written: %s", d->log_file, strerror(errno));
        return EXIT_FAILED;
    }
    if (!log_start_thread(f->log))
        return failed(f, "the log's thread cannot be started");
    log_configure(f->log, (enum log_level)d->log_level, (enum log_format)d->log_format, d->log_file, d->log_max_size);
    return EXIT_DONE;
}

/* ---- what apps report ---- */

static void app_changed(void *owner, struct app *a, enum app_state state, const char *reason) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, owner, FAUCET_MAGIC);
    if (f->report != NULL && !f->stopping && app_find(f->apps, app_name(a)) == a) /* not one that was removed */
        boot_report_state(f->report, app_name(a), state, reason);
}

static void endpoint_drained(void *owner, struct endpoint *e) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, owner, FAUCET_MAGIC);
    proxy_endpoint_drained(f->proxy, e);
}

static void app_gone(void *owner, struct app *a) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, owner, FAUCET_MAGIC);
    proxy_app_gone(f->proxy, a);
}

static void keeper_lost(void *owner) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, owner, FAUCET_MAGIC);
    log_error(f->log, "the keeper process ended, and with it every worker; stopping");
    faucet_quit(f, EXIT_FAILED);
}

static int make_rooms(struct faucet *f, const struct snapshot *first) {
    char *error = NULL;
    if ((f->loop = loop_new()) == NULL)
        return failed(f, "the event loop cannot be made");
    if (!signals_attach(f))
        return failed(f, "signals cannot be read");
    keeper_attach(f->keeper, f->loop, f->log, keeper_lost, f);
    if ((f->helpers = helpers_new(f->loop, HELPER_THREADS, HELPER_RING)) == NULL)
        return failed(f, "helper threads cannot be started");
    if ((f->resolver = resolver_new(f->loop)) == NULL)
        return failed(f, "the resolver cannot be started");
    observe_begin(f, first);
    f->runtime_dir = runtime_dir_make(f->options->environ_, &error);
    if (f->runtime_dir != NULL) {
        struct apps_env env = {
            .loop = f->loop,
            .log = f->log,
            .keeper = f->keeper,
            .resolver = f->resolver,
            .environ_ = f->options->environ_,
            .runtime_dir = f->runtime_dir->path,
            .callbacks = {.endpoint_retired = proxy_endpoint_retired,
                          .endpoint_drained = endpoint_drained,
                          .app_gone = app_gone,
                          .state_changed = app_changed,
                          .worker_event = observe_worker,
                          .log_event = observe_log_event,
                          .stopped = faucet_apps_stopped,
                          .owner = f},
        };
        f->apps = apps_new(&env, &error);
    }
    if (f->apps == NULL) {
        log_error(f->log, "%s", error);
        free(error);
        return EXIT_FAILED;
    }
    f->proxy = proxy_new(f->loop, f->log, f->helpers, f->apps);
    f->proxy->telemetry = f->telemetry;
    return EXIT_DONE;
}

/* ---- prepare and commit ---- */

static int serve(struct faucet *f, struct snapshot *first) {
    struct listeners_plan listeners;
    char *error = NULL;
    if (!telemetry_prepare(f->telemetry, first, &error) ||
        !listeners_prepare(&listeners, f->proxy, &first->daemon.listen, f->options->environ_, &error)) {
        log_error(f->log, "%s", error);
        free(error);
        return EXIT_FAILED;
    }
    if (!control_socket_begin(f, first)) {
        listeners_abandon(&listeners);
        return EXIT_FAILED;
    }
    struct arena *a = arena_new(1024);
    struct snapshot *nothing = snapshot_empty();
    commit(f, first, plan_make(a, nothing, first), NULL, &listeners);
    snapshot_unref(nothing);
    arena_free(a);
    log_info(f->log, "config %llu (%s) of %s: %zu apps", (unsigned long long)first->number, first->hash,
             first->file != NULL ? first->file : "the command line", first->app_count);
    observe_boot(f);
    notify(f->options->environ_, "READY=1\nSTATUS=Serving %zu apps, config %llu", first->app_count,
           (unsigned long long)first->number);
    f->watchdog = watchdog_start(f->loop, f->options->environ_);
    return EXIT_DONE;
}

static void report_ready(struct faucet *f) {
    if (!f->options->wait_ready)
        return;
    f->report = boot_report_new(f->snapshot, &f->proxy->listeners);
    for (size_t i = 0; i < f->snapshot->app_count; i++) {
        const struct app_config *a = f->snapshot->apps[i];
        struct app *live = f->proxy->live[i];
        boot_report_state(f->report, a->name, live != NULL ? app_state(live) : APP_STATE_READY, NULL);
    }
}

static int boot(struct faucet *f) {
    struct snapshot *first = NULL;
    int status = load(f, &first);
    if (status == EXIT_DONE)
        status = start_log(f, first);
    if (status == EXIT_DONE)
        status = make_rooms(f, first);
    if (status == EXIT_DONE)
        status = serve(f, first);
    snapshot_unref(first);
    if (status == EXIT_DONE)
        report_ready(f);
    return status;
}

/* ---- the end: everything is given back, in the order of who needs whom ---- */

static void give_back(struct faucet *f) {
    f->stopping = true;
    reload_abandon(f); /* one that the keeper's end has left */
    if (f->proxy != NULL)
        proxy_end(f->proxy);
    if (f->stop_until.us != 0) {
        deadline_destroy(&f->stop_deadline);
        deadline_destroy(&f->stop_reminder);
    }
    if (f->telemetry != NULL) { /* before the helpers, who have its files */
        telemetry_free(f->telemetry);
        f->telemetry = NULL;
        if (f->proxy != NULL)
            f->proxy->telemetry = NULL;
    }
    if (f->helpers != NULL)
        helpers_free(f->helpers);
    if (f->loop != NULL)
        signals_detach(f);
    keeper_end(f->keeper); /* the workers end here; the apps still hold their processes */
    if (f->apps != NULL)
        apps_free(f->apps);
    control_socket_close(f->control); /* `faucet stop` waits for its end: the workers are gone by now */
    keeper_stop(f->keeper);
    if (f->resolver != NULL)
        resolver_free(f->resolver);
    watchdog_stop(f->watchdog);
    if (f->loop != NULL)
        loop_free(f->loop);
    if (f->proxy != NULL)
        proxy_free(f->proxy);
    runtime_dir_remove(f->runtime_dir);
    boot_report_free(f->report);
    snapshot_unref(f->snapshot);
    log_close(f->log);
}

int faucet_serve(const struct options *o, const char *app_name) {
    struct faucet faucet, *f = &faucet;
    signals_block();
    (void)mallopt(M_ARENA_MAX, 1); /* helper threads hardly allocate: a pool for each would be memory for nothing */
    struct keeper *keeper = keeper_fork(); /* first of all, while there is nothing that a fork could copy */
    if (keeper == NULL) {
        fprintf(stderr, "faucet: the keeper process cannot be started: %m\n");
        return EXIT_FAILED;
    }
    INIT_OBJ(f, FAUCET_MAGIC);
    f->signal_fd = -1;
    f->options = o;
    f->keeper = keeper;
    f->app_name = app_name;
    f->log = log_open_stderr();
    f->started = mono_now();
    descriptor_limit_raise();
    http_reader_setup();
    f->exit_status = boot(f);
    if (f->exit_status == EXIT_DONE)
        ev_run(f->loop->ev, 0);
    if (f->exit_status == EXIT_DONE && f->stopping) {
        telemetry_log_accounts(f->telemetry);
        log_info(f->log, "stopped");
    }
    int status = f->exit_status;
    give_back(f);
    return status;
}
