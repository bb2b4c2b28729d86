/*
 * The ring: the producer owns head, the writer owns tail, both only grow;
 * a position in memory is their low bits. Only whole lines are put in.
 *
 * Waking: under load the producer makes no system call. The writer writes all
 * there is, naps for NAP, looks again, and only when nothing came says that it
 * sleeps; the producer wakes it then, and also from a nap when the ring is
 * half full. Announcing and looking once more are both sequentially
 * consistent, so that one of the two sees the other.
 *
 * Requests (configure, reopen) carry the ring position they were made at: what
 * was logged before goes to the old file. Their mutex is never held during
 * file work.
 */
#include "base/log_writer.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/log_file.h"
#include "base/log_line.h"
#include "base/miniobj.h"

#define NAP (10 * DUR_MS)

enum writer_state { WRITER_WORKS, WRITER_NAPS, WRITER_SLEEPS };

/* What the loop asks of the writer, from a ring position on. */
struct request {
    struct list_node node;
    uint64_t at;
    bool open; /* take over what follows; else open the same file again */
    enum log_format format;
    char *path; /* owned */
    int64_t max_size;
};

struct log_writer {
    unsigned magic;
#define LOG_WRITER_MAGIC 0x10641a1e
    pthread_t thread;
    sem_t wake, ended;
    _Atomic int state; /* enum writer_state; whoever takes it out of NAPS or SLEEPS posts `wake` */
    atomic_bool stopping;
    atomic_bool left; /* one of the two sides has gone */
    _Atomic uint64_t head, tail;
    _Atomic uint64_t no_room, not_written; /* lines */

    pthread_mutex_t mutex; /* of `requests` */
    struct list requests;  /* of struct request, oldest first */
    atomic_bool requested; /* there are some */

    /* the writer's own */
    enum log_format format;
    struct log_file file;
    struct buf notice;
    struct log_stamp stamp;
    uint64_t told_no_room, told_not_written;
    int told_error; /* why lines are lost, until it is over */
    char ring[LOG_RING_SIZE];
};

/* ---- the producer's side ------------------------------------------------------------------------------------------
 */

static void wake_from(struct log_writer *w, int state) {
    if (atomic_compare_exchange_strong(&w->state, &state, WRITER_WORKS))
        AZ(sem_post(&w->wake));
}

void log_writer_put(struct log_writer *w, struct str line) {
    uint64_t head = atomic_load_explicit(&w->head, memory_order_relaxed);
    uint64_t used = head - atomic_load_explicit(&w->tail, memory_order_acquire);
    size_t at = (size_t)head & (LOG_RING_SIZE - 1), first = LOG_RING_SIZE - at;
    int state;

    CHECK_OBJ_NOTNULL(w, LOG_WRITER_MAGIC);
    if (line.n > LOG_RING_SIZE - used) {
        atomic_fetch_add_explicit(&w->no_room, 1, memory_order_relaxed);
        return;
    }
    if (first > line.n)
        first = line.n;
    memcpy(w->ring + at, line.p, first);
    memcpy(w->ring, line.p + first, line.n - first);
    atomic_store(&w->head, head + line.n);
    state = atomic_load(&w->state);
    if (state == WRITER_SLEEPS || (state == WRITER_NAPS && used > LOG_RING_SIZE / 2))
        wake_from(w, state);
}

static void wake_now(struct log_writer *w) {
    wake_from(w, WRITER_NAPS);
    wake_from(w, WRITER_SLEEPS);
}

static void request_free(struct request *r) {
    free(r->path);
    free(r);
}

/* Requests with no line between them are one request, so a writer that is stuck does not let them pile up. */
static void post_request(struct log_writer *w, struct request *r) {
    struct list_node *n;

    r->at = atomic_load_explicit(&w->head, memory_order_relaxed);
    AZ(pthread_mutex_lock(&w->mutex));
    n = list_last(&w->requests);
    if (n != NULL && CONTAINER_OF(n, struct request, node)->at == r->at) {
        struct request *last = CONTAINER_OF(n, struct request, node);

        if (!r->open) { /* the last one opens, or opens again, there already */
            AZ(pthread_mutex_unlock(&w->mutex));
            request_free(r);
            return;
        }
        list_remove(n);
        request_free(last);
    }
    list_append(&w->requests, &r->node);
    atomic_store(&w->requested, true);
    AZ(pthread_mutex_unlock(&w->mutex));
    wake_now(w);
}

static struct request *request_new(void) {
    struct request *r = calloc(1, sizeof *r);

    XXXAN(r);
    return r;
}

