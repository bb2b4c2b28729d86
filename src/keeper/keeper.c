/*
 * The daemon's side of the keeper: orders go out, news come in, nothing waits.
 * What the socket does not take is queued frame by frame, up to a bound.
 *
 * Odd: the daemon is a subreaper too. As long as the keeper lives that means
 * nothing; when the keeper is killed, its orphans come to the daemon, which
 * ends them before it says "lost", so that they do not outlive it either.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/miniobj.h"
#include "keeper/family.h"
#include "keeper/keeper_main.h"
#include "keeper/protocol.h"

#define QUEUE_BYTES_MAX ((size_t)256 * 1024 * 1024) /* of SPAWN frames that wait; a frame is some KB */
#define READ_AT_ONCE    ((size_t)16 * 1024)
#define BUCKETS         256 /* by id: processes number in the hundreds */
#define LOST_PURGE      (2 * DUR_S)
#define RETRY_PAUSE     0.01 /* s, after the kernel refused descriptors (ETOOMANYREFS) */

struct frame {
    struct list_node node;
    struct buf bytes;
    int fds[PROTOCOL_SPAWN_FDS]; /* ours; -1: none, or on their way already */
};

struct process {
    unsigned magic;
#define PROCESS_MAGIC 0x940ce551
    struct list_node node; /* on a bucket, or on keeper->failed */
    uint64_t id;
    pid_t pid;
    int error; /* on keeper->failed: what started() will say */
    enum launch_step step;
    void (*started)(void *owner, pid_t pid, int error, const char *step);
    void (*exited)(void *owner, const struct process_exit *e);
    void *owner;
};

struct keeper {
    unsigned magic;
#define KEEPER_MAGIC 0x4ee9e401
    pid_t pid; /* 0: waited for */
    int socket;
    bool gone;
    struct loop *loop;
    struct log *log;
    void (*lost)(void *owner);
    void *owner;
    ev_io reading, writing;
    ev_timer later;    /* failures to tell, or a refused send to try again */
    struct list queue; /* of struct frame */
    size_t queued;     /* bytes */
    struct buf in;
    uint64_t next_id;
    struct list buckets[BUCKETS];
    struct list failed; /* spawned in vain, started() not called yet */
};

static void queue_flush(struct keeper *k);
static void keeper_lost(struct keeper *k, const char *how);

/* ---- the queue of orders
 * -------------------------------------------------------------------------------------------*/

static struct frame *frame_new(void) {
    struct frame *f = calloc(1, sizeof *f);
    XXXAN(f);
    f->fds[0] = f->fds[1] = -1;
    return f;
}

static void frame_close_fds(struct frame *f) {
    for (size_t i = 0; i < PROTOCOL_SPAWN_FDS; i++) {
        if (f->fds[i] >= 0)
            close(f->fds[i]);
        f->fds[i] = -1;
    }
}

static void frame_free(struct keeper *k, struct frame *f) {
    list_remove(&f->node);
    k->queued -= buf_length(&f->bytes);
    frame_close_fds(f);
    buf_free(&f->bytes);
    free(f);
}

static void queue_append(struct keeper *k, struct frame *f) {
    list_append(&k->queue, &f->node);
    k->queued += buf_length(&f->bytes);
    queue_flush(k);
}

/* One send; the descriptors go with the first byte. As send(2): -1 with errno. */
static ssize_t frame_send(struct keeper *k, struct frame *f) {
    union {
        char bytes[CMSG_SPACE(sizeof f->fds)];
        struct cmsghdr align;
    } control;
    struct str b = buf_str(&f->bytes);
    struct iovec v = {.iov_base = (void *)(uintptr_t)b.p, .iov_len = b.n};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    if (f->fds[0] >= 0) {
        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof f->fds);
        memcpy(CMSG_DATA(c), f->fds, sizeof f->fds);
    }
    return sendmsg(k->socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void later_soon(struct keeper *k, double after) {
    if (!ev_is_active(&k->later)) {
        ev_timer_set(&k->later, after, 0.);
        ev_timer_start(k->loop->ev, &k->later);
    }
}

static void queue_flush(struct keeper *k) {
    struct list_node *n;
    while (!k->gone && (n = list_first(&k->queue)) != NULL) {
        struct frame *f = CONTAINER_OF(n, struct frame, node);
        ssize_t sent = frame_send(k, f);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN) {
            ev_io_start(k->loop->ev, &k->writing);
            return;
        }
        if (sent < 0 && (errno == ETOOMANYREFS || errno == ENOBUFS || errno == ENOMEM)) {
            later_soon(k, RETRY_PAUSE);
            return;
        }
        if (sent < 0) {
            /* EPIPE: reading will see the end too, in a turn of its own; started() is not called from keeper_spawn */
            break;
        }
        frame_close_fds(f);
        buf_consume(&f->bytes, (size_t)sent);
        k->queued -= (size_t)sent;
        if (buf_length(&f->bytes) == 0)
            frame_free(k, f);
    }
    ev_io_stop(k->loop->ev, &k->writing);
}

