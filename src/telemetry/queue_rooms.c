/*
 * Segments as rooms: one is written, the others wait, mapped only while somebody
 * reads them. Everything that can block is a job; a job's result is taken as soon
 * as the thread is through, even before the loop hears of it, so that a burst
 * within one turn finds its next room.
 */
#include <errno.h>
#include <stdlib.h>

#include "telemetry/queue_parts.h"
#include "telemetry/segment_guard.h"

mono_t queue_now(const struct event_queue *q) {
    return q->options.loop != NULL ? q->options.loop->now : mono_now();
}

wall_t queue_wall(const struct event_queue *q) {
    return q->options.now != NULL ? q->options.now() : wall_now();
}

size_t queue_segment_size(const struct event_queue *q) {
    size_t eighth = q->size / 8 & ~(size_t)4095;

    return eighth >= SEGMENT_SIZE ? SEGMENT_SIZE : eighth < SEGMENT_SIZE_MIN ? SEGMENT_SIZE_MIN : eighth;
}

/* ---- the list ---- */

struct segment *queue_segment_new(uint64_t serial, size_t size) {
    struct segment *s;

    ALLOC_OBJ(s, SEGMENT_OBJ_MAGIC);
    s->serial = serial;
    s->size = size;
    s->guard = -1;
    s->used = sizeof(struct segment_head);
    for (size_t k = 0; k < RECORD_KINDS; k++)
        s->kinds[k].cursor = s->used;
    return s;
}

/* Nearly always at the end. */
static void insert(struct event_queue *q, struct segment *s) {
    struct list_node *n = list_last(&q->segments);

    while (n != NULL && CONTAINER_OF(n, struct segment, node)->serial > s->serial)
        n = n->prev == &q->segments.head ? NULL : n->prev;
    list_insert_before(&q->segments, n == NULL ? q->segments.head.next : n->next, &s->node);
    q->bytes += s->size;
}

struct segment *queue_segment_add(struct event_queue *q, uint64_t serial, size_t size) {
    struct segment *s = queue_segment_new(serial, size);

    insert(q, s);
    return s;
}

/* From the end: slots are of late. */
struct segment *queue_segment_find(struct event_queue *q, uint64_t serial) {
    for (struct list_node *n = list_last(&q->segments); n != NULL && n != &q->segments.head; n = n->prev) {
        struct segment *s = CONTAINER_OF(n, struct segment, node);
        if (s->serial == serial)
            return s;
    }
    return NULL;
}

void segment_leave(struct segment *s, size_t n) {
    ASSERT(s->live >= n);
    s->live -= n;
    s->touched = true;
}

/* ---- jobs ---- */

static void job_ended(struct event_queue *q, struct segment_job *j);

static void on_done(struct helper_job *job) {
    struct segment_job *j = CONTAINER_OF(job, struct segment_job, helper);
    struct event_queue *q = j->owner;

    list_remove(&j->node);
    if (q != NULL && atomic_load_explicit(&j->finished, memory_order_acquire))
        job_ended(q, j);
    else if (q != NULL && q->making == j)
        q->making = NULL; /* the helpers ended before it was its turn */
    segment_job_free(j);
}

void queue_start_job(struct event_queue *q, struct segment_job *j) {
    j->owner = q;
    list_append(&q->jobs, &j->node);
    segment_job_start(j, q->options.helpers, on_done);
}

static char *path_of(const struct event_queue *q, const struct segment *s) {
    return q->directory == NULL || s->memory ? NULL : segment_path(q->directory, s->serial);
}

void queue_release(struct event_queue *q, struct segment *s, bool remove) {
    struct segment_job *j = segment_job_new(SEGMENT_RELEASE, remove ? path_of(q, s) : NULL, s->serial, s->size);

    segment_guard_remove(s->guard);
    j->base = s->base;
    j->remove = remove;
    s->base = NULL;
    s->guard = -1;
    queue_start_job(q, j);
}

/* ---- room ---- */

static struct segment *next_room(struct event_queue *q, enum drop_reason *why) {
    struct segment *s;

    *why = DROP_FULL;
    if (q->bytes + queue_segment_size(q) > q->size)
        return NULL;
    *why = DROP_NO_SPACE;
    s = queue_new_segment(q);
    if (s != NULL)
        insert(q, s);
    return s;
}

struct segment *queue_room(struct event_queue *q, size_t need, enum drop_reason *why) {
    struct segment *old = q->current, *s;

    if (old != NULL && old->size - old->used >= need)
        return old;
    if (old != NULL && old->live == 0) {
        q->current = NULL;
        queue_segment_settle(q, old);
        old = NULL;
    }
    s = next_room(q, why);
    if (s == NULL)
        return NULL;
    q->current = s;
    if (old != NULL)
        queue_segment_settle(q, old);
    queue_make_ahead(q);
    return s;
}

bool queue_has_room(struct event_queue *q) {
    const struct segment *c = q->current;

    if (c != NULL && c->size - c->used >= c->size / 4)
        return true;
    if (q->bytes + queue_segment_size(q) > q->size)
        return false;
    return queue_can_make(q);
}

