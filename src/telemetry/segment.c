/*
 * Frames in a segment: written in an order that survives kill -9 at any
 * instruction (stores of one process reach the page cache in program order, so
 * a release store is enough; no msync), and read without believing them.
 */
#include "telemetry/segment.h"

#include <stdatomic.h>

#include "telemetry/crc32c.h"

#define CACHE_LINE  64
#define FETCH_AHEAD 448 /* most frames are no longer */

_Static_assert(sizeof(struct segment_head) == 64, "on disk");
_Static_assert(sizeof(struct frame) == 48, "on disk");

uint32_t segment_head_crc(const struct segment_head *h) {
    return crc32c(0, h, offsetof(struct segment_head, crc));
}

static void store_magic(char *base, const char *magic) {
    uint64_t word;

    memcpy(&word, magic, sizeof word);
    atomic_thread_fence(memory_order_release);
    *(volatile uint64_t *)(void *)base = word;
}

void segment_head_write(char *base, uint64_t serial, size_t size, wall_t created) {
    struct segment_head h;

    memset(&h, 0, sizeof h);
    memcpy(h.magic, SEGMENT_MAGIC, sizeof h.magic);
    h.version = SEGMENT_VERSION;
    h.order = SEGMENT_ORDER;
    h.serial = serial;
    h.size = size;
    h.created = created.us;
    h.crc = segment_head_crc(&h);
    /* what says that it is one comes last */
    memcpy(base + sizeof h.magic, (char *)&h + sizeof h.magic, sizeof h - sizeof h.magic);
    store_magic(base, SEGMENT_MAGIC);
}

void segment_head_clear(char *base) {
    store_magic(base, SEGMENT_EMPTY);
    atomic_thread_fence(memory_order_release);
}

enum segment_head_state segment_head_check(const char *base, size_t size, uint64_t serial) {
    struct segment_head h;

    if (size < sizeof h)
        return HEAD_DAMAGED;
    memcpy(&h, base, sizeof h);
    if (memcmp(h.magic, SEGMENT_EMPTY, sizeof h.magic) == 0)
        return HEAD_EMPTY;
    if (memcmp(h.magic, SEGMENT_MAGIC, sizeof h.magic) != 0 || h.order != SEGMENT_ORDER ||
        h.crc != segment_head_crc(&h))
        return HEAD_DAMAGED; /* other versions keep this much of the head */
    if (h.version != SEGMENT_VERSION)
        return HEAD_OTHER_RELEASE;
    return h.serial == serial ? HEAD_GOOD : HEAD_FOREIGN;
}

static uint32_t frame_crc(const struct frame *f, uint64_t serial, size_t offset) {
    struct {
        uint64_t serial, offset;
        uint32_t capacity, length, crc, kind;
    } what = {serial, offset, f->capacity, f->length, f->crc, f->kind};

    return crc32c(0, &what, sizeof what);
}

size_t segment_place(struct segment *s, enum record_kind kind, struct str record, size_t room, enum frame_state state,
                     mono_t came) {
    size_t offset = s->used, capacity = frame_align(record.n + room);
    struct frame *f = (struct frame *)(void *)(s->base + offset);
    struct frame head = {
        .capacity = (uint32_t)capacity,
        .length = (uint32_t)record.n,
        .crc = crc32c(0, record.p, record.n),
        .kind = (uint8_t)kind,
        .state = (uint8_t)state,
        .came = came.us,
    };

    ASSERT(offset + sizeof *f + capacity <= s->size);
    head.head_crc = frame_crc(&head, s->serial, offset);
    memcpy(f, &head, sizeof head); /* magic is 0 still */
    memcpy(f + 1, record.p, record.n);
    return offset;
}

void segment_publish(struct segment *s, size_t offset) {
    struct frame *f = (struct frame *)(void *)(s->base + offset);

    atomic_thread_fence(memory_order_release);
    *(volatile uint32_t *)&f->magic = FRAME_MAGIC;
    s->used = offset + sizeof *f + f->capacity;
    /* The next one will be written where nobody has been since the segment was emptied. */
    for (size_t i = 0; i < FETCH_AHEAD; i += CACHE_LINE)
        __builtin_prefetch(s->base + s->used + i, 1);
}

bool segment_frame(const struct segment *s, size_t offset, struct frame_view *v) {
    if (offset % 8 != 0 || offset > s->size || s->size - offset < sizeof v->head)
        return false;
    v->offset = offset;
    v->frame = (struct frame *)(void *)(s->base + offset);
    if (v->frame->magic != FRAME_MAGIC)
        return false;
    memcpy(&v->head, v->frame, sizeof v->head);
    return v->head.magic == FRAME_MAGIC && v->head.head_crc == frame_crc(&v->head, s->serial, offset) &&
           v->head.capacity % 8 == 0 && v->head.capacity <= s->size - offset - sizeof v->head &&
           v->head.length <= v->head.capacity && v->head.kind < RECORD_KINDS;
}

/* A frame with a good head is skipped as a whole even where its record is damaged, so that this is linear in the
 * segment's size whatever it holds. */
bool segment_next(const struct segment *s, size_t *offset, size_t end, struct frame_view *v, bool *skipped) {
    size_t at = frame_align(*offset);

    ASSERT(end <= s->size);
    for (; at + sizeof(struct frame) <= end; at += 8) {
        if (segment_frame(s, at, v)) {
            *offset = at + sizeof(struct frame) + v->head.capacity;
            return true;
        }
        uint64_t word;
        memcpy(&word, s->base + at, sizeof word);
        if (word != 0 && skipped != NULL)
            *skipped = true;
    }
    *offset = end;
    return false;
}

bool frame_record(const struct frame_view *v, struct str *record) {
    const char *p = (const char *)(v->frame + 1);
    size_t added = 0;

    if (v->head.state == FRAME_FINISHED)
        added = v->head.added_length;
    else if (v->head.state != FRAME_WHOLE && v->head.state != FRAME_RESERVED)
        return false;
    if (added > v->head.capacity - v->head.length)
        return false;
    *record = str_make(p, v->head.length + added);
    return crc32c(0, p, v->head.length) == v->head.crc &&
           (added == 0 || crc32c(0, p + v->head.length, added) == v->head.added_crc);
}

void frame_finish(struct frame_view *v, struct str added) {
    ASSERT(added.n > 0 && added.n <= v->head.capacity - v->head.length);
    v->head.added_length = (uint32_t)added.n;
    v->head.added_crc = crc32c(0, added.p, added.n);
    memcpy((char *)(v->frame + 1) + v->head.length, added.p, added.n);
    v->frame->added_length = v->head.added_length;
    v->frame->added_crc = v->head.added_crc;
    atomic_thread_fence(memory_order_release);
    *(volatile uint8_t *)&v->frame->state = v->head.state = FRAME_FINISHED;
}

void frame_settle(struct frame_view *v) {
    *(volatile uint8_t *)&v->frame->state = v->head.state = FRAME_WHOLE;
}

void frame_mark(struct frame *f, uint64_t batch) {
    *(volatile uint64_t *)&f->batch = batch;
}

void frame_go(struct frame *f, enum frame_gone how) {
    *(volatile uint8_t *)&f->gone = (uint8_t)how;
}
