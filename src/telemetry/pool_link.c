/*
 * Links: connections and the work they have. After an error that is not a row's
 * or a table's the connection is ended: a new one is judged, and reads columns,
 * anew. Whatever ends a link, its batch goes back first, in doubt or not.
 */
#include <stdlib.h>

#include "telemetry/columns.h"
#include "telemetry/pool_parts.h"

#define SERVER_MIN    130000 /* pg_current_xact_id() */
#define READ_PATIENCE (30 * DUR_S)
#define IDLE_ONE      (60 * DUR_S)
#define IDLE_MORE     (10 * DUR_S)
#define LOOK_AGAIN    (60 * DUR_S) /* at a table that takes nothing */
#define KNOWN_FOR     (10 * DUR_S) /* what the columns are, where rows are refused */
#define LARGE         ((size_t)64 * 1024)

static struct lane *lane_of(struct link *l, const struct event_batch *b) {
    return &l->pool->lanes[b->kind];
}

/* ---- its end ---- */

void link_end(struct link *l) {
    CHECK_OBJ_NOTNULL(l, LINK_MAGIC);
    pg_connect_cancel(&l->connect);
    pg_batch_forget(&l->sending);
    settle_forget(&l->settle);
    pg_session_end(&l->session);
    if (l->batch != NULL) {
        l->pool->doubts_seen += l->batch->in_doubt;
        lane_give_back(lane_of(l, l->batch), l->batch);
    }
    if (l->doubt != NULL)
        l->doubt->asking = false;
    deadline_destroy(&l->idle);
    pg_columns_free(&l->columns);
    pg_error_clear(&l->error);
    list_remove(&l->node);
    FREE_OBJ(l);
}

/* The server, or the way to it, is not what it should be. */
static void give_up(struct link *l, const char *why) {
    struct pool *p = l->pool;

    pool_trouble(p, why);
    link_end(l);
    pool_pump(p);
}

void link_give_up(struct link *l, const struct pg_error *e) {
    struct buf why = {0};

    buf_append(&why, buf_length(&e->message) > 0 ? buf_str(&e->message) : STR("an answer that makes no sense"));
    buf_append_char(&why, '\0');
    if (pg_error_is_of_standby(e)) /* it became one */
        l->pool->first_host = (l->host + 1) % l->pool->info->hosts_n;
    give_up(l, buf_str(&why).p);
    buf_free(&why);
}

/* "ERROR 42501: permission denied for table faucet_http_events; this lets it: …" */
static void sentence(struct buf *out, struct link *l, const struct pg_error *e) {
    buf_printf(out, "%s: %.*s (SQLSTATE %s)", record_table(l->batch->kind)->name, STR_ARG(buf_str(&e->message)),
               e->state);
    pg_error_advice(out, e);
    buf_append_char(out, '\0');
}

/* An error of a class that leaves the batch in doubt: the next attempt should not follow at once. */
static void commit_failed(struct link *l) {
    struct buf why = {0};

    sentence(&why, l, &l->sending.error);
    lane_trouble(lane_of(l, l->batch), buf_str(&why).p);
    buf_free(&why);
}

static void on_lost(struct pg_session *s, const char *why) {
    struct link *l = CONTAINER_OF(s, struct link, session);
    struct pool *p = l->pool;

    CHECK_OBJ_NOTNULL(l, LINK_MAGIC);
    if (l->doubt != NULL)
        doubt_lost(l, why);
    if (l->state == LINK_SENDING && l->sending.error.is && !l->sending.error.fatal)
        commit_failed(l);
    if (l->state == LINK_SENDING && l->sending.state == PG_BATCH_COPYING && l->batch->bytes >= LARGE)
        lane_shrink(lane_of(l, l->batch), l->batch); /* perhaps it took too long for somebody */
    if (l->state != LINK_IDLE) {
        give_up(l, why);
        return;
    }
    log_debug(p->options.log, "telemetry to %s: an idle connection was closed: %s", p->info->destination, why);
    link_end(l);
    pool_pump(p);
}

/* ---- idle ---- */

static void on_idle_for_long(struct deadline *d) {
    struct link *l = CONTAINER_OF(d, struct link, idle);

    if (l->state == LINK_IDLE)
        link_end(l);
}

void link_idle(struct link *l) {
    struct pool *p = l->pool;

    l->state = LINK_IDLE;
    if (p->links.length > p->options.size)
        link_end(l);
    else
        deadline_set(&l->idle, p->links.length > 1 ? IDLE_MORE : IDLE_ONE);
    pool_pump(p);
}

/* ---- what the tables look like ---- */

static void on_columns(void *owner, const PGresult *r) {
    struct link *l = owner;

    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        pg_error_note(&l->error, r);
        return;
    }
    pg_columns_read(&l->columns, r, l->pool->info->user);
    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        if (l->columns.tables[kind].there)
            l->pool->lanes[kind].missing_said = false;
}

