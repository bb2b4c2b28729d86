/* Real processes through a real keeper: how they start, what they see, how they end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper/keeper.h"

#define PATIENCE (20 * DUR_S)

struct fixture {
    struct loop *loop;
    struct log *log;
    struct keeper *keeper;
    int null;
    bool lost;
};

/* One spawned process and everything heard of it. */
struct run {
    struct fixture *f;
    struct process *p;
    bool started, exited;
    pid_t pid;
    int error;
    const char *step;
    struct process_exit exit;
};

static void on_lost(void *owner) {
    ((struct fixture *)owner)->lost = true;
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->keeper = keeper_fork();
    assert_non_null(f->keeper);
    f->loop = loop_new();
    f->log = log_open_stderr();
    f->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    keeper_attach(f->keeper, f->loop, f->log, on_lost, f);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    keeper_stop(f->keeper);
    loop_free(f->loop);
    log_close(f->log);
    close(f->null);
    free(f);
    return 0;
}

static void on_started(void *owner, pid_t pid, int error, const char *step) {
    struct run *r = owner;
    assert_false(r->started);
    r->started = true;
    r->pid = pid;
    r->error = error;
    r->step = step;
}

static void on_exited(void *owner, const struct process_exit *e) {
    struct run *r = owner;
    assert_true(r->started && !r->exited);
    r->exited = true;
    r->exit = *e;
}

static const char *const environment[] = {"PATH=/usr/bin:/bin", "COLOUR=blue", NULL};

static void spawn_full(struct fixture *f, struct run *r, const char *const *argv, const char *const *envp,
                       const char *directory, int out) {
    memset(r, 0, sizeof *r);
    r->f = f;
    r->p = keeper_spawn(f->keeper, &(struct process_spawn){.argv = argv,
                                                           .envp = envp,
                                                           .directory = directory,
                                                           .out = out,
                                                           .err = out,
                                                           .started = on_started,
                                                           .exited = on_exited,
                                                           .owner = r});
    assert_non_null(r->p);
    assert_false(r->started); /* never from inside */
}

static void spawn_shell(struct fixture *f, struct run *r, const char *script, int out) {
    const char *const argv[] = {"sh", "-c", script, NULL};
    spawn_full(f, r, argv, environment, "/tmp", out);
}

static void on_nothing(struct ev_loop *ev, ev_timer *w, int events) {
    (void)ev;
    (void)w;
    (void)events;
}

/* Turns the loop until *flag, or fails. */
static void await_flag(struct fixture *f, const bool *flag) {
    mono_t end = mono_add(mono_now(), PATIENCE);
    ev_timer wake;
    ev_timer_init(&wake, on_nothing, 0.05, 0.05);
    ev_timer_start(f->loop->ev, &wake);
    while (!*flag && mono_since(mono_now(), end) > 0)
        ev_run(f->loop->ev, EVRUN_ONCE);
    ev_timer_stop(f->loop->ev, &wake);
    assert_true(*flag);
}

/* Not there at all: a zombie counts as there. */
static bool process_there(pid_t pid) {
    return kill(pid, 0) == 0 || errno != ESRCH;
}

static void await_gone(struct fixture *f, pid_t pid) {
    mono_t end = mono_add(mono_now(), PATIENCE);
    while (process_there(pid) && mono_since(mono_now(), end) > 0) {
        if (f != NULL)
            ev_run(f->loop->ev, EVRUN_NOWAIT);
        (void)poll(NULL, 0, 2);
    }
    assert_false(process_there(pid));
}

