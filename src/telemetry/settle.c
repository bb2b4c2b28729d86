/*
 * Asking. pg_xact_status needs no privilege; a transaction "in the future" is an
 * error of class 22 there (the server was set up anew, or lost what was not yet
 * replicated), one too old to be remembered is NULL.
 */
#include "telemetry/settle.h"

#include <inttypes.h>

#include "base/hash.h"
#include "base/uuid.h"

#define PATIENCE        (30 * DUR_S)
#define PATIENCE_ROW    (10 * DUR_MIN) /* no index is promised */
#define ROWS_MAX        ((size_t)256)  /* one would do; some may have been deleted since */
#define XID_BITS        48
#define IDENTITY_FIELDS 2
#define ROUNDED         ((int64_t)1000000) /* a column may keep times by the second */

uint64_t settle_transaction(uint16_t identity, uint64_t xid) {
    return (uint64_t)identity << XID_BITS | (xid & ((UINT64_C(1) << XID_BITS) - 1));
}

uint16_t settle_identity(const PGresult *r) {
    uint64_t h = 0;

    if (PQresultStatus(r) != PGRES_TUPLES_OK || PQntuples(r) != 1 || PQnfields(r) != IDENTITY_FIELDS)
        return 0;
    for (int i = 0; i < IDENTITY_FIELDS; i++)
        h = hash_bytes(h, PQgetvalue(r, 0, i), (size_t)PQgetlength(r, 0, i));
    return (uint16_t)(h % UINT16_MAX + 1); /* never 0 */
}

static void finish(struct settle *s, enum settled answer) {
    s->session = NULL;
    s->done(s, answer);
}

/* ---- are its rows there? ---- */

static void on_rows(void *owner, const PGresult *r) {
    struct settle *s = owner;

    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1)
        s->answer = PQgetvalue(r, 0, 0)[0] == 't' ? SETTLED_COMMITTED : SETTLED_ABORTED;
    else if (PQresultStatus(r) == PGRES_FATAL_ERROR)
        pg_error_note(&s->error, r);
}

static void on_rows_done(void *owner) {
    struct settle *s = owner;

    finish(s, s->error.is ? SETTLED_ERROR : s->answer);
}

static const struct pg_talk looking = {.result = on_rows, .done = on_rows_done};

static void append_time(struct buf *out, int64_t us) {
    char text[28];

    buf_append(out, str_make(text, wall_rfc3339_us((wall_t){us}, text)));
}

/* Evenly over the batch. False: no row has an id and a time. */
static bool append_ids(struct buf *out, const struct settle *s, int64_t *first, int64_t *last) {
    const struct event_batch *b = s->batch;
    size_t step = b->n / ROWS_MAX + 1, found = 0;

    *first = INT64_MAX;
    *last = INT64_MIN;
    for (size_t i = 0; i < b->n; i += step) {
        struct str id, time;
        struct uuid u;
        char text[37];
        if (!record_find(b->records[i], s->table->id_column, &id) ||
            !record_find(b->records[i], s->table->time_column, &time) || id.n != sizeof u.b)
            continue;
        memcpy(u.b, id.p, sizeof u.b);
        uuid_format(&u, text);
        buf_printf(out, "%s%s", found++ > 0 ? "," : "", text);
        int64_t us = record_get_time(time).us;
        *first = us < *first ? us : *first;
        *last = us > *last ? us : *last;
    }
    return found > 0;
}

static void look(struct settle *s) {
    struct buf sql = {0}, ids = {0};
    int64_t first, last;

    if (s->table->id == NULL || !append_ids(&ids, s, &first, &last)) {
        buf_free(&ids);
        finish(s, SETTLED_UNKNOWN);
        return;
    }
    buf_printf(&sql, "SELECT EXISTS (SELECT FROM %s WHERE \"time\" BETWEEN '", record_table(s->batch->kind)->name);
    append_time(&sql, first - ROUNDED);
    buf_append(&sql, STR("' AND '"));
    append_time(&sql, last + ROUNDED);
    buf_printf(&sql, "' AND \"%s\" = ANY ('{%.*s}'))", s->table->id, STR_ARG(buf_str(&ids)));
    buf_append_char(&sql, '\0');
    pg_error_clear(&s->error);
    s->answer = SETTLED_ERROR;
    pg_session_say(s->session, buf_str(&sql).p, &looking, s, PATIENCE_ROW);
    buf_free(&sql);
    buf_free(&ids);
}

/* ---- what became of the transaction? ---- */

static enum settled answer_of(const PGresult *r) {
    static const struct {
        const char *word;
        enum settled answer;
    } words[] = {{"committed", SETTLED_COMMITTED}, {"aborted", SETTLED_ABORTED}, {"in progress", SETTLED_IN_PROGRESS}};

    if (PQntuples(r) == 1 && !PQgetisnull(r, 0, 0))
        for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
            if (strcmp(PQgetvalue(r, 0, 0), words[i].word) == 0)
                return words[i].answer;
    return SETTLED_UNKNOWN;
}

static void on_status(void *owner, const PGresult *r) {
    struct settle *s = owner;

    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQnfields(r) == IDENTITY_FIELDS)
        s->now = settle_identity(r);
    else if (PQresultStatus(r) == PGRES_TUPLES_OK)
        s->answer = answer_of(r);
    else if (PQresultStatus(r) == PGRES_FATAL_ERROR)
        pg_error_note(&s->error, r);
}

/* Its transaction of that number is somebody else's. */
static bool is_another(const struct settle *s) {
    return s->then != 0 && s->now != 0 && s->then != s->now;
}

static void on_status_done(void *owner) {
    struct settle *s = owner;

    if (s->error.is && strncmp(s->error.state, "22", 2) != 0)
        finish(s, SETTLED_ERROR);
    else if (s->error.is || s->answer == SETTLED_UNKNOWN || is_another(s))
        look(s);
    else
        finish(s, s->answer);
}

static const struct pg_talk asking = {.result = on_status, .done = on_status_done};

void settle_start(struct settle *s, struct pg_session *session, const struct event_batch *b,
                  const struct pg_table *table, uint16_t identity,
                  void (*done)(struct settle *s, enum settled answer)) {
    uint64_t xid = b->transaction & ((UINT64_C(1) << XID_BITS) - 1);
    struct buf sql = {0};

    ASSERT(s->session == NULL && b->in_doubt);
    pg_error_clear(&s->error);
    *s = (struct settle){.session = session,
                         .batch = b,
                         .table = table,
                         .answer = SETTLED_UNKNOWN,
                         .then = (uint16_t)(b->transaction >> XID_BITS),
                         .done = done};
    if (identity != 0)
        buf_append(&sql, STR(SETTLE_IDENTITY_QUERY "; "));
    if (xid == 0)
        buf_append(&sql, STR("SELECT NULL")); /* straight on to the rows */
    else
        buf_printf(&sql, "SELECT pg_catalog.pg_xact_status('%" PRIu64 "')", xid);
    buf_append_char(&sql, '\0');
    pg_session_say(session, buf_str(&sql).p, &asking, s, PATIENCE);
    buf_free(&sql);
}

void settle_forget(struct settle *s) {
    s->session = NULL;
    pg_error_clear(&s->error);
}
