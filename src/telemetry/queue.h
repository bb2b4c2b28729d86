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

/* recovered + received = stored + queued + dropped, always, per kind. Whatever is dropped, but for rows of faucet_gaps
 * themselves, is told of by a row of faucet_gaps, sooner or later. */
enum drop_reason { DROP_FULL, DROP_BAD_ROW, DROP_CORRUPT, DROP_NO_TABLE, DROP_NO_SPACE, DROP_REASONS };
struct event_account {
    uint64_t recovered, received, stored, queued;
    uint64_t dropped[DROP_REASONS];
};

struct event_queue_options {
    struct loop *loop;       /* NULL: nothing is tried again by itself (tools and tests) */
    struct log *log;         /* NULL: says nothing */
    struct helpers *helpers; /* NULL: file work is done at once, in the caller's thread (tools and tests) */
    const char *name;        /* of this destination, for the log; borrowed; NULL: the directory's */
    const char *directory;   /* of this destination, made if it is not there; NULL: in memory */
    int64_t size;            /* bytes at most (telemetry.queue_size) */
    wall_t (*now)(void);     /* wall_now but in tests */
    /* There is something to send again, or a batch was recovered in doubt. From the loop (or, without helpers, from
     * inside event_queue_take). May be NULL. */
    void (*ready)(void *owner);
    /* Adds to a row of faucet_gaps what the queue does not know: namespace, version, instance. May be NULL. */
    void (*describe_gap)(void *owner, struct record_draft *d);
    dur_t gap_pause; /* between two rows of faucet_gaps about bad rows, damage or a missing table; 0: 10 minutes */
    void *owner;
};
/* Recovers what is there: torn tails and damaged records are counted dropped{corrupt}; records found only reserved get
 * error "daemon_died"; batches that were being committed are handed out again with their transaction id. Blocks (boot
 * and reload only). NULL: *error (allocated), nothing was changed: read-only, in use by somebody else, written by a
 * newer faucet. The caller then opens one in memory. */
struct event_queue *event_queue_open(const struct event_queue_options *o, char **error);
/* Everything stays on disk (memory: what is left is counted in the log by the caller). */
void event_queue_close(struct event_queue *q);

#define EVENT_RECORD_MAX ((size_t)128 * 1024) /* a longer record is dropped{bad_row} */
#define EVENT_SLOT_ROOM  ((size_t)112)        /* what may be added to a reserved one */

/* A place in the queue for an event whose end is not known yet. A zeroed one is none. It must be finished or abandoned
 * before the queue is closed, or it is found "daemon_died" at the next start. */
struct event_slot {
    struct event_queue *queue; /* NULL: none was reserved (full), or it is finished */
    uint64_t segment;          /* serial */
    uint32_t offset;
    enum record_kind kind;
};
/* A record. False: dropped and counted; a gap is noted. */
bool event_queue_append(struct event_queue *q, enum record_kind kind, struct str record);
/* Reserves a place for a record whose last fields are not known yet; it counts as received and queued. False: as
 * append; the slot is none. */
bool event_queue_reserve(struct event_queue *q, enum record_kind kind, struct str record, struct event_slot *slot);
/* Its last fields (record_continue), at most EVENT_SLOT_ROOM bytes; of more, the last ones are lost. kill -9 in the
 * middle leaves the record with them or without. The slot becomes none; on none nothing happens. Slots that are neither
 * finished nor abandoned are not handed out. */
void event_queue_finish(struct event_slot *slot, struct str fields);
/* The record stands as it is. */
void event_queue_abandon(struct event_slot *slot);

/* ---- batches: any number at once, of one kind each, acknowledged in any order ---- */
struct event_batch {
    struct list_node node; /* the queue's */
    uint64_t id;
    enum record_kind kind;
    size_t n, bytes;
    bool tuples; /* its records, as they were when it was put together, are whole ones of this release (record_is_tuple)
                  */
    struct str *records; /* views into the segments; valid until it is acknowledged, given back or dropped */
    bool in_doubt; /* recovered or lost during COMMIT: ask for the transaction first. Set by event_batch_committing;
                      the pool clears it when it knows that the transaction was not committed */
    uint64_t transaction; /* pg_current_xact_id of the attempt in doubt */
    mono_t oldest;        /* when its first event came (recovered: when the queue was opened) */
    bool again;           /* it was given back before, or is a part of one that was */
};
/* The oldest events of that kind, up to max_bytes (at least one); NULL: none, or none in memory yet: the segment is
 * being mapped by a helper, ready() follows. in-doubt batches come first, whatever max_bytes says. */
struct event_batch *event_queue_take(struct event_queue *q, enum record_kind kind, size_t max_bytes);
/* The same without batches that came back: events that were never taken; in-doubt batches come first here too. */
struct event_batch *event_queue_take_new(struct event_queue *q, enum record_kind kind, size_t max_bytes);
/* How many batches came back and were not taken since; without those in doubt. */
size_t event_queue_returned(const struct event_queue *q, enum record_kind kind);
/* Bounds and transaction id are in the queue before COMMIT is sent. At most EVENT_BATCHES_IN_DOUBT at once. Again for
 * another attempt, once it is known that the one before did not commit. */
#define EVENT_BATCHES_IN_DOUBT 1024
void event_batch_committing(struct event_queue *q, struct event_batch *b, uint64_t transaction);
void event_batch_stored(struct event_queue *q, struct event_batch *b); /* frees it */
/* To be taken again. One that is in doubt stays whole and in doubt, with its transaction. The caller's no more. */
void event_batch_give_back(struct event_queue *q, struct event_batch *b);
void event_batch_dropped(struct event_queue *q, struct event_batch *b, enum drop_reason why); /* frees it */
/* Row i is bad: counted, logged by the caller; it is not handed out again. The batch shrinks; the last row's end leaves
 * an empty batch, which is then given back, stored or dropped (all the same). */
void event_batch_drop_row(struct event_queue *q, struct event_batch *b, size_t i);
/* Rows whose pages went missing since they were taken are dropped{corrupt}; returns how many. The batch shrinks, as
 * above. Costs nothing worth mentioning where none are missing. */
size_t event_batch_verify(struct event_queue *q, struct event_batch *b);
/* Bisecting: b keeps its first n (1 … b->n - 1) rows, the rest comes back as a new batch. Not while in doubt. */
struct event_batch *event_batch_split(struct event_queue *q, struct event_batch *b, size_t n);

/* Counted since the queue was first made, over restarts. `recovered`: found at a start; an event that was received by
 * the run before is moved there from `received`, so that it counts once. */
const struct event_account *event_queue_account(const struct event_queue *q, enum record_kind kind);
/* Bytes of segments that hold something not acknowledged: what `size` limits. */
size_t event_queue_bytes(const struct event_queue *q);
/* Soon there is no room: an eighth of `size` is left, or less. Segments count whole, however little they hold. */
bool event_queue_is_crowded(const struct event_queue *q);
bool event_queue_on_disk(const struct event_queue *q);
/* Gaps whose rows wait for a pause to be over become rows now, as far as there is room: nothing more will come. */
void event_queue_end_gaps(struct event_queue *q);
/* Grows or shrinks (hot). */
void event_queue_resize(struct event_queue *q, int64_t size);

/* flock on state_dir/lock, made if it is not there (mode 0700, parents too). The descriptor is the lock: it is kept
 * until the end. -1: *error (allocated) says who has it. */
int state_dir_lock(const char *state_dir, char **error) MUST_CHECK;
/* The directory and its parents, mode 0700, where they are not there. False with errno. */
bool state_dir_make(const char *path) MUST_CHECK;

#endif
