/*
 * The daemon's state as JSON, read where it lives: nothing is kept for it.
 */
#include "control/status.h"

#include "config/setting.h"
#include "control/control_socket.h"
#include "control/process_memory.h"

static json_t *count(uint64_t n) {
    return json_integer((json_int_t)n);
}

static json_t *text_or_null(const char *text) {
    return text != NULL && text[0] != '\0' ? setting_text_json(text) : json_null();
}

static json_t *moment(wall_t t) {
    char text[21];
    if (t.us == 0)
        return json_null();
    wall_rfc3339(t, text);
    return json_string(text);
}

static json_t *seconds(dur_t d) {
    return json_integer((json_int_t)(d > 0 ? d / DUR_S : 0));
}

/* ---- an app ---- */

static void add_worker(void *owner, const struct worker_status *w) {
    json_t *all = owner;
    json_t *row = json_object();
    int64_t rss = process_memory_kib(w->pid);
    json_object_set_new(row, "id", count(w->id));
    json_object_set_new(row, "pid", w->pid > 0 ? json_integer(w->pid) : json_null());
    json_object_set_new(row, "state", json_string(w->state));
    json_object_set_new(row, "uptime_s", w->pid > 0 ? seconds(w->uptime) : json_null());
    json_object_set_new(row, "requests", count(w->requests));
    json_object_set_new(row, "busy", count(w->busy));
    json_object_set_new(row, "tunnels", count(w->tunnels));
    json_object_set_new(row, "rss_kib", rss >= 0 ? json_integer(rss) : json_null());
    json_object_set_new(row, "restarts", count(w->starts > 0 ? w->starts - 1 : 0));
    json_object_set_new(row, "generation", count(w->generation));
    json_object_set_new(row, "draining", json_boolean(w->draining));
    json_object_set_new(row, "address", text_or_null(w->address));
    json_array_append_new(all, row);
}

/* How many workers it is to have: none where nothing runs, or nothing is to run any more. */
static int64_t wanted(const struct app_config *config, const struct app *live) {
    bool runs = live != NULL && app_state(live) != APP_STATE_DRAINING && kind_of(config->type)->has_workers;
    return runs ? config->workers : 0;
}

static void add_live(json_t *row, const struct app_config *config, const struct app *live) {
    json_t *workers = json_array(), *queue = json_object();
    if (live != NULL)
        app_each_worker(live, add_worker, workers);
    json_object_set_new(queue, "length", count(live != NULL ? app_queue_length(live) : 0));
    json_object_set_new(queue, "size", json_integer(live != NULL ? config->queue_size : 0));
    json_object_set_new(row, "generation", count(live != NULL ? app_generation_number(live) : 0));
    json_object_set_new(row, "generations", count(live != NULL ? app_generation_count(live) : 0));
    json_object_set_new(row, "wanted", json_integer(wanted(config, live)));
    json_object_set_new(row, "ready", count(live != NULL ? app_ready_count(live) : 0));
    json_object_set_new(row, "workers", workers);
    json_object_set_new(row, "queue", queue);
    json_object_set_new(row, "exchanges", live != NULL ? count(app_exchanges(live)) : json_null()); /* nobody counts */
    json_object_set_new(row, "leases", count(live != NULL ? app_leases(live) : 0));
    json_object_set_new(row, "tunnels", count(live != NULL ? app_tunnels(live) : 0));
}

json_t *status_app_json(const struct app_config *config, const struct app *live) {
    json_t *row = json_object();
    json_object_set_new(row, "name", setting_text_json(config->name));
    json_object_set_new(row, "type", json_string(kind_of(config->type)->name));
    json_object_set_new(row, "state", json_string(app_state_name(live != NULL ? app_state(live) : APP_STATE_READY)));
    json_object_set_new(row, "routes", setting_strings_json(&config->route));
    json_object_set_new(row, "hosts", setting_strings_json(&config->host));
    add_live(row, config, live);
    json_object_set_new(row, "namespace", text_or_null(config->telemetry.namespace));
    json_object_set_new(row, "version", text_or_null(config->telemetry.version));
    return row;
}

/* ---- listeners and reloads ---- */

static json_t *listeners(const struct list *all) {
    json_t *rows = json_array();
    LIST_FOREACH (all, struct listener, l, node)
        json_array_append_new(rows, setting_text_json(l->text));
    return rows;
}

static json_t *reloads(const struct reload_tally *t) {
    static const char *const names[] = {"done", "invalid", "refused", "failed", "superseded"};
    json_t *row = json_object();
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        json_object_set_new(row, names[i], count(t->ended[i]));
    json_object_set_new(row, "last", moment(t->last));
    json_object_set_new(row, "last_done", json_boolean(!t->last_failed));
    return row;
}

/* ---- telemetry ---- */

static const char *const drop_names[DROP_REASONS] = {"full", "bad_row", "corrupt", "no_table", "no_space"};

