/*
 * A plan shown: as JSON for the control socket, and that JSON as a table for
 * people (who get it from `faucet plan` and `faucet reload`).
 */
#ifndef FAUCET_CONTROL_PLAN_TEXT_H
#define FAUCET_CONTROL_PLAN_TEXT_H

#include <jansson.h>
#include <stdio.h>

#include "app/app.h"
#include "control/plan.h"

/* When the counts are taken. */
enum plan_moment {
    PLAN_BEFORE, /* nothing happened: what is running now on workers that would be replaced or removed */
    PLAN_AFTER   /* it happened: what is still running on those that were */
};

/* [{"app", "action", "key", "was", "now", "changes", "exchanges", "tunnels"}]: key, was, now are null where there is
 * none; the counts are null where they cannot be known any more (a removed app). New reference. */
json_t *plan_text_rows(const struct plan *p, const struct apps *apps, enum plan_moment when);
/* [{"key", "needs", "was", "now"}]; needs: change_needs_name. New reference. */
json_t *plan_text_changes(const struct changes *c);
/* Both, for people. */
void plan_text_print(const json_t *rows, const json_t *daemon, FILE *to);

#endif