/* Reads until end of file; the writer has exited or will. */
static char *read_all(int fd) {
    size_t room = 1 << 20, n = 0;
    char *text = malloc(room);
    ssize_t got;
    while (n + 1 < room && (got = read(fd, text + n, room - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(fd);
    return text;
}

/* Runs a script to its end and returns what it wrote. */
static char *output_of(struct fixture *f, const char *script) {
    int ends[2];
    struct run r;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(f, &r, script, ends[1]);
    close(ends[1]);
    await_flag(f, &r.started);
    assert_int_equal(r.error, 0);
    char *text = read_all(ends[0]);
    await_flag(f, &r.exited);
    process_release(f->keeper, r.p);
    return text;
}

/* Reads `n` numbers, one a line, that a script writes while it goes on. */
static void read_pids(int fd, pid_t *pids, size_t n) {
    char text[1024] = "";
    size_t length = 0, lines = 0;
    mono_t end = mono_add(mono_now(), PATIENCE);
    while (lines < n && mono_since(mono_now(), end) > 0) {
        ssize_t got = read(fd, text + length, sizeof text - 1 - length);
        assert_true(got > 0);
        length += (size_t)got;
        lines = 0;
        for (size_t i = 0; i < length; i++)
            lines += text[i] == '\n';
    }
    char *at = text;
    for (size_t i = 0; i < n; i++) {
        pids[i] = (pid_t)strtol(at, &at, 10);
        assert_true(pids[i] > 1);
    }
}

static void test_status_and_signal(void **state) {
    struct fixture *f = *state;
    struct run r;
    spawn_shell(f, &r, "exit 7", f->null);
    await_flag(f, &r.exited);
    assert_true(r.pid > 1 && process_pid(r.p) == r.pid);
    assert_true(WIFEXITED(r.exit.status));
    assert_int_equal(WEXITSTATUS(r.exit.status), 7);
    process_release(f->keeper, r.p);

    spawn_shell(f, &r, "exec sleep 1000", f->null);
    await_flag(f, &r.started);
    keeper_kill(f->keeper, r.p, SIGTERM, true);
    await_flag(f, &r.exited);
    assert_true(WIFSIGNALED(r.exit.status));
    assert_int_equal(WTERMSIG(r.exit.status), SIGTERM);
    process_release(f->keeper, r.p);
}

static void test_usage(void **state) {
    struct fixture *f = *state;
    struct run r;
    spawn_shell(f, &r, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done", f->null);
    await_flag(f, &r.exited);
    assert_true(r.exit.usage.ru_utime.tv_sec > 0 || r.exit.usage.ru_utime.tv_usec > 1000);
    assert_true(r.exit.usage.ru_maxrss > 0);
    process_release(f->keeper, r.p);
}

static void test_failures_name_their_step(void **state) {
    struct fixture *f = *state;
    struct run r;
    const char *const missing[] = {"no-such-program-anywhere", NULL}, *const denied[] = {"/etc/passwd", NULL},
                      *const fine[] = {"true", NULL}, *const empty[] = {"", NULL};
    struct {
        const char *const *argv;
        const char *directory, *step;
        int error;
    } cases[] = {
        {missing, "/tmp", "exec", ENOENT},       {denied, "/tmp", "exec", EACCES},
        {empty, "/tmp", "exec", ENOENT},         {fine, "/no/such/directory", "chdir", ENOENT},
        {fine, "/etc/passwd", "chdir", ENOTDIR},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        spawn_full(f, &r, cases[i].argv, environment, cases[i].directory, f->null);
        await_flag(f, &r.started);
        assert_int_equal(r.pid, 0);
        assert_int_equal(r.error, cases[i].error);
        assert_string_equal(r.step, cases[i].step);
        assert_false(r.exited);
        keeper_kill(f->keeper, r.p, SIGKILL, true); /* harmless */
        process_release(f->keeper, r.p);
    }
}

static void test_no_descriptor(void **state) {
    struct fixture *f = *state;
    struct run r;
    const char *const fine[] = {"true", NULL};
    spawn_full(f, &r, fine, environment, "/tmp", 9999);
    await_flag(f, &r.started);
    assert_int_equal(r.error, EBADF);
    assert_string_equal(r.step, "descriptors");
    process_release(f->keeper, r.p);
    spawn_full(f, &r, fine, environment, "/tmp", 9999);
    process_release(f->keeper, r.p); /* before it was told */
    ev_run(f->loop->ev, EVRUN_NOWAIT);
    assert_false(r.started);
}

static void test_path_of_the_worker_counts(void **state) {
    struct fixture *f = *state;
    char directory[] = "/tmp/keeper-test-XXXXXX", file[64];
    assert_non_null(mkdtemp(directory));
    (void)snprintf(file, sizeof file, "%s/my-tool", directory);
    int fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
    assert_int_equal(write(fd, "#!/bin/sh\nexit 5\n", 17), 17);
    close(fd);
    char path[128];
    (void)snprintf(path, sizeof path, "PATH=/nowhere:%s:/usr/bin:/bin", directory);
    const char *const argv[] = {"my-tool", NULL}, *const envp[] = {path, NULL};
    struct run r;
    spawn_full(f, &r, argv, envp, NULL, f->null);
    await_flag(f, &r.exited);
    assert_int_equal(WEXITSTATUS(r.exit.status), 5);
    process_release(f->keeper, r.p);
    unlink(file);
    rmdir(directory);
}

static void test_what_a_worker_sees(void **state) {
    struct fixture *f = *state;
    /* not close-on-exec, as an inherited listener would be: must not come through */
    int stray = fcntl(f->null, F_DUPFD, 100);
    char *text = output_of(f, "echo $COLOUR; pwd; ls -1 /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; "
                              "[ $(ps -o sid= -p $$) -eq $$ ] && echo leader; "
                              "grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -s '\\t\\n' ' '; ulimit -Sn");
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    char expected[256];
    /* 3 is ls's own look at the directory */
    (void)snprintf(expected, sizeof expected,
                   "blue\n/tmp\n0 1 2 3 /dev/null\nleader\nSigBlk: 0000000000000000 SigIgn: 0000000000000000 %llu\n",
                   (unsigned long long)limit.rlim_cur);
    assert_string_equal(text, expected);
    free(text);
    close(stray);
}

static void test_large_environment(void **state) {
    struct fixture *f = *state;
    enum { N = 1000, SIZE = 120 };
    char *block = malloc(N * (SIZE + 1));
    const char **envp = calloc(N + 2, sizeof *envp);
    envp[0] = "PATH=/usr/bin:/bin";
    for (size_t i = 0; i < N; i++) {
        char *at = block + i * (SIZE + 1);
        memset(at, 'v', SIZE);
        at[SIZE] = '\0';
        int n = snprintf(at, SIZE, "NAME%04zu=", i);
        at[n] = 'v';
        envp[i + 1] = at;
    }
    struct run runs[20]; /* 2.4 MB at once: far more than the socket holds */
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    const char *const argv[] = {"sh", "-c", "env | grep -c ^NAME[0-9]*=v*$", NULL};
    for (size_t i = 0; i < ARRAY_LENGTH(runs); i++)
        spawn_full(f, &runs[i], argv, envp, "/", ends[1]);
    close(ends[1]);
    for (size_t i = 0; i < ARRAY_LENGTH(runs); i++) {
        await_flag(f, &runs[i].exited);
        process_release(f->keeper, runs[i].p);
    }
    char *text = read_all(ends[0]);
    size_t right = 0;
    for (const char *at = text; (at = strstr(at, "1000\n")) != NULL; at += 5)
        right++;
    assert_int_equal(right, ARRAY_LENGTH(runs));
    free(text);
    free(envp);
    free(block);
}

static size_t entries_of(const char *path) {
    DIR *d = opendir(path);
    assert_non_null(d);
    size_t n = 0;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static void test_five_hundred_at_once_no_descriptor_left(void **state) {
    struct fixture *f = *state;
    enum { N = 500 };
    char keepers[64];
    (void)snprintf(keepers, sizeof keepers, "/proc/%d/fd", (int)keeper_pid(f->keeper));
    free(output_of(f, "true")); /* libev opens what it needs */
    size_t own = entries_of("/proc/self/fd"), theirs = entries_of(keepers);
    struct run *runs = calloc(N, sizeof *runs);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N; i++) {
            const char *const argv[] = {"sleep", "1000", NULL}, *const missing[] = {"/no/such", NULL};
            spawn_full(f, &runs[i], i % 5 == 4 ? missing : argv, environment, "/", f->null);
        }
        for (size_t i = 0; i < N; i++)
            await_flag(f, &runs[i].started);
        for (size_t i = 0; i < N; i++)
            keeper_kill(f->keeper, runs[i].p, SIGKILL, true);
        for (size_t i = 0; i < N; i++) {
            if (i % 5 != 4) {
                await_flag(f, &runs[i].exited);
                assert_int_equal(WTERMSIG(runs[i].exit.status), SIGKILL);
            }
            process_release(f->keeper, runs[i].p);
        }
    }
    /* nothing is left of them: no zombie, no descriptor on either side */
    char children[64];
    (void)snprintf(children, sizeof children, "/proc/%d/task/%d/children", (int)keeper_pid(f->keeper),
                   (int)keeper_pid(f->keeper));
    char *text = read_all(open(children, O_RDONLY | O_CLOEXEC));
    assert_string_equal(text, "");
    free(text);
    free(runs);
    assert_int_equal(entries_of("/proc/self/fd"), own);
    mono_t end = mono_add(mono_now(), PATIENCE); /* it may have /proc open just now */
    while (entries_of(keepers) > theirs && mono_since(mono_now(), end) > 0)
        (void)poll(NULL, 0, 2);
    assert_true(entries_of(keepers) <= theirs);
}

/* Writes the pids of: itself, a child in its group, a setsid'ed one, a double-forked setsid'ed one whose parents are
 * gone, and one that dropped its environment too. */
#define FAMILY                                                                                                         \
    "sleep 1000 & echo $$; echo $!; setsid sh -c 'echo $$; exec sleep 1000' & "                                        \
    "setsid sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" & exit' & "                                           \
    "env -i PATH=$PATH setsid sh -c 'echo $$; exec sleep 1000' & "
#define FAMILY_SIZE 5

static void test_kill_reaches_every_descendant(void **state) {
    struct fixture *f = *state;
    struct run r, other;
    int ends[2];
    pid_t pids[FAMILY_SIZE];
    spawn_shell(f, &other, "exec sleep 1000", f->null);
    await_flag(f, &other.started);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(f, &r, FAMILY "wait; sleep 1000", ends[1]);
    close(ends[1]);
    await_flag(f, &r.started);
    read_pids(ends[0], pids, FAMILY_SIZE);
    keeper_kill(f->keeper, r.p, SIGKILL, true);
    await_flag(f, &r.exited);
    for (size_t i = 0; i < FAMILY_SIZE; i++)
        await_gone(f, pids[i]);
    process_release(f->keeper, r.p);
    assert_true(process_there(other.pid)); /* and nobody else */
    assert_false(other.exited);
    process_release(f->keeper, other.p);
    await_gone(f, other.pid);
    close(ends[0]);
}

static void test_release_ends_what_a_dead_worker_left(void **state) {
    struct fixture *f = *state;
    struct run r, other;
    int ends[2];
    pid_t pids[FAMILY_SIZE];
    spawn_shell(f, &other, "exec sleep 1000", f->null);
    await_flag(f, &other.started);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    /* without the last of the family, which nobody can tell whose it is once its parent is gone */
    spawn_shell(f, &r,
                "sleep 1000 & echo $$; echo $!; setsid sh -c 'echo $$; exec sleep 1000' & "
                "setsid sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" & exit' & exit 0",
                ends[1]);
    close(ends[1]);
    await_flag(f, &r.exited);
    read_pids(ends[0], pids, FAMILY_SIZE - 1);
    for (size_t i = 1; i < FAMILY_SIZE - 1; i++)
        assert_true(process_there(pids[i]));
    process_release(f->keeper, r.p);
    for (size_t i = 0; i < FAMILY_SIZE - 1; i++)
        await_gone(f, pids[i]);
    assert_true(process_there(other.pid));
    process_release(f->keeper, other.p);
    await_gone(f, other.pid);
    close(ends[0]);
}

static void test_nobodys_orphans_go_with_the_last_worker(void **state) {
    struct fixture *f = *state;
    struct run r;
    int ends[2];
    pid_t pid;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(f, &r, "env -i PATH=$PATH setsid sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 1000\" & exit' & exit 0",
                ends[1]);
    close(ends[1]);
    await_flag(f, &r.exited);
    read_pids(ends[0], &pid, 1);
    process_release(f->keeper, r.p);
    await_gone(f, pid);
    close(ends[0]);
}

static void test_released_while_it_starts(void **state) {
    struct fixture *f = *state;
    struct run r, last;
    spawn_shell(f, &r, "exec sleep 1000", f->null);
    process_release(f->keeper, r.p);
    spawn_shell(f, &last, "exit 0", f->null);
    await_flag(f, &last.exited);
    assert_false(r.started || r.exited);
    process_release(f->keeper, last.p);
}

/* The order reaches the keeper with the one to spawn: the child has not come to exec, often not even to its own group.
 */
static void test_stopped_while_it_starts(void **state) {
    struct fixture *f = *state;
    struct run runs[50];
    for (size_t i = 0; i < ARRAY_LENGTH(runs); i++) {
        spawn_shell(f, &runs[i], "exec sleep 1000", f->null);
        keeper_kill(f->keeper, runs[i].p, i % 2 == 0 ? SIGTERM : SIGINT, true);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(runs); i++) {
        await_flag(f, &runs[i].exited);
        assert_true(WIFSIGNALED(runs[i].exit.status));
        assert_int_equal(WTERMSIG(runs[i].exit.status), i % 2 == 0 ? SIGTERM : SIGINT);
        process_release(f->keeper, runs[i].p);
    }
}

/* A daemon of its own with a keeper, a worker and its family; writes the pids to `out`. Never returns. */
static _Noreturn void fake_daemon(int out) {
    void *state;
    struct run r;
    (void)setup(&state);
    struct fixture *f = state;
    spawn_shell(f, &r, FAMILY "wait; sleep 1000", out);
    await_flag(f, &r.started);
    dprintf(out, "%d\n", (int)keeper_pid(f->keeper));
    for (;;)
        ev_run(f->loop->ev, EVRUN_ONCE);
}

static void test_killed_daemon_leaves_nothing(void **state) {
    (void)state;
    int ends[2];
    pid_t pids[FAMILY_SIZE + 1];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t daemon = fork();
    if (daemon == 0)
        fake_daemon(ends[1]);
    close(ends[1]);
    read_pids(ends[0], pids, FAMILY_SIZE + 1);
    for (size_t i = 0; i <= FAMILY_SIZE; i++)
        assert_true(process_there(pids[i]));
    assert_int_equal(kill(daemon, SIGKILL), 0);
    assert_int_equal(waitpid(daemon, NULL, 0), daemon);
    /* the keeper itself comes to us or to init; who reaps it is not its business, so look for zombies as gone */
    for (size_t i = 0; i <= FAMILY_SIZE; i++) {
        mono_t end = mono_add(mono_now(), PATIENCE);
        while (process_there(pids[i]) && mono_since(mono_now(), end) > 0) {
            (void)waitpid(pids[i], NULL, WNOHANG);
            (void)poll(NULL, 0, 2);
        }
        assert_false(process_there(pids[i]));
    }
    close(ends[0]);
}

static void test_lost_keeper_takes_all_along(void **state) {
    struct fixture *f = *state;
    struct run r, after;
    int ends[2];
    pid_t pids[FAMILY_SIZE];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    spawn_shell(f, &r, FAMILY "wait; sleep 1000", ends[1]);
    close(ends[1]);
    await_flag(f, &r.started);
    read_pids(ends[0], pids, FAMILY_SIZE);
    int err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(f->null, STDERR_FILENO); /* it says so, rightly */
    assert_int_equal(kill(keeper_pid(f->keeper), SIGKILL), 0);
    await_flag(f, &f->lost);
    dup2(err, STDERR_FILENO);
    close(err);
    for (size_t i = 0; i < FAMILY_SIZE; i++)
        await_gone(f, pids[i]);
    assert_false(r.exited);
    spawn_shell(f, &after, "exit 0", f->null);
    await_flag(f, &after.started);
    assert_int_equal(after.error, ESRCH);
    assert_string_equal(after.step, "keeper");
    close(ends[0]);
}

static void test_keeper_shrugs_off_signals(void **state) {
    struct fixture *f = *state;
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < ARRAY_LENGTH(signals); i++)
        assert_int_equal(kill(keeper_pid(f->keeper), signals[i]), 0);
    struct run r;
    spawn_shell(f, &r, "exit 3", f->null);
    await_flag(f, &r.exited);
    assert_int_equal(WEXITSTATUS(r.exit.status), 3);
    assert_false(f->lost);
    assert_int_not_equal(getsid(keeper_pid(f->keeper)), getsid(0)); /* Ctrl-C does not reach it */
}

#define WITH_KEEPER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_daemon_leaves_nothing),
        WITH_KEEPER(test_status_and_signal),
        WITH_KEEPER(test_usage),
        WITH_KEEPER(test_failures_name_their_step),
        WITH_KEEPER(test_no_descriptor),
        WITH_KEEPER(test_path_of_the_worker_counts),
        WITH_KEEPER(test_what_a_worker_sees),
        WITH_KEEPER(test_large_environment),
        WITH_KEEPER(test_five_hundred_at_once_no_descriptor_left),
        WITH_KEEPER(test_kill_reaches_every_descendant),
        WITH_KEEPER(test_release_ends_what_a_dead_worker_left),
        WITH_KEEPER(test_nobodys_orphans_go_with_the_last_worker),
        WITH_KEEPER(test_released_while_it_starts),
        WITH_KEEPER(test_stopped_while_it_starts),
        WITH_KEEPER(test_keeper_shrugs_off_signals),
        WITH_KEEPER(test_lost_keeper_takes_all_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
