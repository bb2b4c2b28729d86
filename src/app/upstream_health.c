/* Names to addresses, and which of them live; see upstream_health.h. */
#include "app/upstream_health.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "app/live.h"
#include "app/obituary.h"
#include "base/hash.h"
#include "base/miniobj.h"
#include "net/dial.h"

#define RESOLVE_EVERY  (30 * DUR_S)
#define RESOLVE_SOON   (1 * DUR_S)
#define RETRY_FIRST    (250 * DUR_MS)
#define RETRY_MOST     (5 * DUR_S)
#define ADDRESSES_MOST 64 /* of one name */

struct upstream {
    struct list_node node; /* on generation->upstreams */
    struct generation *generation;
    unsigned number; /* as written, from 1 */
    char *text;      /* as written */
    struct str host; /* in text; .n == 0: numeric, never resolved */
    uint16_t port;
    struct lookup *lookup; /* under way */
    struct deadline resolve;
    bool answered; /* a lookup ended, one way or the other */
    bool failed;   /* the last one did; said once */
};

struct upstream_address {
    struct upstream *upstream;
    struct endpoint *endpoint;
    char text[ADDRESS_TEXT_MAX];
    struct dial dial;
    struct deadline retry;
    dur_t delay;
    mono_t down_since;
};

static struct apps *apps_of(const struct upstream *u) {
    return u->generation->app->apps;
}

/* ---- one address ------------------------------------------------------------------------------------------------- */

static void look_again_later(struct upstream_address *a) {
    a->delay = a->delay * 2 < RETRY_MOST ? a->delay * 2 : RETRY_MOST;
    deadline_set(&a->retry, a->delay);
}

static void answers_again(struct upstream_address *a) {
    struct buf b = {0};
    struct app *app = a->upstream->generation->app;

    obituary_span(&b, mono_since(a->down_since, app->apps->loop->now));
    log_info(app->apps->log, "upstream %s of %s answers again after %.*s", a->text, app->name, STR_ARG(buf_str(&b)));
    buf_free(&b);
    endpoint_move(a->endpoint, ENDPOINT_READY);
}

static void retried(struct dial *d, int fd, int error) {
    struct upstream_address *a = CONTAINER_OF(d, struct upstream_address, dial);
    (void)error;

    if (fd < 0) {
        look_again_later(a);
        return;
    }
    (void)close(fd);
    answers_again(a);
}

static void retry(struct deadline *deadline) {
    struct upstream_address *a = CONTAINER_OF(deadline, struct upstream_address, retry);
    struct app *app = a->upstream->generation->app;

    a->dial = (struct dial){0};
    int fd =
        dial_start(&a->dial, app->apps->loop, &a->endpoint->address, app->snapshot->daemon.timeout_connect, retried);
    if (fd >= 0)
        retried(&a->dial, fd, 0);
    else if (errno != EINPROGRESS)
        look_again_later(a);
}

void upstream_address_failed(struct upstream_address *a, int error) {
    struct app *app = a->upstream->generation->app;

    if (a->endpoint->state != ENDPOINT_READY)
        return;
    char reason[ADDRESS_TEXT_MAX + 128];
    (void)snprintf(reason, sizeof reason, "upstream %s of %s is down: %s", a->text, app->name, strerror(error));
    log_warn(app->apps->log, "%s; it gets no request until it answers", reason);
    a->down_since = app->apps->loop->now;
    a->delay = RETRY_FIRST / 2;
    look_again_later(a);
    if (a->upstream->host.n > 0 && a->upstream->lookup == NULL && !a->upstream->generation->draining)
        deadline_set(&a->upstream->resolve, RESOLVE_SOON); /* it may have moved */
    generation_set_reason(a->upstream->generation, reason);
    endpoint_move(a->endpoint, ENDPOINT_DOWN);
}

void upstream_address_rest(struct upstream_address *a) {
    dial_cancel(&a->dial);
    deadline_clear(&a->retry);
}

void upstream_address_free(struct upstream_address *a) {
    dial_cancel(&a->dial);
    deadline_destroy(&a->retry);
    free(a);
}

static void add_address(struct upstream *u, const struct address *address) {
    struct upstream_address *a = calloc(1, sizeof *a);
    struct endpoint *e = endpoint_new(u->generation, NULL, u->number);

    XXXAN(a);
    e->upstream = a;
    e->address = *address;
    a->upstream = u;
    a->endpoint = e;
    size_t n = address_format(address, a->text, sizeof a->text);
    e->seed = hash_bytes(1, a->text, n); /* several addresses may share a number */
    deadline_init(&a->retry, apps_of(u)->loop, retry);
    endpoint_move(e, ENDPOINT_READY);
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static bool is_among(const struct upstream_address *a, const struct address *addresses, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char text[ADDRESS_TEXT_MAX];
        (void)address_format(&addresses[i], text, sizeof text);
        if (strcmp(text, a->text) == 0)
            return true;
    }
    return false;
}

