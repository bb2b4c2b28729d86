/*
 * The byte stream after a 101: two connections, no parsing but for frame
 * headers (so that a Close can be put in between two frames). It pins its
 * client to the endpoint while it lives. Idle, it holds no buffer.
 */
#ifndef FAUCET_PROXY_TUNNEL_H
#define FAUCET_PROXY_TUNNEL_H

#include "app/lease.h"
#include "base/uuid.h"
#include "http/websocket.h"
#include "proxy/client.h"
#include "proxy/upstream.h"

struct exchange;
struct session;

struct tunnel {
    unsigned magic;
#define TUNNEL_MAGIC 0x70bbe1e5
    struct list_node node; /* on proxy->tunnels */
    struct proxy *proxy;
    struct client *client;
    struct upstream *upstream;
    struct endpoint *endpoint; /* pinned */
    struct client_key client_key;
    bool websocket;
    bool cutting;                /* Close frames are (to be) put in; nothing more is relayed after them */
    bool worker_eof;             /* the worker sent FIN (client->eof says the same of the client) */
    bool up_done, down_done;     /* towards worker, towards client: everything was written and shut down */
    dur_t half_closed_time;      /* request_timeout: the longest silence once one side has ended */
    unsigned close_code;         /* while cutting */
    const char *close_text;      /* static */
    struct ws_follower up, down; /* of what was written towards the worker, towards the client */
    uint64_t up_bytes, down_bytes;
    mono_t began;
    enum close_reason ended; /* what began its end; CLOSE_NONE: nothing yet */
    mono_t worker_left;      /* that was the end of the worker's connection, without a Close; MONO_NONE: it was not */
    struct session *session; /* what telemetry is told in the end; NULL: nothing */
    struct loop_freed freed;
};

/* The worker said 101 and the reply's head is in client->out. Takes client and upstream over from the exchange. */
void tunnel_begin(struct exchange *x);
/* Ends it with a WebSocket Close of that code to both sides at the next frame boundary, 1 s at most; other protocols
 * are closed at once. reason: a static text of at most 123 bytes. */
void tunnel_cut(struct tunnel *t, unsigned code, const char *reason, enum close_reason why);

void tunnel_client_readable(struct tunnel *t);
void tunnel_client_writable(struct tunnel *t);
void tunnel_upstream_readable(struct tunnel *t);
void tunnel_upstream_writable(struct tunnel *t);
void tunnel_expired(struct tunnel *t);

#endif
