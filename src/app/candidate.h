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
 * again as always. After that it is supervised like any app, see candidate_ready. Numeric upstream addresses are ready
 * at once; names are asked for first, and if none of them can be found, that fails it. The candidate holds a reference
 * to s, whose max_parallel_starts paces all starts until commit or abandon. */
struct candidate *candidate_start(struct apps *a, struct app *existing, struct snapshot *s,
                                  const struct app_config *config,
                                  void (*done)(void *owner, struct candidate *c, const char *why), void *owner);
/* Stops what was started (SIGTERM, then SIGKILL) and frees c; an app that was to be new goes. Any time before commit,
 * also from done(). */
void candidate_abandon(struct candidate *c);
/* Ready only; cannot fail. New clients go to the new generation from now on, the old one drains: a generation that
 * nobody uses goes at once, pinned clients stay until their last tunnel ends or drain_timeout. Frees c. */
struct app *candidate_commit(struct candidate *c);
/* "2 of 4 workers ready" for status lines. A worker that ended after done() may be missing for a moment. */
size_t candidate_ready(const struct candidate *c);
size_t candidate_wanted(const struct candidate *c);

/* ---- within app/; c may be NULL where it is asked of a generation that is no candidate's ---- */
/* Then a worker that ends is not started again, but fails it. */
bool candidate_is_preparing(const struct candidate *c);
/* Something became ready, or is known to be not. */
void candidate_look(struct candidate *c);
/* Why, should nothing become ready. */
void candidate_note(struct candidate *c, const char *reason);
/* The first reason counts. */
void candidate_fail(struct candidate *c, const char *why);
void candidates_fail(struct apps *a, const char *why);
/* Calls done() of those that are decided; from apps' wake-up. */
void candidates_tell(struct apps *a);
/* For apps_free. */
void candidates_free(struct apps *a);

#endif
