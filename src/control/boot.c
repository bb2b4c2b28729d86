/*
 * Boot is a reload from nothing: yaml → merge → check → snapshot → plan against
 * the empty snapshot → prepare (bind) → commit (start, serve). It differs in
 * one thing: it commits once the file is valid and the listeners are bound; apps
 * that are not ready yet answer 503.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "control/boot_report.h"
#include "control/faucet.h"
#include "control/notify.h"
#include "control/plan.h"
#include "control/problem_report.h"
#include "control/signals.h"

#define LISTEN_FDS_START   3 /* sd_listen_fds(3) */
#define HELPER_THREADS     2
#define HELPER_RING        65536
#define UNIX_LISTENER_MODE 0666

/* Workers get the soft limit of the start back (the keeper remembers it). */
static void raise_descriptor_limit(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

static int failed(struct faucet *f, const char *what) {
    log_error(f->log, "%s: %s", what, strerror(errno));
    return EXIT_FAILED;
}

static int load(struct faucet *f) {
    struct problems problems;
    problems_init(&problems);
    struct config_sources sources = options_sources(f->options);
    sources.app_name = f->app_name;
    f->snapshot = config_load(&sources, kind_table(), 1, &problems);
    problem_report_log(&problems, f->log);
    problems_free(&problems);
    return f->snapshot != NULL ? EXIT_DONE : EXIT_CONFIG;
}

static int configure_log(struct faucet *f) {
    const struct daemon_settings *d = &f->snapshot->daemon;
    if (!log_start_thread(f->log))
        return failed(f, "the log's thread cannot be started");
    log_configure(f->log, (enum log_level)d->log_level, (enum log_format)d->log_format, d->log_file, d->log_max_size);
    return EXIT_DONE;
}

/* ---- what apps report ---- */

static void app_changed(void *owner, struct app *a, enum app_state state, const char *reason) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, owner, FAUCET_MAGIC);
    if (f->report != NULL && !f->stopping)
        boot_report_state(f->report, app_name(a), state, reason);
}

static void keeper_lost(void *owner) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, owner, FAUCET_MAGIC);
    log_error(f->log, "the keeper process ended, and with it every worker; stopping");
    faucet_quit(f, EXIT_FAILED);
}

static int make_rooms(struct faucet *f) {
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
    f->runtime_dir = runtime_dir_make(f->options->environ_, &error);
    if (f->runtime_dir != NULL) {
        struct apps_env env = {
            .loop = f->loop,
            .log = f->log,
            .keeper = f->keeper,
            .resolver = f->resolver,
            .environ_ = f->options->environ_,
            .runtime_dir = f->runtime_dir->path,
            .secret_variables = &f->snapshot->secret_variables,
            .callbacks = {.endpoint_retired = proxy_endpoint_retired,
                          .state_changed = app_changed,
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
    return EXIT_DONE;
}

/* ---- prepare: what may fail ---- */

static struct listener *inherited(struct faucet *f, const char *text, int count, bool *taken) {
    for (int i = 0; i < count; i++) {
        struct listener *l = taken[i] ? NULL : listener_adopt(f->loop, f->log, LISTEN_FDS_START + i, text);
        if (l == NULL)
            continue;
        taken[i] = true;
        return l;
    }
    return NULL;
}

static int bind_listeners(struct faucet *f, struct list *bound) {
    const struct address_list *wanted = &f->snapshot->daemon.listen;
    int count = listener_inherited_count(f->options->environ_);
    bool *taken = calloc((size_t)count + 1, sizeof *taken);
    XXXAN(taken);
    int status = EXIT_DONE;
    for (size_t i = 0; i < wanted->n; i++) {
        char *error = NULL;
        struct listener *l = inherited(f, wanted->v[i].p, count, taken);
        if (l == NULL)
            l = listener_open(f->loop, f->log, wanted->v[i].p, UNIX_LISTENER_MODE, &error);
        if (l != NULL) {
            list_append(bound, &l->node);
            continue;
        }
        log_error(f->log, "listen: %s", error);
        free(error);
        status = EXIT_FAILED;
    }
    for (int i = 0; i < count; i++) {
        if (taken[i])
            continue;
        log_warn(f->log, "the socket passed as descriptor %d is none of those in `listen`; it is closed",
                 LISTEN_FDS_START + i);
        close(LISTEN_FDS_START + i);
    }
    free(taken);
    return status;
}

/* ---- commit ---- */

static void commit(struct faucet *f, const struct plan *plan, struct list *bound) {
    for (size_t i = 0; i < plan->n; i++)
        if (plan->rows[i].action == PLAN_START && plan->rows[i].to->type != APP_STATIC)
            (void)app_start(f->apps, f->snapshot, plan->rows[i].to);
    proxy_use(f->proxy, f->snapshot);
    LIST_FOREACH (bound, struct listener, l, node) {
        list_remove(&l->node);
        log_info(f->log, "listening on %s", l->text);
        proxy_listen(f->proxy, l);
    }
    log_info(f->log, "config %llu (%s) of %s: %zu apps", (unsigned long long)f->snapshot->number, f->snapshot->hash,
             f->snapshot->file != NULL ? f->snapshot->file : "the command line", f->snapshot->app_count);
    notify(f->options->environ_, "READY=1\nSTATUS=Serving %zu apps, config %llu", f->snapshot->app_count,
           (unsigned long long)f->snapshot->number);
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
    int status = load(f);
    if (status == EXIT_DONE)
        status = configure_log(f);
    if (status == EXIT_DONE)
        status = make_rooms(f);
    if (status != EXIT_DONE)
        return status;
    struct list bound;
    list_init(&bound);
    status = bind_listeners(f, &bound);
    if (status != EXIT_DONE) {
        LIST_FOREACH (&bound, struct listener, l, node) {
            list_remove(&l->node);
            listener_close(l);
        }
        return status;
    }
    struct arena *a = arena_new(1024);
    struct snapshot *nothing = snapshot_empty();
    commit(f, plan_make(a, nothing, f->snapshot), &bound);
    snapshot_unref(nothing);
    arena_free(a);
    report_ready(f);
    return EXIT_DONE;
}

/* ---- the end: everything is given back, in the order of who needs whom ---- */

static void give_back(struct faucet *f) {
    if (f->proxy != NULL)
        proxy_end(f->proxy);
    if (f->stop_until.us != 0) {
        deadline_destroy(&f->stop_deadline);
        deadline_destroy(&f->stop_reminder);
    }
    if (f->helpers != NULL)
        helpers_free(f->helpers);
    if (f->loop != NULL)
        signals_detach(f);
    keeper_end(f->keeper); /* the workers end here; the apps still hold their processes */
    if (f->apps != NULL)
        apps_free(f->apps);
    keeper_stop(f->keeper);
    if (f->resolver != NULL)
        resolver_free(f->resolver);
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
    raise_descriptor_limit();
    http_reader_setup();
    f->exit_status = boot(f);
    if (f->exit_status == EXIT_DONE)
        ev_run(f->loop->ev, 0);
    if (f->exit_status == EXIT_DONE && f->stopping)
        log_info(f->log, "stopped");
    int status = f->exit_status;
    give_back(f);
    return status;
}