static void on_writable(struct ev_loop *ev, ev_io *w, int events) {
    (void)ev;
    (void)events;
    queue_flush(w->data);
}

/* ---- processes
 * -----------------------------------------------------------------------------------------------------*/

static struct list *bucket_of(struct keeper *k, uint64_t id) {
    return &k->buckets[id % BUCKETS];
}

static struct process *process_by_id(struct keeper *k, uint64_t id) {
    LIST_FOREACH (bucket_of(k, id), struct process, p, node)
        if (p->id == id)
            return p;
    return NULL;
}

static void process_free(struct process *p) {
    list_remove(&p->node);
    FREE_OBJ(p);
}

/* started() comes from the loop, never from inside keeper_spawn. */
static void process_fail_later(struct keeper *k, struct process *p, enum launch_step step, int error) {
    p->step = step;
    p->error = error;
    list_move(&k->failed, &p->node);
    later_soon(k, 0.);
}

/* started() may release p. A process that never ran has no further news; its struct waits for the release. */
static void process_tell_failure(struct keeper *k, struct process *p, int error, enum launch_step step) {
    list_move(bucket_of(k, p->id), &p->node);
    p->pid = 0;
    if (p->started != NULL)
        p->started(p->owner, 0, error != 0 ? error : EIO, launch_step_name(step));
}

static void on_later(struct ev_loop *ev, ev_timer *w, int events) {
    struct keeper *k = w->data;
    (void)ev;
    (void)events;
    CHECK_OBJ_NOTNULL(k, KEEPER_MAGIC);
    /* those that fail while these are told wait for the next turn */
    for (size_t n = k->failed.length; n > 0 && !list_empty(&k->failed); n--) {
        struct process *p = CONTAINER_OF(list_first(&k->failed), struct process, node);
        process_tell_failure(k, p, p->error, p->step);
    }
    queue_flush(k);
    if (!list_empty(&k->failed))
        later_soon(k, 0.);
}

struct process *keeper_spawn(struct keeper *k, const struct process_spawn *s) {
    CHECK_OBJ_NOTNULL(k, KEEPER_MAGIC);
    ASSERT(k->loop != NULL && s->argv[0] != NULL);
    struct process *p;
    ALLOC_OBJ(p, PROCESS_MAGIC);
    p->id = ++k->next_id;
    p->started = s->started;
    p->exited = s->exited;
    p->owner = s->owner;
    list_append(bucket_of(k, p->id), &p->node);
    struct frame *f = frame_new();
    if (k->gone || k->queued > QUEUE_BYTES_MAX) {
        process_fail_later(k, p, LAUNCH_STEP_KEEPER, k->gone ? ESRCH : ENOBUFS);
    } else if ((f->fds[0] = fcntl(s->out, F_DUPFD_CLOEXEC, 3)) < 0 ||
               (f->fds[1] = fcntl(s->err, F_DUPFD_CLOEXEC, 3)) < 0) {
        process_fail_later(k, p, LAUNCH_STEP_DESCRIPTORS, errno);
    } else if (!protocol_put_spawn(&f->bytes, p->id, s->argv, s->envp, s->directory)) {
        process_fail_later(k, p, LAUNCH_STEP_EXEC, E2BIG);
    } else {
        queue_append(k, f);
        return p;
    }
    frame_close_fds(f);
    buf_free(&f->bytes);
    free(f);
    return p;
}

static void order(struct keeper *k, enum protocol_type type, uint64_t id, const void *body, size_t n) {
    if (k->gone)
        return;
    struct frame *f = frame_new();
    protocol_put(&f->bytes, type, id, body, n);
    queue_append(k, f);
}

void keeper_kill(struct keeper *k, struct process *p, int signal, bool group) {
    CHECK_OBJ_NOTNULL(k, KEEPER_MAGIC);
    CHECK_OBJ_NOTNULL(p, PROCESS_MAGIC);
    struct protocol_kill m = {.signal = signal, .group = group};
    if (p->error == 0)
        order(k, PROTOCOL_KILL, p->id, &m, sizeof m);
}

void process_release(struct keeper *k, struct process *p) {
    CHECK_OBJ_NOTNULL(k, KEEPER_MAGIC);
    CHECK_OBJ_NOTNULL(p, PROCESS_MAGIC);
    if (p->error == 0)
        order(k, PROTOCOL_RELEASE, p->id, NULL, 0);
    process_free(p);
}

pid_t process_pid(const struct process *p) {
    CHECK_OBJ_NOTNULL(p, PROCESS_MAGIC);
    return p->pid;
}

/* ---- news
 * ----------------------------------------------------------------------------------------------------------*/

static void news_started(struct keeper *k, struct process *p, const struct protocol_started *m) {
    if (m->pid <= 0) {
        p->error = m->error != 0 ? m->error : EIO;
        process_tell_failure(k, p, p->error, (enum launch_step)m->step);
        return;
    }
    p->pid = m->pid;
    if (p->started != NULL)
        p->started(p->owner, p->pid, 0, NULL);
}

