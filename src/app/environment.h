/*
 * The environment of a worker, also of `faucet rscript` and `faucet uv`: the
 * daemon's, less what is ours or secret, then .Renviron and .env of the app,
 * then `env:`, then FAUCET_APP, FAUCET_WORKER_ID, FAUCET_TELEMETRY_NAMESPACE,
 * FAUCET_TELEMETRY_VERSION, PORT or FAUCET_SOCKET.
 */
#ifndef FAUCET_APP_ENVIRONMENT_H
#define FAUCET_APP_ENVIRONMENT_H

#include "app/kind.h"

/* NULL-terminated, in a. secret: names of variables a secret was taken from. worker_id 0: none (a tool is run). */
const char *const *environment_build(struct arena *a, char *const *environ_, const struct strings *secret,
                                     const struct app_config *app, unsigned worker_id,
                                     const struct kind_listen *listen);
/* Reads KEY=value files (.Renviron, .env): comments, export, single and double quotes; later keys win. Problems name
 * file:line. A missing file is no problem. */
void environment_read_file(struct arena *a, const char *path, struct string_map *into, struct problems *problems);

#endif
