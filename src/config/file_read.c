/*
 * Stable reading. An editor or a deployment may be writing the file in the
 * very moment of a reload: half a file that happens to be valid YAML would be
 * served. A rename over the file shows in the inode, writing in place in size
 * or mtime. Some editors move the old file away before they write the new one:
 * a file that is not there gets a moment to appear.
 *
 * The path is opened anew each time, never resolved before: a symlink that was
 * flipped (a config map, a deployment) is followed to where it leads now.
 */
#include "config/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/unit.h"

enum attempt { READ_DONE, READ_AGAIN, READ_GONE, READ_FAILED };

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static enum attempt fail_errno(struct arena *a, int error, const char **why) {
    if (error == ENOENT) {
        *why = "does not exist";
        return READ_GONE;
    }
    *why = arena_printf(a, "cannot be read: %s", strerror(error)).p;
    return READ_FAILED;
}

static enum attempt fail_size(struct arena *a, size_t max, const char **why) {
    char limit[32];

    (void)unit_format_size((int64_t)max, limit);
    *why = arena_printf(a, "is larger than %s, the most that is read", limit).p;
    return READ_FAILED;
}

static const char *kind_of(mode_t mode) {
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return "is a directory, not a file";
    case S_IFIFO:
        return "is a pipe, not a regular file";
    case S_IFSOCK:
        return "is a socket, not a regular file";
    default:
        return "is a device, not a regular file";
    }
}

/* Up to max + 1 bytes, so that the caller sees that it is too much. -1 with errno. */
static ssize_t read_all(int fd, char *bytes, size_t room) {
    size_t n = 0;

    while (n < room) {
        ssize_t got = read(fd, bytes + n, room - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

static enum attempt read_open(struct arena *a, const char *path, int fd, size_t max, struct str *text,
                              const char **why) {
    struct stat before, after, there;

    if (fstat(fd, &before) != 0)
        return fail_errno(a, errno, why);
    if (!S_ISREG(before.st_mode)) {
        *why = kind_of(before.st_mode);
        return READ_FAILED;
    }
    if (before.st_size > (off_t)max)
        return fail_size(a, max, why);

    /* The size is a hint only: files in /proc have none. */
    size_t room = before.st_size > 0 ? (size_t)before.st_size + 1 : max + 1;
    char *bytes = malloc(room);
    XXXAN(bytes);
    ssize_t n = read_all(fd, bytes, room);
    int error = errno;
    enum attempt result = READ_DONE;

    if (n < 0)
        result = fail_errno(a, error, why);
    else if (fstat(fd, &after) != 0 || stat(path, &there) != 0 || !same_file(&before, &after) ||
             !same_file(&after, &there) || (before.st_size > 0 && n != before.st_size))
        result = READ_AGAIN;
    else if ((size_t)n > max)
        result = fail_size(a, max, why);
    else
        *text = arena_str(a, str_make(bytes, (size_t)n));
    free(bytes);
    return result;
}

static enum attempt read_once(struct arena *a, const char *path, size_t max, struct str *text, const char **why) {
    /* O_NONBLOCK: opening a FIFO without a writer would wait for one; on a regular file it changes nothing. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd < 0) {
        if (errno == ENXIO) { /* open() of a socket */
            *why = kind_of(S_IFSOCK);
            return READ_FAILED;
        }
        return fail_errno(a, errno, why);
    }
    enum attempt result = read_open(a, path, fd, max, text, why);
    (void)close(fd);
    return result;
}

bool file_read_stable(struct arena *a, const char *path, size_t max, struct str *text, const char **why) {
    for (unsigned try = 1;; try++) {
        enum attempt result = read_once(a, path, max, text, why);
        if (result == READ_DONE || result == READ_FAILED || (result == READ_GONE && try == FILE_READ_TRIES))
            return result == READ_DONE;
        if (try == FILE_READ_TRIES)
            break;
        struct timespec pause = {0, FILE_READ_PAUSE_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
    }
    *why = "is being written to: it changed every time while it was read; try again when it is complete";
    return false;
}
