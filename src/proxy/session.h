/*
 * What telemetry is told of a tunnel when it has ended: its session event. The
 * socket of a process that is killed ends like one that a living worker closes;
 * the keeper's word comes a moment later. So a session whose worker's side ended
 * without a Close waits for that word, after its connections are closed.
 */
#ifndef FAUCET_PROXY_SESSION_H
#define FAUCET_PROXY_SESSION_H

#include "app/endpoint.h"
#include "base/uuid.h"
#include "net/conn.h"
#include "proxy/proxy.h"

struct exchange;

struct session {
    unsigned magic;
#define SESSION_MAGIC 0x5e5510e4
    struct list_node node; /* on proxy->undecided, after its end */
    struct proxy *proxy;
    struct endpoint *endpoint; /* held */
    struct snapshot *snapshot; /* of the request */
    const struct app_config *config;
    struct uuid request_uuid;
    struct ip client_ip;
    char *prefix; /* worker_route */
    wall_t began, over;
    dur_t lasted;
    uint64_t up, down;
    enum close_reason ended;
    mono_t worker_left; /* undecided: when the worker's side ended */
};

/* How a tunnel ended. */
struct session_end {
    enum close_reason ended;
    mono_t worker_left; /* when the worker's side ended without a Close, and that ended the tunnel; MONO_NONE: it did
                           not */
    dur_t lasted;
    uint64_t up, down; /* bytes */
};

/* NULL: telemetry is off. */
struct session *session_begin(const struct exchange *x, struct endpoint *e);
/* Tells it, at once or when it is known whether the worker's process ended too. s is gone. NULL is fine. */
void session_over(struct session *s, const struct session_end *end);
/* What still waits is told as far as it is known. */
void sessions_decide(struct proxy *p);
/* struct deadline of proxy->undecided. */
void sessions_waited(struct deadline *d);

#endif
