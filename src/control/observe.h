/*
 * What control has to do with telemetry: making it at boot, handing it what apps
 * report, telling it of every boot, reload, restart and stop.
 */
#ifndef FAUCET_CONTROL_OBSERVE_H
#define FAUCET_CONTROL_OBSERVE_H

#include "control/faucet.h"
#include "control/reload.h"

/* f->telemetry, off. Which faucet it is, and where its state lives, follow from the first snapshot. */
void observe_begin(struct faucet *f, const struct snapshot *first);
/* struct app_callbacks */
void observe_worker(void *faucet, const struct worker_of *w, const struct worker_event *e);
void observe_log_event(void *faucet, const struct worker_of *w, const struct log_event *e);

void observe_boot(struct faucet *f);
/* event: "reload" or "restart". app: of a restart, else NULL. */
void observe_reload(struct faucet *f, const char *event, const char *who, const char *app,
                    const struct reload_outcome *o);
void observe_stop(struct faucet *f, const char *why);

#endif
