/*
 * The keeper: a small single-threaded child process, forked first of all, that
 * forks, owns and reaps workers (PR_SET_CHILD_SUBREAPER). The daemon talks to it
 * over a socketpair. When the daemon is gone (EOF, also by kill -9), the keeper
 * kills every process group and every descendant until ECHILD, then exits: no
 * orphan is left, grandchildren included.
 *
 * This is the daemon's side. keeper/protocol.h is what goes over the wire.
 */
#ifndef FAUCET_KEEPER_KEEPER_H
#define FAUCET_KEEPER_KEEPER_H

#include <sys/resource.h>
#include <sys/types.h>

#include "base/log.h"
#include "base/loop.h"

struct keeper;

/* Forks the keeper. Call before any thread, loop or descriptor exists. NULL with errno. The child never returns. */
struct keeper *keeper_fork(void);

struct process;
struct process_exit {
    int status; /* as of waitpid */
    struct rusage usage;
};
struct process_spawn {
    const char *const *argv; /* argv[0] absolute or found on the PATH of envp; NULL-terminated, borrowed for the call */
    const char *const *envp; /* NULL-terminated, borrowed for the call */
    const char *directory;   /* working directory; NULL: where the daemon was started */
    int out, err;            /* become stdout and stderr; duplicated by SCM_RIGHTS, the caller closes its own */
    /* started: exec was reached: pid > 0; or 0 with an errno and the step that failed ("chdir", "exec"); then nothing
     * else is called. Comes from the loop, never from inside keeper_spawn. Both callbacks may call process_release. */
    void (*started)(void *owner, pid_t pid, int error, const char *step);
    /* The process itself was reaped. Its group may still hold grandchildren: keeper_kill(p, SIGKILL, true), then
     * release. */
    void (*exited)(void *owner, const struct process_exit *e);
    void *owner;
};

/* Hangs the keeper's socket into the loop. lost: the keeper died (its workers with it); the daemon must stop. */
void keeper_attach(struct keeper *k, struct loop *l, struct log *log, void (*lost)(void *owner), void *owner);
/* Never NULL: failures arrive by started(). Signals at their defaults, mask empty, stdin /dev/null, own process group
 * and session, all other descriptors closed, soft RLIMIT_NOFILE as the daemon was started with. */
struct process *keeper_spawn(struct keeper *k, const struct process_spawn *s);
/* At any time, also before started(): the signal waits until the process has its handlers at their defaults and is
 * never lost on the way to exec. group: the whole process group, and for SIGKILL every descendant of the worker known
 * to the keeper. */
void keeper_kill(struct keeper *k, struct process *p, int signal, bool group);
/* Forget it: no callback comes any more; a process that still runs is killed. The pointer is dead. */
void process_release(struct keeper *k, struct process *p);
/* 0 before started(). */
pid_t process_pid(const struct process *p);
pid_t keeper_pid(const struct keeper *k);
/* Closes the socketpair (the keeper kills all that is left) and waits for the keeper's exit. Afterwards no callback
 * comes, and processes can be released, no more. Not from inside started() or exited(); from inside lost() it is fine.
 */
void keeper_end(struct keeper *k);
/* keeper_end, where it was not called, and frees the keeper with every struct process that was not released: whoever
 * might release one must be gone. */
void keeper_stop(struct keeper *k);

/* The soft RLIMIT_NOFILE of the start, restored for workers; the daemon raises its own to the hard limit after the
 * fork. */
#endif
