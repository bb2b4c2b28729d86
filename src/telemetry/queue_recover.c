/*
 * What a run before left, however it ended. Every file of the directory that
 * is named like a segment is looked at, frame by frame; nothing in it is believed
 * that a CRC does not confirm. Then counters and contents are made to agree.
 *
 * Runs at boot and at a reload that opens the queue: it may block.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telemetry/queue_parts.h"
#include "telemetry/segment_guard.h"

struct doubtful {
    struct doubt what;
    int place;
    struct batch *batch; /* COMMITTING; NULL: no frame found yet */
};

struct recovery {
    struct event_queue *queue;
    size_t doubt_count;
    struct doubtful doubts[EVENT_BATCHES_IN_DOUBT];
    uint64_t damaged[RECORD_KINDS];
    size_t died; /* were only reserved */
    struct record_draft rest;
};

struct serials {
    size_t n, allocated;
    uint64_t *v;
};

/* ---- which files ---- */

static int compare_serials(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static struct serials list_segments(const char *directory) {
    struct serials found = {0};
    DIR *d = opendir(directory);
    struct dirent *e;

    while (d != NULL && (e = readdir(d)) != NULL) {
        uint64_t serial;
        if (!segment_serial(e->d_name, &serial))
            continue;
        if (found.n == found.allocated) {
            found.allocated = found.allocated == 0 ? 64 : found.allocated * 2;
            found.v = realloc(found.v, found.allocated * sizeof found.v[0]);
            XXXAN(found.v);
        }
        found.v[found.n++] = serial;
    }
    if (d != NULL)
        closedir(d);
    if (found.n > 0)
        qsort(found.v, found.n, sizeof found.v[0], compare_serials);
    return found;
}

/* ---- frames ---- */

static struct doubtful *doubt_of(struct recovery *r, const struct frame *f) {
    for (size_t i = 0; i < r->doubt_count && f->batch != 0; i++)
        if (r->doubts[i].what.batch == f->batch && r->doubts[i].what.kind == f->kind)
            return &r->doubts[i];
    return NULL;
}

/* The end that never came. */
static void complete(struct recovery *r, struct frame_view *v) {
    struct str record;

    if (v->head.state != FRAME_RESERVED || v->head.gone != FRAME_HERE || !frame_record(v, &record))
        return;
    if (record_died(&r->rest, record))
        queue_finish_frame(v, record_str(&r->rest));
    else
        frame_settle(v); /* whole, but no record: for the pool to set aside */
    r->died++;
}

static void damaged(struct recovery *r, const struct frame_view *v) {
    r->damaged[v->head.kind]++;
    frame_go(v->frame, FRAME_DROPPED);
}

static void recover_frame(struct recovery *r, struct segment *s, struct frame_view *v) {
    enum record_kind kind = (enum record_kind)v->head.kind;
    struct doubtful *d;
    struct str record;

    if (v->head.gone == FRAME_STORED || v->head.gone == FRAME_DROPPED)
        return;
    complete(r, v);
    if (v->head.gone != FRAME_HERE || !frame_record(v, &record)) {
        damaged(r, v);
        return;
    }
    d = doubt_of(r, &v->head);
    if (d != NULL && d->what.state != DOUBT_COMMITTING) {
        frame_go(v->frame, d->what.state == DOUBT_STORED ? FRAME_STORED : FRAME_DROPPED);
        return;
    }
    s->live++;
    if (d == NULL) {
        if (v->head.batch != 0)
            frame_mark(v->frame, 0);
        s->kinds[kind].ahead++;
        return;
    }
    if (d->batch == NULL)
        d->batch = queue_batch_new(kind, d->what.batch);
    s->pins++;
    queue_batch_add(d->batch, s, v->offset, record);
}

/* ---- segments ---- */

static void say(const struct event_queue *q, const char *path, const char *what) {
    if (q->options.log != NULL)
        log_warn(q->options.log, "telemetry queue: %s: %s", path, what);
}

static void set_aside(const struct event_queue *q, const char *path) {
    char *aside;

    XXXASSERT(asprintf(&aside, "%s.damaged", path) >= 0);
    say(q, path, rename(path, aside) == 0 ? "holds nothing that can be read; set aside as .damaged" : strerror(errno));
    free(aside);
}

static void scan(struct recovery *r, struct segment *s, bool *skipped) {
    size_t at = sizeof(struct segment_head), end = at;
    struct frame_view v;

    while (segment_next(s, &at, s->size, &v, skipped)) {
        recover_frame(r, s, &v);
        end = at;
    }
    s->used = end;
}

/* Maps all of it for the scan, at most SEGMENT_SIZE_MAX. NULL with errno; 0: nothing can be in it. */
static char *map_whole(const char *path, size_t *size) {
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    void *p = MAP_FAILED;

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)) {
        errno = ENODEV;
    } else if (st.st_size <= (off_t)sizeof(struct segment_head)) {
        errno = 0;
    } else {
        *size = st.st_size > (off_t)SEGMENT_SIZE_MAX ? SEGMENT_SIZE_MAX : (size_t)st.st_size & ~(size_t)7;
        p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED)
            (void)madvise(p, *size, MADV_SEQUENTIAL);
    }
    int error = errno;
    close(fd);
    errno = error;
    return p == MAP_FAILED ? NULL : p;
}