void queue_abandon_segment(struct event_queue *q, struct segment *s) {
    if (s->abandoned)
        return;
    s->abandoned = true;
    if (q->options.log != NULL)
        log_error(
            q->options.log,
            "telemetry queue %s: a page of segment %llu could not be had from the disk; it is abandoned, %zu events "
            "of it are looked at once more",
            q->directory, (unsigned long long)s->serial, s->live);
    if (q->current == s) {
        q->current = NULL;
        s->touched = true;
        queue_segment_settle(q, s);
    }
}

/* ---- mapped while needed ---- */

static void mapped(struct event_queue *q, struct segment *s, struct segment_job *j) {
    s->mapping = NULL;
    j->taken = true;
    s->map_error = j->error;
    if (j->base != NULL) {
        s->base = j->base;
        s->guard = segment_guard_add(s->base, s->size);
    } else if (q->options.loop != NULL) {
        deadline_set(&q->retry, RETRY_MIN);
    }
}

/* The file is not there any more, or is not ours: all that nobody holds is lost. */
static void vanished(struct event_queue *q, struct segment *s) {
    if (q->options.log != NULL)
        log_error(q->options.log, "telemetry queue %s: segment %llu is gone: %s; %zu events are lost", q->directory,
                  (unsigned long long)s->serial, strerror(s->map_error), s->live);
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        queue_lose(q, s, (enum record_kind)k, s->kinds[k].ahead);
        s->kinds[k].ahead = 0;
    }
}

bool queue_segment_here(struct event_queue *q, struct segment *s) {
    if (s->mapping != NULL && atomic_load_explicit(&s->mapping->finished, memory_order_acquire))
        mapped(q, s, s->mapping);
    if (s->base != NULL)
        return true;
    if (s->map_error == ENOENT || s->map_error == ENODATA || s->map_error == ELOOP) {
        vanished(q, s);
        return false;
    }
    if (s->mapping == NULL) {
        s->mapping = segment_job_new(SEGMENT_MAP, path_of(q, s), s->serial, s->size);
        queue_start_job(q, s->mapping);
    }
    return s->base != NULL;
}

static void job_ended(struct event_queue *q, struct segment_job *j) {
    struct segment *s = j->work == SEGMENT_MAP ? queue_segment_find(q, j->serial) : NULL;

    if (j->taken)
        return;
    if (j->work == SEGMENT_MAKE) {
        queue_made(q, j);
        queue_make_ahead(q);
        if (q->gaps && q->options.loop != NULL)
            deadline_set(&q->wake, 0); /* not from here: we may be in the middle of finding room */
    }
    if (s != NULL && s->mapping == j)
        mapped(q, s, j);
    if (j->work == SEGMENT_MAP && q->options.ready != NULL)
        q->options.ready(q->options.owner);
}

static bool has_ahead(const struct segment *s) {
    for (size_t k = 0; k < RECORD_KINDS; k++)
        if (s->kinds[k].ahead > 0)
            return true;
    return false;
}

/* The first two that have something to hand out stay. */
static bool is_next(struct event_queue *q, const struct segment *wanted) {
    size_t before = 0;

    LIST_FOREACH (&q->segments, struct segment, s, node) {
        if (s == wanted || before == 2)
            return before < 2;
        before += has_ahead(s);
    }
    return false;
}

void queue_segment_settle(struct event_queue *q, struct segment *s) {
    CHECK_OBJ_NOTNULL(s, SEGMENT_OBJ_MAGIC);
    s->touched = false;
    if (s == q->current)
        return;
    if (s->live > 0) {
        if (s->pins == 0 && s->base != NULL && !s->memory && s->mapping == NULL && !is_next(q, s))
            queue_release(q, s, false);
        return;
    }
    list_remove(&s->node);
    q->bytes -= s->size;
    if (s->memory && q->directory != NULL)
        q->bridges--;
    if (queue_keep_file(q, s))
        return;
    queue_release(q, s, true);
    FREE_OBJ(s);
}

/* ---- the end ---- */

static void drop_bridge(struct event_queue *q, struct segment *s) {
    size_t at = sizeof(struct segment_head);
    struct frame_view v;

    while (segment_next(s, &at, s->used, &v, NULL))
        if (v.head.gone == FRAME_HERE && q->account.kinds[v.head.kind].queued > 0)
            account_dropped(&q->account, (enum record_kind)v.head.kind, DROP_NO_SPACE, false, 1);
}

void queue_rooms_close(struct event_queue *q) {
    queue_make_finish(q);
    LIST_FOREACH (&q->jobs, struct segment_job, j, node) {
        j->owner = NULL;
        list_remove(&j->node);
    }
    if (q->spare != NULL) {
        insert(q, q->spare); /* nothing in it: goes below */
        q->spare = NULL;
    }
    LIST_FOREACH (&q->idle, struct segment, s, node) {
        list_move(&q->segments, &s->node); /* as the spare one */
    }
    LIST_FOREACH (&q->segments, struct segment, s, node) {
        if (s->memory && q->directory != NULL)
            drop_bridge(q, s);
        list_remove(&s->node);
        struct segment_job *j = segment_job_new(SEGMENT_RELEASE, path_of(q, s), s->serial, s->size);
        segment_guard_remove(s->guard);
        j->base = s->base;
        j->remove = s->live == 0;
        segment_job_free(j); /* never run: does it now */
        FREE_OBJ(s);
    }
    q->current = NULL;
    q->making = NULL;
}
