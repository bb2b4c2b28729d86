/*
 * The other end of the control socket, for commands: blocking, with timeouts.
 */
#ifndef FAUCET_CONTROL_CONTROL_CLIENT_H
#define FAUCET_CONTROL_CONTROL_CLIENT_H

#include <jansson.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"

#define CONTROL_PATIENCE (10 * DUR_S) /* for what is answered at once */
#define CONTROL_FOREVER  ((dur_t)-1)  /* a reload takes what it takes */

struct control_client {
    int fd;
    int process; /* pidfd of the daemon, -1: none could be had */
    pid_t pid;   /* 0: not known (another pid namespace) */
    struct buf in;
};

enum control_open {
    CONTROL_OPEN,
    CONTROL_NOBODY, /* no such socket, or nobody listens on it */
    CONTROL_DENIED  /* somebody may be there, but not for us */
};
/* path: without "unix:". *why: static, unless it is open. */
enum control_open control_client_open(struct control_client *c, const char *path, const char **why) MUST_CHECK;
void control_client_close(struct control_client *c);

struct control_answer {
    unsigned status;
    struct buf body; /* as it came */
    json_t *json;    /* parsed; never NULL after true */
};
/* One request without a body, and its reply. False: *why (static): the daemon is gone, does not answer, or speaks
 * something else; the client is of no more use. timeout: between two bytes of the reply. */
bool control_client_ask(struct control_client *c, const char *method, const char *target, dur_t timeout,
                        struct control_answer *answer, const char **why) MUST_CHECK;
void control_answer_free(struct control_answer *a);

/* Waits for the daemon's end, at most that long. */
bool control_client_await_end(struct control_client *c, dur_t timeout);

#endif
