/*
 * New segments: one is made ahead, by a helper, of a file that nobody needs any
 * more where there is one. While none is to be had (the helper is behind, the
 * disk is full), memory stands in for it: a bridge, whose file is made later.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "telemetry/queue_parts.h"
#include "telemetry/segment_guard.h"

/* ---- what a helper made ---- */

static void make_failed(struct event_queue *q, int error) {
    if (q->make_error == 0 && q->options.log != NULL)
        log_warn(q->options.log, "telemetry queue %s: no further segment: %s; events are kept in memory, then dropped",
                 q->directory, strerror(error));
    q->make_error = error;
    q->make_pause = q->make_pause == 0 ? RETRY_MIN : q->make_pause * 2 > RETRY_MAX ? RETRY_MAX : q->make_pause * 2;
    q->make_again = mono_add(mono_now(), q->make_pause);
    if (q->options.loop != NULL)
        deadline_set(&q->retry, q->make_pause);
}

/* The file takes over what a segment in memory holds, at the same addresses: views into it stay good. */
static void adopt(struct event_queue *q, struct segment *s, struct segment_job *j) {
    const size_t head = sizeof(struct segment_head);

    memcpy(j->base + head, s->base + head, s->used - head);
    if (!segment_guard_hurt(j->guard)) {
        XXXASSERT(mmap(s->base, s->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, j->fd, 0) == s->base);
        s->guard = segment_guard_add(s->base, s->size);
        s->memory = false;
        q->bridges--;
    }
    segment_guard_remove(j->guard);
    munmap(j->base, j->size);
    j->base = NULL;
    if (s->memory)
        make_failed(q, ENOSPC);
}

void queue_made(struct event_queue *q, struct segment_job *j) {
    struct segment *s = queue_segment_find(q, j->serial);

    ASSERT(q->making == j && !j->taken);
    q->making = NULL;
    j->taken = true;
    if (j->base == NULL) {
        make_failed(q, j->error);
        return;
    }
    if (q->make_error != 0 && q->options.log != NULL)
        log_info(q->options.log, "telemetry queue %s: segments can be made again", q->directory);
    q->make_error = 0;
    q->make_pause = 0;
    if (j->guard < 0)
        j->guard = segment_guard_add(j->base, j->size);
    if (s != NULL) {
        ASSERT(s->memory && s->size == j->size);
        adopt(q, s, j);
        queue_segment_settle(q, s); /* it was not unmapped as long as it had no file */
        return;
    }
    q->spare = queue_segment_new(j->serial, j->size);
    q->spare->base = j->base;
    q->spare->guard = j->guard;
}

static void take_if_made(struct event_queue *q) {
    if (q->making != NULL && atomic_load_explicit(&q->making->finished, memory_order_acquire))
        queue_made(q, q->making);
}

static struct segment *first_bridge(struct event_queue *q) {
    if (q->bridges > 0)
        LIST_FOREACH (&q->segments, struct segment, s, node) {
            if (s->memory)
                return s;
        }
    return NULL;
}

/* ---- using files again ---- */

bool queue_keep_file(struct event_queue *q, struct segment *s) {
    size_t size = queue_segment_size(q);
    bool keep = s->base != NULL && !s->memory && !s->abandoned && !segment_guard_hurt(s->guard) && s->size == size &&
                q->idle.length < IDLE_MAX && q->bytes + (q->idle.length + 2) * size <= q->size;

    if (keep)
        list_append(&q->idle, &s->node);
    return keep;
}

/* NULL: none of that size. */
static struct segment *take_idle(struct event_queue *q, size_t size) {
    LIST_FOREACH (&q->idle, struct segment, s, node) {
        list_remove(&s->node);
        if (s->size == size)
            return s;
        queue_release(q, s, true); /* queue_size has changed since */
        FREE_OBJ(s);
    }
    return NULL;
}

static void use_again(struct segment_job *j, const struct event_queue *q, struct segment *s) {
    j->used_path = segment_path(q->directory, s->serial);
    j->used = s->recovered ? s->size : s->used; /* a torn tail may be behind it */
    j->base = s->base;
    j->guard = s->guard;
    FREE_OBJ(s);
}

void queue_make_ahead(struct event_queue *q) {
    struct segment *bridge, *idle;
    struct segment_job *j;

    take_if_made(q);
    if (q->directory == NULL || q->making != NULL || (q->make_error != 0 && mono_now().us < q->make_again.us))
        return;
    bridge = first_bridge(q);
    if (bridge == NULL && q->spare != NULL)
        return;
    uint64_t serial = bridge != NULL ? bridge->serial : q->next_serial++;
    j = segment_job_new(SEGMENT_MAKE, segment_path(q->directory, serial), serial,
                        bridge != NULL ? bridge->size : queue_segment_size(q));
    j->created = queue_wall(q);
    idle = bridge == NULL ? take_idle(q, j->size) : NULL;
    if (idle != NULL)
        use_again(j, q, idle);
    q->making = j;
    queue_start_job(q, j);
}

/* ---- bridges ---- */

static struct segment *bridge_new(struct event_queue *q) {
    bool expected = q->making != NULL && queue_segment_find(q, q->making->serial) == NULL;
    uint64_t serial = expected ? q->making->serial : q->next_serial++;
    size_t size = expected ? q->making->size : queue_segment_size(q);
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        return NULL;
    struct segment *s = queue_segment_new(serial, size);
    s->base = p;
    s->memory = true;
    if (q->directory != NULL)
        q->bridges++;
    segment_head_write(s->base, serial, size, queue_wall(q));
    return s;
}

static bool may_bridge(const struct event_queue *q) {
    return q->directory == NULL || q->bridges < (q->make_error != 0 ? BRIDGES_FAILED : BRIDGES);
}

struct segment *queue_new_segment(struct event_queue *q) {
    queue_make_ahead(q);
    struct segment *s = q->spare;
    q->spare = NULL;
    return s != NULL ? s : may_bridge(q) ? bridge_new(q) : NULL;
}

bool queue_can_make(struct event_queue *q) {
    queue_make_ahead(q);
    return q->spare != NULL || may_bridge(q);
}

/* ---- the end ---- */

/* A file that a helper is still making would be found by whoever opens the queue next. */
static void wait_for_made(struct event_queue *q) {
    for (int i = 0; i < 5000 && q->making != NULL; i++) {
        take_if_made(q);
        if (q->making != NULL)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
}

/* What is only in memory goes to files, if there is a way. */
static void save_bridges(struct event_queue *q) {
    q->options.helpers = NULL;
    q->make_error = 0;
    for (size_t i = 0; i < BRIDGES && q->bridges > 0 && q->making == NULL; i++)
        queue_make_ahead(q);
}

void queue_make_finish(struct event_queue *q) {
    wait_for_made(q);
    save_bridges(q);
}