void log_writer_configure(struct log_writer *w, enum log_format format, const char *file, int64_t max_size) {
    struct request *r = request_new();

    CHECK_OBJ_NOTNULL(w, LOG_WRITER_MAGIC);
    r->open = true;
    r->format = format;
    r->path = file == NULL ? NULL : strdup(file);
    XXXASSERT(file == NULL || r->path != NULL);
    r->max_size = max_size;
    post_request(w, r);
}

void log_writer_reopen(struct log_writer *w) {
    CHECK_OBJ_NOTNULL(w, LOG_WRITER_MAGIC);
    post_request(w, request_new());
}

uint64_t log_writer_dropped(const struct log_writer *w) {
    return atomic_load(&w->no_room) + atomic_load(&w->not_written);
}

/* ---- the writer's side --------------------------------------------------------------------------------------------
 */

static uint64_t count_lines(struct str bytes) {
    uint64_t lines = 0;

    for (size_t i = 0; i < bytes.n; i++)
        lines += bytes.p[i] == '\n';
    return lines;
}

static void advance(struct log_writer *w, size_t n) {
    uint64_t tail = atomic_load_explicit(&w->tail, memory_order_relaxed);

    atomic_store_explicit(&w->tail, tail + n, memory_order_release);
}

/* The bytes from tail up to `until` that lie in one piece. */
static struct str next_piece(const struct log_writer *w, uint64_t until) {
    uint64_t tail = atomic_load_explicit(&w->tail, memory_order_relaxed);
    size_t at = (size_t)tail & (LOG_RING_SIZE - 1), n = until > tail ? (size_t)(until - tail) : 0;

    return str_make(w->ring + at, n < LOG_RING_SIZE - at ? n : LOG_RING_SIZE - at);
}

/* A line that was cut off counts as lost. `until` is the end of a line, so what follows is whole again. */
static void drop_until(struct log_writer *w, uint64_t until) {
    struct str piece;
    uint64_t lines = 0;

    while ((piece = next_piece(w, until)).n > 0) {
        lines += count_lines(piece);
        advance(w, piece.n);
    }
    atomic_fetch_add(&w->not_written, lines);
}

/* What the writer itself has to say, in the log and past the ring. False: not written. */
static bool say(struct log_writer *w, uint64_t count, const char *why) {
    struct log_line line = {.level = LOG_WARN, .time = wall_now(), .source = STR("faucet")};
    struct log_field field = LOG_INT("dropped", count);
    char text[256];
    struct str bytes;
    int n = snprintf(text, sizeof text, "%llu log record%s dropped: %s", (unsigned long long)count,
                     count == 1 ? " was" : "s were", why);

    ASSERT(n > 0 && (size_t)n < sizeof text);
    line.message = str_make(text, (size_t)n);
    line.fields = &field;
    line.field_count = 1;
    w->notice.start = w->notice.end = 0; /* keeps its memory */
    log_line_append(&w->notice, &w->stamp, w->format, &line);
    bytes = buf_str(&w->notice);
    return log_file_write(&w->file, bytes) == bytes.n;
}

static void report_losses(struct log_writer *w) {
    uint64_t no_room = atomic_load(&w->no_room), not_written = atomic_load(&w->not_written);

    if (no_room != w->told_no_room && say(w, no_room - w->told_no_room, "the writer was too slow"))
        w->told_no_room = no_room;
    if (not_written != w->told_not_written && w->file.error == 0 &&
        say(w, not_written - w->told_not_written, strerrordesc_np(w->told_error))) {
        w->told_not_written = not_written;
        w->told_error = 0;
    }
}

/* The only place where the user can see that the file does not take what is written. Once for each trouble. */
static void complain_on_stderr(struct log_writer *w) {
    if (w->told_error != w->file.error && w->file.fd != STDERR_FILENO)
        dprintf(STDERR_FILENO, "faucet: log file %s: cannot be written, records are dropped: %s\n", w->file.path,
                strerrordesc_np(w->file.error));
    w->told_error = w->file.error;
}

/* Writes the ring's contents up to `until`; what a full disk refuses is dropped, so that the ring keeps moving. */
static void write_until(struct log_writer *w, uint64_t until) {
    struct str piece;

    while ((piece = next_piece(w, until)).n > 0) {
        size_t written = log_file_write(&w->file, piece);

        advance(w, written);
        if (written < piece.n) {
            complain_on_stderr(w);
            drop_until(w, until);
            return;
        }
    }
}

static struct request *take_request(struct log_writer *w) {
    struct list_node *n;

    if (!atomic_load(&w->requested))
        return NULL;
    AZ(pthread_mutex_lock(&w->mutex));
    n = list_first(&w->requests);
    if (n != NULL)
        list_remove(n);
    else
        atomic_store(&w->requested, false);
    AZ(pthread_mutex_unlock(&w->mutex));
    return n == NULL ? NULL : CONTAINER_OF(n, struct request, node);
}

