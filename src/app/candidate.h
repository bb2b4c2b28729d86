/*
 * The prepare and commit of one app in a reload: workers are started and probed
 * beside what serves now; nothing of them is visible to requests until commit.
 *
 *   preparing ── every wanted worker answered ──→ ready ── commit ──→ (the app)
 *      │                                           │
 *      └── a worker failed, start_timeout ──→ failed ── abandon ──→ (stopped, freed)
 */
#ifndef FAUCET_APP_CANDIDATE_H
#define FAUCET_APP_CANDIDATE_H

#include "app/app.h"

struct candidate;

/* A new app (existing NULL) or a new generation of one. done() comes later, once, from a fresh stack, unless the
 * candidate was abandoned: why is NULL when it is ready, else a sentence that names the worker, how it ended and the
 * last lines of its standard error. The first worker that ends or times out fails the candidate; a taken port is tried
 * again as always. The candidate holds a reference to s. Kinds without workers (static, upstream) are ready at once. */
struct candidate *candidate_start(struct apps *a, struct app *existing, struct snapshot *s,
                                  const struct app_config *config,
                                  void (*done)(void *owner, struct candidate *c, const char *why), void *owner);
/* Stops what was started (SIGTERM, then SIGKILL) and frees c; an app that was to be new goes. Any time before commit,
 * also from done(). */
void candidate_abandon(struct candidate *c);
/* Ready only; cannot fail. New clients go to the new generation from now on, the old one drains: a generation that
 * nobody uses goes at once, pinned clients stay until their last tunnel ends or drain_timeout. Frees c. */
struct app *candidate_commit(struct candidate *c);
/* "2 of 4 workers ready" for status lines. */
size_t candidate_ready(const struct candidate *c);
size_t candidate_wanted(const struct candidate *c);

#endif
