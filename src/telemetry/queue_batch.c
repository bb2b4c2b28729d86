/*
 * The pool's side: batches are taken from the oldest segments on, one kind
 * each, and acknowledged in any order. A batch that comes back stays a batch, so
 * a cursor never has to go back; what was taken costs memory only as long as it
 * is under way.
 *
 * Before COMMIT is sent every frame of the batch bears the batch's id, then the
 * account gets an entry with the id and the transaction. An acknowledgement
 * turns the entry first, by one store; frames follow.
 */
#include <stdlib.h>

#include "telemetry/queue_parts.h"
#include "telemetry/segment_guard.h"

#define FETCH_AHEAD 8

/* ---- batches as objects ---- */

struct batch *queue_batch_new(enum record_kind kind, uint64_t id) {
    struct batch *b = calloc(1, sizeof *b);

    XXXAN(b);
    b->public.id = id;
    b->public.kind = kind;
    b->public.tuples = true;
    b->doubt = -1;
    return b;
}

static void make_room(struct batch *b, size_t rows) {
    struct event_batch *e = &b->public;

    b->allocated = rows;
    e->records = realloc(e->records, rows * sizeof e->records[0]);
    b->refs = realloc(b->refs, rows * sizeof b->refs[0]);
    XXXASSERT(e->records != NULL && b->refs != NULL);
}

void queue_batch_add(struct batch *b, struct segment *s, size_t offset, struct str record) {
    struct event_batch *e = &b->public;

    if (e->n == b->allocated)
        make_room(b, b->allocated == 0 ? 256 : b->allocated * 2);
    b->refs[e->n] = (struct frame_ref){s, offset};
    e->tuples = e->tuples && record_is_tuple(record, e->kind); /* now, while the cache has it */
    e->records[e->n++] = record;
    e->bytes += record.n;
}

void queue_batch_free(struct batch *b) {
    list_remove(&b->public.node);
    free(b->public.records);
    free(b->refs);
    free(b);
}

static struct batch *batch_of(struct event_queue *q, struct event_batch *e) {
    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    ASSERT(e->node.on == &q->taken);
    return CONTAINER_OF(e, struct batch, public);
}

static struct frame *frame_at(const struct frame_ref *r) {
    return (struct frame *)(void *)(r->segment->base + r->offset);
}

static void find_oldest(struct event_queue *q, struct batch *b) {
    const struct frame_ref *r = &b->refs[0];

    if (b->public.n > 0)
        b->public.oldest = r->segment->recovered ? q->opened : (mono_t){frame_at(r)->came};
}

/* The heads of thousands of frames are written one after the other, each in a line of its own. */
static void fetch_ahead(const struct batch *b, size_t i) {
    if (i + FETCH_AHEAD < b->public.n)
        __builtin_prefetch(frame_at(&b->refs[i + FETCH_AHEAD]), 1);
}

static void mark(struct batch *b) {
    for (size_t i = 0; i < b->public.n; i++) {
        fetch_ahead(b, i);
        frame_mark(frame_at(&b->refs[i]), b->public.id);
    }
    b->marked = true;
}

/* Segments that lost rows: at the end of a step, as they may go. */
static void settle(struct event_queue *q) {
    LIST_FOREACH (&q->segments, struct segment, s, node) {
        if (s->touched)
            queue_segment_settle(q, s);
    }
}

void queue_lose(struct event_queue *q, struct segment *s, enum record_kind kind, size_t n) {
    if (n == 0)
        return;
    if (q->options.log != NULL)
        log_warn(q->options.log, "telemetry queue%s%s: %zu damaged events for %s in segment %llu",
                 q->directory != NULL ? " " : "", q->directory != NULL ? q->directory : "", n, record_table(kind)->name,
                 (unsigned long long)s->serial);
    account_dropped(&q->account, kind, DROP_CORRUPT, s->recovered, n);
    queue_note_gap_now(q, kind, DROP_CORRUPT);
    segment_leave(s, n);
}

/* ---- taking ---- */

