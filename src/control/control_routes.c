/*
 * What can be asked of the control socket: a table of methods and paths.
 * Whoever changes something is named in the log.
 */
#include <stdio.h>

#include "config/nearest.h"
#include "config/setting.h"
#include "control/control_parts.h"
#include "control/metrics.h"
#include "control/status.h"

struct asked {
    struct control_connection *connection;
    struct faucet *faucet;
    struct str app; /* what stands for NAME in the path */
    bool force;
};

/* ---- who ---- */

static void log_who(const struct control_connection *c, const struct http_head *head) {
    const struct log_field fields[] = {LOG_STR("method", head->method), LOG_STR("target", head->target),
                                       LOG_INT("uid", c->uid), LOG_INT("gid", c->gid), LOG_INT("pid", c->pid)};
    enum log_level level = head->safe ? LOG_DEBUG : LOG_INFO;
    struct log *log = c->socket->faucet->log;
    if (!log_enabled(log, level))
        return;
    struct str text =
        arena_printf(c->arena, "control socket: %.*s %.*s from uid %u, gid %u, pid %d", STR_ARG(head->method),
                     STR_ARG(head->target), (unsigned)c->uid, (unsigned)c->gid, (int)c->pid);
    log_record(log, level, STR("faucet"), text, fields, ARRAY_LENGTH(fields));
}

/* ---- what only looks ---- */

static void get_status(struct asked *a) {
    control_reply_json(a->connection, 200, status_json(a->faucet));
}

static void get_metrics(struct asked *a) {
    struct buf out = {0};
    metrics_write(a->faucet, &out);
    control_reply_text(a->connection, METRICS_CONTENT_TYPE, buf_str(&out));
    buf_free(&out);
}

/* ---- what changes something ---- */

static void outcome_came(void *owner, const struct reload_outcome *o) {
    struct control_connection *c;
    CAST_OBJ_NOTNULL(c, owner, CONTROL_CONNECTION_MAGIC);
    ASSERT(c->state == CONTROL_WAITING);
    control_reply_outcome(c, o);
    control_connection_go(c);
}

/* A daemon that stops changes nothing any more. */
static bool is_stopping(struct asked *a) {
    if (!a->faucet->stopping)
        return false;
    control_reply_error(a->connection, 409, NULL, "faucet is stopping");
    return true;
}

static struct reload_request await_outcome(struct asked *a) {
    struct control_connection *c = a->connection;
    c->state = CONTROL_WAITING; /* done() may come from inside the call that follows */
    return (struct reload_request){.who = c->who, .force = a->force, .done = outcome_came, .owner = c};
}

static void post_reload(struct asked *a) {
    if (is_stopping(a))
        return;
    a->connection->wants = CONTROL_WANTS_RELOAD;
    struct reload_request r = await_outcome(a);
    reload_begin(a->faucet, &r);
}

static void post_plan(struct asked *a) {
    if (is_stopping(a))
        return;
    a->connection->wants = CONTROL_WANTS_PLAN;
    struct reload_request r = await_outcome(a);
    reload_plan(a->faucet, &r);
}

static void no_such_app(struct asked *a) {
    struct nearest nearest;
    struct buf names = {0};
    nearest_init(&nearest, a->app);
    for (size_t i = 0; i < a->faucet->snapshot->app_count; i++) {
        const char *name = a->faucet->snapshot->apps[i]->name;
        nearest_offer(&nearest, name);
        buf_printf(&names, "%s%s", i > 0 ? ", " : "", name);
    }
    if (nearest.best != NULL)
        control_reply_error(a->connection, 404, NULL, "there is no app \"%.*s\"; did you mean \"%s\"?", STR_ARG(a->app),
                            nearest.best);
    else
        control_reply_error(a->connection, 404, NULL, "there is no app \"%.*s\"; there are: %.*s", STR_ARG(a->app),
                            STR_ARG(buf_str(&names)));
    buf_free(&names);
}