static void on_identity(void *owner, const PGresult *r) {
    struct link *l = owner;

    l->identity = settle_identity(r); /* an error: nobody knows */
}

static void on_identity_done(void *owner) {
    struct link *l = owner;

    l->identified = true;
    link_idle(l);
}

static const struct pg_talk identifying = {.result = on_identity, .done = on_identity_done};

static void on_columns_done(void *owner) {
    struct link *l = owner;

    if (l->error.is)
        link_give_up(l, &l->error);
    else if (!l->identified)
        pg_session_say(&l->session, SETTLE_IDENTITY_QUERY, &identifying, l, READ_PATIENCE);
    else
        link_idle(l);
}

static const struct pg_talk reading = {.result = on_columns, .done = on_columns_done};

static void read_columns(struct link *l) {
    struct buf sql = {0};

    l->state = LINK_READING;
    l->columns_at = l->pool->options.loop->now;
    pg_error_clear(&l->error);
    pg_columns_query(&sql);
    buf_append_char(&sql, '\0');
    pg_session_say(&l->session, buf_str(&sql).p, &reading, l, READ_PATIENCE);
    buf_free(&sql);
}

/* ---- connecting ---- */

static void on_connected(struct pg_connect *c, PGconn *pg, size_t host) {
    struct link *l = CONTAINER_OF(c, struct link, connect);
    struct pool *p = l->pool;

    CHECK_OBJ_NOTNULL(l, LINK_MAGIC);
    if (pg == NULL) {
        struct buf why = {0};
        buf_append(&why, buf_str(&c->why));
        buf_append_char(&why, '\0');
        p->first_host = 0;
        give_up(l, buf_str(&why).p);
        buf_free(&why);
        return;
    }
    pg_connect_cancel(c);
    l->host = p->first_host = host;
    p->host = p->info->hosts[host].label;
    pg_session_start(&l->session, p->options.loop, pg, p->info->password, on_lost);
    if (PQserverVersion(pg) < SERVER_MIN) {
        give_up(l, "PostgreSQL 13 or newer is needed");
        return;
    }
    log_printf(p->options.log, p->connects == 0 ? LOG_INFO : LOG_DEBUG, "faucet", "telemetry to %s: connected to %s",
               p->info->destination, p->host);
    p->connects++;
    p->reachable = true;
    read_columns(l);
}

void link_new(struct pool *p) {
    struct link *l;

    ALLOC_OBJ(l, LINK_MAGIC);
    l->pool = p;
    l->state = LINK_CONNECTING;
    deadline_init(&l->idle, p->options.loop, on_idle_for_long);
    list_append(&p->links, &l->node);
    pg_connect_start(&l->connect, p->options.loop, p->options.resolver, p->info, p->first_host,
                     p->options.connect_timeout, on_connected);
}

/* ---- a batch ---- */

static void on_sent(struct pg_batch *s, bool stored);

static void send_batch(struct link *l, struct event_batch *b, bool tuples) {
    l->state = LINK_SENDING;
    l->batch = b;
    pg_batch_start(&l->sending, &l->session, l->pool->options.queue, b, &l->columns.tables[b->kind], tuples,
                   l->identity, on_sent);
}

static void give_back(struct link *l) {
    struct event_batch *b = l->batch;

    l->batch = NULL;
    lane_give_back(lane_of(l, b), b);
}

/* A single one is set aside; but when many in a row are refused, it may be that nothing is wrong with them. */
static void row_refused(struct link *l, enum pg_verdict verdict, const char *why) {
    struct lane *lane = lane_of(l, l->batch);

    if (l->batch->n > 1) {
        lane_bisect(lane, l->batch);
        send_batch(l, l->batch, false);
        return;
    }
    if (lane->refused < lane->refused_max) {
        lane->refused++;
        if (verdict == PG_ROW)
            lane_drop_row(lane, l->batch, 0, why);
    } else if (verdict == PG_PLACE) {
        lane_park(lane, why);
        lane->refused = 0; /* next time others are tried */
    } else {
        struct buf text = {0};
        buf_printf(&text, "many rows in a row were refused, so the next ones are kept until others are stored: %s",
                   why);
        buf_append_char(&text, '\0');
        lane_park(lane, buf_str(&text).p);
        buf_free(&text);
    }
    give_back(l);
    link_idle(l);
}

/* Another type of a column makes good rows look bad. False: it is to be read again before any is blamed. */
static bool knows_columns(const struct link *l, struct lane *lane) {
    mono_t now = l->pool->options.loop->now;

    if (!lane->suspect || mono_since(l->columns_at, now) > KNOWN_FOR)
        lane->columns_wanted = now;
    else if (l->columns_at.us >= lane->columns_wanted.us)
        return true;
    lane->suspect = true;
    return false;
}

