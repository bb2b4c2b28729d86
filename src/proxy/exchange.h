/*
 * One request and its response. The struct is laid out in the order in which
 * a request flows; each step writes its own block and no other's.
 *
 *   PARSE → ROUTE → COLLECT → LEASE → CONNECT → SEND → STREAM → FINISH
 *              │                                  └ 101 → tunnel
 *              └ static files: FILE;  our own replies: straight to FLUSH
 *
 * It lives in its own arena, pins its snapshot, and ends in one place
 * (exchange_finish), with everything known that a telemetry row needs.
 */
#ifndef FAUCET_PROXY_EXCHANGE_H
#define FAUCET_PROXY_EXCHANGE_H

#include "app/lease.h"
#include "base/uuid.h"
#include "proxy/client.h"
#include "proxy/spool.h"
#include "proxy/static_file.h"
#include "proxy/upstream.h"
#include "telemetry/telemetry.h"

enum exchange_step {
    STEP_ROUTE,
    STEP_COLLECT, /* the body is taken before the lease, where concurrency is limited */
    STEP_LEASE,
    STEP_CONNECT,
    STEP_SEND,
    STEP_STREAM, /* request body up and reply down, at the same time */
    STEP_FILE,   /* static: looked up, then sent */
    STEP_FLUSH,  /* the reply is complete: what is left goes out at the client's pace */
    STEP_FINISH,
    STEP_COUNT
};

/* What a step says: go on with x->step at once, wait for an event, or the exchange is over (and may be gone). */
enum step_result { STEP_MORE, STEP_WAIT, STEP_DONE };

/* Static file on its way (proxy/static_send.c). */
struct static_send {
    struct exchange *exchange;
    struct static_lookup lookup;
    uint64_t offset, left;
    bool looking; /* the lookup is under way */
    bool warming; /* a helper reads the next pages into the page cache */
    struct helper_job warm;
    uint64_t warmed; /* up to this offset the pages were warmed */
};

struct exchange {
    unsigned magic;
#define EXCHANGE_MAGIC 0xe8c4a69e
    enum exchange_step step;
    bool running;        /* exchange_run is on the stack */
    struct arena *arena; /* this struct's own */
    struct proxy *proxy;
    struct client *client; /* NULL: it left, or the exchange became an orphan */
    struct list_node node; /* on proxy->orphans */
    struct loop_freed freed;
    struct snapshot *snapshot;

    /* PARSE */
    struct http_reader *reader;
    const struct http_head *request; /* NULL: unparsable */
    wall_t began;
    mono_t began_mono;
    struct uuid uuid;
    char uuid_text[37];

    /* ROUTE */
    const struct app_config *config; /* NULL: no route */
    struct app *app;                 /* held; NULL: a static app */
    struct str host, path, prefix;   /* normalised; path with its prefix */
    struct str worker_path;          /* prefix stripped */
    struct ip client_ip;
    struct client_key client_key;
    struct str location;   /* of a redirect of our own */
    struct str set_cookie; /* value of a new LB cookie */
    struct str forwarded_for, forwarded_proto, forwarded_host, forwarded_prefix, traceparent, trace_id;
    struct str upgrade; /* the token that goes on */
    bool buffered;      /* request and reply are spooled */

    /* COLLECT and SEND: the request's body */
    struct spool *upload; /* buffered: the whole body */
    bool request_read;    /* its last byte came from the client */
    bool request_sent;    /* its last byte went to the worker */
    bool continue_sent;
    bool request_queued;               /* its last byte is in upstream->out or beyond */
    bool request_broken;               /* the worker takes no more of it */
    enum http_framing request_framing; /* towards the worker */
    uint64_t request_bytes;

    /* LEASE, CONNECT */
    struct lease lease;
    unsigned attempts;
    bool retried; /* a reused connection was closed before a byte of reply */
    struct dial dial;
    bool dialling;
    struct upstream *upstream;

