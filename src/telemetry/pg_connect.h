/*
 * Getting a connection without blocking: host by host, address by address, each
 * with its own time limit. Names are looked up by net/resolver.h and handed to
 * libpq as hostaddr beside host, so that it never asks itself and verify-full
 * still knows the name.
 */
#ifndef FAUCET_TELEMETRY_PG_CONNECT_H
#define FAUCET_TELEMETRY_PG_CONNECT_H

#include <libpq-fe.h>

#include "base/buf.h"
#include "net/resolver.h"
#include "telemetry/pg_conninfo.h"

struct pg_connect;
/* Last thing that is done with c. pg: ready, nonblocking, the callee's; NULL: no host took it, c->why says what each
 * said. host: of info->hosts. */
typedef void pg_connected(struct pg_connect *c, PGconn *pg, size_t host);

struct pg_connect {
    struct loop *loop; /* NULL: nothing is under way */
    struct resolver *resolver;
    const struct pg_conninfo *info;
    dur_t timeout;       /* of each address, and of looking up a name */
    size_t first, tried; /* hosts */
    size_t host;         /* the one in hand */
    struct lookup *lookup;
    bool looking; /* inside resolver_lookup */
    struct address *addresses;
    size_t n, at;
    PGconn *pg;
    ev_io io;
    struct deadline deadline;
    struct buf why; /* of all that failed */
    pg_connected *done;
};

/* Zeroed struct in (why may hold something: it is emptied). Never calls done from inside. first: the host to begin
 * with. */
void pg_connect_start(struct pg_connect *c, struct loop *l, struct resolver *r, const struct pg_conninfo *info,
                      size_t first, dur_t timeout, pg_connected *done);
/* Harmless when nothing is under way. Frees what it had. */
void pg_connect_cancel(struct pg_connect *c);

#endif
