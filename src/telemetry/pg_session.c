/*
 * Talking on a ready connection. libpq looks at the server's answers to a COPY
 * only after PQputCopyEnd, so an error in the middle is found at its end: that is
 * at most one batch in vain. Write errors come to light when reading (libpq
 * keeps them back for the server's last words), so it always reads.
 */
#include "telemetry/pg_session.h"

#include "telemetry/connect_once.h"

/* One turn of the loop converts and sends no more: the loop has requests to serve. */
#define CHUNK ((size_t)64 * 1024)
/* With TLS the socket may be empty and bytes wait in the TLS layer, up to a record of it (16 KiB); each read takes 8
 * KiB at least. A read too many finds nothing and costs a system call. */
#define READS_OF_TLS 3

static void give_up(struct pg_session *s) {
    const char *secret = PQpass(s->pg);
    struct buf why = {0};

    connection_message(&why, PQerrorMessage(s->pg), secret != NULL && secret[0] != '\0' ? secret : s->secret);
    if (buf_length(&why) == 0)
        buf_append(&why, STR("the connection broke"));
    buf_append_char(&why, '\0');
    s->lost(s, buf_str(&why).p);
    buf_free(&why);
}

static void watch(struct pg_session *s, bool writing) {
    int events = writing ? EV_READ | EV_WRITE : EV_READ;

    if (ev_is_active(&s->io) && (s->io.events & (EV_READ | EV_WRITE)) == events)
        return;
    ev_io_stop(s->loop->ev, &s->io);
    ev_io_set(&s->io, PQsocket(s->pg), events);
    ev_io_start(s->loop->ev, &s->io);
}

/* False: the connection is lost. */
static bool read_input(struct pg_session *s) {
    int reads = PQsslInUse(s->pg) ? READS_OF_TLS : 1;

    for (int i = 0; i < reads; i++)
        if (PQconsumeInput(s->pg) == 0)
            return false;
    return PQstatus(s->pg) == CONNECTION_OK;
}

/* False: libpq has no result whole. */
static bool may_take_result(struct pg_session *s) {
    return s->talk != NULL && !(s->copying && !s->filled) && PQisBusy(s->pg) == 0;
}

/* True: the talk is over. */
static bool take_results(struct pg_session *s) {
    while (may_take_result(s)) {
        PGresult *r = PQgetResult(s->pg);
        if (r == NULL)
            return true;
        if (PQresultStatus(r) == PGRES_COPY_IN) {
            s->copying = true;
            s->filled = false;
        } else
            s->talk->result(s->talker, r);
        PQclear(r);
    }
    return false;
}

/* Hands one chunk to libpq, which has sent all before. False: the connection is lost. */
static bool copy_chunk(struct pg_session *s) {
    bool more = true;

    if (buf_length(&s->chunk) == 0) {
        if (s->talk->fill != NULL)
            more = s->talk->fill(s->talker, &s->chunk, CHUNK);
        else
            more = false;
    }
    if (buf_length(&s->chunk) > 0) {
        struct str bytes = buf_str(&s->chunk);
        int put = PQputCopyData(s->pg, bytes.p, (int)bytes.n);
        if (put < 0)
            return false;
        if (put > 0)
            buf_clear(&s->chunk);
        else if (!more)
            more = true; /* the same again: fill says false once more */
    }
    if (!more && buf_length(&s->chunk) == 0) {
        s->filled = true;
        return PQputCopyEnd(s->pg, NULL) > 0;
    }
    return true;
}

/* -1: lost, 0: nothing is left to send, 1: more, when the socket takes it. */
static int push(struct pg_session *s) {
    int left = PQflush(s->pg);

    if (left == 0 && s->copying && !s->filled) {
        if (!copy_chunk(s))
            return -1;
        left = PQflush(s->pg);
        if (left == 0 && !s->filled)
            left = 1; /* the next chunk in the next turn */
    }
    return left;
}

static void finish_talk(struct pg_session *s) {
    const struct pg_talk *talk = s->talk;

    s->talk = NULL;
    s->copying = s->filled = false;
    buf_free(&s->chunk);
    deadline_clear(&s->patience);
    watch(s, false);
    talk->done(s->talker);
}

static void proceed(struct pg_session *s) {
    bool alive = !s->broken && read_input(s);
    bool over = take_results(s);
    int left = alive && !over ? push(s) : 0;

    /* An error in the middle of a COPY may have been read already, all the server has to say; libpq shows it now. */
    if (!over && s->filled)
        over = take_results(s);
    if (!alive || left < 0 || PQstatus(s->pg) == CONNECTION_BAD) {
        give_up(s);
        return;
    }
    if (over) {
        finish_talk(s);
        return;
    }
    if (s->talk != NULL)
        deadline_set(&s->patience, s->patient);
    watch(s, left > 0);
}

static void on_io(struct ev_loop *loop, ev_io *w, int events) {
    (void)loop;
    (void)events;
    proceed(CONTAINER_OF(w, struct pg_session, io));
}

static void on_patience(struct deadline *d) {
    struct pg_session *s = CONTAINER_OF(d, struct pg_session, patience);
    struct buf why = {0};

    if (s->broken) {
        proceed(s);
        return;
    }
    buf_printf(&why, "the server has not answered for %.3g s", (double)s->patient / (double)DUR_S);
    buf_append_char(&why, '\0');
    s->lost(s, buf_str(&why).p);
    buf_free(&why);
}

void pg_session_start(struct pg_session *s, struct loop *l, PGconn *pg, const char *secret,
                      void (*lost)(struct pg_session *s, const char *why)) {
    ASSERT(s->pg == NULL);
    *s = (struct pg_session){.pg = pg, .loop = l, .secret = secret, .lost = lost};
    ev_io_init(&s->io, on_io, PQsocket(pg), EV_READ);
    deadline_init(&s->patience, l, on_patience);
    watch(s, false);
}

void pg_session_say(struct pg_session *s, const char *sql, const struct pg_talk *talk, void *owner, dur_t patience) {
    ASSERT(s->pg != NULL && s->talk == NULL);
    s->talk = talk;
    s->talker = owner;
    s->patient = patience;
    s->broken = PQsendQuery(s->pg, sql) == 0 || PQflush(s->pg) < 0;
    deadline_set(&s->patience, s->broken ? 0 : patience);
    if (!s->broken)
        watch(s, true); /* the next turn flushes what is left, if anything is */
}

void pg_session_end(struct pg_session *s) {
    if (s->pg == NULL)
        return;
    ev_io_stop(s->loop->ev, &s->io);
    deadline_destroy(&s->patience);
    PQfinish(s->pg);
    buf_free(&s->chunk);
    s->pg = NULL;
    s->talk = NULL;
}
