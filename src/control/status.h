/*
 * What `GET /status` says: the daemon and every app with its workers. Refers to
 * nothing of the daemon's afterwards.
 */
#ifndef FAUCET_CONTROL_STATUS_H
#define FAUCET_CONTROL_STATUS_H

#include <jansson.h>

#include "control/faucet.h"

/* {"state", "config", "hash", "daemon": {…}, "apps": […]}; state: "ready", "degraded" (an app of the configuration is
 * not ready) or "stopping". After the apps of the configuration come those that were removed and still have something
 * under way, with the state "draining"; such a one may share its name with one of the configuration. New reference. */
json_t *status_json(const struct faucet *f);
/* live NULL: nothing runs for it (files). */
json_t *status_app_json(const struct app_config *config, const struct app *live);

#endif
