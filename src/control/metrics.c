/*
 * All samples of a metric must stand together, so the workers are collected
 * first and each metric walks over them. A worker is known by app and number:
 * two of them may have the same one for a while (an old generation drains); the
 * one that gets new clients counts.
 */
#include "control/metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/kind.h"
#include "control/process_memory.h"

struct worker_sample {
    const char *app;
    unsigned id;
    bool up;
    uint64_t starts, requests;
    size_t busy, tunnels;
    int64_t rss_kib;
};

struct app_sample {
    const struct app_config *config;
    const struct app *live;
    size_t draining; /* workers that wait for their last clients */
};

struct samples {
    struct app_sample *apps;
    size_t app_count;
    struct worker_sample *workers;
    size_t count, room;
    size_t first; /* of the app that is being collected */
};

/* ---- collecting ---- */

static bool seen(const struct samples *s, unsigned id) {
    for (size_t i = s->first; i < s->count; i++)
        if (s->workers[i].id == id)
            return true;
    return false;
}

static void collect_worker(void *owner, const struct worker_status *w) {
    struct samples *s = owner;
    struct app_sample *app = &s->apps[s->app_count];
    if (w->draining) {
        app->draining++;
        return;
    }
    if (seen(s, w->id))
        return;
    if (s->count == s->room) {
        s->room = s->room == 0 ? 64 : 2 * s->room;
        s->workers = realloc(s->workers, s->room * sizeof *s->workers);
        XXXAN(s->workers);
    }
    bool up = strcmp(w->state, "ready") == 0;
    s->workers[s->count++] = (struct worker_sample){app->config->name, w->id,   up,         w->starts,
                                                    w->requests,       w->busy, w->tunnels, process_memory_kib(w->pid)};
}

static void collect(struct samples *s, const struct faucet *f) {
    s->apps = calloc(f->snapshot->app_count + 1, sizeof *s->apps);
    XXXAN(s->apps);
    for (size_t i = 0; i < f->snapshot->app_count; i++) {
        const struct app_config *config = f->snapshot->apps[i];
        const struct app *live = config->type == APP_STATIC ? NULL : app_find(f->apps, config->name);
        if (live == NULL)
            continue;
        s->apps[s->app_count] = (struct app_sample){.config = config, .live = live};
        s->first = s->count;
        app_each_worker(live, collect_worker, s);
        s->app_count++;
    }
}

/* ---- writing ---- */