static struct batch *first_of(struct list *l, enum record_kind kind) {
    LIST_FOREACH (l, struct event_batch, e, node) {
        if (e->kind == kind)
            return CONTAINER_OF(e, struct batch, public);
    }
    return NULL;
}

static bool fits(const struct batch *b, struct str record, size_t max) {
    return b->public.n == 0 || b->public.bytes + record.n <= max;
}

/* False: the batch is full. */
static bool gather_late(struct event_queue *q, struct batch *b, size_t max) {
    struct frame_refs *late = &q->late[b->public.kind];
    size_t i = 0;

    for (; i < late->n; i++) {
        struct frame_ref *r = &late->v[i];
        struct frame_view v;
        struct str record;
        if (!segment_frame(r->segment, r->offset, &v) || !frame_record(&v, &record)) {
            r->segment->pins--;
            queue_lose(q, r->segment, b->public.kind, 1);
            continue;
        }
        if (!fits(b, record, max))
            break;
        queue_batch_add(b, r->segment, r->offset, record); /* the pin goes on */
    }
    late->n -= i;
    if (late->n > 0)
        memmove(late->v, late->v + i, late->n * sizeof late->v[0]);
    return late->n == 0;
}

/* False: the batch is full, and the frame is still ahead. */
static bool gather_frame(struct event_queue *q, struct batch *b, size_t max, struct segment *s,
                         const struct frame_view *v) {
    enum record_kind kind = b->public.kind;
    struct str record;

    if (v->head.kind != kind || v->head.gone == FRAME_STORED || v->head.gone == FRAME_DROPPED || v->head.batch != 0)
        return true;
    if (v->head.state == FRAME_RESERVED && v->head.gone == FRAME_HERE) {
        s->kinds[kind].passed++;
    } else if (v->head.gone != FRAME_HERE || !frame_record(v, &record)) {
        frame_go(v->frame, FRAME_DROPPED);
        queue_lose(q, s, kind, 1);
    } else if (!fits(b, record, max)) {
        return false;
    } else {
        s->pins++;
        queue_batch_add(b, s, v->offset, record);
    }
    s->kinds[kind].ahead--;
    return true;
}

static bool gather_segment(struct event_queue *q, struct batch *b, size_t max, struct segment *s) {
    enum record_kind kind = b->public.kind;
    size_t at = s->kinds[kind].cursor;
    struct frame_view v;

    while (s->kinds[kind].ahead > 0 && segment_next(s, &at, s->used, &v, NULL)) {
        if (!gather_frame(q, b, max, s, &v))
            return false;
        s->kinds[kind].cursor = at;
    }
    if (s->kinds[kind].ahead > 0) { /* not found: their pages are not what they were */
        queue_lose(q, s, kind, s->kinds[kind].ahead);
        s->kinds[kind].ahead = 0;
        s->kinds[kind].cursor = s->used;
    }
    return true;
}

static void gather(struct event_queue *q, struct batch *b, size_t max) {
    enum record_kind kind = b->public.kind;
    bool more = gather_late(q, b, max);

    LIST_FOREACH (&q->segments, struct segment, s, node) {
        if (s->kinds[kind].ahead == 0)
            continue;
        if (!more) { /* what comes next is read in meanwhile */
            (void)queue_segment_here(q, s);
            break;
        }
        if (!queue_segment_here(q, s)) {
            if (s->kinds[kind].ahead > 0)
                break;
            continue; /* it vanished */
        }
        more = gather_segment(q, b, max, s);
        if (segment_guard_hurt(s->guard))
            queue_abandon_segment(q, s);
    }
}

/* One that came back may be larger than what is wanted now. */
static void cut_to(struct event_queue *q, struct batch *b, size_t max) {
    size_t n = 0, bytes = 0;

    while (n < b->public.n && (n == 0 || bytes + b->public.records[n].n <= max))
        bytes += b->public.records[n++].n;
    if (n < b->public.n) {
        struct event_batch *rest = event_batch_split(q, &b->public, n);
        list_remove(&rest->node);
        list_prepend(&q->returned[rest->kind], &rest->node);
    }
}