/* Is it for us to read? A damaged head does not matter: frames have CRCs of their own. */
static bool is_ours(const struct event_queue *q, const char *path, const char *base, size_t size, uint64_t serial) {
    enum segment_head_state head = segment_head_check(base, size, serial);

    if (head == HEAD_OTHER_RELEASE)
        say(q, path, "was written by another release of faucet; left alone");
    else if (head == HEAD_FOREIGN)
        say(q, path, "is a copy of another segment; left alone");
    else if (head == HEAD_DAMAGED)
        say(q, path, "has a damaged head; looking for events behind it");
    return head == HEAD_GOOD || head == HEAD_DAMAGED;
}

static void recover_segment(struct recovery *r, const char *path, uint64_t serial) {
    struct event_queue *q = r->queue;
    size_t size = 0;
    char *base = map_whole(path, &size);
    bool skipped = false;

    if (base == NULL) {
        if (errno != 0)
            say(q, path, strerror(errno));
        else
            unlink(path);
        return;
    }
    int guard = segment_guard_add(base, size);
    if (segment_head_check(base, size, serial) == HEAD_EMPTY) {
        segment_guard_remove(guard);
        munmap(base, size);
        unlink(path);
        return;
    }
    if (!is_ours(q, path, base, size, serial)) {
        segment_guard_remove(guard);
        munmap(base, size);
        return;
    }
    struct segment *s = queue_segment_add(q, serial, size);
    s->base = base;
    s->guard = guard;
    s->recovered = true;
    scan(r, s, &skipped);
    if (s->live == 0 && skipped)
        set_aside(q, path);
    else if (s->live > 0 && segment_head_check(base, size, serial) == HEAD_DAMAGED)
        segment_head_write(base, serial, size, queue_wall(q));
    queue_segment_settle(q, s); /* removes it, or unmaps it until its turn comes */
}

/* ---- the whole ---- */

static void read_doubts(struct recovery *r) {
    struct account *a = &r->queue->account;

    for (int place = 0; place < EVENT_BATCHES_IN_DOUBT; place++) {
        struct doubtful *d = &r->doubts[r->doubt_count];
        if (!account_doubt(a, place, &d->what)) {
            account_doubt_end(a, place);
            continue;
        }
        if (d->what.state != DOUBT_COMMITTING)
            account_doubt_replay(a, place);
        d->place = place;
        r->doubt_count++;
    }
}

static void hand_out_doubts(struct recovery *r) {
    for (size_t i = 0; i < r->doubt_count; i++) {
        struct doubtful *d = &r->doubts[i];
        if (d->batch == NULL) {
            account_doubt_end(&r->queue->account, d->place);
            continue;
        }
        d->batch->doubt = d->place;
        d->batch->marked = true;
        d->batch->public.in_doubt = true;
        d->batch->public.transaction = d->what.transaction;
        d->batch->public.oldest = r->queue->opened;
        list_append(&r->queue->doubtful, &d->batch->public.node);
    }
}

/* Events of that kind that are in the segments. */
static uint64_t found(struct recovery *r, enum record_kind kind) {
    uint64_t n = 0;

    LIST_FOREACH (&r->queue->segments, struct segment, s, node) {
        n += s->kinds[kind].ahead;
    }
    for (size_t i = 0; i < r->doubt_count; i++)
        if (r->doubts[i].batch != NULL && r->doubts[i].what.kind == kind)
            n += r->doubts[i].batch->public.n;
    return n;
}

static void reconcile(struct recovery *r) {
    struct event_queue *q = r->queue;
    uint64_t all = 0, corrupt = 0;

    for (size_t k = 0; k < RECORD_KINDS; k++) {
        enum record_kind kind = (enum record_kind)k;
        uint64_t n = found(r, kind);
        all += n;
        corrupt += account_reconcile(&q->account, kind, n, r->damaged[k]);
    }
    queue_find_gaps(q);
    if ((all > 0 || corrupt > 0) && q->options.log != NULL)
        log_info(q->options.log,
                 "telemetry queue %s: %llu events found, %zu of them unfinished when faucet died; %llu damaged",
                 q->directory, (unsigned long long)all, r->died, (unsigned long long)corrupt);
}

void queue_recover(struct event_queue *q) {
    struct recovery *r = calloc(1, sizeof *r);
    struct serials serials = list_segments(q->directory);

    XXXAN(r);
    r->queue = q;
    read_doubts(r);
    for (size_t i = 0; i < serials.n; i++) {
        char *path = segment_path(q->directory, serials.v[i]);
        if (serials.v[i] >= q->next_serial)
            q->next_serial = serials.v[i] + 1;
        recover_segment(r, path, serials.v[i]);
        free(path);
    }
    hand_out_doubts(r);
    reconcile(r);
    record_free(&r->rest);
    free(serials.v);
    free(r);
}
