/*
 * Nothing but sockets and directories is ever removed, and no symlink followed.
 */
#include "control/runtime_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/environ.h"

#define NAMES_TRIED 100

static char *text(const char *format, ...) PRINTF_LIKE(1, 2);
static char *text(const char *format, ...) {
    char *s = NULL;
    va_list args;
    va_start(args, format);
    XXXASSERT(vasprintf(&s, format, args) >= 0);
    va_end(args);
    return s;
}

char *runtime_dir_base(char *const *environ_) {
    const char *given = environ_path(environ_, STR("RUNTIME_DIRECTORY"));
    if (given != NULL) /* several: the first (systemd.exec(5)) */
        return text("%.*s", (int)strcspn(given, ":"), given);
    if ((given = environ_path(environ_, STR("XDG_RUNTIME_DIR"))) != NULL)
        return text("%s/faucet", given);
    if (geteuid() == 0 && access("/run", W_OK) == 0)
        return text("/run/faucet");
    return text("/tmp/faucet-%u", (unsigned)geteuid());
}

/* In /tmp another user may have made it first. */
bool runtime_dir_is_ours(const char *path) {
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && (st.st_mode & 0022) == 0;
}

static void remove_tree(int parent, const char *name, unsigned depth) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (d == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISSOCK(st.st_mode))
            (void)unlinkat(fd, e->d_name, 0);
        else if (S_ISDIR(st.st_mode) && depth > 0)
            remove_tree(fd, e->d_name, depth - 1);
    }
    closedir(d);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
}

/* Opens and locks a directory. -1: it is not there, or its process lives (EWOULDBLOCK). */
static int lock_directory(int parent, const char *name) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

/* "<pid>", or "<pid>-<n>" where that was taken by a process of the same number in another container. */
static bool is_one_of_ours(const char *name) {
    size_t n = strspn(name, "0123456789");
    return n > 0 && (name[n] == '\0' || (name[n] == '-' && name[n + 1] != '\0' &&
                                         name[n + 1 + strspn(name + n + 1, "0123456789")] == '\0'));
}

/* Those of processes that no longer are. */
static void sweep(const char *base) {
    DIR *d = opendir(base);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        int lock = is_one_of_ours(e->d_name) ? lock_directory(dirfd(d), e->d_name) : -1;
        if (lock < 0)
            continue;
        remove_tree(dirfd(d), e->d_name, 2);
        close(lock);
    }
    closedir(d);
}

/* Somebody else's sweep may have come between mkdir and lock. */
static bool still_there(const char *path, int fd) {
    struct stat named, opened;
    return lstat(path, &named) == 0 && fstat(fd, &opened) == 0 && named.st_ino == opened.st_ino &&
           named.st_dev == opened.st_dev;
}

/* False with errno. */
static bool make_and_lock(struct runtime_dir *r, const char *base) {
    for (int i = 0; i < NAMES_TRIED; i++) {
        r->path = i == 0 ? text("%s/%d", base, (int)getpid()) : text("%s/%d-%d", base, (int)getpid(), i);
        if (mkdir(r->path, 0700) == 0) {
            r->lock = lock_directory(AT_FDCWD, r->path);
            if (r->lock >= 0 && still_there(r->path, r->lock))
                return true;
            if (r->lock >= 0)
                close(r->lock);
            else if (errno != EWOULDBLOCK && errno != ENOENT) { /* no locks on this file system */
                (void)rmdir(r->path);
                return false;
            }
        } else if (errno != EEXIST)
            return false;
        free(r->path);
        r->path = NULL;
    }
    errno = EEXIST;
    return false;
}

struct runtime_dir *runtime_dir_make(char *const *environ_, char **error) {
    char *base = runtime_dir_base(environ_);
    struct runtime_dir *r = calloc(1, sizeof *r);
    XXXAN(r);
    bool made = false;
    if (mkdir(base, 0700) != 0 && errno != EEXIST)
        *error =
            text("%s: a directory for sockets cannot be made: %s; RUNTIME_DIRECTORY or XDG_RUNTIME_DIR name another",
                 base, strerror(errno));
    else if (!runtime_dir_is_ours(base))
        *error =
            text("%s: is not a directory that only this user can write to; RUNTIME_DIRECTORY or XDG_RUNTIME_DIR name "
                 "another",
                 base);
    else {
        sweep(base);
        made = make_and_lock(r, base);
        if (!made)
            *error = text("%s: a directory for sockets cannot be made and locked in it: %s", base, strerror(errno));
    }
    free(base);
    if (made)
        return r;
    free(r->path);
    free(r);
    return NULL;
}

void runtime_dir_remove(struct runtime_dir *r) {
    if (r == NULL)
        return;
    remove_tree(AT_FDCWD, r->path, 2);
    close(r->lock);
    char *slash = strrchr(r->path, '/');
    if (slash != NULL && slash != r->path) {
        *slash = '\0';
        (void)rmdir(r->path); /* when we were the last; systemd removes its own */
    }
    free(r->path);
    free(r);
}