static void post_restart(struct asked *a) {
    struct control_connection *c = a->connection;
    if (is_stopping(a))
        return;
    const char *name = arena_str(c->arena, a->app).p, *why = NULL;
    const struct app_config *config = snapshot_app(a->faucet->snapshot, name);
    if (config == NULL) {
        no_such_app(a);
        return;
    }
    if (!kind_of(config->type)->has_workers) {
        control_reply_error(c, 409, NULL, "%s is of type %s: it has no workers to restart", name,
                            kind_of(config->type)->name);
        return;
    }
    c->wants = CONTROL_WANTS_RELOAD;
    struct reload_request r = await_outcome(a);
    if (!reload_restart_app(a->faucet, name, &r, &why))
        control_reply_error(c, 409, NULL, "%s", why != NULL ? why : "the app cannot be restarted now");
}

static void post_stop(struct asked *a) {
    struct control_connection *c = a->connection;
    const struct faucet *f = a->faucet;
    bool already = f->stopping;
    json_t *json = json_object();
    json_object_set_new(json, "result", json_string("stopping"));
    json_object_set_new(json, "exchanges", json_integer((json_int_t)f->proxy->busy.length));
    json_object_set_new(json, "tunnels", json_integer((json_int_t)f->proxy->tunnels.length));
    json_object_set_new(json, "timeout_s", json_integer((json_int_t)(f->snapshot->daemon.shutdown_timeout / DUR_S)));
    control_reply_json(c, 202, json);
    if (already) /* a second signal stops now; asking twice is no second signal */
        return;
    control_connection_flush(c);
    faucet_stop(a->faucet, arena_printf(c->arena, "stop asked by %s", c->who).p);
}

/* ---- the table ---- */

static const struct control_path {
    const char *method;
    struct str before, after; /* what stands around NAME; the whole path where after.n == 0 */
    bool force;               /* takes ?force=1 */
    void (*answer)(struct asked *a);
} paths[] = {
    {"GET", {"/status", 7}, {NULL, 0}, false, get_status},
    {"GET", {"/metrics", 8}, {NULL, 0}, false, get_metrics},
    {"POST", {"/reload", 7}, {NULL, 0}, true, post_reload},
    {"POST", {"/plan", 5}, {NULL, 0}, false, post_plan},
    {"POST", {"/apps/", 6}, {"/restart", 8}, false, post_restart},
    {"POST", {"/stop", 5}, {NULL, 0}, false, post_stop},
};

static bool path_is(const struct control_path *p, struct str path, struct str *name) {
    *name = STR_NONE;
    if (p->after.n == 0)
        return str_eq(path, p->before);
    if (path.n <= p->before.n + p->after.n || !str_starts(path, p->before) || !str_ends(path, p->after))
        return false;
    *name = str_make(path.p + p->before.n, path.n - p->before.n - p->after.n);
    return true;
}

/* force, force=1 or force=true; anything else is not understood, and so not done. */
static bool read_query(const struct control_path *p, struct str query, bool *force) {
    *force = false;
    while (query.n > 0) {
        struct str word = str_make(query.p, str_chr(query, '&'));
        query = str_from(query, word.n + 1);
        bool on = str_eq(word, STR("force")) || str_eq(word, STR("force=1")) || str_eq(word, STR("force=true"));
        bool off = str_eq(word, STR("force=0")) || str_eq(word, STR("force=false"));
        if (!p->force || (!on && !off))
            return false;
        *force = on;
    }
    return true;
}

static bool method_is(const struct control_path *p, struct str method) {
    return str_eq(method, str_of(p->method)) || (str_eq(method, STR("HEAD")) && strcmp(p->method, "GET") == 0);
}

void control_route(struct control_connection *c, const struct http_head *head) {
    struct asked a = {.connection = c, .faucet = c->socket->faucet};
    log_who(c, head);
    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++) {
        const struct control_path *p = &paths[i];
        if (!path_is(p, head->path, &a.app))
            continue;
        if (!method_is(p, head->method))
            control_reply_error(c, 405, strcmp(p->method, "GET") == 0 ? "GET, HEAD" : p->method,
                                "this is asked with %s", p->method);
        else if (!read_query(p, head->query, &a.force))
            control_reply_error(c, 400, NULL, "the query \"%.*s\" is not understood here", STR_ARG(head->query));
        else
            p->answer(&a);
        return;
    }
    control_reply_error(c, 404, NULL,
                        "nothing is at %.*s; there are GET /status, GET /metrics, POST /reload, POST /plan, "
                        "POST /apps/NAME/restart and POST /stop",
                        STR_ARG(head->path));
}
