/*
 * The pool: a few libpq connections to one database, asynchronous, that move
 * batches from an event queue into tables (DESIGN section 8). The only module
 * that includes libpq-fe.h. Nothing here ever blocks the loop: not connecting, not
 * DNS, not TLS, not giving up.
 */
#ifndef FAUCET_TELEMETRY_POOL_H
#define FAUCET_TELEMETRY_POOL_H

#include "net/resolver.h"
#include "telemetry/queue.h"

struct pool;

struct pool_options {
    struct loop *loop;
    struct log *log;
    struct resolver *resolver;
    struct event_queue *queue;         /* borrowed */
    const char *name;                  /* for the log; copied; NULL: the place that the string leads to */
    const char *connection;            /* libpq string or URI; copied; never logged */
    const char *sslmode, *sslrootcert; /* overrides, or NULL */
    size_t size;                       /* connections at most */
    dur_t flush_interval;
    dur_t connect_timeout;        /* of each address and name, unless the string says connect_timeout */
    size_t batch_bytes;           /* 1 MiB */
    void (*drained)(void *owner); /* after pool_drain: the queue is empty or the deadline passed */
    void *owner;
};

/* NULL: *error (allocated, without any secret) says what is wrong with the connection string. Connects when there is
 * something to send. */
struct pool *pool_new(const struct pool_options *o, char **error);
/* An event came, or the queue says ready. Cheap. */
void pool_wake(struct pool *p);
void pool_resize(struct pool *p, size_t size, dur_t flush_interval);
/* Sends what there is, without waiting for fuller batches; drained() follows within `timeout`, never from inside, and
 * may free the pool. While the end of some event is not known (event_queue_reserve), the queue is not empty. */
void pool_drain(struct pool *p, dur_t timeout);
void pool_free(struct pool *p); /* connections are finished; batches go back to the queue */

struct pool_status {
    size_t connections, busy;
    bool reachable;
    const char *error; /* the last one, without secrets, or NULL */
    const char *host;  /* "db1:5432" */
    uint64_t batches, rows, reconnects, doubts;
};
void pool_status(const struct pool *p, struct pool_status *s);

#endif
