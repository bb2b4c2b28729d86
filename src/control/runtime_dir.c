/*
 * Nothing but sockets and directories is ever removed, and no symlink followed.
 */
#include "control/runtime_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"

static char *text(const char *format, ...) PRINTF_LIKE(1, 2);
static char *text(const char *format, ...) {
    char *s = NULL;
    va_list args;
    va_start(args, format);
    XXXASSERT(vasprintf(&s, format, args) >= 0);
    va_end(args);
    return s;
}

static const char *variable(char *const *environ_, const char *name) {
    size_t n = strlen(name);
    for (; *environ_ != NULL; environ_++)
        if (strncmp(*environ_, name, n) == 0 && (*environ_)[n] == '=' && (*environ_)[n + 1] == '/')
            return *environ_ + n + 1;
    return NULL;
}

char *runtime_dir_base(char *const *environ_) {
    const char *given = variable(environ_, "RUNTIME_DIRECTORY");
    if (given != NULL) /* several: the first (systemd.exec(5)) */
        return text("%.*s", (int)strcspn(given, ":"), given);
    if ((given = variable(environ_, "XDG_RUNTIME_DIR")) != NULL)
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

/* <base>/<pid> of a process that no longer is. */
static void sweep(const char *base) {
    DIR *d = opendir(base);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        uint64_t pid;
        if (!str_to_u64(str_of(e->d_name), &pid) || pid == 0 || pid > INT_MAX)
            continue;
        if ((pid_t)pid == getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH))
            remove_tree(dirfd(d), e->d_name, 2);
    }
    closedir(d);
}

char *runtime_dir_make(char *const *environ_, char **error) {
    char *base = runtime_dir_base(environ_);
    char *path = NULL;
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
        path = text("%s/%d", base, (int)getpid());
        if (mkdir(path, 0700) != 0) {
            *error = text("%s: cannot be made: %s", path, strerror(errno));
            free(path);
            path = NULL;
        }
    }
    free(base);
    return path;
}

void runtime_dir_remove(char *path) {
    if (path == NULL)
        return;
    remove_tree(AT_FDCWD, path, 2);
    char *slash = strrchr(path, '/');
    if (slash != NULL && slash != path) {
        *slash = '\0';
        (void)rmdir(path); /* when we were the last; systemd removes its own */
    }
    free(path);
}
