/*
 * The producers' side: a record is copied behind the last one, with its CRC,
 * and published by one store. What cannot be taken is counted, and a gap is
 * opened that becomes a row as soon as there is room.
 */
#include "telemetry/columns.h"
#include "telemetry/queue_parts.h"
#include "telemetry/segment_guard.h"

static const enum drop_reason gap_drops[GAP_REASONS] = {[GAP_FULL] = DROP_FULL, [GAP_NO_SPACE] = DROP_NO_SPACE};

static bool refuse(struct event_queue *q, enum record_kind kind, enum drop_reason why) {
    account_refused(&q->account, kind, why);
    for (int r = 0; r < GAP_REASONS && kind != RECORD_GAP; r++)
        if (gap_drops[r] == why) {
            account_gap(&q->account, kind, r, queue_wall(q));
            q->gaps = true;
        }
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
        return refuse(q, kind, why);
    account_received(&q->account, kind);
    s->live++;
    s->kinds[kind].ahead++;
    if (slot != NULL) {
        s->pins++;
        *slot = (struct event_slot){q, s->serial, (uint32_t)offset, kind};
    }
    if (q->gaps && kind != RECORD_GAP)
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

/* ---- gaps ---- */

static const char *reason_name(int reason) {
    return reason == GAP_FULL ? "full" : "no_space";
}

static bool write_gap(struct event_queue *q, enum record_kind kind, int reason) {
    const struct event_gap *g = &q->account.gaps[kind][reason];
    struct uuid id = uuid_v4();
    struct record_draft gap = {0};

    record_begin(&gap, RECORD_GAP);
    record_uuid(&gap, COLUMN_OF_GAP_event_id, &id);
    if (q->options.describe_gap != NULL)
        q->options.describe_gap(q->options.owner, &gap);
    record_time(&gap, COLUMN_OF_GAP_time, queue_wall(q));
    record_text(&gap, COLUMN_OF_GAP_table_name, str_of(record_table(kind)->name));
    record_text(&gap, COLUMN_OF_GAP_reason, str_of(reason_name(reason)));
    record_time(&gap, COLUMN_OF_GAP_began, g->began);
    record_time(&gap, COLUMN_OF_GAP_ended, g->ended);
    record_integer(&gap, COLUMN_OF_GAP_dropped, g->n > INT64_MAX ? INT64_MAX : (int64_t)g->n);
    record_end(&gap);
    bool written = put(q, RECORD_GAP, record_str(&gap), NULL);
    record_free(&gap);
    return written;
}

void queue_write_gaps(struct event_queue *q) {
    for (size_t k = 0; k < RECORD_KINDS; k++)
        for (int r = 0; r < GAP_REASONS; r++) {
            if (q->account.gaps[k][r].n == 0)
                continue;
            if (!queue_has_room(q) || !write_gap(q, (enum record_kind)k, r))
                return;
            account_gap_written(&q->account, (enum record_kind)k, r);
        }
    q->gaps = false;
}
