/*
 * statm takes no lock that a process could hold for long, unlike status and
 * smaps: the loop may read it.
 */
#include "control/process_memory.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/str.h"

#define GENERATIONS_MAX 8   /* of children below children */
#define PROCESSES_MAX   256 /* looked at for one worker */

/* At most `room` bytes of a small file. */
static struct str read_small(const char *path, char *out, size_t room) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return STR_NONE;
    ssize_t n = read(fd, out, room);
    close(fd);
    return n > 0 ? str_make(out, (size_t)n) : STR_NONE;
}

/* The next word of a line of numbers; false at its end. */
static bool next_number(struct str *line, uint64_t *value) {
    while (line->n > 0 && (line->p[0] == ' ' || line->p[0] == '\n'))
        *line = str_from(*line, 1);
    size_t n = 0;
    while (n < line->n && line->p[n] >= '0' && line->p[n] <= '9')
        n++;
    struct str word = str_make(line->p, n);
    *line = str_from(*line, n);
    return str_to_u64(word, value);
}

/* proc(5), /proc/PID/statm: size, resident, … in pages. */
static int64_t resident(pid_t pid) {
    char path[64], text[256];
    uint64_t size, pages;
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    struct str line = read_small(path, text, sizeof text);
    if (!next_number(&line, &size) || !next_number(&line, &pages))
        return -1;
    return (int64_t)pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static int64_t with_children(pid_t pid, unsigned generations, unsigned *left);

/* Children belong to the thread that forked them. */
static int64_t children_of_thread(pid_t pid, uint64_t thread, unsigned generations, unsigned *left) {
    char path[96], text[4096];
    uint64_t child;
    int64_t sum = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%llu/children", (int)pid, (unsigned long long)thread);
    struct str line = read_small(path, text, sizeof text);
    while (next_number(&line, &child) && child > 0 && child <= INT_MAX) {
        int64_t more = with_children((pid_t)child, generations - 1, left);
        sum += more > 0 ? more : 0;
    }
    return sum;
}

static int64_t with_children(pid_t pid, unsigned generations, unsigned *left) {
    if (*left == 0)
        return -1;
    --*left;
    int64_t sum = resident(pid);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *d = sum >= 0 && generations > 0 ? opendir(path) : NULL;
    if (d == NULL)
        return sum;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        uint64_t thread;
        if (str_to_u64(str_of(e->d_name), &thread))
            sum += children_of_thread(pid, thread, generations, left);
    }
    closedir(d);
    return sum;
}

int64_t process_memory_kib(pid_t pid) {
    unsigned left = PROCESSES_MAX;
    return pid > 0 ? with_children(pid, GENERATIONS_MAX, &left) : -1;
}
