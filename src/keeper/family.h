/*
 * Who descends from this process, read from /proc: the keeper's means to find
 * what a worker left behind. Reading is a snapshot of something that moves:
 * callers repeat until nothing is left.
 */
#ifndef FAUCET_KEEPER_FAMILY_H
#define FAUCET_KEEPER_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/str.h"

struct family_member {
    pid_t pid, parent, session;
    char state;       /* as in proc(5): R S D Z T … */
    bool ours;        /* descends from the process that scanned */
    uint64_t started; /* ticks since boot: with pid, it names a process for good */
    uint64_t owner;   /* free for the caller; 0 after a scan */
};

struct family {
    size_t n, capacity;
    struct family_member *v; /* by pid */
};

/* Reads all of /proc; a zeroed struct may be used again and again. False: /proc cannot be read. */
bool family_scan(struct family *f);
/* NULL: not there. */
struct family_member *family_find(const struct family *f, pid_t pid);
void family_free(struct family *f);

/* Neither a zombie nor dead. */
static inline bool family_alive(const struct family_member *m) {
    return m->state != 'Z' && m->state != 'X' && m->state != 'x';
}
/* Sends the signal to that very process, even if its number was given to another since. */
void family_signal(const struct family_member *m, int signal);
/* The value of a variable in the environment the process was started with, as a number; 0: none, or not readable. */
uint64_t family_variable(pid_t pid, struct str name_and_equals);
/* Kills every descendant of this process, again and again, until there is no child left to wait for: true. False when
 * that took longer than `limit` (0: no limit). */
bool family_purge(dur_t limit);

#endif
