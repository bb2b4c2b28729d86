/*
 * One reload at a time hangs off struct faucet. Its waiters move on to the next
 * one when it is superseded, so that everybody is told what became of the newest
 * file. The memory of a reload goes after the turn: candidates report from the
 * loop, and whoever is told may ask for the next.
 */
#include "control/reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/miniobj.h"
#include "control/commit.h"
#include "control/descriptor_limit.h"
#include "control/fault.h"
#include "control/notify.h"
#include "control/observe.h"
#include "control/problem_report.h"

struct waiter {
    struct list_node node;
    void (*done)(void *owner, const struct reload_outcome *o);
    void *owner;
};

struct reload {
    unsigned magic;
#define RELOAD_MAGIC 0x2e10ad00
    struct faucet *faucet;
    struct arena *arena;
    struct list waiters;
    char *who;
    bool force;
    const char *restarting; /* of `faucet restart`: the one app, in the arena; NULL: a reload */
    mono_t began;
    struct problems problems;
    struct snapshot *from, *next; /* the plan's rows point into both */
    struct plan *plan;
    struct candidate **candidates; /* by row */
    size_t waiting;                /* candidates that are not ready yet */
    struct listeners_plan listeners;
    const char *log_made; /* in next: the log file that was not there before; NULL: none */
    char *why;            /* allocated: what failed */
    const char *failed_app;
    struct loop_freed freed;
};

/* ---- its life ---- */

static void waiter_add(struct reload *r, void (*done)(void *, const struct reload_outcome *), void *owner) {
    if (done == NULL)
        return;
    struct waiter *w = calloc(1, sizeof *w);
    XXXAN(w);
    w->done = done;
    w->owner = owner;
    list_append(&r->waiters, &w->node);
}

static struct reload *reload_new(struct faucet *f, const struct reload_request *request) {
    struct reload *r;
    ALLOC_OBJ(r, RELOAD_MAGIC);
    r->faucet = f;
    r->from = snapshot_ref(f->snapshot);
    r->arena = arena_new(4096);
    r->who = strdup(request->who);
    XXXAN(r->who);
    r->force = request->force;
    r->began = mono_now();
    list_init(&r->waiters);
    problems_init(&r->problems);
    waiter_add(r, request->done, request->owner);
    return r;
}

static void reload_destroy(void *object) {
    struct reload *r;
    CAST_OBJ_NOTNULL(r, object, RELOAD_MAGIC);
    problems_free(&r->problems);
    snapshot_unref(r->from);
    snapshot_unref(r->next);
    arena_free(r->arena);
    free(r->who);
    free(r->why);
    FREE_OBJ(r);
}

/* Gives back everything that was prepared. */
static void unprepare(struct reload *r) {
    for (size_t i = 0; r->candidates != NULL && i < r->plan->n; i++) {
        struct candidate *c = r->candidates[i];
        r->candidates[i] = NULL;
        if (c != NULL)
            candidate_abandon(c);
    }
    listeners_abandon(&r->listeners);
    telemetry_abandon(r->faucet->telemetry);
    if (r->log_made != NULL)
        (void)unlink(r->log_made);
    r->log_made = NULL;
}

static void detach(struct reload *r) {
    struct faucet *f = r->faucet;
    if (f->reload == r)
        f->reload = NULL;
    loop_free_later(f->loop, &r->freed, reload_destroy, r);
}

/* ---- what came of it ---- */

static const char *const result_names[] = {"done", "invalid", "refused", "failed", "superseded"};

static void log_outcome(const struct reload *r, const struct reload_outcome *o) {
    struct log *log = r->faucet->log;
    double took = (double)o->took / (double)DUR_S;
    const char *what = r->restarting != NULL ? "restart" : "reload";
    if (o->result == RELOAD_DONE)
        log_info(log, "%s asked by %s: done in %.3f s; config %llu (%s) serves", what, r->who, took,
                 (unsigned long long)o->config, o->hash);
    else
        log_error(log, "%s asked by %s: %s after %.3f s, nothing changed; config %llu goes on%s%s", what, r->who,
                  result_names[o->result], took, (unsigned long long)o->config, o->why ? ": " : "",
                  o->why ? o->why : "");
}

static void count(struct faucet *f, enum reload_result result) {
    f->reloads.ended[result]++;
    f->reloads.last_failed = result != RELOAD_DONE;
    f->reloads.last = wall_now();
}

