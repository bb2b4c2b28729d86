/*
 * The inside of the queue, shared by queue*.c.
 *
 *   queue.c          opening, closing, what it looks like from outside
 *   queue_recover.c  what a run before left
 *   queue_make.c     new segments: made one ahead, files used again, memory in place of one
 *   queue_rooms.c    segments in use: mapped while needed, gone when all of them is acknowledged
 *   queue_append.c   the producers' side: append, reserve, finish
 *   queue_gaps.c     what was dropped: rows of faucet_gaps, lines in the log
 *   queue_batch.c    the pool's side: take, acknowledge, split
 *
 * A frame that is not gone is in exactly one place: ahead of its segment's
 * cursor for its kind; an open slot that the cursor passed; on the list of late
 * ones (a slot finished after that); or in a batch. Its mark is not 0 exactly
 * when a batch has, or had, it.
 *
 * Where no file is to be had at once (the helper is behind, the disk is full, a
 * page was missing), up to BRIDGES (BRIDGES_FAILED) segments live in memory. A file that is made
 * later takes their contents over, at the same addresses.
 */
#ifndef FAUCET_TELEMETRY_QUEUE_PARTS_H
#define FAUCET_TELEMETRY_QUEUE_PARTS_H

#include "base/miniobj.h"
#include "telemetry/account.h"
#include "telemetry/queue.h"
#include "telemetry/segment.h"
#include "telemetry/segment_file.h"

#define BRIDGES        8 /* while a helper is behind: 32 MiB, seconds of a stalled disk */
#define BRIDGES_FAILED 2 /* once it is known that no file can be made */
#define IDLE_MAX       2
#define RETRY_MIN      (DUR_S / 2)
#define RETRY_MAX      (30 * DUR_S)

struct frame_ref {
    struct segment *segment;
    size_t offset;
};
struct frame_refs {
    size_t n, allocated;
    struct frame_ref *v;
};

struct batch {
    struct event_batch public; /* on taken, returned[kind] or doubtful */
    struct frame_ref *refs;    /* as many as public.records */
    size_t allocated;
    int doubt;   /* place in the account; -1: none */
    bool marked; /* its frames bear its id */
};

/* Of events: when the first and the last of them were. */
struct event_span {
    wall_t first, last;
};

/* New events are dropped for want of room, as the log tells it. */
struct queue_full {
    bool is, told; /* it is so; the log said so last */
    uint64_t n;    /* dropped since the log told of any */
    wall_t since;  /* when the first of those was */
    mono_t said;
    struct deadline later; /* what is not said now, or the log would be full of it */
};

struct event_queue {
    unsigned magic;
#define EVENT_QUEUE_MAGIC 0x0e0e9a3e
    struct event_queue_options options;
    char *directory; /* NULL: in memory */
    struct account account;
    size_t size;          /* bytes at most */
    struct list segments; /* of struct segment */
    struct segment *current;
    size_t bytes; /* of all segments */
    uint64_t next_serial;

    struct segment_job *making; /* under way, or finished and not taken */
    struct segment *spare;      /* made, on no list; NULL: none */
    struct list idle;           /* of struct segment, mapped, whose file can be used again; IDLE_MAX at most */
    struct list jobs;           /* of struct segment_job, all that are under way: told when the queue closes */
    size_t bridges;             /* segments in memory that should have a file */
    mono_t make_again;          /* not before; after a failure */
    dur_t make_pause;
    mono_t opened;
    int make_error; /* of the last attempt; 0: it worked */
    struct deadline retry, wake;

    bool gaps;                   /* some gap can be a row as soon as there is room */
    bool no_table[RECORD_KINDS]; /* the last batch found none */
    mono_t gap_written[RECORD_KINDS][DROP_REASONS];
    struct deadline gap_due;
    struct queue_full full;
    mono_t said_too_long;
    struct frame_refs late[RECORD_KINDS];
    struct list taken, doubtful, returned[RECORD_KINDS]; /* of struct batch */
};