static void serve_requests(struct log_writer *w) {
    struct request *r;

    while ((r = take_request(w)) != NULL) {
        write_until(w, r->at);
        report_losses(w);
        if (r->open) {
            w->format = r->format;
            log_file_open(&w->file, r->path, r->max_size);
        } else
            log_file_reopen(&w->file);
        request_free(r);
    }
}

/* Waits for a wake-up, until that time (NULL: as long as it takes). True: none came, and nothing is there to write. */
static bool rest(struct log_writer *w, int state, const struct timespec *until) {
    int error;

    atomic_store(&w->state, state);
    if (atomic_load(&w->stopping) || atomic_load(&w->requested) ||
        (state == WRITER_SLEEPS && atomic_load(&w->head) != atomic_load(&w->tail)))
        error = EAGAIN;
    else
        while ((error = until == NULL ? sem_wait(&w->wake) : sem_clockwait(&w->wake, CLOCK_MONOTONIC, until)) != 0 &&
               errno == EINTR)
            continue;
    if (error != 0 && !atomic_compare_exchange_strong(&w->state, &state, WRITER_WORKS))
        while (sem_wait(&w->wake) != 0) /* woken at the same moment: the post is on its way */
            continue;
    return error != 0 && atomic_load(&w->head) == atomic_load(&w->tail);
}

static struct timespec timespec_of(mono_t t) {
    return (struct timespec){.tv_sec = t.us / DUR_S, .tv_nsec = t.us % DUR_S * 1000};
}

static bool nap(struct log_writer *w) {
    struct timespec until = timespec_of(mono_add(mono_now(), NAP));

    return rest(w, WRITER_NAPS, &until);
}

static void destroy(struct log_writer *w) {
    AZ(pthread_mutex_destroy(&w->mutex));
    AZ(sem_destroy(&w->wake));
    AZ(sem_destroy(&w->ended));
    LIST_FOREACH (&w->requests, struct request, r, node) {
        request_free(r);
    }
    FREE_OBJ(w);
}

static void *writer_main(void *argument) {
    struct log_writer *w = argument;

    for (;;) {
        bool last = atomic_load(&w->stopping); /* nothing is put in after that */
        uint64_t head = atomic_load(&w->head); /* before looking for a request: one made later applies later */

        serve_requests(w);
        write_until(w, head);
        report_losses(w);
        if (last)
            break;
        if (nap(w))
            (void)rest(w, WRITER_SLEEPS, NULL);
    }
    log_file_close(&w->file);
    buf_free(&w->notice);
    if (atomic_exchange(&w->left, true)) /* nobody waits any longer */
        destroy(w);
    else
        AZ(sem_post(&w->ended));
    return NULL;
}

/* ---- start and end ------------------------------------------------------------------------------------------------
 */

struct log_writer *log_writer_start(enum log_format format) {
    struct log_writer *w = malloc(sizeof *w);
    sigset_t all, before;
    int error;

    XXXAN(w);
    memset(w->ring, 1,
           sizeof w->ring); /* its pages are taken now, so that memory does not seem to grow with every line */
    memset(w, 0, offsetof(struct log_writer, ring));
    w->magic = LOG_WRITER_MAGIC;
    w->format = format;
    AZ(sem_init(&w->wake, 0, 0));
    AZ(sem_init(&w->ended, 0, 0));
    AZ(pthread_mutex_init(&w->mutex, NULL));
    list_init(&w->requests);
    log_file_init(&w->file, &w->stopping);
    (void)sigfillset(&all); /* signals are the loop's */
    AZ(pthread_sigmask(SIG_SETMASK, &all, &before));
    error = pthread_create(&w->thread, NULL, writer_main, w);
    AZ(pthread_sigmask(SIG_SETMASK, &before, NULL));
    if (error != 0) {
        destroy(w);
        errno = error;
        return NULL;
    }
    return w;
}

bool log_writer_stop(struct log_writer *w, dur_t patience) {
    struct timespec until = timespec_of(mono_add(mono_now(), patience));
    pthread_t thread;
    int error;

    CHECK_OBJ_NOTNULL(w, LOG_WRITER_MAGIC);
    thread = w->thread;
    atomic_store(&w->stopping, true);
    wake_now(w);
    while ((error = sem_clockwait(&w->ended, CLOCK_MONOTONIC, &until)) != 0 && errno == EINTR)
        continue;
    if (error != 0 && !atomic_exchange(&w->left, true)) {
        AZ(pthread_detach(thread)); /* w is the thread's from here on */
        return false;
    }
    AZ(pthread_join(thread, NULL));
    destroy(w);
    return true;
}
