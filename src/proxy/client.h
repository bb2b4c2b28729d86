/*
 * One client connection: reads requests one after the other (pipelined ones
 * wait in `in` or in the kernel), hands each to an exchange, writes what the
 * exchange gives it.
 *
 *   idle ─bytes→ (head) ─complete→ busy ─exchange ended→ idle │ linger → gone
 *   busy ─101→ tunnel
 */
#ifndef FAUCET_PROXY_CLIENT_H
#define FAUCET_PROXY_CLIENT_H

#include "http/reader.h"
#include "net/conn.h"
#include "proxy/proxy.h"

/* What the client's deadline waits for. */
enum client_wait {
    CLIENT_WAIT_NOTHING,
    CLIENT_WAIT_REQUEST, /* timeouts.keepalive */
    CLIENT_WAIT_HEAD,    /* timeouts.header, in all */
    CLIENT_WAIT_BODY,    /* timeouts.body, between two bytes */
    CLIENT_WAIT_WRITE,   /* timeouts.write, between two bytes taken */
    CLIENT_WAIT_LINGER
};

struct client {
    unsigned magic;
#define CLIENT_MAGIC 0xc11e97a5
    struct proxy *proxy;
    struct list_node node;
    struct conn conn;
    struct buf in, out;
    struct ip peer;
    bool peer_unix;
    bool eof;         /* the client sent FIN */
    bool parsing;     /* client_parse is on the stack */
    bool close_after; /* no further request on this connection */
    bool ours_unread; /* bytes of the request may be unread: close by lingering */
    enum client_wait wait;
    struct arena *arena;        /* of the request that is being read; the exchange takes it over */
    struct http_reader *reader; /* in that arena */
    wall_t began;               /* first byte of the request */
    mono_t began_mono;
    struct exchange *exchange; /* NULL while idle */
    struct tunnel *tunnel;     /* after a 101 */
    struct loop_freed freed;
};

/* struct listener.accepted */
void client_accept(struct listener *l, int fd, const struct address *peer);
/* Reads on: the next request, when there is no exchange. */
void client_parse(struct client *c);
/* The exchange is over; its reply is in `out` or sent. */
void client_exchange_ended(struct client *c);
void client_set_wait(struct client *c, enum client_wait wait, dur_t timeout);
/* Gone, at once; the exchange or tunnel must have let go. abort: RST. */
void client_close(struct client *c, enum close_reason reason, bool abort);
/* Reads what there is to c->in, up to `limit` bytes there. IO_EOF sets c->eof and stops the watcher. */
enum io client_read(struct client *c, size_t limit);
/* Idle ones: when draining or to make room. */
void client_close_idle(struct client *c, enum close_reason reason);

#endif
