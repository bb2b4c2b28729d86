/*
 * The keeper process: one poll loop over the daemon's socket, SIGCHLD and the
 * exec pipes of workers that are being launched. It never waits for anything
 * else, so a thousand workers that die at once are reaped as they come.
 *
 * A worker record lives until the daemon has released it and nothing of its
 * family is alive. "Sweeping" a record means: find its family in /proc, stop
 * it (so that it cannot fork away), kill it, look again. Who belongs to whom:
 * by parents, by session, and for adopted orphans by KEEPER_VARIABLE. When no
 * record is left, whatever still descends from us has lost its owner and goes.
 */
#include "keeper/keeper_main.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "base/miniobj.h"
#include "keeper/family.h"
#include "keeper/launch.h"

#define SWEEP_STOP_ROUNDS 4
#define SWEEP_PAUSE_MAX   1000 /* ms: a process in state D dies when it likes */
#define READ_AT_ONCE      ((size_t)64 * 1024)
#define FDS_WAITING_MAX   8
#define OWNER_ORPHAN      UINT64_MAX /* family_member.owner: nobody's, and nobody is left */

struct child {
    unsigned magic;
#define CHILD_MAGIC 0xc417d5a1
    struct list_node node;
    uint64_t id;
    pid_t pid;
    int pipe; /* -1: exec was reached, or failed, and the daemon was told */
    bool exited, released;
    bool sweeping;    /* its whole family is to die */
    bool family_left; /* as the last sweep saw it */
};

struct state {
    int socket, signals;
    struct rlimit nofile; /* of the start, for workers */
    struct buf in, out;
    int fds[FDS_WAITING_MAX]; /* received, not yet claimed by a SPAWN frame; -1: lost on the way */
    size_t fd_count;
    struct list children; /* of struct child */
    bool orphans;         /* no record is left: sweep whatever descends from us */
    unsigned sweeps;      /* in a row, for the pause between them */
    mono_t swept;
    char mark[48]; /* KEEPER_VARIABLE and our pid: what orphans are known by */
    struct family family;
    struct pollfd *polls;
    size_t poll_capacity;
};

/* ---- what the daemon is told
 * ---------------------------------------------------------------------------------------*/

static void tell_started(struct state *s, uint64_t id, pid_t pid, int32_t error, int32_t step) {
    struct protocol_started m = {.pid = pid, .error = error, .step = (uint32_t)step};
    protocol_put(&s->out, PROTOCOL_STARTED, id, &m, sizeof m);
}

/* False: the daemon is gone. */
static bool out_flush(struct state *s) {
    while (buf_length(&s->out) > 0) {
        struct str b = buf_str(&s->out);
        ssize_t n = send(s->socket, b.p, b.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM;
        buf_consume(&s->out, (size_t)n);
    }
    return true;
}

/* ---- records
 * -------------------------------------------------------------------------------------------------------*/

static struct child *child_by_id(struct state *s, uint64_t id) {
    LIST_FOREACH (&s->children, struct child, c, node)
        if (c->id == id)
            return c;
    return NULL;
}

static void child_sweep(struct state *s, struct child *c) {
    c->sweeping = true;
    s->sweeps = 0;
}

static void child_free(struct state *s, struct child *c) {
    if (c->pipe >= 0)
        close(c->pipe);
    list_remove(&c->node);
    FREE_OBJ(c);
    if (list_empty(&s->children)) {
        s->orphans = true;
        s->sweeps = 0;
    }
}

/* Looks at the exec pipe: nothing yet, or exec was reached, or the step that failed. */
static void child_look_at_pipe(struct state *s, struct child *c) {
    struct launch_failure f = {0};
    ssize_t n = read(c->pipe, &f, sizeof f);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close(c->pipe);
    c->pipe = -1;
    if (n != (ssize_t)sizeof f) {
        tell_started(s, c->id, c->pid, 0, LAUNCH_STEP_NONE);
        return;
    }
    tell_started(s, c->id, 0, f.error, f.step);
    /* for the daemon it never was; for us it is a child that is about to exit */
    c->released = true;
    child_sweep(s, c);
}

static void child_exited(struct state *s, struct child *c, int status, const struct rusage *usage) {
    if (c->pipe >= 0)
        child_look_at_pipe(s, c);
    c->exited = true;
    struct protocol_exited m;
    memset(&m, 0, sizeof m); /* padding too: it is written to a descriptor */
    m.status = status;
    m.usage = *usage;
    if (!c->released)
        protocol_put(&s->out, PROTOCOL_EXITED, c->id, &m, sizeof m);
}

/* Ours and adopted ones alike. */
static void reap(struct state *s) {
    int status;
    struct rusage usage;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        LIST_FOREACH (&s->children, struct child, c, node)
            if (c->pid == pid && !c->exited) {
                child_exited(s, c, status, &usage);
                break;
            }
    }
}