static struct event_batch *take(struct event_queue *q, enum record_kind kind, size_t max_bytes, bool returned) {
    struct batch *b;

    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    ASSERT(kind < RECORD_KINDS);
    if ((b = first_of(&q->doubtful, kind)) != NULL) {
        list_move(&q->taken, &b->public.node);
        return &b->public;
    }
    if (returned && (b = first_of(&q->returned[kind], kind)) != NULL) {
        list_move(&q->taken, &b->public.node);
        cut_to(q, b, max_bytes);
        return &b->public;
    }
    b = queue_batch_new(kind, 0);
    gather(q, b, max_bytes);
    settle(q);
    if (b->public.n == 0) {
        queue_batch_free(b);
        return NULL;
    }
    b->public.id = account_new_batch(&q->account);
    find_oldest(q, b);
    list_append(&q->taken, &b->public.node);
    return &b->public;
}

struct event_batch *event_queue_take(struct event_queue *q, enum record_kind kind, size_t max_bytes) {
    return take(q, kind, max_bytes, true);
}

struct event_batch *event_queue_take_new(struct event_queue *q, enum record_kind kind, size_t max_bytes) {
    return take(q, kind, max_bytes, false);
}

size_t event_queue_returned(const struct event_queue *q, enum record_kind kind) {
    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    ASSERT(kind < RECORD_KINDS);
    return q->returned[kind].length;
}

/* ---- what became of it ---- */

void event_batch_committing(struct event_queue *q, struct event_batch *e, uint64_t transaction) {
    struct batch *b = batch_of(q, e);

    if (!b->marked)
        mark(b);
    account_doubt_end(&q->account, b->doubt);
    b->doubt = account_doubt_begin(&q->account, e->id, e->kind, transaction);
    ASSERT(b->doubt >= 0 || q->directory == NULL);
    e->transaction = transaction;
    e->in_doubt = true;
}

/* Its rows are counted, and still there to be looked at. */
static void note_dropped(struct event_queue *q, const struct event_batch *e, enum drop_reason why) {
    if (e->n == 0)
        return;
    if (why == DROP_NO_TABLE)
        queue_table_is_missing(q, e);
    queue_note_gap(q, e->kind, why, queue_span(q, e, 0, e->n));
}

static void end_batch(struct event_queue *q, struct batch *b, bool stored, enum drop_reason why) {
    struct event_batch *e = &b->public;
    enum record_kind kind = e->kind;
    size_t n = e->n, carried = 0;

    if (!b->marked)
        mark(b);
    if (b->doubt < 0)
        b->doubt = account_doubt_begin(&q->account, e->id, e->kind, 0);
    for (size_t i = 0; i < e->n; i++)
        carried += b->refs[i].segment->recovered;
    account_doubt_decide(&q->account, b->doubt, e->kind, stored, why, e->n, carried);
    for (size_t i = 0; i < e->n; i++) {
        fetch_ahead(b, i);
        frame_go(frame_at(&b->refs[i]), stored ? FRAME_STORED : FRAME_DROPPED);
        b->refs[i].segment->pins--;
        segment_leave(b->refs[i].segment, 1);
    }
    account_doubt_end(&q->account, b->doubt);
    if (!stored)
        note_dropped(q, e, why);
    queue_batch_free(b);
    settle(q);
    if (stored && n > 0)
        queue_table_is_there(q, kind);
    if (queue_has_gaps(q))
        queue_write_gaps(q);
}

void event_batch_stored(struct event_queue *q, struct event_batch *e) {
    end_batch(q, batch_of(q, e), true, DROP_FULL);
}

void event_batch_dropped(struct event_queue *q, struct event_batch *e, enum drop_reason why) {
    ASSERT(why < DROP_REASONS);
    end_batch(q, batch_of(q, e), false, why);
}

