/*
 * The producers' side: a record is copied behind the last one, with its CRC,
 * and published by one store. What cannot be taken is counted, and a gap.
 */
#include "telemetry/queue_parts.h"
#include "telemetry/segment_guard.h"

static bool refuse(struct event_queue *q, enum record_kind kind, size_t n, enum drop_reason why) {
    account_refused(&q->account, kind, why);
    queue_note_gap_now(q, kind, why);
    if (why == DROP_BAD_ROW)
        queue_say_too_long(q, kind, n);
    return false;
}

/* A page that turns out to be missing while we write costs that segment, not the event. */
static struct segment *write_frame(struct event_queue *q, enum record_kind kind, struct str record, size_t room,
                                   enum frame_state state, size_t *offset, enum drop_reason *why) {
    for (int attempt = 0; attempt < 3; attempt++) {
        struct segment *s = queue_room(q, frame_space(record.n + room), why);
        if (s == NULL)
            return NULL;
        *offset = segment_place(s, kind, record, room, state, queue_now(q));
        if (!segment_guard_hurt(s->guard)) {
            segment_publish(s, *offset);
            return s;
        }
        queue_abandon_segment(q, s);
    }
    *why = DROP_NO_SPACE;
    return NULL;
}

static bool put(struct event_queue *q, enum record_kind kind, struct str record, struct event_slot *slot) {
    enum drop_reason why = DROP_BAD_ROW;
    size_t offset = 0;
    struct segment *s = NULL;

    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    ASSERT(kind < RECORD_KINDS && record.n > 0);
    if (record.n <= EVENT_RECORD_MAX)
        s = write_frame(q, kind, record, slot != NULL ? EVENT_SLOT_ROOM : 0,
                        slot != NULL ? FRAME_RESERVED : FRAME_WHOLE, &offset, &why);
    if (s == NULL)
        return refuse(q, kind, record.n, why);
    account_received(&q->account, kind);
    s->live++;
    s->kinds[kind].ahead++;
    if (slot != NULL) {
        s->pins++;
        *slot = (struct event_slot){q, s->serial, (uint32_t)offset, kind};
    }
    if (queue_has_gaps(q) && kind != RECORD_GAP)
        queue_write_gaps(q);
    return true;
}

bool event_queue_append(struct event_queue *q, enum record_kind kind, struct str record) {
    return put(q, kind, record, NULL);
}

bool event_queue_reserve(struct event_queue *q, enum record_kind kind, struct str record, struct event_slot *slot) {
    slot->queue = NULL;
    return put(q, kind, record, slot);
}

/* ---- the end of a slot ---- */

void queue_finish_frame(struct frame_view *v, struct str fields) {
    struct str added = record_fit(fields, v->head.capacity - v->head.length);

    if (added.n > 0)
        frame_finish(v, added);
    else
        frame_settle(v);
}

/* Its frame is ready to be handed out: by the cursor, or, where that has passed, from the list of late ones. */
static void slot_ready(struct event_queue *q, struct segment *s, const struct event_slot *slot) {
    struct frame_refs *late = &q->late[slot->kind];

    if (s->kinds[slot->kind].cursor <= slot->offset) {
        s->pins--;
        return;
    }
    ASSERT(s->kinds[slot->kind].passed > 0);
    s->kinds[slot->kind].passed--;
    if (late->n == late->allocated) {
        late->allocated = late->allocated == 0 ? 64 : late->allocated * 2;
        late->v = realloc(late->v, late->allocated * sizeof late->v[0]);
        XXXAN(late->v);
    }
    late->v[late->n++] = (struct frame_ref){s, slot->offset};
}

/* The page of the frame went missing since it was reserved. */
static void slot_lost(struct event_queue *q, struct segment *s, const struct event_slot *slot) {
    s->pins--;
    if (s->kinds[slot->kind].cursor > slot->offset && s->kinds[slot->kind].passed > 0) {
        s->kinds[slot->kind].passed--;
        queue_lose(q, s, slot->kind, 1);
    } /* else the cursor will miss it, and count it */
}

static void end_slot(struct event_slot *slot, struct str fields) {
    struct event_queue *q = slot->queue;
    struct segment *s;
    struct frame_view v;

    if (q == NULL)
        return;
    CHECK_OBJ(q, EVENT_QUEUE_MAGIC);
    slot->queue = NULL;
    s = queue_segment_find(q, slot->segment);
    if (s == NULL) /* lost with its segment, and counted */
        return;
    ASSERT(s->base != NULL && s->pins > 0);
    if (!segment_frame(s, slot->offset, &v) || v.head.state != FRAME_RESERVED || v.head.kind != slot->kind) {
        slot_lost(q, s, slot);
    } else {
        queue_finish_frame(&v, fields);
        slot_ready(q, s, slot);
    }
    if (s != q->current)
        queue_segment_settle(q, s);
}

void event_queue_finish(struct event_slot *slot, struct str fields) {
    end_slot(slot, fields);
}

void event_queue_abandon(struct event_slot *slot) {
    end_slot(slot, STR_NONE);
}