/* ---- sweeping
 * ------------------------------------------------------------------------------------------------------*/

/* Whose family is it? Up the parents until a worker, a worker's session or an orphan's mark says so. NULL: nobody's. */
static struct child *owner_of(struct state *s, const struct family_member *m) {
    pid_t self = getpid();
    for (size_t hops = 0; m != NULL && hops <= s->family.n; hops++) {
        struct child *by_session = NULL;
        LIST_FOREACH (&s->children, struct child, c, node) {
            if (c->pid == m->pid && !c->exited)
                return c;
            /* a dead worker's number may be a living one's by now: that one is the session's leader */
            if (c->pid == m->session && (by_session == NULL || !c->exited))
                by_session = c;
        }
        if (by_session != NULL)
            return by_session;
        if (m->parent == self)
            return child_by_id(s, family_variable(m->pid, str_of(s->mark)));
        m = family_find(&s->family, m->parent);
    }
    return NULL;
}

/* The id of the swept record it belongs to, OWNER_ORPHAN, or 0: leave it alone. */
static uint64_t swept_owner(struct state *s, const struct family_member *m) {
    if (!m->ours || !family_alive(m))
        return 0;
    const struct child *c = owner_of(s, m);
    if (c != NULL)
        return c->sweeping ? c->id : 0;
    return s->orphans ? OWNER_ORPHAN : 0;
}

/* Finds the families that are swept and stops them, so that none of them forks while we count. False: no /proc. */
static bool sweep_stop(struct state *s) {
    bool moving = true;
    for (unsigned round = 0; moving && round < SWEEP_STOP_ROUNDS; round++) {
        moving = false;
        if (!family_scan(&s->family))
            return false;
        for (size_t i = 0; i < s->family.n; i++) {
            struct family_member *m = &s->family.v[i];
            m->owner = swept_owner(s, m);
            if (m->owner == 0 || m->state == 'T' || m->state == 't')
                continue;
            family_signal(m, SIGSTOP);
            moving = true;
        }
    }
    return true;
}

/* True: orphans were among them. */
static bool sweep_kill(struct state *s) {
    bool orphans = false;
    for (size_t i = 0; i < s->family.n; i++) {
        const struct family_member *m = &s->family.v[i];
        if (m->owner == 0)
            continue;
        family_signal(m, SIGKILL);
        struct child *c = m->owner == OWNER_ORPHAN ? NULL : child_by_id(s, m->owner);
        orphans |= m->owner == OWNER_ORPHAN;
        if (c != NULL)
            c->family_left = true;
    }
    return orphans;
}

/* Without /proc there are the process groups only. */
static void sweep_groups(struct state *s) {
    LIST_FOREACH (&s->children, struct child, c, node)
        if (c->sweeping && !c->exited && kill(-c->pid, SIGKILL) != 0)
            (void)kill(c->pid, SIGKILL);
}

static void sweep(struct state *s) {
    s->sweeps++;
    s->swept = mono_now();
    LIST_FOREACH (&s->children, struct child, c, node)
        c->family_left = false;
    bool orphans = false;
    if (sweep_stop(s))
        orphans = sweep_kill(s);
    else
        sweep_groups(s);
    s->orphans = orphans;
    LIST_FOREACH (&s->children, struct child, done, node) {
        if (!done->sweeping || done->family_left || !done->exited)
            continue;
        done->sweeping = false;
        if (done->released)
            child_free(s, done);
    }
}

/* Milliseconds to the next sweep, 0: now, -1: nothing to sweep. */
static int sweep_wait(struct state *s) {
    bool wanted = s->orphans;
    LIST_FOREACH (&s->children, struct child, c, node)
        wanted |= c->sweeping;
    if (!wanted)
        return -1;
    int64_t pause = s->sweeps == 0 ? 0 : (int64_t)1 << (s->sweeps < 10 ? s->sweeps : 10);
    int64_t rest = (pause < SWEEP_PAUSE_MAX ? pause : SWEEP_PAUSE_MAX) - mono_since(s->swept, mono_now()) / DUR_MS;
    return rest > 0 ? (int)rest : 0;
}

/* ---- what the daemon asks
 * ------------------------------------------------------------------------------------------*/

static int fd_claim(struct state *s) {
    if (s->fd_count == 0)
        return -1;
    int fd = s->fds[0];
    s->fd_count--;
    memmove(s->fds, s->fds + 1, s->fd_count * sizeof s->fds[0]);
    return fd;
}