static void family(struct buf *out, const char *name, const char *type, const char *help) {
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Label values: backslash, quote and line feed are escaped. */
static void label(struct buf *out, const char *name, const char *value) {
    buf_printf(out, "%s=\"", name);
    for (; *value != '\0'; value++) {
        if (*value == '\n') {
            buf_append(out, STR("\\n"));
            continue;
        }
        if (*value == '\\' || *value == '"')
            buf_append_char(out, '\\');
        buf_append_char(out, *value);
    }
    buf_append_char(out, '"');
}

static void value(struct buf *out, int64_t v) {
    buf_printf(out, " %lld\n", (long long)v);
}

static void single(struct buf *out, const char *name, const char *type, const char *help, uint64_t v) {
    family(out, name, type, help);
    buf_append(out, str_of(name));
    value(out, (int64_t)v);
}

/* ---- workers ---- */

static int64_t worker_up(const struct worker_sample *w) {
    return w->up;
}
static int64_t worker_starts(const struct worker_sample *w) {
    return (int64_t)w->starts;
}
static int64_t worker_requests(const struct worker_sample *w) {
    return (int64_t)w->requests;
}
static int64_t worker_busy(const struct worker_sample *w) {
    return (int64_t)w->busy;
}
static int64_t worker_tunnels(const struct worker_sample *w) {
    return (int64_t)w->tunnels;
}
static int64_t worker_rss(const struct worker_sample *w) {
    return w->rss_kib < 0 ? -1 : w->rss_kib * 1024;
}

static const struct {
    const char *name, *type, *help;
    int64_t (*value)(const struct worker_sample *w); /* -1: no sample */
} worker_metrics[] = {
    {"faucet_worker_up", "gauge", "Whether the worker takes requests.", worker_up},
    {"faucet_worker_starts_total", "counter", "Processes started in this worker's place.", worker_starts},
    {"faucet_worker_requests_total", "counter", "Requests given to the worker's process.", worker_requests},
    {"faucet_worker_busy", "gauge", "Requests that the worker has now.", worker_busy},
    {"faucet_worker_tunnels", "gauge", "WebSocket connections that the worker has now.", worker_tunnels},
    {"faucet_worker_resident_memory_bytes", "gauge", "Resident memory of the worker and its children.", worker_rss},
};

static void write_workers(struct buf *out, const struct samples *s) {
    for (size_t i = 0; i < ARRAY_LENGTH(worker_metrics); i++) {
        family(out, worker_metrics[i].name, worker_metrics[i].type, worker_metrics[i].help);
        for (size_t k = 0; k < s->count; k++) {
            int64_t v = worker_metrics[i].value(&s->workers[k]);
            if (v < 0)
                continue;
            buf_printf(out, "%s{", worker_metrics[i].name);
            label(out, "app", s->workers[k].app);
            buf_printf(out, ",worker=\"%u\"}", s->workers[k].id);
            value(out, v);
        }
    }
}

/* ---- apps ---- */

static size_t app_wanted(const struct app_sample *a) {
    return kind_of(a->config->type)->has_workers ? (size_t)a->config->workers : a->config->upstream.n;
}
static size_t app_ready(const struct app_sample *a) {
    return app_ready_count(a->live);
}
static size_t app_draining(const struct app_sample *a) {
    return a->draining;
}
static size_t app_waiting(const struct app_sample *a) {
    return app_queue_length(a->live);
}
static size_t app_queue_room(const struct app_sample *a) {
    return (size_t)a->config->queue_size;
}
static size_t app_busy(const struct app_sample *a) {
    return app_leases(a->live);
}
static size_t app_open_tunnels(const struct app_sample *a) {
    return app_tunnels(a->live);
}
static size_t app_generations(const struct app_sample *a) {
    return app_generation_count(a->live);
}

static const struct {
    const char *name, *help;
    size_t (*value)(const struct app_sample *a);
} app_metrics[] = {
    {"faucet_app_workers_wanted", "Workers or upstream addresses the app should have.", app_wanted},
    {"faucet_app_workers_ready", "Workers or upstream addresses that take requests.", app_ready},
    {"faucet_app_workers_draining", "Workers that were replaced and wait for their last clients.", app_draining},
    {"faucet_app_queue_length", "Requests that wait for a worker.", app_waiting},
    {"faucet_app_queue_size", "Most requests that may wait for a worker.", app_queue_room},
    {"faucet_app_leases", "Requests that workers have now.", app_busy},
    {"faucet_app_tunnels", "WebSocket connections of the app now.", app_open_tunnels},
    {"faucet_app_generations", "Sets of workers, the current one and those that drain.", app_generations},
};

static void write_apps(struct buf *out, const struct samples *s) {
    for (size_t i = 0; i < ARRAY_LENGTH(app_metrics); i++) {
        family(out, app_metrics[i].name, "gauge", app_metrics[i].help);
        for (size_t k = 0; k < s->app_count; k++) {
            buf_printf(out, "%s{", app_metrics[i].name);
            label(out, "app", s->apps[k].config->name);
            buf_append_char(out, '}');
            value(out, (int64_t)app_metrics[i].value(&s->apps[k]));
        }
    }
}

/* ---- the daemon ---- */

static void write_proxy(struct buf *out, const struct proxy *p) {
    single(out, "faucet_http_requests_total", "counter", "Requests answered since the start.", p->requests);
    single(out, "faucet_http_connections_total", "counter", "Client connections accepted since the start.",
           p->connections);
    single(out, "faucet_http_connections", "gauge", "Client connections open now, tunnels included.",
           proxy_client_count(p));
    single(out, "faucet_http_exchanges", "gauge", "Requests that are being answered.", p->busy.length);
    single(out, "faucet_http_tunnels", "gauge", "WebSocket connections open now.", p->tunnels.length);
}

static void write_config(struct buf *out, const struct faucet *f) {
    static const char *const results[] = {"done", "invalid", "refused", "failed", "superseded"};
    family(out, "faucet_config_info", "gauge", "The configuration that serves now.");
    buf_append(out, STR("faucet_config_info{"));
    label(out, "hash", f->snapshot->hash);
    buf_printf(out, ",config=\"%llu\"} 1\n", (unsigned long long)f->snapshot->number);
    family(out, "faucet_config_reloads_total", "counter", "Reloads that ended, by what came of them.");
    for (size_t i = 0; i < ARRAY_LENGTH(results); i++)
        buf_printf(out, "faucet_config_reloads_total{result=\"%s\"} %llu\n", results[i],
                   (unsigned long long)f->reloads.ended[i]);
    single(out, "faucet_config_last_reload_success", "gauge",
           "Whether the last reload was done; 1 while there was none.", !f->reloads.last_failed);
    single(out, "faucet_config_last_reload_timestamp_seconds", "gauge", "When the last reload ended; 0: none yet.",
           (uint64_t)(f->reloads.last.us / DUR_S));
}

/* ---- telemetry ---- */

enum { DESTINATIONS_MAX = 64 };
struct destinations {
    struct destination_status v[DESTINATIONS_MAX];
    size_t n;
};

static void collect_destination(void *owner, const struct destination_status *s) {
    struct destinations *all = owner;
    if (all->n < DESTINATIONS_MAX)
        all->v[all->n++] = *s;
}

static void destination_sample(struct buf *out, const char *name, const struct destination_status *s, const char *more,
                               uint64_t v) {
    buf_printf(out, "%s{", name);
    label(out, "destination", s->name);
    buf_append(out, str_of(more));
    buf_append_char(out, '}');
    value(out, (int64_t)v);
}

/* recovered + received = stored + queued + dropped */
static void write_account(struct buf *out, const struct destination_status *s) {
    static const char *const reasons[DROP_REASONS] = {"full", "bad_row", "corrupt", "no_table", "no_space"};
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        const struct event_account *a = s->accounts[k];
        const char *table = record_table((enum record_kind)k)->name;
        char more[128];
        if (a == NULL)
            continue;
        const struct {
            const char *state;
            uint64_t n;
        } states[] = {
            {"recovered", a->recovered}, {"received", a->received}, {"stored", a->stored}, {"queued", a->queued}};
        for (size_t i = 0; i < ARRAY_LENGTH(states); i++) {
            (void)snprintf(more, sizeof more, ",table=\"%s\",state=\"%s\"", table, states[i].state);
            destination_sample(out, "faucet_telemetry_events", s, more, states[i].n);
        }
        for (size_t i = 0; i < DROP_REASONS; i++) {
            (void)snprintf(more, sizeof more, ",table=\"%s\",state=\"dropped_%s\"", table, reasons[i]);
            destination_sample(out, "faucet_telemetry_events", s, more, a->dropped[i]);
        }
    }
}

