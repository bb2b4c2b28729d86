/*
 * The state directory belongs to one daemon at a time: flock on a file in it.
 * The file names its holder, for the message that a second daemon gives; the lock
 * itself goes with the descriptor, so a killed daemon leaves none behind. The
 * descriptor is not inherited (CLOEXEC), and the keeper is forked before.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telemetry/queue.h"

static bool make_one(const char *path) {
    struct stat st;

    if (mkdir(path, 0700) == 0)
        return true;
    int error = errno;
    if (stat(path, &st) == 0) { /* mkdir says EROFS of what is there, too */
        errno = ENOTDIR;
        return S_ISDIR(st.st_mode);
    }
    errno = error;
    return false;
}

bool state_dir_make(const char *path) {
    char *copy = strdup(path);
    bool made = true;

    XXXAN(copy);
    for (char *p = copy + 1; made && *copy != '\0' && *p != '\0'; p++)
        if (*p == '/') {
            *p = '\0';
            made = make_one(copy);
            *p = '/';
        }
    made = made && make_one(copy);
    int error = errno;
    free(copy);
    errno = error;
    return made;
}

static int refuse(char **error, const char *path, const char *what) {
    XXXASSERT(asprintf(error, "%s: %s", path, what) >= 0);
    return -1;
}

/* The holder's pid, from the file; it was written by a faucet, or it is not shown. */
static int refuse_held(char **error, const char *state_dir, int fd) {
    char text[16] = "";
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    uint64_t pid;

    while (n > 0 && text[n - 1] == '\n')
        n--;
    if (n > 0 && str_to_u64(str_make(text, (size_t)n), &pid))
        XXXASSERT(
            asprintf(error,
                     "%s: in use by another faucet, process %llu; one state_dir serves one daemon: stop it, or set "
                     "another state_dir",
                     state_dir, (unsigned long long)pid) >= 0);
    else
        return refuse(error, state_dir, "in use by another faucet; one state_dir serves one daemon");
    return -1;
}

int state_dir_lock(const char *state_dir, char **error) {
    char *path, text[24];
    int fd;

    if (!state_dir_make(state_dir))
        return refuse(error, state_dir, strerror(errno));
    XXXASSERT(asprintf(&path, "%s/lock", state_dir) >= 0);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) {
        (void)refuse(error, path, strerror(errno));
        free(path);
        return -1;
    }
    free(path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            (void)refuse_held(error, state_dir, fd);
        else
            (void)refuse(error, state_dir, strerror(errno));
        close(fd);
        return -1;
    }
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) { /* a full disk: the lock holds all the same */
    }
    return fd;
}