/* Puts our mark in place of any that came along (a faucet below a faucet). mark must live until exec. */
static void environment_mark(char **envp, char *mark) {
    char **to = envp;
    for (char **from = envp; *from != NULL; from++)
        if (strncmp(*from, KEEPER_VARIABLE, sizeof KEEPER_VARIABLE - 1) != 0)
            *to++ = *from;
    *to++ = mark;
    *to = NULL;
}

static void spawn(struct state *s, uint64_t id, const struct protocol_spawn *order, int out, int err) {
    char mark[sizeof s->mark + 24];
    (void)snprintf(mark, sizeof mark, "%s%llu", s->mark, (unsigned long long)id);
    environment_mark(order->envp, mark);
    struct launch l = {.argv = order->argv,
                       .envp = order->envp,
                       .directory = order->directory,
                       .out = out,
                       .err = err,
                       .nofile = s->nofile};
    struct launch_failure failure = {0};
    int pipe = -1;
    pid_t pid = launch_process(&l, &pipe, &failure);
    if (pid == 0) {
        tell_started(s, id, 0, failure.error, failure.step);
        return;
    }
    struct child *c;
    ALLOC_OBJ(c, CHILD_MAGIC);
    c->id = id;
    c->pid = pid;
    c->pipe = pipe;
    list_append(&s->children, &c->node);
    s->orphans = false; /* later: what it leaves behind must not be taken for theirs */
}

static bool handle_spawn(struct state *s, uint64_t id, struct str body) {
    int out = fd_claim(s), err = fd_claim(s);
    struct protocol_spawn order;
    bool ok = protocol_get_spawn(body, 1, &order);
    if (ok && out >= 0 && err >= 0)
        spawn(s, id, &order, out, err);
    else if (ok)
        tell_started(s, id, 0, EMFILE, LAUNCH_STEP_DESCRIPTORS);
    free(order.block);
    if (out >= 0)
        close(out);
    if (err >= 0)
        close(err);
    return ok;
}

static bool handle_kill(struct state *s, uint64_t id, struct str body) {
    struct protocol_kill m;
    if (!protocol_get(body, &m, sizeof m) || m.signal < 0 || m.signal > SIGRTMAX)
        return false;
    struct child *c = child_by_id(s, id);
    if (c == NULL)
        return true; /* it failed to start, the daemon will learn */
    if (m.group != 0 && m.signal == SIGKILL)
        child_sweep(s, c);
    else if (!c->exited && (m.group == 0 || kill(-c->pid, m.signal) != 0)) /* no group yet: not that far */
        (void)kill(c->pid, m.signal);
    return true;
}

static bool handle_release(struct state *s, uint64_t id, struct str body) {
    struct child *c = child_by_id(s, id);
    if (c != NULL) {
        c->released = true;
        child_sweep(s, c);
    }
    return body.n == 0;
}

/* False: the stream makes no sense any more. */
static bool handle_frames(struct state *s) {
    struct protocol_head head;
    struct str body;
    enum protocol_result r;
    while ((r = protocol_next(&s->in, &head, &body)) == PROTOCOL_FRAME) {
        bool ok = false;
        if (head.type == PROTOCOL_SPAWN)
            ok = handle_spawn(s, head.id, body);
        else if (head.type == PROTOCOL_KILL)
            ok = handle_kill(s, head.id, body);
        else if (head.type == PROTOCOL_RELEASE)
            ok = handle_release(s, head.id, body);
        if (!ok)
            return false;
        buf_consume(&s->in, head.length);
    }
    return r == PROTOCOL_MORE;
}

/* Descriptors come two by two; where the kernel had to drop some (no descriptor left) -1 keeps their place. */
static void fds_received(struct state *s, struct msghdr *m) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        ASSERT(n <= PROTOCOL_SPAWN_FDS && s->fd_count + PROTOCOL_SPAWN_FDS <= FDS_WAITING_MAX);
        for (size_t i = 0; i < PROTOCOL_SPAWN_FDS; i++) {
            int fd = -1;
            if (i < n)
                memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            s->fds[s->fd_count++] = fd;
        }
        return;
    }
    if ((m->msg_flags & MSG_CTRUNC) != 0)
        for (size_t i = 0; i < PROTOCOL_SPAWN_FDS; i++)
            s->fds[s->fd_count++] = -1;
}