static struct reload_outcome outcome(const struct reload *r, enum reload_result result) {
    const struct faucet *f = r->faucet;
    return (struct reload_outcome){
        .result = result,
        .plan = r->plan,
        .problems = &r->problems,
        .why = r->why,
        .failed_app = r->failed_app,
        .config = f->snapshot->number,
        .hash = f->snapshot->hash,
        .took = mono_since(r->began, mono_now()),
    };
}

static void observe(const struct reload *r, const struct reload_outcome *o) {
    observe_reload(r->faucet, r->restarting != NULL ? "restart" : "reload", r->who, r->restarting, o);
}

static void tell(struct reload *r, enum reload_result result) {
    struct faucet *f = r->faucet;
    const struct reload_outcome o = outcome(r, result);
    count(f, result);
    log_outcome(r, &o);
    observe(r, &o);
    if (!f->stopping) /* READY=1 after STOPPING=1 would take it back */
        notify(f->options->environ_, "READY=1\nSTATUS=Serving %zu apps, config %llu%s", f->snapshot->app_count,
               (unsigned long long)f->snapshot->number, result == RELOAD_DONE ? "" : "; the last reload failed");
    LIST_FOREACH (&r->waiters, struct waiter, w, node) {
        list_remove(&w->node);
        w->done(w->owner, &o);
        free(w);
    }
}

/* The end of every reload but a superseded one. */
static void finish(struct reload *r, enum reload_result result) {
    if (result != RELOAD_DONE)
        unprepare(r);
    detach(r);
    tell(r, result);
}

static void fail(struct reload *r, const char *app, const char *format, const char *a, const char *b)
    __attribute__((__format__(__printf__, 3, 0)));
static void fail(struct reload *r, const char *app, const char *format, const char *a, const char *b) {
    free(r->why);
    XXXASSERT(asprintf(&r->why, format, a, b) >= 0);
    r->failed_app = app;
    finish(r, RELOAD_FAILED);
}

/* ---- commit ---- */

static void warn_of_restart_keys(const struct reload *r) {
    for (size_t i = 0; i < r->plan->daemon.n; i++)
        if (r->plan->daemon.v[i].needs == CHANGE_RESTART)
            log_warn(r->faucet->log, "%s changed: it is used from the next start on; restart faucet to use it now",
                     r->plan->daemon.v[i].key);
}

static void log_plan(const struct reload *r) {
    struct log *log = r->faucet->log;
    for (size_t i = 0; i < r->plan->n; i++) {
        const struct plan_row *row = &r->plan->rows[i];
        if (row->action == PLAN_KEEP)
            continue;
        const char *key = row->key != NULL ? row->key : "";
        log_info(log, "reload: %s: %s%s%s%s", row->name, plan_action_name(row->action), *key ? " (" : "", key,
                 *key ? ")" : "");
    }
}

static void commit_now(struct reload *r) {
    struct faucet *f = r->faucet;
    if (r->restarting == NULL) {
        warn_of_restart_keys(r);
        log_plan(r);
    }
    commit(f, r->next, r->plan, r->candidates, &r->listeners);
    r->candidates = NULL; /* they are the apps' now */
    finish(r, RELOAD_DONE);
}

/* ---- prepare ---- */

/* One that has nothing left to move its traffic to; NULL: none. */
static const char *app_without_worker(const struct reload *r) {
    for (size_t i = 0; i < r->plan->n; i++)
        if (r->candidates[i] != NULL && candidate_ready(r->candidates[i]) == 0)
            return r->plan->rows[i].name;
    return NULL;
}

static void candidate_done(void *owner, struct candidate *c, const char *why) {
    struct reload *r;
    CAST_OBJ_NOTNULL(r, owner, RELOAD_MAGIC);
    size_t i = 0;
    while (r->candidates[i] != c)
        i++;
    if (why == NULL && fault_injected(r->faucet->options->environ_, "ready"))
        why = "a fault was injected at ready";
    if (why != NULL) {
        fail(r, r->plan->rows[i].name, "%s: %s", r->plan->rows[i].name, why);
        return;
    }
    if (--r->waiting > 0)
        return;
    if ((why = app_without_worker(r)) != NULL)
        fail(r, why, "%s: %s", why, "its workers were ready, and ended before the other apps were");
    else
        commit_now(r);
}

