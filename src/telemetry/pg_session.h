/*
 * A ready connection in the loop: one talk at a time, which is a simple query,
 * its results, and the data of a COPY where it asks for some. Never blocks:
 * results are taken only when libpq has them whole, and while there is something
 * left to send it reads too, or both sides could wait for the other.
 */
#ifndef FAUCET_TELEMETRY_PG_SESSION_H
#define FAUCET_TELEMETRY_PG_SESSION_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "base/loop.h"

struct pg_talk {
    /* Each result, errors too. Must not end the session. */
    void (*result)(void *owner, const PGresult *r);
    /* Appends rows to `out`, about `want` bytes. False: these were the last. NULL: no COPY in this talk. */
    bool (*fill)(void *owner, struct buf *out, size_t want);
    /* The server is ready for the next one. Last thing that is done with the session: it may be ended. */
    void (*done)(void *owner);
};

struct pg_session {
    PGconn *pg; /* NULL: ended */
    struct loop *loop;
    ev_io io;
    struct deadline patience;
    dur_t patient;
    const struct pg_talk *talk; /* NULL: nobody asked anything */
    void *talker;
    bool copying, filled, broken;
    struct buf chunk; /* of the COPY, not yet libpq's; its memory stays until the COPY is over */
    /* The connection is of no use any more. Last thing that is done with the session: end it. why: one line. */
    void (*lost)(struct pg_session *s, const char *why);
    const char *secret; /* taken out of messages; NULL: none */
};

/* Zeroed struct in. Takes over pg, which is ready and nonblocking. */
void pg_session_start(struct pg_session *s, struct loop *l, PGconn *pg, const char *secret,
                      void (*lost)(struct pg_session *s, const char *why));
/* sql: one or more statements. patience: without a byte in or out, the connection is lost. Never calls anything from
 * inside: a failure comes with the next turn. */
void pg_session_say(struct pg_session *s, const char *sql, const struct pg_talk *talk, void *owner, dur_t patience);
/* PQfinish; harmless on one that is ended or was never started. */
void pg_session_end(struct pg_session *s);

#endif
