/*
 * FINISH: the one place where an exchange ends. What is known of it becomes one
 * record; then its memory goes.
 */
#include <unistd.h>

#include "proxy/access_line.h"
#include "proxy/exchange.h"
#include "proxy/recycle.h"

/* Where an app has workers and none was reached, the row is the daemon's own. */
static void fill_target(const struct exchange *x, struct request_event *e) {
    const struct telemetry_settings *own = &x->snapshot->daemon.telemetry;
    bool worker = x->config != NULL && x->target[0] != '\0';
    e->app = x->config != NULL ? str_of(x->config->name) : STR_NONE;
    e->target = worker ? str_of(x->target) : STR("faucet");
    e->worker_id = worker ? x->worker_id : 0;
    e->generation = worker ? x->generation : 0;
    e->worker_route = worker ? x->prefix : STR_NONE;
    bool app = worker || (x->config != NULL && x->config->type == APP_STATIC); /* which answers by itself */
    e->namespace = str_of(app ? x->config->telemetry.namespace : own->namespace);
    e->version = str_of(app ? x->config->telemetry.version : own->version);
}

/* What is known before the reply's last byte goes out. */
static void describe(const struct exchange *x, struct request_event *e) {
    *e = (struct request_event){
        .request_uuid = x->uuid,
        .client = x->client_ip,
        .http_minor = 1,
        .began = x->began,
        .queued = x->queued,
        .attempts = x->attempts,
        .trace_id = x->trace_id,
        .config = x->snapshot->number,
    };
    if (x->request != NULL) {
        e->method = x->request->method;
        e->raw_path = x->path.p != NULL ? x->path : x->request->path;
        e->path = x->worker_path.p != NULL ? x->worker_path : e->raw_path;
        e->query = x->request->query;
        e->http_minor = x->request->minor;
        e->host = x->host;
        e->user_agent = http_value(x->request, STR("User-Agent"));
    }
    fill_target(x, e);
    if (e->worker_route.p == NULL)
        e->path = e->raw_path; /* no prefix to put before it: a row says which app was wanted all the same */
}

static void describe_end(const struct exchange *x, struct request_event *e) {
    e->status = x->status;
    e->total = mono_since(x->began_mono, mono_now());
    e->first_byte = x->first_byte;
    e->request_bytes = x->request_bytes;
    e->response_bytes = x->response_bytes;
    e->error = x->error;
}

static bool is_observed(const struct exchange *x) {
    return x->proxy->telemetry != NULL && telemetry_is_on(x->proxy->telemetry);
}

void exchange_reserve(struct exchange *x) {
    if (x->reserved != NULL || x->recorded || !is_observed(x))
        return;
    struct request_event *e = arena_alloc(x->arena, sizeof *e);
    describe(x, e);
    x->reserved = e;
    telemetry_request_begin(x->proxy->telemetry, x->snapshot, x->config, e, &x->slot);
}

void exchange_record(struct exchange *x) {
    if (x->recorded)
        return;
    x->recorded = true;
    struct request_event e;
    if (x->reserved != NULL)
        e = *x->reserved;
    else
        describe(x, &e);
    describe_end(x, &e);
    access_line(x->proxy->log, &e);
    if (x->reserved != NULL)
        telemetry_request_end(x->proxy->telemetry, x->snapshot, x->config, &e, &x->slot);
    else if (is_observed(x))
        telemetry_request(x->proxy->telemetry, x->snapshot, x->config, &e);
}

/* Helper jobs still write into this exchange's memory. */
static bool jobs_pending(const struct exchange *x) {
    return (x->upload != NULL && x->upload->busy) || (x->download != NULL && x->download->busy) ||
           (x->file != NULL && (x->file->looking || x->file->warming));
}

static void exchange_destroy(void *object) {
    struct exchange *x;
    CAST_OBJ_NOTNULL(x, object, EXCHANGE_MAGIC);
    if (x->upload != NULL)
        spool_free(x->upload);
    if (x->download != NULL)
        spool_free(x->download);
    if (x->file != NULL && x->file->lookup.fd >= 0)
        close(x->file->lookup.fd);
    snapshot_unref(x->snapshot);
    x->magic = 0;
    recycle_give(x->proxy, x->arena); /* x is in it */
}

enum step_result step_finish(struct exchange *x) {
    exchange_record(x);
    exchange_release_upstream(x, false, CLOSE_REPLY_DONE);
    if (x->app != NULL)
        app_release(x->app);
    x->app = NULL;
    list_remove(&x->node);
    struct client *c = x->client;
    x->client = NULL;
    bool wait = jobs_pending(x);
    if (!wait) {
        x->gone = true;
        loop_free_later(x->proxy->loop, &x->freed, exchange_destroy, x);
    }
    if (c != NULL) {
        c->exchange = NULL;
        c->close_after |= !x->keep_alive;
        if (x->reply_failed)
            client_close(c, CLOSE_WORKER_ERROR, true);
        else
            client_exchange_ended(c);
    }
    return wait ? STEP_WAIT : STEP_DONE;
}