static void end_doubt(struct event_queue *q, struct batch *b) {
    account_doubt_end(&q->account, b->doubt);
    b->doubt = -1;
    b->public.in_doubt = false;
    b->public.transaction = 0;
}

void event_batch_give_back(struct event_queue *q, struct event_batch *e) {
    struct batch *b = batch_of(q, e);

    e->again = true;
    if (e->n > 0 && e->in_doubt) {
        list_move(&q->doubtful, &e->node);
        return;
    }
    end_doubt(q, b);
    if (e->n > 0)
        list_move(&q->returned[e->kind], &e->node);
    else
        queue_batch_free(b);
}

void event_batch_drop_row(struct event_queue *q, struct event_batch *e, size_t i) {
    struct batch *b = batch_of(q, e);
    struct segment *s;

    ASSERT(i < e->n);
    s = b->refs[i].segment;
    account_dropped(&q->account, e->kind, DROP_BAD_ROW, s->recovered, 1);
    queue_note_gap(q, e->kind, DROP_BAD_ROW, queue_span(q, e, i, 1));
    frame_go(frame_at(&b->refs[i]), FRAME_DROPPED);
    s->pins--;
    segment_leave(s, 1);
    e->n--;
    e->bytes -= e->records[i].n;
    memmove(&e->records[i], &e->records[i + 1], (e->n - i) * sizeof e->records[0]);
    memmove(&b->refs[i], &b->refs[i + 1], (e->n - i) * sizeof b->refs[0]);
    queue_segment_settle(q, s);
    if (queue_has_gaps(q))
        queue_write_gaps(q);
}

static bool is_intact(const struct frame_ref *r) {
    struct frame_view v;
    struct str record;

    return segment_frame(r->segment, r->offset, &v) && frame_record(&v, &record);
}

/* Of rows [from, to), all of one segment: the damaged ones go, the others move to `keep`. Returns behind them. */
static size_t verify_run(struct event_queue *q, struct batch *b, size_t from, size_t to, size_t keep) {
    struct event_batch *e = &b->public;
    struct segment *s = b->refs[from].segment;
    bool hurt = segment_guard_hurt(s->guard);
    size_t kept = keep;

    if (!hurt && keep == from)
        return to;
    for (size_t i = from; i < to; i++) {
        if (hurt && !is_intact(&b->refs[i])) {
            frame_go(frame_at(&b->refs[i]), FRAME_DROPPED);
            e->bytes -= e->records[i].n;
            continue;
        }
        e->records[kept] = e->records[i];
        b->refs[kept++] = b->refs[i];
    }
    size_t lost = to - from - (kept - keep);
    if (hurt)
        queue_abandon_segment(q, s);
    s->pins -= lost;
    queue_lose(q, s, e->kind, lost);
    return kept;
}

size_t event_batch_verify(struct event_queue *q, struct event_batch *e) {
    struct batch *b = batch_of(q, e);
    size_t n = e->n, keep = 0;

    for (size_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && b->refs[to].segment == b->refs[from].segment;)
            to++;
        keep = verify_run(q, b, from, to, keep);
    }
    e->n = keep;
    if (keep < n)
        settle(q);
    return n - keep;
}

struct event_batch *event_batch_split(struct event_queue *q, struct event_batch *e, size_t n) {
    struct batch *b = batch_of(q, e), *rest;

    ASSERT(n > 0 && n < e->n && !e->in_doubt);
    end_doubt(q, b); /* of an attempt that is known not to have committed */
    rest = queue_batch_new(e->kind, account_new_batch(&q->account));
    rest->public.again = e->again;
    make_room(rest, e->n - n); /* many a part is a single row */
    for (size_t i = n; i < e->n; i++) {
        queue_batch_add(rest, b->refs[i].segment, b->refs[i].offset, e->records[i]);
        e->bytes -= e->records[i].n;
    }
    e->n = n;
    if (b->marked)
        mark(rest); /* or it would be taken for a part of b after a crash */
    find_oldest(q, rest);
    list_append(&q->taken, &rest->public.node);
    return &rest->public;
}