/* ---- queue_rooms.c ---- */
/* Current with `need` bytes of room, or NULL with *why. */
struct segment *queue_room(struct event_queue *q, size_t need, enum drop_reason *why);
/* queue_room would find a new segment. */
bool queue_has_room(struct event_queue *q);
/* A page of it was missing: nothing goes into it any more. */
void queue_abandon_segment(struct event_queue *q, struct segment *s);
/* Is it in memory? False: a helper maps it, ready() follows. */
bool queue_segment_here(struct event_queue *q, struct segment *s);
/* After something in it changed: removes it where all is gone, unmaps it where nobody needs it. May free it. */
void queue_segment_settle(struct event_queue *q, struct segment *s);
/* n frames of it are gone. */
void segment_leave(struct segment *s, size_t n);
struct segment *queue_segment_new(uint64_t serial, size_t size);                        /* on no list */
struct segment *queue_segment_add(struct event_queue *q, uint64_t serial, size_t size); /* in order of serials */
struct segment *queue_segment_find(struct event_queue *q, uint64_t serial);
void queue_rooms_close(struct event_queue *q);
/* Its result comes to whoever is in charge of that work. */
void queue_start_job(struct event_queue *q, struct segment_job *j);
/* Off the loop's hands: unmapping four megabytes takes longer than a request. s has no mapping afterwards. */
void queue_release(struct event_queue *q, struct segment *s, bool remove);
size_t queue_segment_size(const struct event_queue *q);
mono_t queue_now(const struct event_queue *q);
wall_t queue_wall(const struct event_queue *q);

/* ---- queue_make.c ---- */
/* Has a file made, unless one is there or under way. */
void queue_make_ahead(struct event_queue *q);
/* A job of SEGMENT_MAKE is through. */
void queue_made(struct event_queue *q, struct segment_job *j);
/* An empty one, on no list; NULL: none is to be had. */
struct segment *queue_new_segment(struct event_queue *q);
bool queue_can_make(struct event_queue *q);
/* Takes a segment of which all is gone, to use its file again; false: it is of no use. */
bool queue_keep_file(struct event_queue *q, struct segment *s);
/* The end: what is being made is waited for, bridges get their files if there is a way. */
void queue_make_finish(struct event_queue *q);

/* ---- queue_append.c ---- */
/* Adds what there is room for. */
void queue_finish_frame(struct frame_view *v, struct str fields);

/* ---- queue_gaps.c ---- */
/* Some were dropped, and are counted. Not of gaps themselves: nothing happens then. */
void queue_note_gap(struct event_queue *q, enum record_kind kind, enum drop_reason why, struct event_span when);
void queue_note_gap_now(struct event_queue *q, enum record_kind kind, enum drop_reason why);
/* Of what is untold, after recovery and before the end; what nobody dated was now. */
void queue_find_gaps(struct event_queue *q);
/* Those that are due become rows, as far as there is room; ready() follows. */
void queue_write_gaps(struct event_queue *q);
static inline bool queue_has_gaps(const struct event_queue *q) {
    return q->gaps || q->full.is;
}
/* When rows from, from + 1 … of a batch were. */
struct event_span queue_span(const struct event_queue *q, const struct event_batch *b, size_t from, size_t n);
/* The batch, whose rows are still there, was dropped for want of its table. */
void queue_table_is_missing(struct event_queue *q, const struct event_batch *b);
void queue_table_is_there(struct event_queue *q, enum record_kind kind);
void queue_say_too_long(struct event_queue *q, enum record_kind kind, size_t n);
void queue_gap_due(struct deadline *d);    /* of gap_due */
void queue_full_later(struct deadline *d); /* of full.later */

/* ---- queue_batch.c ---- */
struct batch *queue_batch_new(enum record_kind kind, uint64_t id);
void queue_batch_add(struct batch *b, struct segment *s, size_t offset, struct str record);
void queue_batch_free(struct batch *b); /* from whatever list; its rows' pins are not given back */
/* Counts n events of that segment as corrupt. */
void queue_lose(struct event_queue *q, struct segment *s, enum record_kind kind, size_t n);

/* ---- queue_recover.c ---- */
void queue_recover(struct event_queue *q);

#endif
