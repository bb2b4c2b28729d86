/*
 * Segment files. ftruncate alone would make a sparse file, and writing to its
 * mapping on a full disk is SIGBUS; so blocks are allocated first. fallocate(2)
 * is called directly: glibc's posix_fallocate answers EOPNOTSUPP with one byte
 * written in each block, which leaves holes where blocks are larger than it thinks.
 */
#include "telemetry/segment_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telemetry/segment_guard.h"

#define SUFFIX ".segment"

/* Linux 5.14; older kernels say EINVAL, and pages come one by one. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

char *segment_path(const char *directory, uint64_t serial) {
    char *path;

    XXXASSERT(asprintf(&path, "%s/%016" PRIx64 SUFFIX, directory, serial) >= 0);
    return path;
}

bool segment_serial(const char *name, uint64_t *serial) {
    uint64_t v = 0;

    for (size_t i = 0; i < 16; i++) {
        char c = name[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *serial = v;
    return strcmp(name + 16, SUFFIX) == 0 && v != 0 && v < UINT64_MAX;
}

static bool write_zeros(int fd, size_t size) {
    static const char zeros[64 * 1024];

    for (size_t at = 0; at < size;) {
        size_t n = size - at < sizeof zeros ? size - at : sizeof zeros;
        ssize_t wrote = pwrite(fd, zeros, n, (off_t)at);
        if (wrote > 0)
            at += (size_t)wrote;
        else if (wrote == 0 || errno != EINTR)
            return false;
    }
    return true;
}

bool segment_file_allocate(int fd, size_t size, off_t have) {
    int done;

    do
        done = fallocate(fd, 0, 0, (off_t)size);
    while (done != 0 && errno == EINTR);
    if (done == 0)
        return true;
    if (errno != EOPNOTSUPP && errno != ENOSYS && errno != EINVAL)
        return false;
    return have >= (off_t)size || write_zeros(fd, size); /* never over what is there */
}

static char *map_file(int fd, size_t size, int populate) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        return NULL;
    if (madvise(p, size, populate) != 0 && errno != EINVAL) {
        int error = errno == EFAULT ? ENOSPC : errno; /* EFAULT: it would have been SIGBUS */
        munmap(p, size);
        errno = error;
        return NULL;
    }
    return p;
}

static bool write_head(const struct segment_job *j) {
    char head[sizeof(struct segment_head)];

    segment_head_write(head, j->serial, j->size, j->created);
    return pwrite(j->fd, head, sizeof head, 0) == (ssize_t)sizeof head;
}

static void unmap(struct segment_job *j) {
    segment_guard_remove(j->guard);
    j->guard = -1;
    if (j->base != NULL)
        munmap(j->base, j->size);
    j->base = NULL;
}

/* False: it is gone, and a new file is to be made. Whoever dies on the way leaves a file, under either name, that says
 * it is empty. */
static bool use_again(struct segment_job *j) {
    const size_t head = sizeof(struct segment_head);

    segment_head_clear(j->base);
    memset(j->base + head, 0, j->used - head);
    j->fd = open(j->used_path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (j->fd >= 0 && rename(j->used_path, j->path) == 0) {
        segment_head_write(j->base, j->serial, j->size, j->created);
        if (!segment_guard_hurt(j->guard))
            return true;
        unlink(j->path);
    }
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
    unmap(j);
    unlink(j->used_path);
    return false;
}

static void make(struct segment_job *j) {
    if (j->used_path != NULL && use_again(j))
        return;
    j->fd = open(j->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (j->fd >= 0 && segment_file_allocate(j->fd, j->size, 0) && write_head(j))
        j->base = map_file(j->fd, j->size, MADV_POPULATE_WRITE);
    if (j->base != NULL)
        return;
    j->error = errno;
    if (j->fd >= 0) {
        close(j->fd);
        j->fd = -1;
        unlink(j->path);
    }
}

static void map(struct segment_job *j) {
    int fd = open(j->path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    if (fd >= 0 && fstat(fd, &st) == 0) {
        if (!S_ISREG(st.st_mode) || st.st_size < (off_t)j->size)
            errno = ENODATA;
        else
            j->base = map_file(fd, j->size, MADV_POPULATE_READ);
    }
    if (j->base == NULL)
        j->error = errno;
    if (fd >= 0)
        close(fd);
}

static void release(struct segment_job *j) {
    if (j->base != NULL)
        munmap(j->base, j->size);
    j->base = NULL;
    if (j->remove && j->path != NULL && unlink(j->path) != 0)
        j->error = errno;
}

static void run(struct helper_job *job) {
    static void (*const works[])(struct segment_job *) = {
        [SEGMENT_MAKE] = make, [SEGMENT_MAP] = map, [SEGMENT_RELEASE] = release};
    struct segment_job *j = CONTAINER_OF(job, struct segment_job, helper);

    works[j->work](j);
    atomic_store_explicit(&j->finished, true, memory_order_release);
}

struct segment_job *segment_job_new(enum segment_work work, char *path, uint64_t serial, size_t size) {
    struct segment_job *j = calloc(1, sizeof *j);

    XXXAN(j);
    j->work = work;
    j->path = path;
    j->serial = serial;
    j->size = size;
    j->fd = j->guard = -1;
    return j;
}

void segment_job_start(struct segment_job *j, struct helpers *helpers, void (*done)(struct helper_job *job)) {
    j->helper.run = run;
    j->helper.done = done;
    if (helpers != NULL && helper_submit(helpers, &j->helper))
        return;
    run(&j->helper);
    done(&j->helper);
}

void segment_job_free(struct segment_job *j) {
    if (j->work == SEGMENT_RELEASE && !atomic_load(&j->finished))
        release(j); /* the helpers ended before it was its turn */
    if (j->work != SEGMENT_RELEASE && j->base != NULL && !j->taken) {
        unmap(j);
        if (j->work == SEGMENT_MAKE)
            unlink(j->path);
        if (j->used_path != NULL) /* it did not come so far */
            unlink(j->used_path);
    }
    if (j->fd >= 0)
        close(j->fd);
    free(j->used_path);
    free(j->path);
    free(j);
}
