/*
 * Telemetry as the rest of faucet sees it: events go in, and nothing ever comes
 * back from it that could delay or fail a request. Which database an event goes
 * to, and under which namespace and version, the snapshot says that the event
 * carries; a snapshot is kept as long as somebody may still speak for it.
 *
 * Off until a snapshot names a connection string: then state_dir is opened and
 * locked, and every distinct string gets a queue and a pool.
 */
#ifndef FAUCET_TELEMETRY_TELEMETRY_H
#define FAUCET_TELEMETRY_TELEMETRY_H

#include "base/helper.h"
#include "base/log.h"
#include "net/resolver.h"
#include "telemetry/event.h"
#include "telemetry/log_event.h"
#include "telemetry/queue.h"

struct telemetry;

struct telemetry_env {
    struct loop *loop;
    struct log *log;
    struct helpers *helpers;
    struct resolver *resolver;
    const char *instance;         /* which faucet this is; copied */
    const char *state_dir;        /* copied; NULL: there is none, the queues are in memory */
    bool state_dir_given;         /* somebody asked for it: if it cannot be used, that is an error */
    void (*drained)(void *owner); /* telemetry's own, of its pools */
};

struct telemetry *telemetry_new(const struct telemetry_env *env);
/* Pools are finished, queues closed: what is in them stays on disk. No event may come any more. */
void telemetry_free(struct telemetry *t); /* NULL is fine */

/* ---- configuration ---- */
/* All that can fail: state_dir is locked, queues are opened. Blocks for file work. False: *error (allocated, no
 * secret), nothing changed. */
bool telemetry_prepare(struct telemetry *t, const struct snapshot *s, char **error) MUST_CHECK;
/* What was prepared and is not used goes. */
void telemetry_abandon(struct telemetry *t);
/* Commit of what telemetry_prepare saw: takes a reference to s. What is no longer named drains by its old pool. */
void telemetry_use(struct telemetry *t, struct snapshot *s);
/* NULL is fine for these three: nothing is on. Somebody may have somewhere to go. */
bool telemetry_is_on(const struct telemetry *t);

/* ---- events. app: a member of s->apps, or NULL: the daemon's. Nowhere to go: nothing happens. ---- */
/* Before the last byte of a reply is given to the kernel: what is known by then. */
void telemetry_request_begin(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                             const struct request_event *e, struct event_slot *slot);
/* The request ended: the rest. slot: as telemetry_request_begin left it. */
void telemetry_request_end(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                           const struct request_event *e, struct event_slot *slot);
/* One that ended without telemetry_request_begin. */
void telemetry_request(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                       const struct request_event *e);
void telemetry_log(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                   const struct worker_origin *o, const struct log_event *e);
void telemetry_worker(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                      const struct worker_origin *o, const struct worker_event *e);
void telemetry_session(struct telemetry *t, const struct snapshot *s, const struct app_config *app,
                       const struct worker_origin *o, const struct session_event *e);
void telemetry_config(struct telemetry *t, const struct config_event *e);

/* ---- the end ---- */
/* Sends what there is, `timeout` at most (less where the database does not answer and all is on disk); then
 * stopped(owner), perhaps from inside this call. Events may still come. */
void telemetry_stop(struct telemetry *t, dur_t timeout, void (*stopped)(void *owner), void *owner);
/* The account of every destination, in the log. */
void telemetry_log_accounts(const struct telemetry *t);

/* ---- status ---- */
struct destination_status {
    const char *name, *state; /* state: "used", "draining", "left", "prepared" */
    bool on_disk, connected;  /* connected: there is a pool; the fields after error are its */
    const char *directory, *error;
    size_t bytes;
    const struct event_account *accounts[RECORD_KINDS]; /* NULL each: the queue could not be opened */
    bool reachable;
    const char *host;
    size_t connections, busy;
    uint64_t batches, rows, reconnects, doubts;
};
void telemetry_each(const struct telemetry *t, void (*each)(void *owner, const struct destination_status *s),
                    void *owner);
/* NULL: not opened, or in memory. */
const char *telemetry_state_dir(const struct telemetry *t);

/* Of the setting; NULL: the connection string says. */
const char *telemetry_sslmode(const struct telemetry_settings *s);

#endif