static void news_exited(struct process *p, const struct protocol_exited *m) {
    struct process_exit e = {.status = m->status, .usage = m->usage};
    if (p->exited != NULL)
        p->exited(p->owner, &e);
}

/* A released process may still have news under way: they are for nobody. False: the frame makes no sense. */
static bool news(struct keeper *k, const struct protocol_head *head, struct str body) {
    struct process *p = process_by_id(k, head->id);
    struct protocol_started started;
    struct protocol_exited exited;
    if (head->type == PROTOCOL_STARTED && protocol_get(body, &started, sizeof started)) {
        if (p != NULL)
            news_started(k, p, &started);
        return true;
    }
    if (head->type == PROTOCOL_EXITED && protocol_get(body, &exited, sizeof exited)) {
        if (p != NULL)
            news_exited(p, &exited);
        return true;
    }
    return false;
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events) {
    struct keeper *k = w->data;
    (void)ev;
    (void)events;
    CHECK_OBJ_NOTNULL(k, KEEPER_MAGIC);
    ssize_t n = recv(k->socket, buf_reserve(&k->in, READ_AT_ONCE), READ_AT_ONCE, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        keeper_lost(k, n == 0 ? "it is gone" : strerror(errno));
        return;
    }
    buf_commit(&k->in, (size_t)n);
    struct protocol_head head;
    struct str body;
    enum protocol_result r = PROTOCOL_MORE;
    while (!k->gone && (r = protocol_next(&k->in, &head, &body)) == PROTOCOL_FRAME) {
        if (!news(k, &head, body)) {
            r = PROTOCOL_BAD;
            break;
        }
        buf_consume(&k->in, head.length);
    }
    if (r == PROTOCOL_BAD)
        keeper_lost(k, "it speaks nonsense");
}

/* ---- life
 * ----------------------------------------------------------------------------------------------------------*/

struct keeper *keeper_fork(void) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
        return NULL;
    /* a Ctrl-C between fork and the keeper's own signal handling must not end it: blocked here, thrown away there */
    sigset_t all, before;
    sigfillset(&all);
    (void)sigprocmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    int error = errno;
    if (pid == 0) {
        close(ends[0]);
        keeper_main(ends[1]);
    }
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        close(ends[0]);
        close(ends[1]);
        errno = error;
        return NULL;
    }
    close(ends[1]);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    struct keeper *k;
    ALLOC_OBJ(k, KEEPER_MAGIC);
    k->pid = pid;
    k->socket = ends[0];
    list_init(&k->queue);
    list_init(&k->failed);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&k->buckets[i]);
    return k;
}

void keeper_attach(struct keeper *k, struct loop *l, struct log *log, void (*lost)(void *owner), void *owner) {
    CHECK_OBJ_NOTNULL(k, KEEPER_MAGIC);
    ASSERT(k->loop == NULL);
    k->loop = l;
    k->log = log;
    k->lost = lost;
    k->owner = owner;
    ev_io_init(&k->reading, on_readable, k->socket, EV_READ);
    ev_io_init(&k->writing, on_writable, k->socket, EV_WRITE);
    ev_timer_init(&k->later, on_later, 0., 0.);
    k->reading.data = k->writing.data = k->later.data = k;
    ev_io_start(l->ev, &k->reading);
}

static void queue_drop(struct keeper *k) {
    while (!list_empty(&k->queue))
        frame_free(k, CONTAINER_OF(list_first(&k->queue), struct frame, node));
}

static void keeper_detach(struct keeper *k) {
    if (k->loop != NULL) {
        ev_io_stop(k->loop->ev, &k->reading);
        ev_io_stop(k->loop->ev, &k->writing);
        ev_timer_stop(k->loop->ev, &k->later);
    }
    queue_drop(k);
    if (k->socket >= 0)
        close(k->socket);
    k->socket = -1;
    k->gone = true;
}

/* The parent-death signal ended the workers themselves; their children have come to us. */
static void keeper_lost(struct keeper *k, const char *how) {
    keeper_detach(k);
    log_error(k->log, "the keeper (process %d) is lost: %s; its workers end with it", (int)k->pid, how);
    (void)kill(k->pid, SIGKILL);
    if (!family_purge(LOST_PURGE))
        log_warn(k->log, "some processes of the keeper could not be ended in time");
    k->pid = 0;
    if (k->lost != NULL)
        k->lost(k->owner);
}

pid_t keeper_pid(const struct keeper *k) {
    CHECK_OBJ_NOTNULL(k, KEEPER_MAGIC);
    return k->pid;
}

static void processes_free(struct list *l) {
    while (!list_empty(l))
        process_free(CONTAINER_OF(list_first(l), struct process, node));
}

void keeper_end(struct keeper *k) {
    CHECK_OBJ_NOTNULL(k, KEEPER_MAGIC);
    keeper_detach(k);
    if (k->pid > 0)
        while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    k->pid = 0;
}

void keeper_stop(struct keeper *k) {
    keeper_end(k);
    for (size_t i = 0; i < BUCKETS; i++)
        processes_free(&k->buckets[i]);
    processes_free(&k->failed);
    buf_free(&k->in);
    FREE_OBJ(k);
}
