/*
 * The commit of a configuration, for boot and reload alike. It cannot fail:
 * everything that could was done in prepare.
 */
#ifndef FAUCET_CONTROL_COMMIT_H
#define FAUCET_CONTROL_COMMIT_H

#include "app/candidate.h"
#include "control/faucet.h"
#include "control/listeners.h"
#include "control/plan.h"

/* candidates: by row of the plan; NULL where the row needs none, or, at boot, where the app is simply started (it
 * answers 503 until it is ready). `next` becomes f->snapshot (its own reference is taken). */
void commit(struct faucet *f, struct snapshot *next, const struct plan *plan, struct candidate **candidates,
            struct listeners_plan *listeners);

#endif
