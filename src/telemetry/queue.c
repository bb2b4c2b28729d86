/*
 * The queue as a whole: opened (what is on disk is recovered, the first segment
 * is there before the first event), closed (all stays), and seen from outside.
 */
#include "telemetry/queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "telemetry/queue_parts.h"

static void tell(struct event_queue *q) {
    if (queue_has_gaps(q))
        queue_write_gaps(q);
    deadline_clear(&q->wake); /* the row of a gap would set it */
    if (q->options.ready != NULL)
        q->options.ready(q->options.owner);
}

static void on_retry(struct deadline *d) {
    struct event_queue *q = CONTAINER_OF(d, struct event_queue, retry);

    queue_make_ahead(q);
    tell(q);
}

static void on_wake(struct deadline *d) {
    tell(CONTAINER_OF(d, struct event_queue, wake));
}

static struct event_queue *queue_new(const struct event_queue_options *o) {
    struct event_queue *q;

    ALLOC_OBJ(q, EVENT_QUEUE_MAGIC);
    q->options = *o;
    q->options.directory = NULL; /* the caller's; ours is q->directory */
    q->size = o->size < 0 ? 0 : (size_t)o->size;
    q->next_serial = 1;
    q->opened = mono_now();
    list_init(&q->segments);
    list_init(&q->idle);
    list_init(&q->jobs);
    list_init(&q->taken);
    list_init(&q->doubtful);
    for (size_t k = 0; k < RECORD_KINDS; k++)
        list_init(&q->returned[k]);
    if (o->loop != NULL) {
        deadline_init(&q->retry, o->loop, on_retry);
        deadline_init(&q->wake, o->loop, on_wake);
        deadline_init(&q->gap_due, o->loop, queue_gap_due);
        deadline_init(&q->full.later, o->loop, queue_full_later);
    }
    return q;
}

static bool open_directory(struct event_queue *q, const char *directory, char **error) {
    if (!state_dir_make(directory)) {
        XXXASSERT(asprintf(error, "%s: %s", directory, strerror(errno)) >= 0);
        return false;
    }
    if (!account_open(&q->account, directory, error))
        return false;
    q->directory = strdup(directory);
    XXXAN(q->directory);
    return true;
}

/* The first segment is made here and now: an event that comes at once is on disk at once. */
static void begin(struct event_queue *q) {
    struct helpers *helpers = q->options.helpers;

    queue_recover(q);
    q->options.helpers = NULL;
    queue_make_ahead(q);
    q->options.helpers = helpers;
    for (size_t k = 0; k < RECORD_KINDS; k++)
        if ((q->account.kinds[k].queued > 0 || q->gaps) && q->options.loop != NULL)
            deadline_set(&q->wake, 0);
}

struct event_queue *event_queue_open(const struct event_queue_options *o, char **error) {
    struct event_queue *q = queue_new(o);

    account_init(&q->account);
    if (o->directory == NULL)
        return q;
    if (!open_directory(q, o->directory, error)) {
        event_queue_close(q);
        return NULL;
    }
    begin(q);
    return q;
}

static void free_batches(struct list *l) {
    LIST_FOREACH (l, struct event_batch, e, node) {
        queue_batch_free(CONTAINER_OF(e, struct batch, public));
    }
}

void event_queue_close(struct event_queue *q) {
    if (q == NULL)
        return;
    CHECK_OBJ(q, EVENT_QUEUE_MAGIC);
    queue_rooms_close(q);
    queue_find_gaps(q); /* of what was in memory and found no room on disk */
    free_batches(&q->taken);
    free_batches(&q->doubtful);
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        free_batches(&q->returned[k]);
        free(q->late[k].v);
    }
    if (q->options.loop != NULL) {
        deadline_destroy(&q->retry);
        deadline_destroy(&q->wake);
        deadline_destroy(&q->gap_due);
        deadline_destroy(&q->full.later);
    }
    account_close(&q->account);
    free(q->directory);
    FREE_OBJ(q);
}

const struct event_account *event_queue_account(const struct event_queue *q, enum record_kind kind) {
    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    ASSERT(kind < RECORD_KINDS);
    return &q->account.kinds[kind];
}

size_t event_queue_bytes(const struct event_queue *q) {
    size_t bytes = 0;

    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    LIST_FOREACH (&q->segments, struct segment, s, node) {
        if (s->live > 0)
            bytes += s->used;
    }
    return bytes;
}

bool event_queue_is_crowded(const struct event_queue *q) {
    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    return q->bytes + queue_segment_size(q) + q->size / 8 > q->size;
}

bool event_queue_on_disk(const struct event_queue *q) {
    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    return q->directory != NULL;
}

void event_queue_resize(struct event_queue *q, int64_t size) {
    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    q->size = size < 0 ? 0 : (size_t)size;
    if (queue_has_gaps(q))
        queue_write_gaps(q);
}