static bool needs_candidate(const struct plan_row *row) {
    return (row->action == PLAN_START || row->action == PLAN_ROLL) && row->to->type != APP_STATIC;
}

static void start_candidates(struct reload *r) {
    struct faucet *f = r->faucet;
    r->candidates = ARENA_ARRAY(r->arena, struct candidate *, r->plan->n + 1);
    for (size_t i = 0; i < r->plan->n; i++) {
        struct plan_row *row = &r->plan->rows[i];
        if (!needs_candidate(row))
            continue;
        r->waiting++;
        r->candidates[i] = candidate_start(f->apps, app_find(f->apps, row->name), r->next, row->to, candidate_done, r);
    }
    if (r->waiting == 0)
        commit_now(r);
    else
        notify(f->options->environ_, "STATUS=Reloading: %zu apps start beside the old ones", r->waiting);
}

static bool same_path(const char *a, const char *b) {
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* A file that cannot be written is found out now, and not by the log's thread later. False with errno. */
static bool log_file_usable(struct reload *r) {
    const char *path = r->next->daemon.log_file;
    struct stat st;
    if (path == NULL)
        return true;
    bool there = same_path(path, r->from->daemon.log_file) || lstat(path, &st) == 0;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
    if (fd < 0)
        return false;
    close(fd);
    r->log_made = there ? NULL : path;
    return true;
}

static void prepare(struct reload *r) {
    struct faucet *f = r->faucet;
    char *error = NULL;
    const struct daemon_settings *d = &r->next->daemon;
    if (!log_file_usable(r) || fault_injected(f->options->environ_, "log")) {
        fail(r, NULL, "log.file: %s cannot be written: %s", d->log_file ? d->log_file : "", strerror(errno));
        return;
    }
    if (fault_injected(f->options->environ_, "bind"))
        error = strdup("a fault was injected at bind");
    if (error != NULL || !listeners_prepare(&r->listeners, f->proxy, &d->listen, NULL, &error)) {
        fail(r, NULL, "%s%s", error, "");
        free(error);
        return;
    }
    if (!telemetry_prepare(f->telemetry, r->next, &error)) {
        fail(r, NULL, "%s%s", error, "");
        free(error);
        return;
    }
    if (fault_injected(f->options->environ_, "spawn")) {
        fail(r, NULL, "%s%s", "a fault was injected at spawn", "");
        return;
    }
    start_candidates(r);
}

/* ---- yaml → merge → check → snapshot → plan ---- */

/* NULL: finish(INVALID) is what follows. */
static struct snapshot *load(struct reload *r) {
    struct faucet *f = r->faucet;
    struct config_sources sources = options_sources(f->options);
    sources.app_name = f->app_name;
    sources.no_apps_allowed = true; /* whether that is meant is asked below */
    struct snapshot *s = config_load(&sources, kind_table(), f->snapshot->number + 1, &r->problems);
    if (s != NULL)
        descriptor_limit_check(s, &r->problems);
    static const char *const steps[] = {"read", "check"};
    for (size_t i = 0; i < ARRAY_LENGTH(steps); i++)
        if (fault_injected(f->options->environ_, steps[i])) {
            problem_add(&r->problems, PROBLEM_ERROR, "fault injection", "", "a fault was injected at %s", steps[i]);
            snapshot_unref(s);
            return NULL;
        }
    return s;
}

/* False: it is over. */
static bool load_and_plan(struct reload *r) {
    struct faucet *f = r->faucet;
    r->next = load(r);
    problem_report_log(&r->problems, f->log);
    if (r->next == NULL) {
        finish(r, RELOAD_INVALID);
        return false;
    }
    r->plan = plan_make(r->arena, r->from, r->next);
    if (fault_injected(f->options->environ_, "plan")) {
        fail(r, NULL, "%s%s", "a fault was injected at plan", "");
        return false;
    }
    return true;
}

static void name_removed(const struct reload *r, struct buf *names) {
    for (size_t i = 0; i < r->plan->n; i++)
        if (r->plan->rows[i].action == PLAN_DROP)
            buf_printf(names, "%s%s", buf_length(names) > 0 ? ", " : "", r->plan->rows[i].name);
}

static bool refuse_empty(struct reload *r) {
    if (r->next->app_count > 0 || r->from->app_count == 0 || r->force)
        return false;
    struct buf names = {0};
    name_removed(r, &names);
    XXXASSERT(asprintf(&r->why,
                       "the file declares no app any more and would remove %.*s; `faucet reload --force` does it",
                       STR_ARG(buf_str(&names))) > 0);
    buf_free(&names);
    finish(r, RELOAD_REFUSED);
    return true;
}

/* Takes the waiters of what it replaces over. Those of a restart are told instead: a reload may keep the old workers.
 */
static void supersede(struct reload *old, struct reload *new) {
    log_info(old->faucet->log, "%s asked by %s: abandoned, a newer one starts over with the newest file",
             old->restarting != NULL ? "restart" : "reload", old->who);
    unprepare(old);
    detach(old);
    new->force |= old->force;
    if (old->restarting != NULL) {
        XXXASSERT(asprintf(&old->why, "a reload asked by %s came in between; ask again", new->who) > 0);
        tell(old, RELOAD_FAILED);
        return;
    }
    XXXASSERT(asprintf(&old->why, "a reload asked by %s came in between", new->who) > 0);
    const struct reload_outcome o = outcome(old, RELOAD_SUPERSEDED);
    observe(old, &o);
    old->faucet->reloads.ended[RELOAD_SUPERSEDED]++;
    LIST_FOREACH (&old->waiters, struct waiter, w, node) {
        list_move(&new->waiters, &w->node);
    }
}

void reload_begin(struct faucet *f, const struct reload_request *request) {
    CHECK_OBJ_NOTNULL(f, FAUCET_MAGIC);
    struct reload *r = reload_new(f, request), *old = f->reload;
    log_info(f->log, "reload asked by %s", request->who);
    if (f->stopping) {
        fail(r, NULL, "%s%s", "faucet is stopping", "");
        return;
    }
    f->reload = r;
    if (old != NULL)
        supersede(old, r);
    if (f->reload != r) /* who was told has asked for the next, which took this one over, or for a stop */
        return;
    notify(f->options->environ_, "RELOADING=1\nMONOTONIC_USEC=%lld\nSTATUS=Reloading", (long long)mono_now().us);
    if (load_and_plan(r) && !refuse_empty(r))
        prepare(r);
}

void reload_plan(struct faucet *f, const struct reload_request *request) {
    struct reload *r = reload_new(f, request);
    r->next = load(r);
    if (r->next != NULL)
        r->plan = plan_make(r->arena, r->from, r->next);
    const struct reload_outcome o = outcome(r, r->next != NULL ? RELOAD_DONE : RELOAD_INVALID);
    LIST_FOREACH (&r->waiters, struct waiter, w, node) {
        list_remove(&w->node);
        w->done(w->owner, &o);
        free(w);
    }
    reload_destroy(r);
}

/* The plan of a restart: this app rolls, the others keep what they have. */
static struct plan *restart_plan(struct arena *a, const struct snapshot *s, const struct app_config *app) {
    struct plan *p = plan_make(a, s, s);
    for (size_t i = 0; i < p->n; i++)
        if (p->rows[i].to == app) {
            p->rows[i].action = PLAN_ROLL;
            p->rows[i].key = "restart";
        }
    return p;
}

bool reload_restart_app(struct faucet *f, const char *app, const struct reload_request *request, const char **why) {
    const struct app_config *config = snapshot_app(f->snapshot, app);
    *why = config == NULL               ? "there is no such app"
           : config->type == APP_STATIC ? "a static app has no workers"
           : f->stopping                ? "faucet is stopping"
           : f->reload != NULL          ? "a reload or restart is under way"
                                        : NULL;
    if (*why != NULL)
        return false;
    struct reload *r = reload_new(f, request);
    f->reload = r;
    r->restarting = arena_strdup(r->arena, app);
    r->next = snapshot_ref(f->snapshot);
    r->plan = restart_plan(r->arena, f->snapshot, config);
    log_info(f->log, "restart of %s asked by %s", app, request->who);
    prepare(r);
    return true;
}

void reload_forget(struct faucet *f, void *owner) {
    if (f->reload == NULL)
        return;
    LIST_FOREACH (&f->reload->waiters, struct waiter, w, node) {
        if (w->owner != owner)
            continue;
        list_remove(&w->node);
        free(w);
    }
}

void reload_abandon(struct faucet *f) {
    if (f->reload != NULL)
        fail(f->reload, NULL, "%s%s", "faucet is stopping", "");
}