    /* STREAM */
    struct http_reader *reply_reader;
    bool reply_began;   /* a byte of the final head arrived */
    bool head_sent;     /* a final status line is in client->out or sent: nothing else can be answered */
    bool reply_read;    /* the reply is complete */
    bool client_broken; /* reply_put could not write: reply_flush ends it */
    bool reply_failed;  /* cut short: the client must see a broken connection */
    enum http_framing client_framing;
    struct spool *download; /* buffered: what the client does not take yet */
    unsigned status;
    uint64_t response_bytes;
    dur_t first_byte, queued; /* -1: did not happen */

    /* FILE */
    struct static_send *file;

    /* FINISH */
    char target[96]; /* "Worker::sales::1" of the endpoint that was tried last; empty: none was */
    unsigned worker_id;
    uint64_t generation; /* of that endpoint; 0: none */
    bool keep_alive;
    const char *error;
    const struct request_event *reserved; /* telemetry has a place for its row, slot; NULL: no */
    struct event_slot slot;
    bool recorded; /* logged and counted */
    bool gone;     /* freed after this turn */
};

/* A head was parsed (or refused: error): the exchange takes the client's arena and reader over and runs. */
void exchange_begin(struct client *c, const struct http_error *error);
/* Runs steps until one waits. The exchange may be gone afterwards. */
void exchange_run(struct exchange *x);
/* From an event: goes on at `step`. */
void exchange_resume(struct exchange *x, enum exchange_step step);

/* What client.c reports. */
void exchange_client_readable(struct exchange *x);
void exchange_client_writable(struct exchange *x);
void exchange_client_expired(struct exchange *x);
/* The client is gone (reset, failed write, or FIN before a worker had the request). The client object is closed. */
void exchange_client_left(struct exchange *x, enum close_reason why);
/* What upstream.c reports. */
void exchange_upstream_readable(struct exchange *x);
void exchange_upstream_writable(struct exchange *x);
void exchange_upstream_expired(struct exchange *x);

/* Our own reply; x->step becomes FLUSH. error: for telemetry, a static name. Only while !head_sent. */
enum step_result exchange_answer(struct exchange *x, unsigned status, const char *error, const char *detail);
/* 308 to the same path with a slash. (step_route.c) */
enum step_result exchange_redirect_to_slash(struct exchange *x);
/* The worker's side failed: answers status, or, when the head is out already, cuts the client off. */
enum step_result exchange_fail(struct exchange *x, unsigned status, enum close_reason why, const char *detail);
/* Gives lease and upstream connection back; reuse: the connection is clean. */
void exchange_release_upstream(struct exchange *x, bool reuse, enum close_reason why);

/* The steps, in their files. */
enum step_result step_route(struct exchange *x);   /* step_route.c */
enum step_result step_collect(struct exchange *x); /* request_body.c */
enum step_result step_lease(struct exchange *x);   /* step_lease.c */
enum step_result step_connect(struct exchange *x); /* step_lease.c */
enum step_result step_send(struct exchange *x);    /* request_body.c */
enum step_result step_stream(struct exchange *x);  /* reply.c */
enum step_result step_file(struct exchange *x);    /* static_send.c */
enum step_result step_flush(struct exchange *x);   /* reply.c */
enum step_result step_finish(struct exchange *x);  /* finish.c */

/* request_body.c: moves body bytes from client or spool to the worker. False: x was answered or cut, or its client
 * left; x->step says what follows. */
bool request_pump(struct exchange *x);
/* reply.c: bytes for the client, into out, socket or spool. */
void reply_put(struct exchange *x, struct str bytes);
/* Writes as much as goes. False: the client is gone (exchange_client_left was called). */
bool reply_flush(struct exchange *x);
/* finish.c: before the last byte of a reply may go to the kernel: its telemetry row is put where kill -9 cannot take it
 * away. Once; harmless later. */
void exchange_reserve(struct exchange *x);
/* finish.c: the access line and the telemetry row; once. */
void exchange_record(struct exchange *x);

#endif
