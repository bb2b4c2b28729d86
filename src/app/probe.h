/*
 * Does somebody answer HTTP there? One small request, `GET /` with `Host:
 * localhost`, on a connection of its own; any complete final head is an answer,
 * whatever its status; its body is read, half a second at most. One probe at a time; each has its own timeout.
 */
#ifndef FAUCET_APP_PROBE_H
#define FAUCET_APP_PROBE_H

#include "base/arena.h"
#include "http/reader.h"
#include "net/conn.h"
#include "net/dial.h"

struct probe {
    struct loop *loop;
    struct dial dial;
    struct conn conn;
    mono_t give_up;
    size_t header_size;
    struct arena *arena; /* of the reader; while a connection is open */
    struct http_reader *reader;
    bool answered; /* the head arrived, the body is being read */
    struct buf in, out;
    /* why: NULL when answered, else a static text or one of strerror; valid for the call. error: errno of connecting, 0
     * when the connection was made. */
    void (*done)(struct probe *p, bool answered, int error, const char *why);
};

void probe_init(struct probe *p, struct loop *loop, void (*done)(struct probe *, bool, int, const char *));
/* 0: under way, done() will be called, never from inside probe_start. Else errno: not even begun to connect. */
int probe_start(struct probe *p, const struct address *to, dur_t timeout, size_t header_size);
/* done() is not called. Harmless when none is under way. */
void probe_cancel(struct probe *p);

#endif
