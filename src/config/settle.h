/* Layers → values: each key's places are read from the lowest up, the highest wins, maps add up. */
#ifndef FAUCET_CONFIG_SETTLE_H
#define FAUCET_CONFIG_SETTLE_H

#include "config/layer.h"

struct settle {
    struct arena *arena; /* the snapshot's: values go here */
    struct layers *layers;
    struct strings secret_variables; /* grows */
};

/* Fills the settings of struct daemon_settings or struct app_config (base). An app's telemetry stays absent where the
 * app says nothing. Every place is read, also those that are beaten: a mistake there is a mistake. */
void settle_scope(struct settle *s, struct scope *scope, void *base);
/* What an app inherits of the daemon's telemetry. */
void settle_inherit(struct scope *app, struct app_config *config, const struct daemon_settings *daemon);
static inline void *setting_place(const struct setting *s, bool app, void *base) {
    return (char *)base + (app ? s->app_offset : s->daemon_offset);
}

#endif
