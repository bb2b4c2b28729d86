/*
 * A segment: a file of the queue, a header and frames, one record each. Only
 * bytes here: no file, no thread, no accounting. What is read may be hostile; a
 * frame is believed only after its CRCs fit, and from a copy of its head.
 *
 *   0    struct segment_head
 *   64   struct frame, payload of `capacity` bytes; the next begins right behind; multiples of 8
 *        zeros to the end (preallocated)
 *
 * A frame's life: written but for its magic → published by the magic (one aligned
 * store: kill -9 leaves all of it or nothing) → perhaps finished: fields are added
 * behind the record, in room left for them, and count from the store of `state` on
 * → marked with the batch that carries it → gone. Its immutable part is under
 * head_crc, the record under crc, what was added under added_crc. The CRC of the
 * head covers serial and offset: a frame copied elsewhere is no frame.
 */
#ifndef FAUCET_TELEMETRY_SEGMENT_H
#define FAUCET_TELEMETRY_SEGMENT_H

#include "base/clock.h"
#include "base/list.h"
#include "telemetry/record.h"

#define SEGMENT_MAGIC    "FaucetSG"
#define SEGMENT_EMPTY    "FaucetNo" /* between two uses: holds nothing, whatever is in it */
#define SEGMENT_VERSION  2
#define SEGMENT_SIZE     ((size_t)4 * 1024 * 1024)  /* with a queue_size of 32 MiB and more */
#define SEGMENT_SIZE_MIN ((size_t)256 * 1024)       /* holds EVENT_RECORD_MAX */
#define SEGMENT_SIZE_MAX ((size_t)64 * 1024 * 1024) /* nobody makes larger ones; what is beyond is not read */

struct segment_head { /* on disk, in the machine's byte order: a queue does not travel */
    char magic[8];
    uint32_t version;
    uint32_t order; /* SEGMENT_ORDER */
    uint64_t serial, size;
    int64_t created; /* wall */
    uint8_t unused[20];
    uint32_t crc; /* of all before */
};
#define SEGMENT_ORDER 0x01020304u

enum frame_state { FRAME_WHOLE = 0x57, FRAME_RESERVED = 0x52, FRAME_FINISHED = 0x46 }; /* a flipped bit makes none */
enum frame_gone { FRAME_HERE = 0x00, FRAME_STORED = 0x53, FRAME_DROPPED = 0x64 };

struct frame { /* on disk */
    uint32_t magic;
    uint32_t head_crc; /* serial, offset, capacity, length, crc, kind */
    uint32_t capacity; /* of the payload; a multiple of 8 */
    uint32_t length, crc;
    uint32_t added_length, added_crc; /* FRAME_FINISHED: what follows it */
    uint8_t kind, state, gone, unused;
    uint64_t batch; /* 0: not taken by any */
    int64_t came;   /* mono_t of the run that wrote it */
};
#define FRAME_MAGIC 0x6d415246u

/* A segment in memory: the queue's object. */
struct segment {
    unsigned magic;
#define SEGMENT_OBJ_MAGIC 0x5e93e217
    struct list_node node; /* event_queue.segments, oldest first */
    uint64_t serial;
    size_t size;
    char *base; /* NULL: not mapped */
    int guard;
    size_t used;    /* behind the last frame */
    bool memory;    /* no file (yet) */
    bool recovered; /* written by a run before */
    bool abandoned; /* a page was missing: nothing is appended any more */
    size_t live;    /* frames not gone */
    bool touched;   /* rows of it went; to be settled */
    size_t pins;    /* rows in batches, open slots, late ones: it stays mapped */
    struct {
        size_t ahead;  /* frames not gone behind the cursor, reserved ones too */
        size_t passed; /* reserved ones that the cursor passed */
        size_t cursor; /* what is before it was handed out, or is a slot */
    } kinds[RECORD_KINDS];
    struct segment_job *mapping; /* under way; NULL: no */
    int map_error;               /* of the last attempt */
};

/* A frame that was found, its head copied. */
struct frame_view {
    size_t offset;
    struct frame head;
    struct frame *frame; /* in the mapping */
};

static inline size_t frame_align(size_t n) {
    return (n + 7) & ~(size_t)7;
}
static inline size_t frame_space(size_t payload) {
    return sizeof(struct frame) + frame_align(payload);
}

uint32_t segment_head_crc(const struct segment_head *h);
void segment_head_write(char *base, uint64_t serial, size_t size, wall_t created);
/* One store: before it the segment is what it was, after it it is empty. */
void segment_head_clear(char *base);
enum segment_head_state { HEAD_GOOD, HEAD_DAMAGED, HEAD_OTHER_RELEASE, HEAD_FOREIGN, HEAD_EMPTY };
/* FOREIGN: a good head of another serial. */
enum segment_head_state segment_head_check(const char *base, size_t size, uint64_t serial);

/* Writes a frame behind the last one; not to be found before frame_publish. There must be frame_space(record.n + room).
 * Returns its offset. */
size_t segment_place(struct segment *s, enum record_kind kind, struct str record, size_t room, enum frame_state state,
                     mono_t came);
void segment_publish(struct segment *s, size_t offset);
/* The frame at `offset`, its head checked. */
bool segment_frame(const struct segment *s, size_t offset, struct frame_view *v) MUST_CHECK;
/* The first frame at *offset or behind it, before `end`; *offset moves behind it. False: none, *offset is `end`.
 * *skipped (NULL is fine) is set where something else than zeros had to be skipped. */
bool segment_next(const struct segment *s, size_t *offset, size_t end, struct frame_view *v, bool *skipped) MUST_CHECK;
/* The record of a frame, with what was added. False: damaged. */
bool frame_record(const struct frame_view *v, struct str *record) MUST_CHECK;
/* Adds to the record of a reserved frame; it fits into what is left of the capacity. kill -9 leaves it done or undone.
 */
void frame_finish(struct frame_view *v, struct str added);
/* Nothing will be added. */
void frame_settle(struct frame_view *v);
void frame_mark(struct frame *f, uint64_t batch);
void frame_go(struct frame *f, enum frame_gone how);

#endif
