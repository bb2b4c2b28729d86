/*
 * The log's file. Opened with O_APPEND, so that another process (logrotate's
 * copytruncate, a second daemon) does no harm; a file that cannot be opened or
 * renamed is said once on stderr, because nobody can be told anywhere else.
 */
#include "base/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLL_MS 100

static void complain(const struct log_file *f, const char *what, int error) {
    dprintf(STDERR_FILENO, "faucet: log file %s: %s%s%s\n", f->path, what, error == 0 ? "" : ": ",
            error == 0 ? "" : strerrordesc_np(error));
}

void log_file_init(struct log_file *f, const atomic_bool *hurry) {
    *f = (struct log_file){.fd = STDERR_FILENO, .hurry = hurry};
}

static void close_fd(struct log_file *f) {
    if (f->fd != STDERR_FILENO)
        (void)close(f->fd);
    f->fd = STDERR_FILENO;
    f->size = 0;
    f->mid_line = false;
    f->error = 0;
}

static bool is_regular(const struct log_file *f, struct stat *st) {
    return fstat(f->fd, st) == 0 && S_ISREG(st->st_mode);
}

static void open_path(struct log_file *f) {
    struct stat st;
    int fd;

    close_fd(f);
    if (f->path == NULL)
        return;
    fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0) {
        complain(f, "cannot be opened, logging to stderr", errno);
        return;
    }
    f->fd = fd;
    if (is_regular(f, &st))
        f->size = st.st_size;
    if (f->max_size > 0 && (lstat(f->path, &st) != 0 || !S_ISREG(st.st_mode))) {
        complain(f, "not a regular file, does not rotate", 0); /* /dev/stdout must not be renamed */
        f->max_size = 0;
    }
}

void log_file_open(struct log_file *f, const char *path, int64_t max_size) {
    char *copy = path == NULL ? NULL : strdup(path);

    XXXASSERT(path == NULL || copy != NULL);
    free(f->path);
    f->path = copy;
    f->max_size = max_size > 0 ? max_size : 0;
    open_path(f);
}

void log_file_reopen(struct log_file *f) {
    open_path(f);
}

void log_file_close(struct log_file *f) {
    close_fd(f);
    free(f->path);
    f->path = NULL;
}

static void rotate(struct log_file *f) {
    struct stat st;
    char *old;

    if (is_regular(f, &st) && st.st_size < f->size) { /* somebody else has truncated it */
        f->size = st.st_size;
        return;
    }
    XXXASSERT(asprintf(&old, "%s.1", f->path) > 0);
    if (rename(f->path, old) != 0 && errno != ENOENT) {
        complain(f, "cannot be renamed, growing on", errno);
        f->max_size = 0; /* until it is configured again */
    } else
        open_path(f);
    free(old);
}

/* How much of the bytes may go into this file: whole lines up to max_size, but at least one line. 0: rotate first. */
static size_t allowed(const struct log_file *f, struct str bytes) {
    int64_t room = f->max_size - f->size;
    const char *newline;

    if (f->max_size == 0 || f->fd == STDERR_FILENO || (int64_t)bytes.n <= room)
        return bytes.n;
    newline = room > 0 ? memrchr(bytes.p, '\n', (size_t)room) : NULL;
    if (newline == NULL) {
        if (!f->mid_line && f->size > 0)
            return 0;
        newline = memchr(bytes.p, '\n', bytes.n); /* the line has begun here, or is longer than a file may be */
    }
    return newline == NULL ? bytes.n : (size_t)(newline - bytes.p) + 1;
}

/* Somebody may have made the pipe behind stderr non-blocking: waiting is our part then. */
static bool wait_writable(const struct log_file *f) {
    struct pollfd p = {.fd = f->fd, .events = POLLOUT};

    (void)poll(&p, 1, POLL_MS);
    return !atomic_load(f->hurry) || (p.revents & POLLOUT) != 0;
}

static bool write_all(struct log_file *f, struct str bytes, size_t *written) {
    *written = 0;
    while (*written < bytes.n) {
        ssize_t n = write(f->fd, bytes.p + *written, bytes.n - *written);

        if (n > 0) {
            *written += (size_t)n;
            f->size += n;
            f->mid_line = bytes.p[*written - 1] != '\n';
        } else if (n < 0 && errno == EAGAIN) {
            if (!wait_writable(f)) {
                f->error = EAGAIN;
                return false;
            }
        } else if (n == 0 || errno != EINTR) {
            f->error = n == 0 ? EIO : errno;
            return false;
        }
    }
    return true;
}

/* After an error that cut a line in two, what follows begins on a line of its own. */
static bool mend_line(struct log_file *f) {
    size_t written;

    if (f->error == 0 || !f->mid_line)
        return true;
    return write_all(f, STR("\n"), &written);
}

size_t log_file_write(struct log_file *f, struct str bytes) {
    size_t total = 0;

    if (!mend_line(f))
        return 0;
    while (total < bytes.n) {
        struct str rest = str_from(bytes, total);
        size_t n = allowed(f, rest), written;

        if (n == 0) {
            rotate(f);
            continue;
        }
        if (!write_all(f, str_make(rest.p, n), &written))
            return total + written;
        total += written;
    }
    f->error = 0;
    return total;
}
