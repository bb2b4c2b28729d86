/*
 * The insides of the control socket's server side: for control_socket.c (the
 * socket), control_connection.c (bytes of one client), control_routes.c (what is
 * asked) and control_reply.c (what is answered).
 */
#ifndef FAUCET_CONTROL_CONTROL_PARTS_H
#define FAUCET_CONTROL_CONTROL_PARTS_H

#include <jansson.h>

#include "control/control_socket.h"
#include "control/reload.h"
#include "http/reader.h"
#include "net/conn.h"
#include "net/listener.h"

struct control_socket {
    unsigned magic;
#define CONTROL_SOCKET_MAGIC 0xc04720c7
    struct faucet *faucet;
    struct listener *listener;
    struct list connections; /* of struct control_connection */
};

/*
 *   READING ── a whole request ──→ (control_route) ──→ WAITING ── done() ──→ WRITING ── all is out ──→ READING
 *      │                                 └─────────────────────────────────────┘ │
 *      └─ refused, too slow ──→ WRITING                                           └── close ──→ LINGERING ──→ CLOSED
 */
enum control_state {
    CONTROL_READING,
    CONTROL_WAITING,   /* a reload, plan or restart is under way for it */
    CONTROL_WRITING,   /* its reply goes out; nothing is read */
    CONTROL_LINGERING, /* told everything: what it still sends is thrown away, so that the close does not cut our reply
                        */
    CONTROL_CLOSED
};

struct control_connection {
    unsigned magic;
#define CONTROL_CONNECTION_MAGIC 0xc047c044
    struct list_node node; /* on socket->connections */
    struct control_socket *socket;
    struct conn conn;
    struct loop_freed freed;
    enum control_state state;
    struct buf in, out;
    struct arena *arena; /* of the request */
    struct http_reader *reader;
    uint64_t body; /* bytes of the request's body so far; they mean nothing to us */
    bool timed;    /* the request began: it must be whole in time */
    bool busy;     /* control_connection_go is on the stack */
    bool keep_alive, head_method;
    enum { CONTROL_WANTS_PLAN, CONTROL_WANTS_RELOAD } wants; /* WAITING */
    uid_t uid;                                               /* SO_PEERCRED */
    gid_t gid;
    pid_t pid;
    char who[48]; /* "uid 1000 (pid 4711)" */
};

/* Takes the nonblocking fd over. */
void control_connection_new(struct control_socket *s, int fd);
/* Any time; the memory goes after the turn. A reload it waits for goes on. */
void control_connection_close(struct control_connection *c, enum close_reason why);
/* A reply was given to a connection that waited: sends it and goes on with what else was asked. */
void control_connection_go(struct control_connection *c);
/* Hands the reply to the kernel, as far as that goes at once: for who ends the loop right after it. */
void control_connection_flush(struct control_connection *c);

/* The request is complete (head, body thrown away): answers, or leaves the connection WAITING. */
void control_route(struct control_connection *c, const struct http_head *head);

/* Each writes one complete reply and makes the connection WRITING. `json` is taken over. */
void control_reply_json(struct control_connection *c, unsigned status, json_t *json);
void control_reply_text(struct control_connection *c, const char *content_type, struct str body);
/* {"error": "…"}; allow: for 405, else NULL. */
void control_reply_error(struct control_connection *c, unsigned status, const char *allow, const char *format, ...)
    PRINTF_LIKE(4, 5);
void control_reply_outcome(struct control_connection *c, const struct reload_outcome *o);

#endif
