/*
 * The state directory is systemd's ($STATE_DIRECTORY), or one per instance below
 * $XDG_STATE_HOME (~/.local/state): two daemons of one user do not meet there.
 * Neither was asked for by whoever wrote the settings; one that cannot be used is
 * no reason not to serve.
 */
#include "control/observe.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/environ.h"
#include "config/setting.h"
#include "control/control_place.h"

/* NULL: nobody says where. */
static const char *state_dir(struct arena *a, char *const *environ_, const struct snapshot *s, const char *instance,
                             bool *given) {
    const char *base;
    *given = s->daemon.state_dir != NULL;
    if (*given)
        return s->daemon.state_dir;
    if ((base = environ_path(environ_, STR("STATE_DIRECTORY"))) != NULL) /* several: the first (systemd.exec(5)) */
        return arena_printf(a, "%.*s", (int)strcspn(base, ":"), base).p;
    if ((base = environ_path(environ_, STR("XDG_STATE_HOME"))) != NULL)
        return arena_printf(a, "%s/faucet/%s", base, instance).p;
    if ((base = environ_path(environ_, STR("HOME"))) != NULL && strcmp(base, "/") != 0)
        return arena_printf(a, "%s/.local/state/faucet/%s", base, instance).p;
    return NULL;
}

/* The file; of `faucet start`, the app's directory. */
static const char *what_it_serves(const struct snapshot *s) {
    if (s->file != NULL)
        return s->file;
    return s->app_count > 0 && s->apps[0]->dir != NULL ? s->apps[0]->dir : "/";
}

void observe_begin(struct faucet *f, const struct snapshot *first) {
    struct arena *a = arena_new(1024);
    char host[256] = "";
    bool given;
    (void)gethostname(host, sizeof host - 1);
    const char *instance = control_place_instance(a, what_it_serves(first));
    const char *directory = state_dir(a, f->options->environ_, first, instance, &given);
    const struct telemetry_env env = {
        .loop = f->loop,
        .log = f->log,
        .helpers = f->helpers,
        .resolver = f->resolver,
        .instance = arena_printf(a, "%s/%s", host, instance).p,
        .state_dir = directory,
        .state_dir_given = given,
    };
    f->telemetry = telemetry_new(&env);
    arena_free(a);
}

/* ---- workers ---- */

void observe_worker(void *faucet, const struct worker_of *w, const struct worker_event *e) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, faucet, FAUCET_MAGIC);
    if (f->telemetry != NULL && telemetry_is_on(f->telemetry))
        telemetry_worker(f->telemetry, w->snapshot, w->config, &w->origin, e);
}

void observe_log_event(void *faucet, const struct worker_of *w, const struct log_event *e) {
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, faucet, FAUCET_MAGIC);
    if (f->telemetry != NULL && telemetry_is_on(f->telemetry))
        telemetry_log(f->telemetry, w->snapshot, w->config, &w->origin, e);
}

/* ---- configurations ---- */

static void add_text(json_t *row, const char *key, const char *text) {
    json_object_set_new(row, key, text != NULL && text[0] != '\0' ? setting_text_json(text) : json_null());
}

/* JSON, allocated; NULL: there is no plan. */
static char *actions(const struct plan *plan) {
    if (plan == NULL)
        return NULL;
    json_t *all = json_array();
    for (size_t i = 0; i < plan->n; i++) {
        const struct plan_row *p = &plan->rows[i];
        json_t *row = json_object();
        add_text(row, "app", p->name);
        add_text(row, "action", plan_action_name(p->action));
        add_text(row, "key", p->key);
        add_text(row, "was", p->was);
        add_text(row, "now", p->now);
        json_array_append_new(all, row);
    }
    char *text = json_dumps(all, JSON_COMPACT);
    json_decref(all);
    return text;
}

static void tell(struct faucet *f, struct config_event e, const struct plan *plan) {
    if (f->telemetry == NULL || f->snapshot == NULL || !telemetry_is_on(f->telemetry))
        return;
    char *text = actions(plan);
    e.actions = str_of(text);
    e.config = f->snapshot->number;
    e.hash = f->snapshot->hash;
    e.file = f->snapshot->file;
    telemetry_config(f->telemetry, &e);
    free(text);
}

void observe_boot(struct faucet *f) {
    tell(f,
         (struct config_event){
             .event = "boot", .who = "start", .result = "done", .took = mono_since(f->started, mono_now())},
         NULL);
}

/* Of a file that is wrong: its first error. */
static void first_error(const struct problems *problems, struct buf *out) {
    if (problems == NULL)
        return;
    LIST_FOREACH (&problems->list, struct problem, p, node) {
        if (p->level == PROBLEM_ERROR && buf_length(out) == 0)
            problem_format(p, out);
    }
    if (buf_length(out) > 0)
        buf_append_char(out, '\0');
}

void observe_reload(struct faucet *f, const char *event, const char *who, const char *app,
                    const struct reload_outcome *o) {
    static const char *const results[] = {"done", "invalid", "refused", "failed", "superseded"};
    struct buf wrong = {0};
    if (o->why == NULL)
        first_error(o->problems, &wrong);
    tell(f,
         (struct config_event){.event = event,
                               .who = who,
                               .result = results[o->result],
                               .detail = o->why != NULL ? o->why : buf_str(&wrong).p,
                               .app = app != NULL ? app : o->failed_app,
                               .took = o->took},
         o->plan);
    buf_free(&wrong);
}

void observe_stop(struct faucet *f, const char *why) {
    tell(f, (struct config_event){.event = "stop", .who = why, .result = "done", .took = -1}, NULL);
}
