/*
 * What an app says in a line of standard error, `{{ faucet_event }}: {json}`.
 * R writes every scalar as an array of length one unless told otherwise, so a
 * scalar may come as one.
 */
#ifndef FAUCET_TELEMETRY_LOG_EVENT_H
#define FAUCET_TELEMETRY_LOG_EVENT_H

#include "base/log.h"
#include "telemetry/event.h"
#include "telemetry/record.h"

#define LOG_EVENT_LINE_MAX ((size_t)64 * 1024) /* a longer line is no event */

struct log_event {
    void *json; /* what the strings are views of; log_event_free */
    enum log_level level;
    struct str message;
    struct str event_type, target; /* .p NULL: none */
    struct str id_text;            /* as the app wrote it; .p NULL: none */
    struct uuid event_id;          /* made up where the app names none */
    struct uuid parent, request;
    bool has_parent, has_request;
    char *body; /* JSON text, allocated; NULL: none */
};

/* False: *why says what is wrong with it, in static text or in e itself; e needs no log_event_free then. */
bool log_event_parse(struct str json, struct log_event *e, const char **why) MUST_CHECK;
void log_event_free(struct log_event *e);
/* Into out, which is begun anew. */
void log_event_write(struct record_draft *d, const struct log_event *e, const struct worker_origin *o,
                     struct str namespace, struct str version, struct str instance, wall_t now);

#endif
