/*
 * From fork to exec. Everything that needs memory (the paths to try) is made
 * before the fork. A failure on the way travels through a close-on-exec pipe:
 * success is its end of file, so the keeper never guesses whether exec worked.
 *
 * Odd: the parent-death signal is lost when the keeper dies between fork and
 * prctl, hence the second look at getppid (prctl(2), PR_SET_PDEATHSIG).
 */
#include "keeper/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/environ.h"

#define PATH_WITHOUT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The value of PATH in envp; a worker without one gets the usual places. */
static const char *path_of(char *const *envp) {
    const char *path = environ_value(envp, STR("PATH"));
    return path != NULL ? path : PATH_WITHOUT_PATH;
}

/* NUL-terminated candidates in a row, ended by an empty one. A name with a slash is the only one. */
static char *candidates_new(const char *name, char *const *envp) {
    const char *path = path_of(envp);
    size_t name_length = strlen(name), entries = 1;
    for (const char *p = path; *p != '\0'; p++)
        entries += *p == ':';
    char *all = malloc(strlen(path) + entries * (name_length + 3) + name_length + 2), *at = all;
    XXXAN(all);
    if (strchr(name, '/') != NULL || name_length == 0)
        path = NULL;
    if (path == NULL) {
        memcpy(at, name, name_length + 1);
        at += name_length > 0 ? name_length + 1 : 0;
    }
    while (path != NULL) {
        const char *colon = strchrnul(path, ':');
        size_t n = (size_t)(colon - path);
        memcpy(at, n > 0 ? path : ".", n > 0 ? n : 1);
        at += n > 0 ? n : 1;
        *at++ = '/';
        memcpy(at, name, name_length + 1);
        at += name_length + 1;
        path = *colon == ':' ? colon + 1 : NULL;
    }
    *at = '\0';
    return all;
}

static _Noreturn void child_fail(int pipe, enum launch_step step, int error) {
    struct launch_failure f = {.step = (int32_t)step, .error = error};
    /* 8 bytes into an empty pipe are written whole; if the keeper is gone, nobody wants to know */
    ssize_t ignored = write(pipe, &f, sizeof f);
    (void)ignored;
    _exit(127);
}

/* Ignored signals pass through exec (an ignored SIGPIPE, for one), and so does the mask. The C library keeps two
 * signals for itself and does not let go of them; who started us may have ignored even those, so the kernel is asked
 * (rt_sigaction(2); all zeros is SIG_DFL without flags). */
static void child_signals(void) {
    static const unsigned long as_at_first[8];
    for (int s = 1; s <= SIGRTMAX; s++)
        (void)syscall(SYS_rt_sigaction, s, as_at_first, NULL, 8); /* fails for KILL and STOP, which have none */
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* As execvp(3): what is not there is passed over, what may not be run is remembered. */
static int child_exec(const struct launch *l, const char *candidates) {
    int denied = 0;
    for (const char *c = candidates; *c != '\0'; c += strlen(c) + 1) {
        (void)execve(c, l->argv, l->envp);
        if (errno == EACCES)
            denied = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return errno;
    }
    return denied != 0 ? denied : ENOENT;
}

static _Noreturn void child(const struct launch *l, const char *candidates, pid_t keeper, int pipe) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
        _exit(127);
    if (setsid() < 0)
        child_fail(pipe, LAUNCH_STEP_SESSION, errno);
    if (setrlimit(RLIMIT_NOFILE, &l->nofile) != 0)
        child_fail(pipe, LAUNCH_STEP_LIMIT, errno);
    /* descriptor 0 is the keeper's own /dev/null; out and err are above 2 (keeper_main sees to it) */
    if (dup2(l->out, STDOUT_FILENO) < 0 || dup2(l->err, STDERR_FILENO) < 0)
        child_fail(pipe, LAUNCH_STEP_DESCRIPTORS, errno);
    if (l->directory != NULL && chdir(l->directory) != 0)
        child_fail(pipe, LAUNCH_STEP_CHDIR, errno);
    /* all of ours are close-on-exec already; this is for a kernel-old mistake of somebody else */
    (void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    child_signals();
    child_fail(pipe, LAUNCH_STEP_EXEC, child_exec(l, candidates));
}

pid_t launch_process(const struct launch *l, int *pipe, struct launch_failure *failure) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        *failure = (struct launch_failure){.step = LAUNCH_STEP_DESCRIPTORS, .error = errno};
        return 0;
    }
    char *candidates = candidates_new(l->argv[0], l->envp);
    /* What the daemon sends the worker before it is that far must wait, not be lost: the keeper ignores most signals,
     * and so does the child until child_signals; a blocked signal is never thrown away (signal(7)). */
    sigset_t all, before;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t keeper = getpid(), pid = fork();
    if (pid == 0)
        child(l, candidates, keeper, ends[1]);
    int error = errno;
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    free(candidates);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        *failure = (struct launch_failure){.step = LAUNCH_STEP_FORK, .error = error};
        return 0;
    }
    *pipe = ends[0];
    return pid;
}
