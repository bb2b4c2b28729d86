/*
 * The inside of telemetry, shared by telemetry*.c: telemetry.c has configuration
 * and upkeep, telemetry_targets.c which string leads where, telemetry_events.c the
 * way in, telemetry_stop.c the end and what is seen from outside.
 */
#ifndef FAUCET_TELEMETRY_TELEMETRY_PARTS_H
#define FAUCET_TELEMETRY_TELEMETRY_PARTS_H

#include "telemetry/destination.h"

struct epoch {
    struct list_node node;     /* on telemetry->epochs, the newest first; on none: prepared */
    struct snapshot *snapshot; /* NULL: prepared */
    struct destination *daemon;
    size_t app_count;
    struct destination *apps[]; /* by app_config.index; NULL: telemetry is off for it */
};

struct telemetry {
    unsigned magic;
#define TELEMETRY_MAGIC 0x7e1e3e70
    struct telemetry_env env;
    char *instance, *state_dir;
    char *queues;   /* <state_dir>/queue; NULL: in memory, or not opened */
    int lock;       /* of state_dir; -1 */
    bool in_memory; /* no state_dir could be used */
    bool on;        /* some snapshot in use names a database */
    struct list destinations, epochs;
    struct epoch *prepared; /* NULL: none */
    const struct snapshot *prepared_for;
    struct deadline janitor;    /* while old epochs or drained destinations are there */
    struct record_draft record; /* where every record is built */
    /* telemetry_stop */
    struct deadline look;
    mono_t stop_until;
    void (*stopped)(void *owner);
    void *stopped_owner;
};

/* NULL: none. */
struct destination *telemetry_destination(struct telemetry *t, const struct snapshot *s, const struct app_config *app);
/* Where everything of that snapshot will go: an epoch to be used or freed; destinations that are new are PREPARED.
 * NULL: *error, nothing changed. */
struct epoch *telemetry_aim(struct telemetry *t, const struct snapshot *s, char **error) MUST_CHECK;
bool telemetry_any_connection(const struct snapshot *s);
/* The one that the string leads to as things are; NULL: none does. */
struct destination *telemetry_find(const struct telemetry *t, const struct snapshot *s, const struct app_config *app);
bool telemetry_open_state_dir(struct telemetry *t, char **error) MUST_CHECK;
void telemetry_pool_drained(void *destination);
void telemetry_stop_look(struct deadline *d);

#endif
