/*
 * What happened, before it becomes a record: filled by those who know it
 * (proxy, app, control), turned into rows by telemetry. Strings are borrowed for
 * the call. Of a request the access log line is made from the same struct.
 */
#ifndef FAUCET_TELEMETRY_EVENT_H
#define FAUCET_TELEMETRY_EVENT_H

#include "base/clock.h"
#include "base/str.h"
#include "base/uuid.h"
#include "net/address.h"

struct request_event {
    struct uuid request_uuid;
    struct str namespace, version;  /* of the snapshot the exchange began with; version .p NULL: none */
    struct str app;                 /* .p NULL: no app */
    struct str target;              /* "Worker::sales::1", or "faucet" */
    struct str worker_route;        /* the prefix; .p NULL: no worker */
    unsigned worker_id;             /* 0: none */
    uint64_t generation;            /* of the worker; 0: none */
    struct ip client;               /* AF_UNSPEC: a Unix client */
    struct str method, path, query; /* .p NULL: unparsable / no '?'; path as the worker saw it */
    struct str raw_path;            /* route + path, as people know it: for the log line */
    struct str host;
    unsigned http_minor;
    unsigned status; /* 499: the client left first */
    struct str user_agent;
    wall_t began;
    dur_t total, queued, first_byte;        /* -1: did not happen */
    uint64_t request_bytes, response_bytes; /* of bodies */
    const char *error;                      /* "queue_full", "worker_timeout", a close reason's name; NULL: none */
    unsigned attempts;                      /* endpoints tried */
    struct str trace_id;                    /* 32 hex digits */
    uint64_t config;                        /* number of the snapshot */
};

/* Whom an event of a worker is about. */
struct worker_origin {
    struct str app, target; /* target: "Worker::sales::1" */
    uint64_t generation;
    unsigned worker_id;
};

/* What became of a worker's process. */
struct worker_event {
    const char *event;  /* "started", "ready", "crashed", "killed", "stopped", "recycled", "backoff" */
    const char *detail; /* a sentence; "" or NULL: none */
    int64_t pid;        /* 0: none */
    int signal;         /* that ended it; 0: none did */
    int exit_code;      /* -1: it did not exit by itself */
    struct str stderr_tail;
    dur_t uptime, delay, cpu; /* -1: not known here */
    int64_t max_rss;          /* bytes; -1 */
};

static inline struct worker_event worker_event_of(const char *event, const char *detail) {
    return (struct worker_event){
        .event = event, .detail = detail, .exit_code = -1, .uptime = -1, .delay = -1, .cpu = -1, .max_rss = -1};
}

/* A tunnel that ended. */
struct session_event {
    struct uuid request_uuid;
    struct str worker_route;
    struct ip client;
    wall_t began, over;
    dur_t lasted;
    uint64_t up, down;
    const char *ended; /* a close reason's name */
};

/* A boot, reload, restart or stop. */
struct config_event {
    const char *event, *who, *result; /* "reload", "SIGHUP", "done" */
    const char *hash, *file;          /* file NULL: none */
    uint64_t config;
    const char *detail, *app; /* NULL: none */
    struct str actions;       /* JSON; .p NULL: none */
    dur_t took;               /* -1: not known */
};

#endif
