/*
 * What a worker writes to stdout and stderr becomes lines of the log: stdout
 * INFO, stderr WARN. Reading never stops, so a worker never blocks on a full
 * pipe, and it is one bounded read per pipe and turn, so a chatty worker
 * cannot starve the loop; if the log is full, lines are dropped there.
 *
 * A line longer than OUTPUT_LINE_MAX comes in pieces: "begins…", "…goes on…", "…ends". Empty lines are left out.
 */
#ifndef FAUCET_APP_WORKER_OUTPUT_H
#define FAUCET_APP_WORKER_OUTPUT_H

#include "base/buf.h"
#include "base/log.h"
#include "base/loop.h"
#include "telemetry/log_event.h"

#define OUTPUT_LINE_MAX   ((size_t)8 * 1024)
#define OUTPUT_EVENT_MAX  LOG_EVENT_LINE_MAX /* a line that begins as an event does comes whole up to here */
#define OUTPUT_LAST_LINES 12                 /* R says what is wrong first, and then ten lines about where */
#define OUTPUT_LAST_MAX   160                /* bytes kept of each of them */

struct worker_output;

struct output_stream {
    struct worker_output *output;
    ev_io io;
    int fd; /* -1: closed */
    enum log_level level;
    bool cut; /* the line under way began in an earlier piece */
    struct buf line;
};

struct worker_output {
    struct loop *loop;
    struct log *log;
    const char *source; /* borrowed: "Worker::sales::1" */
    struct output_stream out, err;
    void (*event)(struct worker_output *o, const struct log_event *e); /* a log event was read; NULL: nobody asks */
    char last[OUTPUT_LAST_LINES][OUTPUT_LAST_MAX];                     /* of stderr, a ring */
    unsigned last_count;                                               /* lines ever put in */
};

/* A zeroed struct in; idle until worker_output_start. */
void worker_output_init(struct worker_output *o, struct loop *loop, struct log *log);
/* Makes two pipes: their reading ends are ours; *out and *err are for the worker, the caller closes them. source is
 * borrowed until worker_output_finish. False with errno. */
bool worker_output_start(struct worker_output *o, const char *source, int *out, int *err) MUST_CHECK;
/* The process is gone: takes what still is in the pipes (a bounded amount), ends the last lines, closes. Harmless
 * twice. */
void worker_output_finish(struct worker_output *o);
/* The last lines of stderr, oldest first, without indentation, joined by " | "; "" when there was none. */
void worker_output_last(const struct worker_output *o, struct buf *into);

/* A stderr line `{{ faucet_event }}: …`; json is what follows. Said in the log at its own level and given to
 * o->event; a malformed one is an ordinary line, with what is wrong with it. */
void worker_output_event(struct worker_output *o, struct str line, struct str json);

#endif
