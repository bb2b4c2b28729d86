/*
 * The reload transaction: yaml → merge → check → snapshot → plan → prepare →
 * commit. Prepare spans loop turns while the old snapshot serves; if anything
 * fails, what was prepared is freed and nothing changed. A reload that comes
 * during prepare abandons it and starts over with the newest file.
 */
#ifndef FAUCET_CONTROL_RELOAD_H
#define FAUCET_CONTROL_RELOAD_H

#include "control/faucet.h"
#include "control/plan.h"

enum reload_result {
    RELOAD_DONE,
    RELOAD_INVALID,    /* the file is wrong: exit status 78 */
    RELOAD_REFUSED,    /* it would leave no app, and force was not said: 78 */
    RELOAD_FAILED,     /* something could not be prepared: 1 */
    RELOAD_SUPERSEDED, /* a newer reload took over; its result counts: the waiter is told that one's instead */
};

/* What came of it, for whoever waits. Borrowed for the call. */
struct reload_outcome {
    enum reload_result result;
    const struct plan *plan;         /* NULL: the file could not be read as a configuration */
    const struct problems *problems; /* warnings, too */
    const char *why;                 /* RELOAD_FAILED and RELOAD_REFUSED: a sentence */
    const char *failed_app;          /* NULL: none in particular */
    uint64_t config;                 /* the number that serves now */
    const char *hash;
    dur_t took;
};

struct reload_request {
    const char *who; /* "SIGHUP", "uid 1000 (pid 4711)" */
    bool force;
    /* Once, later or from inside reload_begin; NULL: nobody waits. */
    void (*done)(void *owner, const struct reload_outcome *o);
    void *owner;
};

void reload_begin(struct faucet *f, const struct reload_request *r);
/* Nobody waits any more (the connection closed); the reload goes on. */
void reload_forget(struct faucet *f, void *owner);
/* `faucet plan`: the same up to the plan, then done(); nothing is prepared. */
void reload_plan(struct faucet *f, const struct reload_request *r);
/* A new generation of one app from the settings it has (rolling, health-gated). False: no such app, or a reload is
 * under way (why). */
bool reload_restart_app(struct faucet *f, const char *app, const struct reload_request *r, const char **why);
/* Shutdown: abandons what is being prepared. */
void reload_abandon(struct faucet *f);

#endif
