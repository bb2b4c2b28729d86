/*
 * Doubts: a link asks after them before it does anything else. One that is in
 * progress is asked after again and again, since its backend will end some day;
 * but where the answer cannot be had, the rows are sent again after a few
 * attempts, or one batch would be held for ever.
 */
#include <stdlib.h>

#include "telemetry/columns.h"
#include "telemetry/pool_parts.h"

#define PAUSE     (200 * DUR_MS)
#define PAUSE_MAX (10 * DUR_S)
#define TRIES     6            /* seconds, where the server refuses to say */
#define LONG      (60 * DUR_S) /* a lookup of this length that ends with the connection has failed by itself */
#define DOUBTS    ((size_t)2)  /* with a single connection too, others need not wait for the first one */

struct doubt *doubt_new(struct pool *p, struct event_batch *b) {
    struct doubt *d = calloc(1, sizeof *d);

    XXXAN(d);
    d->batch = b;
    d->pause = PAUSE;
    d->again = p->options.loop->now;
    list_append(&p->doubts, &d->node);
    return d;
}

void doubt_free(struct doubt *d) {
    list_remove(&d->node);
    free(d);
}

/* Each may be a backend that waits in COMMIT, for a standby that is away, say. */
bool doubt_allows_more(const struct pool *p) {
    return p->doubts.length < (p->options.size > DOUBTS ? p->options.size : DOUBTS);
}

static void ask_later(struct pool *p, struct doubt *d) {
    d->again = mono_add(p->options.loop->now, d->pause);
    d->pause = d->pause * 2 < PAUSE_MAX ? d->pause * 2 : PAUSE_MAX;
}

static void send_again(struct pool *p, struct doubt *d) {
    struct event_batch *b = d->batch;

    doubt_free(d);
    b->in_doubt = false;
    lane_give_back(&p->lanes[b->kind], b);
}

static void send_though_unknown(struct pool *p, struct doubt *d, const char *why) {
    log_warn(p->options.log,
             "telemetry to %s: whether %zu rows arrived in %s cannot be found out, so they are sent again and may be "
             "there twice; %s",
             p->info->destination, d->batch->n, record_table(d->batch->kind)->name, why);
    send_again(p, d);
}

static void may_not_look(struct pool *p, struct doubt *d) {
    const char *table = record_table(d->batch->kind)->name;
    bool request = d->batch->kind == RECORD_HTTP || d->batch->kind == RECORD_SESSION;
    struct buf why = {0};

    buf_printf(&why, "this lets faucet look: GRANT SELECT (%s, time) ON %s TO \"%s\"",
               request ? "request_uuid" : "event_id", table, p->info->user);
    buf_append_char(&why, '\0');
    send_though_unknown(p, d, buf_str(&why).p);
    buf_free(&why);
}

static void asked_in_vain(struct pool *p, struct doubt *d, struct str why) {
    struct buf text = {0};

    if (++d->failures < TRIES) {
        ask_later(p, d);
        return;
    }
    buf_printf(&text, "the last attempt ended with: %.*s", STR_ARG(why));
    buf_append_char(&text, '\0');
    send_though_unknown(p, d, buf_str(&text).p);
    buf_free(&text);
}

void doubt_lost(struct link *l, const char *why) {
    struct pool *p = l->pool;
    struct doubt *d = l->doubt;

    l->doubt = NULL;
    d->asking = false;
    if (mono_since(d->asked, p->options.loop->now) >= LONG)
        asked_in_vain(p, d, str_of(why));
    else
        ask_later(p, d); /* the server is what is wrong */
}

/* ---- asking ---- */

/* True: the connection is of use still. */
static bool on_error(struct link *l, struct doubt *d, const struct pg_error *e) {
    if (e->fatal || e->state[0] == '\0' || pg_error_is_of_standby(e)) {
        ask_later(l->pool, d);
        return false;
    }
    asked_in_vain(l->pool, d, buf_str(&e->message));
    return strncmp(e->state, "42", 2) != 0; /* a new one reads anew what may be looked at */
}

static void on_settled(struct settle *s, enum settled answer) {
    struct link *l = CONTAINER_OF(s, struct link, settle);
    struct pool *p = l->pool;
    struct doubt *d = l->doubt;
    struct event_batch *b = d->batch;

    CHECK_OBJ_NOTNULL(l, LINK_MAGIC);
    l->doubt = NULL;
    d->asking = false;
    if (s->now != 0)
        l->identity = s->now;
    switch (answer) {
    case SETTLED_COMMITTED:
        doubt_free(d);
        lane_stored(&p->lanes[b->kind], b);
        pool_works(p);
        break;
    case SETTLED_ABORTED:
        send_again(p, d);
        break;
    case SETTLED_UNKNOWN:
        may_not_look(p, d);
        break;
    case SETTLED_IN_PROGRESS:
        ask_later(p, d);
        break;
    case SETTLED_ERROR:
        if (on_error(l, d, &s->error))
            break;
        link_give_up(l, &s->error);
        return;
    }
    link_idle(l);
}

bool doubt_feed(struct link *l) {
    struct pool *p = l->pool;
    mono_t now = p->options.loop->now;

    LIST_FOREACH (&p->doubts, struct doubt, d, node) {
        if (d->asking || d->again.us > now.us)
            continue;
        d->asking = true;
        d->asked = now;
        l->doubt = d;
        l->state = LINK_SETTLING;
        settle_start(&l->settle, &l->session, d->batch, &l->columns.tables[d->batch->kind], l->identity, on_settled);
        return true;
    }
    return false;
}