/* False: the daemon is gone. One recvmsg never crosses the bytes two sets of descriptors came with (unix(7)). */
static bool socket_read(struct state *s) {
    for (;;) {
        union {
            char bytes[CMSG_SPACE(PROTOCOL_SPAWN_FDS * sizeof(int))];
            struct cmsghdr align;
        } control;
        struct iovec v = {.iov_base = buf_reserve(&s->in, READ_AT_ONCE), .iov_len = READ_AT_ONCE};
        struct msghdr m = {
            .msg_iov = &v, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
        ssize_t n = recvmsg(s->socket, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            if (buf_length(&s->in) == 0)
                buf_free(&s->in);
            return true;
        }
        if (n <= 0)
            return false;
        fds_received(s, &m);
        buf_commit(&s->in, (size_t)n);
        if (!handle_frames(s))
            return false;
    }
}

/* ---- the process
 * ---------------------------------------------------------------------------------------------------*/

/* 0 and 1 are /dev/null, 2 stays for last words, the socket and nothing else above. */
static void descriptors_setup(struct state *s, int socket) {
    s->socket = fcntl(socket, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    XXXASSERT(s->socket > STDERR_FILENO);
    int null = open("/dev/null", O_RDWR);
    XXXASSERT(null >= 0);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    if (fcntl(STDERR_FILENO, F_GETFD) < 0)
        (void)dup2(null, STDERR_FILENO);
    unsigned mine = (unsigned)s->socket;
    if (mine > STDERR_FILENO + 1)
        (void)close_range(STDERR_FILENO + 1, mine - 1, 0);
    if (close_range(mine + 1, ~0U, 0) != 0) /* before Linux 5.9 */
        for (int fd = STDERR_FILENO + 1; fd < 4096; fd++)
            if (fd != s->socket)
                close(fd);
}

/* Terminal and service manager speak to the daemon; we go when it goes. */
static void signals_setup(struct state *s) {
    static const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1,
                                  SIGUSR2, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU};
    for (size_t i = 0; i < ARRAY_LENGTH(ignored); i++)
        (void)signal(ignored[i], SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* ignored, the kernel would reap for us and tell us nothing */
    sigset_t set;
    sigemptyset(&set);
    (void)sigprocmask(SIG_SETMASK, &set, NULL);
    sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    XXXASSERT(s->signals >= 0);
}

static void state_init(struct state *s, int socket) {
    memset(s, 0, sizeof *s);
    list_init(&s->children);
    (void)setsid();
    (void)prctl(PR_SET_NAME, "faucet-keeper");
    XXXASSERT(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    XXXASSERT(getrlimit(RLIMIT_NOFILE, &s->nofile) == 0);
    struct rlimit most = {.rlim_cur = s->nofile.rlim_max, .rlim_max = s->nofile.rlim_max};
    (void)setrlimit(RLIMIT_NOFILE, &most);
    (void)snprintf(s->mark, sizeof s->mark, KEEPER_VARIABLE "%d-", (int)getpid());
    descriptors_setup(s, socket);
    signals_setup(s);
}

/* The socket, SIGCHLD, then the pipes of who is being launched. */
static nfds_t polls_fill(struct state *s) {
    size_t need = s->children.length + 2;
    if (need > s->poll_capacity) {
        s->poll_capacity = need * 2;
        s->polls = realloc(s->polls, s->poll_capacity * sizeof *s->polls);
        XXXAN(s->polls);
    }
    nfds_t n = 0;
    short events = buf_length(&s->out) > 0 ? POLLIN | POLLOUT : POLLIN;
    s->polls[n++] = (struct pollfd){.fd = s->socket, .events = events};
    s->polls[n++] = (struct pollfd){.fd = s->signals, .events = POLLIN};
    LIST_FOREACH (&s->children, struct child, c, node)
        if (c->pipe >= 0)
            s->polls[n++] = (struct pollfd){.fd = c->pipe, .events = POLLIN};
    return n;
}

/* False: the daemon is gone. */
static bool turn(struct state *s) {
    struct signalfd_siginfo ignored[16];
    nfds_t n = polls_fill(s); /* may move polls */
    if (poll(s->polls, n, sweep_wait(s)) < 0)
        return errno == EINTR;
    while (read(s->signals, ignored, sizeof ignored) > 0)
        ;
    LIST_FOREACH (&s->children, struct child, c, node)
        if (c->pipe >= 0)
            child_look_at_pipe(s, c);
    reap(s);
    bool alive = s->polls[0].revents == 0 || socket_read(s);
    if (alive && sweep_wait(s) == 0) {
        sweep(s);
        reap(s);
    }
    return alive && out_flush(s);
}

void keeper_main(int socket) {
    struct state s;
    state_init(&s, socket);
    while (turn(&s))
        ;
    (void)family_purge(0);
    _exit(0);
}