static void write_telemetry(struct buf *out, const struct faucet *f) {
    struct destinations all = {.n = 0};
    telemetry_each(f->telemetry, collect_destination, &all);
    family(out, "faucet_telemetry_on", "gauge", "Whether events are stored in PostgreSQL.");
    buf_printf(out, "faucet_telemetry_on %d\n", telemetry_is_on(f->telemetry));
    family(out, "faucet_telemetry_events", "gauge",
           "Events since their queue was made: recovered + received = stored + queued + dropped.");
    for (size_t i = 0; i < all.n; i++)
        write_account(out, &all.v[i]);
    family(out, "faucet_telemetry_reachable", "gauge", "Whether the database answers.");
    for (size_t i = 0; i < all.n; i++)
        if (all.v[i].connected)
            destination_sample(out, "faucet_telemetry_reachable", &all.v[i], "", all.v[i].reachable);
    family(out, "faucet_telemetry_queue_bytes", "gauge", "Bytes of events that wait for the database.");
    for (size_t i = 0; i < all.n; i++)
        destination_sample(out, "faucet_telemetry_queue_bytes", &all.v[i], "", all.v[i].bytes);
    family(out, "faucet_telemetry_batches_total", "counter", "Batches that were committed.");
    for (size_t i = 0; i < all.n; i++)
        destination_sample(out, "faucet_telemetry_batches_total", &all.v[i], "", all.v[i].batches);
    family(out, "faucet_telemetry_reconnects_total", "counter", "Connections to the database that were made again.");
    for (size_t i = 0; i < all.n; i++)
        destination_sample(out, "faucet_telemetry_reconnects_total", &all.v[i], "", all.v[i].reconnects);
}

void metrics_write(const struct faucet *f, struct buf *out) {
    struct samples s = {0};
    collect(&s, f);
    family(out, "faucet_build_info", "gauge", "The version of faucet.");
    buf_append(out, STR("faucet_build_info{version=\"" FAUCET_VERSION "\"} 1\n"));
    single(out, "faucet_daemon_uptime_seconds", "gauge", "Time since the start.",
           (uint64_t)(mono_since(f->started, mono_now()) / DUR_S));
    write_proxy(out, f->proxy);
    write_apps(out, &s);
    write_workers(out, &s);
    write_config(out, f);
    write_telemetry(out, f);
    single(out, "faucet_log_dropped_total", "counter", "Log records that could not be written.", log_dropped(f->log));
    free(s.workers);
    free(s.apps);
}
