/*
 * The queue: events on their way to one destination, on disk (DESIGN section 8).
 * A directory of preallocated, memory-mapped segment files; an append is a copy
 * and a CRC, so it costs the loop about a microsecond and survives kill -9.
 * Without a state directory the same queue lives in memory, with the same accounting.
 */
#ifndef FAUCET_TELEMETRY_QUEUE_H
#define FAUCET_TELEMETRY_QUEUE_H

#include "base/helper.h"
#include "base/log.h"
#include "telemetry/record.h"

struct event_queue;

/* recovered + received = stored + queued + dropped, always, per kind. */
enum drop_reason { DROP_FULL, DROP_BAD_ROW, DROP_CORRUPT, DROP_NO_TABLE, DROP_NO_SPACE, DROP_REASONS };
struct event_account {
    uint64_t recovered, received, stored, queued;
    uint64_t dropped[DROP_REASONS];
};

struct event_queue_options {
    struct loop *loop;
    struct log *log;
    struct helpers *helpers;
    const char *directory; /* of this destination, made if it is not there; NULL: in memory */
    int64_t size;          /* bytes at most (telemetry.queue_size) */
    wall_t (*now)(void);   /* wall_now but in tests */
    /* There is something to send again, or a batch was recovered in doubt. From the loop. */
    void (*ready)(void *owner);
    void *owner;
};
/* Recovers what is there: torn tails and damaged records are counted dropped{corrupt}; records found only reserved get
 * error "daemon_died"; batches that were being committed are handed out again with their transaction id. NULL: *error
 * (allocated), nothing was changed. */
struct event_queue *event_queue_open(const struct event_queue_options *o, char **error);
/* Everything stays on disk (memory: what is left is counted in the log by the caller). */
void event_queue_close(struct event_queue *q);

/* A place in the queue for an event whose end is not known yet. */
struct event_slot {
    struct event_queue *queue; /* NULL: none was reserved (full) */
    uint64_t segment;          /* serial */
    uint32_t offset, generation;
};
/* Whole records (record_end was called). False: dropped and counted; a gap is noted. */
bool event_queue_append(struct event_queue *q, enum record_kind kind, struct str record);
/* Reserves a record whose `tail` last bytes may still be patched. */
bool event_queue_reserve(struct event_queue *q, enum record_kind kind, struct str record, struct event_slot *slot);
/* The final form, of the same length or shorter than what was reserved, under a second CRC. Once per slot. Slots that
 * are neither finished nor abandoned are not handed out. */
void event_queue_finish(struct event_slot *slot, struct str record);

/* ---- batches: any number at once, of one kind each, acknowledged in any order ---- */
struct event_batch {
    struct list_node node; /* the queue's */
    uint64_t id;
    enum record_kind kind;
    size_t n, bytes;
    struct str *records;  /* views into the segments; valid until it is acknowledged, given back or dropped */
    bool in_doubt;        /* recovered or lost during COMMIT: ask for the transaction first */
    uint64_t transaction; /* pg_current_xact_id of the attempt in doubt */
    mono_t oldest;        /* when its first event came */
};
/* The oldest events of that kind, up to max_bytes; NULL: none. in-doubt batches come first. */
struct event_batch *event_queue_take(struct event_queue *q, enum record_kind kind, size_t max_bytes);
/* Bounds and transaction id are in the queue before COMMIT is sent. */
void event_batch_committing(struct event_queue *q, struct event_batch *b, uint64_t transaction);
void event_batch_stored(struct event_queue *q, struct event_batch *b);    /* frees it */
void event_batch_give_back(struct event_queue *q, struct event_batch *b); /* to be taken again; frees it */
void event_batch_dropped(struct event_queue *q, struct event_batch *b, enum drop_reason why); /* frees it */
/* Row i is bad: counted, logged by the caller; it is not handed out again. The batch shrinks. */
void event_batch_drop_row(struct event_queue *q, struct event_batch *b, size_t i);
/* Bisecting: b keeps its first n rows, the rest comes back as a new batch. */
struct event_batch *event_batch_split(struct event_queue *q, struct event_batch *b, size_t n);

const struct event_account *event_queue_account(const struct event_queue *q, enum record_kind kind);
size_t event_queue_bytes(const struct event_queue *q);
bool event_queue_on_disk(const struct event_queue *q);
/* Grows or shrinks (hot). */
void event_queue_resize(struct event_queue *q, int64_t size);

/* flock on state_dir. -1: *error (allocated) says who has it. */
int state_dir_lock(const char *state_dir, char **error);

#endif
