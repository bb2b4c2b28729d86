/*
 * What is known of an exchange when it ends: the one record from which the
 * access log line is written and, with telemetry on, a row of
 * faucet_http_events. Strings are borrowed for the call.
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

#endif
