/*
 * The bytes of a spool, in order: memory [0, m), file [m, m + in_file), tail
 * (in memory, on its way to the file). One helper job at a time.
 */
#include "proxy/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void spool_init(struct spool *s, struct helpers *h, void (*progress)(struct spool *s)) {
    memset(s, 0, sizeof *s);
    s->helpers = h;
    s->progress = progress;
    s->fd = -1;
}

/* ---- in a helper thread ---- */

/* Where the file system knows no O_TMPFILE (overlayfs before Linux 6.1, NFS). */
static int spool_make_and_unlink(const char *directory) {
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/faucet-XXXXXX", directory);
    if (n < 0 || (size_t)n >= sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

/* No name, so nothing is left behind however faucet ends; /tmp is often memory, so it comes last. */
static int spool_open_file(int *error) {
    const char *const directories[] = {getenv("TMPDIR"), "/var/tmp", "/tmp"};
    for (size_t i = 0; i < ARRAY_LENGTH(directories); i++) {
        if (directories[i] == NULL || directories[i][0] != '/')
            continue;
        int fd = open(directories[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
            fd = spool_make_and_unlink(directories[i]);
        if (fd >= 0)
            return fd;
        *error = errno;
    }
    return -1;
}

static void spool_run_write(struct spool *s) {
    if (s->work.fd < 0) {
        s->work.fd = spool_open_file(&s->work.error);
        if (s->work.fd < 0)
            return;
        s->work.error = 0; /* of the directories before */
    }
    struct str left = buf_str(&s->work.bytes);
    off_t at = (off_t)s->work.offset;
    while (left.n > 0) {
        ssize_t n = pwrite(s->work.fd, left.p, left.n, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            s->work.error = n < 0 ? errno : ENOSPC;
            return;
        }
        left = str_from(left, (size_t)n);
        at += n;
    }
}

static void spool_run_read(struct spool *s, size_t want) {
    char *p = buf_reserve(&s->work.bytes, want); /* spool_submit saw to the room */
    ssize_t n;
    do
        n = pread(s->work.fd, p, want, (off_t)s->work.offset);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        s->work.error = n < 0 ? errno : EIO; /* shorter than what we wrote */
    else
        buf_commit(&s->work.bytes, (size_t)n);
}

static size_t spool_read_size(const struct spool *s) {
    uint64_t left = s->in_file - s->work.offset;
    return left < SPOOL_CHUNK ? (size_t)left : SPOOL_CHUNK;
}

static void spool_run(struct helper_job *job) {
    struct spool *s = CONTAINER_OF(job, struct spool, work.job);
    s->work.error = 0;
    if (s->work.write)
        spool_run_write(s);
    else
        spool_run_read(s, spool_read_size(s));
}

/* ---- in the loop ---- */

static uint64_t spool_file_start(const struct spool *s) {
    return buf_length(&s->memory);
}

/* What did not get into the file stays in memory, before newer bytes. */
static void spool_write_failed(struct spool *s, int error) {
    s->error = error;
    s->failed = true;
    struct buf newer = s->tail;
    s->tail = s->work.bytes;
    s->work.bytes = (struct buf){0};
    buf_append(&s->tail, buf_str(&newer));
    buf_free(&newer);
}

static void spool_work(struct spool *s);

static void spool_done(struct helper_job *job) {
    struct spool *s = CONTAINER_OF(job, struct spool, work.job);
    s->busy = false;
    s->fd = s->work.fd;
    if (s->work.error != 0 && s->work.write)
        spool_write_failed(s, s->work.error);
    else if (s->work.error != 0) {
        s->error = s->work.error;
        s->broken = true;
    } else if (s->work.write)
        s->in_file += buf_length(&s->work.bytes);
    else {
        buf_free(&s->chunk);
        s->chunk = s->work.bytes;
        s->chunk_at = spool_file_start(s) + s->work.offset;
        s->work.bytes = (struct buf){0};
    }
    buf_free(&s->work.bytes);
    spool_work(s);
    s->progress(s);
}

static void spool_submit(struct spool *s, bool write, uint64_t offset) {
    s->work.write = write;
    s->work.offset = offset;
    s->work.fd = s->fd;
    if (!write) /* here, and not in the thread: the allocator would keep a pool for every thread that allocates */
        (void)buf_reserve(&s->work.bytes, spool_read_size(s));
    s->work.job.run = spool_run;
    s->work.job.done = spool_done;
    s->busy = helper_submit(s->helpers, &s->work.job);
    if (!s->busy && !write)
        buf_free(&s->work.bytes);
}

/* A full ring towards the helpers counts as a failed write: nobody would come back to try again. */
static void spool_work(struct spool *s) {
    if (s->busy || s->failed || buf_length(&s->tail) < SPOOL_MEMORY)
        return;
    s->work.bytes = s->tail;
    s->tail = (struct buf){0};
    spool_submit(s, true, s->in_file);
    if (!s->busy)
        spool_write_failed(s, EAGAIN);
}

bool spool_takes(const struct spool *s) {
    return !s->failed && buf_length(&s->tail) < SPOOL_CHUNK;
}

void spool_write(struct spool *s, struct str bytes) {
    s->length += bytes.n;
    if (s->in_file == 0 && buf_length(&s->tail) == 0 && !s->busy) {
        size_t room = SPOOL_MEMORY - buf_length(&s->memory);
        size_t n = bytes.n < room ? bytes.n : room;
        buf_append(&s->memory, str_make(bytes.p, n));
        bytes = str_from(bytes, n);
    }
    if (bytes.n > 0)
        buf_append(&s->tail, bytes);
    spool_work(s);
}

/* Bytes that a running write holds: after the file, before the tail. */
static struct str spool_in_flight(const struct spool *s) {
    return s->busy && s->work.write ? buf_str(&s->work.bytes) : STR_NONE;
}

struct str spool_peek(struct spool *s) {
    uint64_t at = s->read_at, memory = spool_file_start(s);
    if (at < memory)
        return str_from(buf_str(&s->memory), (size_t)at);
    if (at >= s->chunk_at && at < s->chunk_at + buf_length(&s->chunk))
        return str_from(buf_str(&s->chunk), (size_t)(at - s->chunk_at));
    uint64_t in_file = at - memory;
    if (in_file < s->in_file) {
        if (!s->busy && !s->broken) {
            spool_submit(s, false, in_file);
            if (!s->busy) { /* as many jobs wait as the ring holds: this exchange is given up */
                s->broken = true;
                s->error = EAGAIN;
            }
        }
        return STR_NONE;
    }
    uint64_t behind = in_file - s->in_file;
    struct str flight = spool_in_flight(s);
    if (behind < flight.n)
        return STR_NONE; /* it is being written: progress follows, then it is read from the file */
    behind -= flight.n;
    return behind < buf_length(&s->tail) ? str_from(buf_str(&s->tail), (size_t)behind) : STR_NONE;
}

void spool_consume(struct spool *s, size_t n) {
    ASSERT(s->read_at + n <= s->length);
    s->read_at += n;
    if (buf_length(&s->chunk) > 0 && s->read_at >= s->chunk_at + buf_length(&s->chunk))
        buf_free(&s->chunk);
}

void spool_rewind(struct spool *s) {
    s->read_at = 0;
}

void spool_reset(struct spool *s) {
    ASSERT(!s->busy && spool_drained(s));
    buf_free(&s->memory);
    buf_free(&s->tail);
    buf_free(&s->chunk);
    s->length = s->in_file = s->read_at = s->chunk_at = 0;
    s->failed = s->broken = false;
}

void spool_free(struct spool *s) {
    ASSERT(!s->busy);
    buf_free(&s->memory);
    buf_free(&s->tail);
    buf_free(&s->chunk);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
