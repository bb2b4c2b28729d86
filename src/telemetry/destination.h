/*
 * One way to a database that gets events: its queue and its pool. Its place is
 * host, port, database and user; which of several destinations of one place a
 * connection string leads to is telemetry_targets.c's.
 *
 *   PREPARED ──commit──→ USED ──no longer configured──→ DRAINING ──empty, and no exchange left that began
 *       │                  ↑ ↑                             │        with it──→ gone
 *       └─abandoned→ gone  │ └────── configured again ─────┘
 *                         LEFT: of an earlier run, found in state_dir; a queue without a pool
 */
#ifndef FAUCET_TELEMETRY_DESTINATION_H
#define FAUCET_TELEMETRY_DESTINATION_H

#include "config/snapshot.h"
#include "telemetry/pg_conninfo.h"
#include "telemetry/pool.h"
#include "telemetry/telemetry.h"

enum destination_state { DESTINATION_PREPARED, DESTINATION_USED, DESTINATION_DRAINING, DESTINATION_LEFT };
const char *destination_state_name(enum destination_state s);

struct destination {
    unsigned magic;
#define DESTINATION_MAGIC 0xde571a70
    struct list_node node; /* on telemetry->destinations */
    const struct telemetry_env *env;
    enum destination_state state;
    char *name;                     /* "db1:5432/faucet as alice", a further one's "… as alice (2)" */
    char *place;                    /* the name without a number */
    char *options, *secrets;        /* as pg_conninfo has them, of what it was last used for; NULL: not known */
    char *directory;                /* of its queue; NULL: in memory */
    struct event_queue *queue;      /* NULL: an earlier run's that cannot be opened (error) */
    struct pool *pool;              /* NULL: PREPARED, LEFT, or the string was refused (error) */
    char *error;                    /* why the queue is not on disk, or there is no pool; NULL: all is well */
    bool wanted;                    /* telemetry_use: named by the new snapshot */
    bool drained;                   /* telemetry_stop: it has reported, or is not waited for any longer */
    mono_t silent_since;            /* telemetry_stop: since when it has not answered */
    const struct snapshot *current; /* for gap rows: the one in use, telemetry's reference */
};

/* Of the place's number, from 1: allocated. And where its queue is. */
char *destination_name(const char *place, unsigned number);
char *destination_directory(const char *queues, const char *name);
/* PREPARED, with its queue open. queues: the directory that holds one directory a destination; NULL: in memory. name is
 * taken over. */
struct destination *destination_new(const struct telemetry_env *env, char *name, const struct pg_conninfo *info,
                                    const char *queues, int64_t size);
/* LEFT. name: of the directory in `queues`. */
struct destination *destination_find_left(const struct telemetry_env *env, const char *queues, const char *name,
                                          int64_t size);
/* A LEFT one that nobody is configured for is named in the log; one with nothing in it is removed, with its files, and
 * freed. */
void destination_settle_left(struct destination *d);
/* Its queue could not be opened where it was found: once more, or in memory. */
void destination_open_again(struct destination *d, int64_t size);
/* Its pool connects by that string from now on; batches that the pool before had go back to the queue first. False:
 * *error (allocated, no secret); the old pool goes on. */
bool destination_connect(struct destination *d, const char *connection, const struct telemetry_settings *s,
                         char **error) MUST_CHECK;
/* Nothing of it is queued any more. */
bool destination_is_empty(const struct destination *d);
size_t destination_queued(const struct destination *d);
/* Its pool is finished, its queue closed. */
void destination_free(struct destination *d);
/* One line: the account of all kinds together. */
void destination_log(const struct destination *d);

#endif
