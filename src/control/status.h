/*
 * What `GET /status` says: the daemon and every app with its workers. Refers to
 * nothing of the daemon's afterwards.
 */
#ifndef FAUCET_CONTROL_STATUS_H
#define FAUCET_CONTROL_STATUS_H

#include <jansson.h>

#include "control/faucet.h"

/* {"state", "config", "hash", "daemon": {…}, "apps": […]}; state: "ready", "degraded" (an app is not ready) or
 * "stopping". New reference.
 */
json_t *status_json(const struct faucet *f);
/* live NULL: nothing runs for it (files). */
json_t *status_app_json(const struct app_config *config, const struct app *live);

#endif
