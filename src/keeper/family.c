/*
 * The process tree below us, from /proc/PID/stat. All of /proc is read, not
 * the children lists: those may miss entries while siblings exit (proc(5)),
 * whereas a process that lives through a readdir of /proc is always seen.
 *
 * Odd: a number read from /proc may belong to another process a moment later,
 * so signals go through a pidfd whose start time is looked at once more.
 */
#include "keeper/family.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

#define ENVIRONMENT_READ_MAX ((size_t)8 * 1024 * 1024)

/* pid (comm) state ppid pgrp session tty tpgid flags …; comm may hold anything, also ") ", hence the last one. */
static bool stat_parse(char *text, struct family_member *m) {
    char *at = strrchr(text, ')');
    if (at == NULL || at[1] != ' ' || at[2] == '\0')
        return false;
    m->state = at[2];
    at += 3;
    long long field[20];
    for (size_t i = 4; i <= 22; i++) { /* starttime is the 22nd field */
        char *end;
        errno = 0;
        field[i - 4] = strtoll(at, &end, 10);
        if (end == at)
            return false;
        at = end;
    }
    m->parent = (pid_t)field[0];
    m->session = (pid_t)field[2];
    m->started = (uint64_t)field[18];
    return true;
}

static bool member_read(pid_t pid, struct family_member *m) {
    char path[40], text[1024];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    memset(m, 0, sizeof *m);
    m->pid = pid;
    return stat_parse(text, m);
}

static void member_add(struct family *f, const struct family_member *m) {
    if (f->n == f->capacity) {
        f->capacity = f->capacity > 0 ? f->capacity * 2 : 256;
        f->v = realloc(f->v, f->capacity * sizeof *f->v);
        XXXAN(f->v);
    }
    f->v[f->n++] = *m;
}

static int by_pid(const void *a, const void *b) {
    pid_t x = ((const struct family_member *)a)->pid, y = ((const struct family_member *)b)->pid;
    return (x > y) - (x < y);
}

struct family_member *family_find(const struct family *f, pid_t pid) {
    struct family_member key = {.pid = pid};
    return f->n == 0 ? NULL : bsearch(&key, f->v, f->n, sizeof *f->v, by_pid);
}

/* Follows the parents up; a torn snapshot could hold a ring, hence the bound. */
static bool descends(const struct family *f, const struct family_member *m, pid_t ancestor) {
    for (size_t hops = 0; m != NULL && hops <= f->n; hops++) {
        if (m->parent == ancestor)
            return true;
        if (m->parent <= 1)
            return false;
        m = family_find(f, m->parent);
    }
    return false;
}

bool family_scan(struct family *f) {
    f->n = 0;
    DIR *d = opendir("/proc");
    if (d == NULL)
        return false;
    const struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        uint64_t pid;
        struct family_member m;
        if (str_to_u64(str_of(e->d_name), &pid) && pid <= INT32_MAX && member_read((pid_t)pid, &m))
            member_add(f, &m);
    }
    closedir(d);
    if (f->n > 0)
        qsort(f->v, f->n, sizeof *f->v, by_pid);
    pid_t self = getpid();
    for (size_t i = 0; i < f->n; i++)
        f->v[i].ours = descends(f, &f->v[i], self);
    return f->n > 0;
}

void family_free(struct family *f) {
    free(f->v);
    memset(f, 0, sizeof *f);
}

void family_signal(const struct family_member *m, int signal) {
    struct family_member now;
    int fd = (int)syscall(SYS_pidfd_open, m->pid, 0U);
    if (fd < 0) {
        if ((errno == ENOSYS || errno == EPERM) && member_read(m->pid, &now) && now.started == m->started)
            (void)kill(m->pid, signal);
        return;
    }
    if (member_read(m->pid, &now) && now.started == m->started)
        (void)syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0U);
    close(fd);
}

/* The whole of /proc/PID/environ; NULL when it cannot be read. */
static char *environment_read(pid_t pid, size_t *length) {
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    size_t room = 16384, n = 0;
    char *text = malloc(room);
    XXXAN(text);
    for (;;) {
        ssize_t got = read(fd, text + n, room - n);
        if (got <= 0 || n + (size_t)got > ENVIRONMENT_READ_MAX)
            break;
        n += (size_t)got;
        if (n == room) {
            room *= 2;
            text = realloc(text, room);
            XXXAN(text);
        }
    }
    close(fd);
    *length = n;
    return text;
}

uint64_t family_variable(pid_t pid, struct str name_and_equals) {
    size_t n = 0;
    uint64_t value = 0;
    char *text = environment_read(pid, &n);
    for (size_t at = 0; text != NULL && at < n;) {
        const char *nul = memchr(text + at, '\0', n - at);
        struct str entry = str_make(text + at, nul != NULL ? (size_t)(nul - text) - at : n - at);
        if (str_starts(entry, name_and_equals)) {
            if (!str_to_u64(str_from(entry, name_and_equals.n), &value))
                value = 0;
            break;
        }
        at += entry.n + 1;
    }
    free(text);
    return value;
}

bool family_purge(dur_t limit) {
    struct family f = {0};
    mono_t begun = mono_now();
    bool done = false;
    for (unsigned turn = 0;; turn++) {
        pid_t pid;
        while ((pid = waitpid(-1, NULL, WNOHANG)) > 0 || (pid < 0 && errno == EINTR))
            ;
        done = pid < 0;
        if (done || (limit > 0 && mono_since(begun, mono_now()) > limit))
            break;
        if (family_scan(&f))
            for (size_t i = 0; i < f.n; i++)
                if (f.v[i].ours && family_alive(&f.v[i]))
                    family_signal(&f.v[i], SIGKILL);
        /* who was just killed is usually there to be waited for at once; who hangs in the kernel may take hours */
        struct timespec pause = {.tv_nsec = turn < 20 ? 1000000 : turn < 200 ? 20000000 : 500000000};
        (void)nanosleep(&pause, NULL);
    }
    family_free(&f);
    return done;
}
