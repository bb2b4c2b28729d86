/*
 * One worker: a numbered place in its generation that a process fills, one
 * after the other. Supervision: start (paced), probe, watch, restart with
 * back-off, drain, stop.
 */
#ifndef FAUCET_APP_WORKER_H
#define FAUCET_APP_WORKER_H

#include "app/app.h"
#include "app/probe.h"
#include "app/start_pacer.h"
#include "app/worker_output.h"

/*
 *      ┌──────────────── delay passed ────────────────┐
 *      │                                              ↓
 *   BACKOFF ←── exit, not started ──────────────── STARTING ──── an HTTP request got an answer ────→ READY
 *    │ ↑ ↑                                           │ │ ↑                                           │ │ │
 *    │ │ └────────────────── exit ───────────────────┼─┼─┼───────────────────────────────────────────┘ │ │
 *    │ │                                             │ │ └── its socket refuses: probed again ─────────┘ │
 *    │ └── exit (next = BACKOFF) ── STOPPING ←───────┘ │                                     resize, roll,│
 *    │                              │ ↑ ↑  start_timeout, wanted no more                            stop  │
 *    │ wanted no more               │ │ │              │                                                  │
 *    ↓                              │ │ └── wanted no more, not busy ──────────────────────────────────────┤
 *   GONE ←── exit (next = GONE) ────┘ └──── free, or deadline ──────── DRAINING ←── wanted no more, busy ────┘
 *    ↑ ↑                                               │                  │
 *    │ └── wanted no more, no process yet ─────────────┘                  │
 *    └──────────────── exit ──────────────────────────────────────────────┘
 */
enum worker_state {
    WORKER_STARTING, /* waits for its turn, was spawned, or is probed again */
    WORKER_READY,
    WORKER_DRAINING, /* pinned clients and running requests only */
    WORKER_STOPPING, /* the stop signal was sent, SIGKILL follows */
    WORKER_BACKOFF,  /* no process: waits before the next start */
    WORKER_GONE      /* no process, never again; freed in this turn */
};
#define WORKER_STATES (WORKER_GONE + 1)

struct worker {
    unsigned magic;
#define WORKER_MAGIC 0x3082ce20
    struct list_node node; /* on generation->workers[state] */
    struct generation *generation;
    enum worker_state state;
    enum worker_state next;    /* STOPPING: where its exit leads, BACKOFF or GONE */
    unsigned id;               /* worker_id, 1..N */
    struct endpoint *endpoint; /* never NULL, held; a new one for every process */
    struct process *process;   /* NULL: none runs */
    pid_t pid;                 /* of that process, 0 before it is known */
    struct start_ticket ticket;
    struct probe probe;
    struct worker_output output;
    struct deadline
        deadline; /* STARTING: start_timeout · STOPPING: SIGKILL · BACKOFF: start · DRAINING: see worker_drain */
    struct deadline again; /* STARTING: the next probe */
    mono_t spawned, ready_at, draining_since;
    unsigned failures;        /* starts and runs in a row that ended badly; sets the delay */
    unsigned asked;           /* STOPPING: how often it was asked to end */
    unsigned port_tries;      /* ports in a row that were taken */
    uint64_t starts;          /* processes ever */
    uint64_t requests_before; /* of endpoint->requests, which goes on counting: those of earlier processes */
    char socket[108];         /* path; "": TCP */
    unsigned port;
    char probe_error[128]; /* what the last probe met */
    struct loop_freed freed;
};

/* STARTING, with a place in the start queue. */
struct worker *worker_new(struct generation *g, unsigned id);
const char *worker_state_name(enum worker_state s);
/* No more new clients: stops now if nobody uses it, else when it is free. After drain_timeout its tunnels are ended (1
 * s) and it stops; requests that it still answers then have request_timeout, counted from here, if that is longer. */
void worker_drain(struct worker *w);
/* The kind's stop signal now, SIGKILL after timeouts.stop. */
void worker_stop(struct worker *w);
/* The settings its generation follows are new: deadlines under way move. */
void worker_retime(struct worker *w);
/* Its endpoint is free now: a draining worker stops, a moment later if a tunnel ended just now: what it does at the end
 * of a session must not be cut off. */
void worker_unused(struct worker *w);
/* A connection to its socket was refused though its process lives as far as we know. */
void worker_refused(struct worker *w, int error);
/* Whom its events are about. The strings live as long as its endpoint. */
struct worker_of worker_of(const struct worker *w);
/* Tells telemetry: the process's pid and uptime are put in. */
void worker_tell(struct worker *w, struct worker_event e);
/* Time until its next start, -1 when it is not in back-off. */
dur_t worker_delay_left(const struct worker *w);
/* Frees it whatever its state; the keeper kills the process. */
void worker_destroy(void *worker);

/* ---- between worker.c and worker_start.c ---- */
void worker_start_init(struct worker *w);
/* Its turn has come: endpoint, command, pipes, process. */
void worker_launch(struct start_ticket *ticket);
/* Probes until it answers, from now on. */
void worker_probe_begin(struct worker *w);
/* Stops probing and gives the turn back. */
void worker_probe_end(struct worker *w);
/* The port this worker was told to use belongs to somebody else. */
bool worker_port_is_taken(const struct worker *w);
/* What worker_launch and the probes lead to. */
void worker_answered(struct worker *w);
void worker_exited(void *worker, const struct process_exit *e);
void worker_not_started(struct worker *w, const char *why);

#endif
