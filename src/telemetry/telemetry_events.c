/*
 * The way in: an event and the snapshot it belongs to become a record in the
 * queue of a destination. One buffer serves for all of them.
 */
#include <unistd.h>

#include "base/miniobj.h"
#include "telemetry/columns.h"
#include "telemetry/http_event.h"
#include "telemetry/telemetry_parts.h"

static void append(struct telemetry *t, struct destination *d, enum record_kind kind) {
    if (event_queue_append(d->queue, kind, record_str(&t->record)) && d->pool != NULL)
        pool_wake(d->pool);
}

/* ---- requests ---- */

static void begin_request(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                          const struct request_event *e) {
    const struct http_event_rules r = {
        .instance = str_of(t->instance),
        .query = (enum query_privacy)(app != NULL ? app->telemetry.query_params : s->daemon.telemetry.query_params),
        .ip = (enum ip_privacy)(app != NULL ? app->telemetry.ip : s->daemon.telemetry.ip),
    };
    http_event_begin(&t->record, e, &r);
}

void telemetry_request_begin(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                             const struct request_event *e, struct event_slot *slot) {
    CHECK_OBJ_NOTNULL(t, TELEMETRY_MAGIC);
    struct destination *d = telemetry_destination(t, s, app);

    *slot = (struct event_slot){0};
    if (d == NULL)
        return;
    begin_request(t, s, app, e);
    (void)event_queue_reserve(d->queue, RECORD_HTTP, record_str(&t->record), slot); /* else it counts as dropped */
}

void telemetry_request_end(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                           const struct request_event *e, struct event_slot *slot) {
    CHECK_OBJ_NOTNULL(t, TELEMETRY_MAGIC);
    if (slot->queue == NULL)
        return;
    struct destination *d = telemetry_destination(t, s, app);
    record_continue(&t->record, RECORD_HTTP, HTTP_EVENT_END);
    http_event_end(&t->record, e);
    event_queue_finish(slot, record_str(&t->record));
    if (d != NULL && d->pool != NULL)
        pool_wake(d->pool);
}

void telemetry_request(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                       const struct request_event *e) {
    CHECK_OBJ_NOTNULL(t, TELEMETRY_MAGIC);
    struct destination *d = telemetry_destination(t, s, app);

    if (d == NULL)
        return;
    begin_request(t, s, app, e);
    http_event_end(&t->record, e);
    append(t, d, RECORD_HTTP);
}

/* ---- workers ---- */

static struct str namespace_of(const struct snapshot *s, const struct app_config *app) {
    return str_of(app != NULL ? app->telemetry.namespace : s->daemon.telemetry.namespace);
}

static struct str version_of(const struct snapshot *s, const struct app_config *app) {
    return str_of(app != NULL ? app->telemetry.version : s->daemon.telemetry.version);
}

void telemetry_log(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                   const struct worker_origin *o, const struct log_event *e) {
    struct destination *d = telemetry_destination(t, s, app);

    if (d == NULL)
        return;
    log_event_write(&t->record, e, o, namespace_of(s, app), version_of(s, app), str_of(t->instance), wall_now());
    append(t, d, RECORD_LOG);
}

static void optional(struct record_draft *d, unsigned column, int64_t v, bool is) {
    if (is)
        record_integer(d, column, v);
}

static struct str text_or_none(const char *text) {
    return text != NULL && text[0] != '\0' ? str_of(text) : STR_NONE;
}

void telemetry_worker(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                      const struct worker_origin *o, const struct worker_event *e) {
    struct destination *d = telemetry_destination(t, s, app);
    struct record_draft *r = &t->record;
    wall_t now = wall_now();
    const struct uuid id = uuid_v7(now);

    if (d == NULL)
        return;
    record_begin(r, RECORD_WORKER);
    record_uuid(r, COLUMN_OF_WORKER_event_id, &id);
    record_text(r, COLUMN_OF_WORKER_namespace, namespace_of(s, app));
    record_text(r, COLUMN_OF_WORKER_version, version_of(s, app));
    record_text(r, COLUMN_OF_WORKER_app, o->app);
    record_text(r, COLUMN_OF_WORKER_instance, str_of(t->instance));
    record_text(r, COLUMN_OF_WORKER_target, o->target);
    record_integer(r, COLUMN_OF_WORKER_generation, (int64_t)o->generation);
    record_integer(r, COLUMN_OF_WORKER_worker_id, o->worker_id);
    optional(r, COLUMN_OF_WORKER_pid, e->pid, e->pid > 0);
    record_time(r, COLUMN_OF_WORKER_time, now);
    record_text(r, COLUMN_OF_WORKER_event, str_of(e->event));
    record_text(r, COLUMN_OF_WORKER_detail, text_or_none(e->detail));
    optional(r, COLUMN_OF_WORKER_signal, e->signal, e->signal > 0);
    optional(r, COLUMN_OF_WORKER_exit_code, e->exit_code, e->exit_code >= 0);
    if (e->stderr_tail.n > 0)
        record_text(r, COLUMN_OF_WORKER_stderr_tail, e->stderr_tail);
    record_integer(r, COLUMN_OF_WORKER_config, (int64_t)s->number);
    optional(r, COLUMN_OF_WORKER_uptime_us, e->uptime, e->uptime >= 0);
    optional(r, COLUMN_OF_WORKER_delay_us, e->delay, e->delay >= 0);
    optional(r, COLUMN_OF_WORKER_cpu_us, e->cpu, e->cpu >= 0);
    optional(r, COLUMN_OF_WORKER_max_rss_bytes, e->max_rss, e->max_rss >= 0);
    record_end(r);
    append(t, d, RECORD_WORKER);
}