static json_t *account_json(const struct event_account *a) {
    json_t *row = json_object(), *dropped = json_object();
    json_object_set_new(row, "recovered", count(a->recovered));
    json_object_set_new(row, "received", count(a->received));
    json_object_set_new(row, "stored", count(a->stored));
    json_object_set_new(row, "queued", count(a->queued));
    for (size_t i = 0; i < DROP_REASONS; i++)
        json_object_set_new(dropped, drop_names[i], count(a->dropped[i]));
    json_object_set_new(row, "dropped", dropped);
    return row;
}

static void add_destination(void *owner, const struct destination_status *s) {
    json_t *all = owner, *row = json_object(), *tables = json_object();
    for (size_t k = 0; k < RECORD_KINDS; k++)
        if (s->accounts[k] != NULL)
            json_object_set_new(tables, record_table((enum record_kind)k)->name, account_json(s->accounts[k]));
    json_object_set_new(row, "destination", setting_text_json(s->name));
    json_object_set_new(row, "state", json_string(s->state));
    json_object_set_new(row, "reachable", s->connected ? json_boolean(s->reachable) : json_null());
    json_object_set_new(row, "host", text_or_null(s->host));
    json_object_set_new(row, "error", text_or_null(s->error));
    json_object_set_new(row, "connections", count(s->connections));
    json_object_set_new(row, "busy", count(s->busy));
    json_object_set_new(row, "on_disk", json_boolean(s->on_disk));
    json_object_set_new(row, "directory", text_or_null(s->directory));
    json_object_set_new(row, "queue_bytes", count(s->bytes));
    json_object_set_new(row, "batches", count(s->batches));
    json_object_set_new(row, "rows", count(s->rows));
    json_object_set_new(row, "reconnects", count(s->reconnects));
    json_object_set_new(row, "doubts", count(s->doubts));
    json_object_set_new(row, "tables", tables);
    json_array_append_new(all, row);
}

static json_t *telemetry_json(const struct telemetry *t) {
    json_t *row = json_object(), *all = json_array();
    telemetry_each(t, add_destination, all);
    json_object_set_new(row, "on", json_boolean(telemetry_is_on(t)));
    json_object_set_new(row, "state_dir", text_or_null(telemetry_state_dir(t)));
    json_object_set_new(row, "destinations", all);
    return row;
}

/* ---- the daemon ---- */

static json_t *daemon_json(const struct faucet *f) {
    const struct snapshot *s = f->snapshot;
    const struct proxy *p = f->proxy;
    json_t *row = json_object();
    json_object_set_new(row, "version", json_string(FAUCET_VERSION));
    json_object_set_new(row, "pid", json_integer(getpid()));
    json_object_set_new(row, "uptime_s", seconds(mono_since(f->started, mono_now())));
    json_object_set_new(row, "config", count(s->number));
    json_object_set_new(row, "hash", json_string(s->hash));
    json_object_set_new(row, "file", text_or_null(s->file));
    json_object_set_new(row, "loaded", moment(s->loaded));
    json_object_set_new(row, "listeners", listeners(&p->listeners));
    json_object_set_new(row, "control",
                        f->control != NULL ? setting_text_json(control_socket_address(f->control)) : json_null());
    json_object_set_new(row, "connections", count(proxy_client_count(p)));
    json_object_set_new(row, "exchanges", count(p->busy.length));
    json_object_set_new(row, "tunnels", count(p->tunnels.length));
    json_object_set_new(row, "requests", count(p->requests));
    json_object_set_new(row, "log_dropped", count(log_dropped(f->log)));
    json_object_set_new(row, "reloads", reloads(&f->reloads));
    return row;
}

static void add_removed(void *owner, const struct app *removed) {
    json_array_append_new(owner, status_app_json(app_config(removed), removed));
}

json_t *status_json(const struct faucet *f) {
    json_t *top = json_object(), *apps = json_array();
    bool ready = true;
    for (size_t i = 0; i < f->snapshot->app_count; i++) {
        const struct app_config *config = f->snapshot->apps[i];
        const struct app *live = config->type == APP_STATIC ? NULL : app_find(f->apps, config->name);
        ready = ready && (live == NULL || app_state(live) == APP_STATE_READY);
        json_array_append_new(apps, status_app_json(config, live));
    }
    apps_each_removed(f->apps, add_removed, apps);
    json_object_set_new(top, "state", json_string(f->stopping ? "stopping" : ready ? "ready" : "degraded"));
    json_object_set_new(top, "config", count(f->snapshot->number)); /* as in every reply */
    json_object_set_new(top, "hash", json_string(f->snapshot->hash));
    json_object_set_new(top, "daemon", daemon_json(f));
    json_object_set_new(top, "apps", apps);
    json_object_set_new(top, "telemetry", telemetry_json(f->telemetry));
    return top;
}