static bool is_known(const struct upstream *u, const struct address *address) {
    for (size_t s = 0; s < ENDPOINT_RETIRED; s++)
        LIST_FOREACH (&u->generation->endpoints[s], struct endpoint, e, node) {
            if (e->upstream != NULL && e->upstream->upstream == u && is_among(e->upstream, address, 1))
                return true;
        }
    return false;
}

/* Newcomers first: an app whose only address moved is never without. */
static void compare(struct upstream *u, const struct address *addresses, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!is_known(u, &addresses[i]))
            add_address(u, &addresses[i]);
    for (size_t s = 0; s < ENDPOINT_RETIRED; s++)
        LIST_FOREACH (&u->generation->endpoints[s], struct endpoint, e, node) {
            if (e->upstream != NULL && e->upstream->upstream == u && !is_among(e->upstream, addresses, n))
                endpoint_move(e, ENDPOINT_RETIRED);
        }
}

static void resolved(void *owner, const struct address *addresses, size_t n, const char *why) {
    struct upstream *u = owner;
    struct app *app = u->generation->app;

    u->lookup = NULL;
    u->answered = true;
    if (n == 0) { /* what is known goes on serving */
        char reason[APP_REASON_MAX];
        (void)snprintf(reason, sizeof reason, "upstream %s of %s cannot be resolved: %s", u->text, app->name, why);
        if (!u->failed)
            log_warn(app->apps->log, "%s; trying again", reason);
        u->failed = true;
        generation_set_reason(u->generation, reason);
        deadline_set(&u->resolve, 5 * RESOLVE_SOON);
        app_changed(app);
        candidate_look(u->generation->candidate);
        return;
    }
    if (u->failed)
        log_info(app->apps->log, "upstream %s of %s can be resolved again", u->text, app->name);
    u->failed = false;
    deadline_set(&u->resolve, RESOLVE_EVERY);
    compare(u, addresses, n < ADDRESSES_MOST ? n : ADDRESSES_MOST);
    app_changed(app);
    candidate_look(u->generation->candidate);
}

static void resolve_now(struct deadline *d) {
    struct upstream *u = CONTAINER_OF(d, struct upstream, resolve);
    u->lookup = resolver_lookup(apps_of(u)->env.resolver, u->host, u->port, resolved, u);
}

static void upstream_start(struct generation *g, struct str text, unsigned number) {
    struct upstream *u = calloc(1, sizeof *u);
    struct address address;
    const char *why;

    XXXAN(u);
    u->generation = g;
    u->number = number;
    u->text = strndup(text.p, text.n); /* the generation may go over to a newer snapshot */
    XXXAN(u->text);
    deadline_init(&u->resolve, g->app->apps->loop, resolve_now);
    list_append(&g->upstreams, &u->node);
    if (address_parse(str_of(u->text), &address, &why)) {
        add_address(u, &address);
    } else if (address_split(str_of(u->text), &u->host, &u->port, &why)) {
        resolve_now(&u->resolve);
    } else { /* check lets no such address through */
        log_error(g->app->apps->log, "upstream %s of %s: %s", u->text, g->app->name, why);
    }
}

void upstreams_start(struct generation *g) {
    for (size_t i = 0; i < g->config->upstream.n; i++)
        upstream_start(g, g->config->upstream.v[i], (unsigned)i + 1);
}

bool upstreams_asking(const struct generation *g) {
    LIST_FOREACH (&g->upstreams, struct upstream, u, node) {
        if (u->host.n > 0 && !u->answered)
            return true;
    }
    return false;
}

void upstreams_rest(struct generation *g) {
    LIST_FOREACH (&g->upstreams, struct upstream, u, node) {
        if (u->lookup != NULL)
            lookup_cancel(u->lookup);
        u->lookup = NULL;
        deadline_clear(&u->resolve);
    }
}

void upstreams_free(struct generation *g) {
    upstreams_rest(g);
    LIST_FOREACH (&g->upstreams, struct upstream, u, node) {
        deadline_destroy(&u->resolve);
        list_remove(&u->node);
        free(u->text);
        free(u);
    }
}

size_t upstreams_ready(const struct generation *g) {
    size_t ready = 0;

    LIST_FOREACH (&g->upstreams, struct upstream, u, node) {
        LIST_FOREACH (&g->endpoints[ENDPOINT_READY], struct endpoint, e, node) {
            if (e->upstream != NULL && e->upstream->upstream == u) {
                ready++;
                break;
            }
        }
    }
    return ready;
}
