/*
 * One connection to an endpoint. It belongs to an exchange, or idles on
 * endpoint->idle (most recently used first), or is one end of a tunnel. It
 * holds its endpoint while it exists.
 */
#ifndef FAUCET_PROXY_UPSTREAM_H
#define FAUCET_PROXY_UPSTREAM_H

#include "app/endpoint.h"
#include "net/conn.h"
#include "net/dial.h"
#include "proxy/proxy.h"

struct upstream {
    unsigned magic;
#define UPSTREAM_MAGIC 0x0b57e4a1
    struct list_node node; /* on endpoint->idle */
    struct proxy *proxy;
    struct endpoint *endpoint;
    struct conn conn;
    struct buf in, out;
    struct exchange *exchange; /* NULL: idle, or a tunnel's */
    struct tunnel *tunnel;
    bool tcp;
    bool reused; /* has served an exchange before */
    struct loop_freed freed;
};

/* An idle connection, or NULL. */
struct upstream *upstream_take_idle(struct endpoint *e);
/* Wraps a fresh descriptor. */
struct upstream *upstream_new(struct proxy *p, struct endpoint *e, int fd);
/* After a complete, clean reply: idles, or closes where the endpoint is retired. */
void upstream_keep(struct upstream *u);
void upstream_close(struct upstream *u, enum close_reason reason);

#endif