/* ---- sessions ---- */

void telemetry_session(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                       const struct worker_origin *o, const struct session_event *e) {
    struct destination *d = telemetry_destination(t, s, app);
    struct record_draft *r = &t->record;

    if (d == NULL)
        return;
    struct ip ip = ip_private(&e->client, (enum ip_privacy)app->telemetry.ip);
    record_begin(r, RECORD_SESSION);
    record_uuid(r, COLUMN_OF_SESSION_request_uuid, &e->request_uuid);
    record_text(r, COLUMN_OF_SESSION_namespace, namespace_of(s, app));
    record_text(r, COLUMN_OF_SESSION_version, version_of(s, app));
    record_text(r, COLUMN_OF_SESSION_app, o->app);
    record_text(r, COLUMN_OF_SESSION_instance, str_of(t->instance));
    record_text(r, COLUMN_OF_SESSION_target, o->target);
    record_text(r, COLUMN_OF_SESSION_worker_route, e->worker_route);
    record_integer(r, COLUMN_OF_SESSION_generation, (int64_t)o->generation);
    record_integer(r, COLUMN_OF_SESSION_worker_id, o->worker_id);
    record_ip(r, COLUMN_OF_SESSION_ip_addr, &ip);
    record_time(r, COLUMN_OF_SESSION_time, e->over);
    record_time(r, COLUMN_OF_SESSION_began, e->began);
    record_real(r, COLUMN_OF_SESSION_seconds, (double)e->lasted / (double)DUR_S);
    record_integer(r, COLUMN_OF_SESSION_bytes_up, (int64_t)e->up);
    record_integer(r, COLUMN_OF_SESSION_bytes_down, (int64_t)e->down);
    record_text(r, COLUMN_OF_SESSION_ended, str_of(e->ended));
    record_integer(r, COLUMN_OF_SESSION_config, (int64_t)s->number);
    record_end(r);
    append(t, d, RECORD_SESSION);
}

/* ---- configurations ---- */

void telemetry_config(struct telemetry *t, const struct config_event *e) {
    struct list_node *newest = list_first(&t->epochs);
    const struct epoch *current = newest != NULL ? CONTAINER_OF(newest, struct epoch, node) : NULL;
    struct record_draft *r = &t->record;
    wall_t now = wall_now();
    const struct uuid id = uuid_v7(now);

    if (current == NULL || current->daemon == NULL)
        return;
    const struct telemetry_settings *own = &current->snapshot->daemon.telemetry;
    record_begin(r, RECORD_CONFIG);
    record_uuid(r, COLUMN_OF_CONFIG_event_id, &id);
    record_text(r, COLUMN_OF_CONFIG_namespace, str_of(own->namespace));
    record_text(r, COLUMN_OF_CONFIG_version, str_of(own->version));
    record_text(r, COLUMN_OF_CONFIG_instance, str_of(t->instance));
    record_time(r, COLUMN_OF_CONFIG_time, now);
    record_text(r, COLUMN_OF_CONFIG_event, str_of(e->event));
    record_text(r, COLUMN_OF_CONFIG_who, str_of(e->who));
    record_integer(r, COLUMN_OF_CONFIG_config, (int64_t)e->config);
    record_text(r, COLUMN_OF_CONFIG_hash, str_of(e->hash));
    record_text(r, COLUMN_OF_CONFIG_file, str_of(e->file));
    record_text(r, COLUMN_OF_CONFIG_result, str_of(e->result));
    record_text(r, COLUMN_OF_CONFIG_detail, str_of(e->detail));
    record_text(r, COLUMN_OF_CONFIG_app, str_of(e->app));
    optional(r, COLUMN_OF_CONFIG_took_us, e->took, e->took >= 0);
    record_json(r, COLUMN_OF_CONFIG_actions, e->actions);
    record_integer(r, COLUMN_OF_CONFIG_pid, getpid());
    record_text(r, COLUMN_OF_CONFIG_faucet_version, str_of(FAUCET_VERSION));
    record_end(r);
    append(t, current->daemon, RECORD_CONFIG);
}
