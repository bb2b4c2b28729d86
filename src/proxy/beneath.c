/*
 * Opening a file below a directory and nowhere else. openat2(2) does it in one
 * call. Where it is missing (ENOSYS) or a seccomp filter denies it (EPERM), the
 * path is walked here: every component is opened with O_NOFOLLOW from its
 * parent's descriptor, symlinks are read and their text is walked in turn, and
 * `..` goes back to a descriptor that the walk came through, never to the
 * kernel's idea of a parent. So a rename in between leads nowhere new.
 */
#include "proxy/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPEN_FLAGS   (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
#define RENAME_TRIES 8
#define SYMLINKS_MAX 40 /* the kernel's own limit, path_resolution(7) */
#define DEPTH_MAX    128

int beneath_open(int root, const char *path) {
    struct open_how how = {.flags = OPEN_FLAGS, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};

    for (int i = 0; i < RENAME_TRIES; i++) {
        long fd = syscall(SYS_openat2, root, path, &how, sizeof how);

        if (fd >= 0)
            return (int)fd;
        if (errno == ENOSYS || errno == EPERM)
            return beneath_open_by_walking(root, path);
        if (errno != EAGAIN && errno != EINTR)
            return -1;
    }
    errno = EAGAIN;
    return -1;
}

struct walk {
    int stack[DEPTH_MAX]; /* directories from the root's down; [0] is the caller's */
    int depth;            /* index of the current one */
    int links;
    char rest[2 * PATH_MAX]; /* what is still to be walked */
};

/* Takes the first component off rest: slashes around it go too. *last: nothing follows, not even a slash. */
static bool take_component(struct walk *w, char name[NAME_MAX + 1], bool *last) {
    const char *start = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(start, "/");

    if (n > NAME_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(name, start, n);
    name[n] = '\0';
    *last = start[n] == '\0';
    size_t used = (size_t)(start - w->rest) + n;
    used += strspn(w->rest + used, "/");
    memmove(w->rest, w->rest + used, strlen(w->rest + used) + 1);
    return true;
}

static bool go_up(struct walk *w) {
    if (w->depth == 0) {
        errno = EXDEV;
        return false;
    }
    (void)close(w->stack[w->depth--]);
    return true;
}

static bool go_down(struct walk *w, int fd) {
    if (w->depth + 1 == DEPTH_MAX) {
        (void)close(fd);
        errno = ELOOP;
        return false;
    }
    w->stack[++w->depth] = fd;
    return true;
}

/* Puts the symlink's text in front of rest. */
static bool go_along(struct walk *w, int link, bool last) {
    char target[PATH_MAX];
    ssize_t n = readlinkat(link, "", target, sizeof target);
    size_t left = strlen(w->rest);

    if (n < 0)
        return false;
    if (++w->links > SYMLINKS_MAX) {
        errno = ELOOP;
        return false;
    }
    if (n == 0 || (size_t)n == sizeof target || (size_t)n + 1 + left + 1 > sizeof w->rest) {
        errno = n == 0 ? ENOENT : ENAMETOOLONG;
        return false;
    }
    if (target[0] == '/') {
        errno = EXDEV;
        return false;
    }
    size_t gap = last ? 0 : 1;
    memmove(w->rest + (size_t)n + gap, w->rest, left + 1);
    if (gap == 1)
        w->rest[n] = '/';
    memcpy(w->rest, target, (size_t)n);
    return true;
}

/* One component. *opened >= 0: that was the last one. */
static bool step(struct walk *w, int *opened) {
    char name[NAME_MAX + 1];
    struct stat st;
    bool last;

    if (!take_component(w, name, &last))
        return false;
    bool here = name[0] == '\0' || strcmp(name, ".") == 0, up = strcmp(name, "..") == 0;
    if (up && !go_up(w))
        return false;
    if (here || up) {
        if (w->rest[0] == '\0')
            *opened = openat(w->stack[w->depth], ".", OPEN_FLAGS | O_DIRECTORY);
        return w->rest[0] != '\0' || *opened >= 0;
    }

    int fd = openat(w->stack[w->depth], name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0) {
        (void)close(fd);
        return false;
    }
    if (S_ISLNK(st.st_mode)) {
        bool ok = go_along(w, fd, last);
        int error = errno;
        (void)close(fd);
        errno = error;
        return ok;
    }
    if (last) {
        (void)close(fd);
        *opened = openat(w->stack[w->depth], name, OPEN_FLAGS | O_NOFOLLOW); /* ELOOP: a symlink came in between */
        return *opened >= 0;
    }
    if (!S_ISDIR(st.st_mode)) {
        (void)close(fd);
        errno = ENOTDIR;
        return false;
    }
    if (!go_down(w, fd))
        return false;
    if (w->rest[0] != '\0')
        return true;
    *opened = openat(fd, ".", OPEN_FLAGS | O_DIRECTORY); /* the path ended with a slash */
    return *opened >= 0;
}

int beneath_open_by_walking(int root, const char *path) {
    struct walk w = {.stack = {root}};
    size_t n = strlen(path);
    int opened = -1;

    if (n == 0 || n >= PATH_MAX || path[0] == '/') {
        errno = n == 0 ? ENOENT : n >= PATH_MAX ? ENAMETOOLONG : EXDEV;
        return -1;
    }
    memcpy(w.rest, path, n + 1);
    while (opened < 0 && step(&w, &opened))
        continue;
    int error = errno;
    for (; w.depth > 0; w.depth--)
        (void)close(w.stack[w.depth]);
    errno = error;
    return opened;
}
