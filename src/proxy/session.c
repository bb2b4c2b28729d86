/*
 * The end of a session. Whether the worker closed or died is a matter of
 * times: a process whose end was reported within WORD_TIME of its connection's
 * end took the connection with it.
 */
#include "proxy/session.h"

#include <stdlib.h>

#include "proxy/exchange.h"

/* A killed process is reaped in milliseconds, also behind a wrapper that must notice first (sh, uv); the rest is for a
 * machine that is busy. */
#define WORD_TIME (1 * DUR_S)

struct session *session_begin(const struct exchange *x, struct endpoint *e) {
    struct session *s;

    if (x->proxy->telemetry == NULL || !telemetry_is_on(x->proxy->telemetry))
        return NULL;
    ALLOC_OBJ(s, SESSION_MAGIC);
    s->proxy = x->proxy;
    s->endpoint = e;
    endpoint_hold(e);
    s->snapshot = snapshot_ref(x->snapshot);
    s->config = x->config;
    s->request_uuid = x->uuid;
    s->client_ip = x->client_ip;
    s->prefix = strndup(x->prefix.n > 0 ? x->prefix.p : "", x->prefix.n);
    XXXAN(s->prefix);
    s->began = wall_now();
    return s;
}

static void session_free(struct session *s) {
    list_remove(&s->node);
    snapshot_unref(s->snapshot);
    free(s->prefix);
    struct endpoint *e = s->endpoint;
    FREE_OBJ(s);
    endpoint_drop(e);
}

static void session_tell(struct session *s) {
    CHECK_OBJ_NOTNULL(s, SESSION_MAGIC);
    const struct worker_origin o = {
        .app = str_of(s->config->name),
        .target = str_of(s->endpoint->source),
        .generation = app_generation_of(s->endpoint),
        .worker_id = s->endpoint->worker_id,
    };
    const struct session_event e = {
        .request_uuid = s->request_uuid,
        .worker_route = str_of(s->prefix),
        .client = s->client_ip,
        .began = s->began,
        .over = s->over,
        .lasted = s->lasted,
        .up = s->up,
        .down = s->down,
        .ended = close_reason_name(s->ended),
    };
    telemetry_session(s->proxy->telemetry, s->snapshot, s->config, &o, &e);
    session_free(s);
}

/* An end of the process long after that of the connection is another matter. */
static bool worker_took_it_along(const struct session *s) {
    mono_t process = s->endpoint->ended;
    return process.us != MONO_NONE.us && mono_since(s->worker_left, process) <= WORD_TIME;
}

static void decide(struct session *s) {
    if (worker_took_it_along(s))
        s->ended = CLOSE_WORKER_GONE;
    session_tell(s);
}

void session_over(struct session *s, const struct session_end *end) {
    if (s == NULL)
        return;
    CHECK_OBJ(s, SESSION_MAGIC);
    struct proxy *p = s->proxy;
    s->over = wall_now();
    s->ended = end->ended;
    s->lasted = end->lasted;
    s->up = end->up;
    s->down = end->down;
    s->worker_left = end->worker_left;
    if (end->worker_left.us == MONO_NONE.us || s->endpoint->upstream != NULL) {
        session_tell(s);
    } else if (s->endpoint->ended.us != MONO_NONE.us || mono_since(end->worker_left, p->loop->now) > WORD_TIME) {
        decide(s);
    } else {
        list_append(&p->undecided, &s->node);
        if (p->undecided.length == 1)
            deadline_set(&p->word, WORD_TIME);
    }
}

void sessions_waited(struct deadline *d) {
    struct proxy *p = CONTAINER_OF(d, struct proxy, word);

    CHECK_OBJ(p, PROXY_MAGIC);
    LIST_FOREACH (&p->undecided, struct session, s, node) {
        dur_t left = WORD_TIME - mono_since(s->worker_left, p->loop->now);
        if (left > 0 && s->endpoint->ended.us == MONO_NONE.us) {
            deadline_set(&p->word, left);
            return;
        }
        decide(s);
    }
}

void sessions_decide(struct proxy *p) {
    deadline_clear(&p->word);
    LIST_FOREACH (&p->undecided, struct session, s, node) {
        decide(s);
    }
}