/* It may be fine, but for this table: others go on, by another backend. */
static void leave_server(struct link *l, const char *why) {
    struct pool *p = l->pool;

    lane_trouble(lane_of(l, l->batch), why);
    link_end(l);
    pool_pump(p);
}

static void refused(struct link *l, const struct pg_error *e) {
    struct lane *lane = lane_of(l, l->batch);
    enum pg_verdict verdict = pg_error_verdict(e);
    struct buf why = {0};

    sentence(&why, l, e);
    lane_refused(lane, l->batch);
    if (pg_error_is_of_size(e))
        lane_shrink(lane, l->batch);
    if ((verdict == PG_ROW || verdict == PG_TYPE) && !knows_columns(l, lane))
        verdict = PG_TYPE;
    else if (verdict == PG_TYPE)
        verdict = PG_ROW;
    switch (verdict) {
    case PG_ROW:
    case PG_PLACE:
        row_refused(l, verdict, buf_str(&why).p);
        break;
    case PG_TYPE:
        give_back(l);
        link_idle(l);
        break;
    case PG_COLUMNS: /* if the table is gone, reading its columns says so in better words */
    case PG_TABLE:
        lane_park(lane, buf_str(&why).p);
        give_back(l);
        link_idle(l);
        break;
    case PG_SERVER:
        if (e->fatal || e->state[0] == '\0' || pg_error_is_of_standby(e))
            link_give_up(l, e);
        else
            leave_server(l, buf_str(&why).p);
        break;
    }
    buf_free(&why);
}

static void on_sent(struct pg_batch *s, bool stored) {
    struct link *l = CONTAINER_OF(s, struct link, sending);
    struct event_batch *b = l->batch;

    CHECK_OBJ_NOTNULL(l, LINK_MAGIC);
    if (s->unreadable) {
        lane_lost(lane_of(l, b), s->lost);
        give_back(l);
        link_idle(l);
        return;
    }
    if (!stored) {
        struct pg_error e = s->error; /* taken over: the next attempt would clear it */
        s->error = (struct pg_error){0};
        refused(l, &e);
        pg_error_clear(&e);
        return;
    }
    l->batch = NULL;
    lane_stored(lane_of(l, b), b);
    pool_works(l->pool);
    link_idle(l);
}

/* ---- work ---- */

static bool must_look(const struct link *l, const struct lane *lane) {
    const struct pg_table *t = &l->columns.tables[lane->kind];

    return l->columns_at.us < lane->columns_wanted.us ||
           (t->copy == NULL && mono_since(l->columns_at, l->pool->options.loop->now) > LOOK_AGAIN);
}

/* Sets aside what is damaged, of a newer faucet, or damaged in a way that no checksum shows. True: the others are
 * complete, with all columns that we know and no more. */
static bool look_at(struct lane *lane, struct event_batch *b) {
    struct record_reader r;
    bool complete = true;

    lane_lost(lane, event_batch_verify(lane->pool->options.queue, b));
    if (b->tuples)
        return true;
    for (size_t i = b->n; i > 0; i--)
        if (!record_open(b->records[i - 1], &r) || r.kind != b->kind)
            lane_drop_row(lane, b, i - 1, "its record cannot be read by this version of faucet");
        else
            complete &= r.complete && r.n == record_table(r.kind)->n;
    return complete;
}

/* True: the link has something to do. */
static bool feed_from(struct link *l, struct lane *lane) {
    const struct pg_table *table = &l->columns.tables[lane->kind];
    struct event_batch *b;

    if (must_look(l, lane)) {
        read_columns(l);
        return true;
    }
    if (table->problem != NULL) {
        lane_trouble(lane, table->problem);
        return false;
    }
    b = lane_take(lane);
    if (b == NULL)
        return false;
    if (b->in_doubt) {
        (void)doubt_new(l->pool, b);
        return doubt_feed(l);
    }
    if (!table->there) {
        lane_drop(lane, b);
        l->pool->again = true;
        return false;
    }
    bool complete = look_at(lane, b);
    if (b->n == 0) {
        lane_give_back(lane, b);
        l->pool->again = true;
        return false;
    }
    send_batch(l, b, complete && copy_is_tuple(&table->layout));
    return true;
}

bool link_feed(struct link *l) {
    struct pool *p = l->pool;

    ASSERT(l->state == LINK_IDLE);
    if (doubt_feed(l))
        return true;
    if (!doubt_allows_more(p))
        return false;
    for (size_t i = 0; i < RECORD_KINDS; i++) {
        struct lane *lane = &p->lanes[(p->turn + i) % RECORD_KINDS];
        if (lane_is_active(lane) && feed_from(l, lane)) {
            p->turn = (size_t)lane->kind + 1;
            deadline_clear(&l->idle);
            return true;
        }
    }
    return false;
}
