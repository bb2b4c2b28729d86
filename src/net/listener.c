/*
 * Listening sockets. Odd here: the accept loop must not spin when descriptors
 * run out (the backlog stays readable), so it rests 100 ms and says so once an
 * episode; TCP_NODELAY is set on the listening socket, from which Linux hands it
 * down to every accepted one; and a listener may be closed by the callback that
 * gets its connection.
 */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/environ.h"
#include "base/miniobj.h"
#include "net/bind.h"
#include "net/conn.h"

#define ACCEPTS_PER_TURN 64  /* then the other watchers get their turn */
#define REST_SECONDS     0.1 /* when descriptors run out */
#define FIRST_INHERITED  3   /* SD_LISTEN_FDS_START */

/* What the kernel may fill in. */
#define ADDRESS_ROOM ((socklen_t)(sizeof(struct address) - offsetof(struct address, any)))

/* ---- accepting ----------------------------------------------------------- */

static void rest(struct listener *l, int error) {
    if (!l->short_of_descriptors)
        log_warn(l->log, "%s: new connections must wait: %s (trying again every 100 ms; see limits.connections)",
                 l->text,
                 error == EMFILE   ? "this process has no file descriptor left"
                 : error == ENFILE ? "the system has no file descriptor left"
                                   : strerror(error));
    l->short_of_descriptors = true;
    ev_io_stop(l->loop->ev, &l->acceptable);
    ev_timer_set(&l->pause, REST_SECONDS, 0.);
    ev_timer_start(l->loop->ev, &l->pause);
}

static void on_rested(struct ev_loop *loop, ev_timer *w, int events) {
    struct listener *l = CONTAINER_OF(w, struct listener, pause);

    (void)events;
    CHECK_OBJ(l, LISTENER_MAGIC);
    ev_io_start(loop, &l->acceptable);
}

static void backlog_empty(struct listener *l) {
    if (!l->short_of_descriptors)
        return;
    l->short_of_descriptors = false;
    log_info(l->log, "%s: all waiting connections are accepted again", l->text);
}

/* False: enough for this turn. */
static bool accept_one(struct listener *l) {
    struct address peer = {.length = ADDRESS_ROOM};
    int fd = accept4(l->fd, &peer.any, &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        l->accepted(l, fd, &peer);
        return ev_is_active(&l->acceptable); /* the callee may have stopped or closed us */
    }
    switch (errno) {
    case EAGAIN:
        backlog_empty(l);
        return false;
    /* Linux passes network errors of the new connection on through accept, accept(2): that one is lost, no more */
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT:
        return true;
    default: /* EMFILE, ENFILE, ENOBUFS, ENOMEM; anything unknown must not spin either */
        rest(l, errno);
        return false;
    }
}

static void on_acceptable(struct ev_loop *loop, ev_io *w, int events) {
    struct listener *l = CONTAINER_OF(w, struct listener, acceptable);

    (void)loop;
    (void)events;
    CHECK_OBJ(l, LISTENER_MAGIC);
    for (int i = 0; i < ACCEPTS_PER_TURN; i++)
        if (!accept_one(l))
            return;
}

void listener_accept_all(struct listener *l) {
    CHECK_OBJ_NOTNULL(l, LISTENER_MAGIC);
    while (ev_is_active(&l->acceptable) && accept_one(l))
        continue;
}

void listener_start(struct listener *l, void (*accepted)(struct listener *, int, const struct address *), void *owner) {
    CHECK_OBJ_NOTNULL(l, LISTENER_MAGIC);
    ASSERT(l->fd >= 0);
    l->accepted = accepted;
    l->owner = owner;
    if (!ev_is_active(&l->pause))
        ev_io_start(l->loop->ev, &l->acceptable);
}

void listener_stop(struct listener *l) {
    CHECK_OBJ_NOTNULL(l, LISTENER_MAGIC);
    ev_io_stop(l->loop->ev, &l->acceptable);
    ev_timer_stop(l->loop->ev, &l->pause);
}

/* ---- making and closing --------------------------------------------------- */

/* The address comes from the kernel: in place of port 0 stands the one it chose. */
static struct listener *wrap(struct loop *loop, struct log *log, int fd, const char *configured) {
    struct listener *l;

    ALLOC_OBJ(l, LISTENER_MAGIC);
    l->loop = loop;
    l->log = log;
    l->fd = fd;
    l->configured = strdup(configured);
    XXXAN(l->configured);
    l->address.length = ADDRESS_ROOM;
    AZ(getsockname(fd, &l->address.any, &l->address.length));
    address_format(&l->address, l->text, sizeof l->text);
    if (address_is_tcp(&l->address))
        conn_set_nodelay(fd); /* accepted sockets inherit it */
    ev_io_init(&l->acceptable, on_acceptable, fd, EV_READ);
    ev_timer_init(&l->pause, on_rested, REST_SECONDS, 0.);
    return l;
}

static uint16_t port_of(const struct address *a) {
    return a->any.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port;
}

/* TCP, the same port, and one of the two is the wildcard of that family (or an inherited [::] that takes IPv4 as well).
 */
static bool overlap(const struct listener *l, const struct address *wanted) {
    if (!address_is_tcp(&l->address) || !address_is_tcp(wanted) || port_of(&l->address) != port_of(wanted))
        return false;
    return l->inherited || l->address.any.sa_family == wanted->any.sa_family;
}

/* How many of `own` overlap; each is told whether its port may be shared. */
static size_t share_ports(const struct list *own, const struct address *wanted, bool on) {
    size_t n = 0;

    if (own == NULL)
        return 0;
    LIST_FOREACH (own, struct listener, l, node) {
        if (overlap(l, wanted) && bind_share_port(l->fd, on))
            n++;
    }
    return n;
}

static struct listener *open_address(struct loop *loop, struct log *log, const char *text, unsigned mode,
                                     const struct list *own, bool *overlaps, char **error) {
    struct address wanted;
    struct stat made;
    const char *why;
    int fd = -1;

    *overlaps = false;
    if (bind_resolve(str_of(text), &wanted, &why)) {
        *overlaps = share_ports(own, &wanted, true) > 0;
        fd = bind_listening(&wanted, mode, *overlaps, &made, &why);
        if (*overlaps)
            (void)share_ports(own, &wanted, false);
        if (*overlaps && fd >= 0)
            (void)bind_share_port(fd, false);
        if (*overlaps)
            bind_seal_port(&wanted);
    }
    if (fd < 0) {
        XXXASSERT(asprintf(error, "%s: %s", text, why) >= 0);
        return NULL;
    }
    struct listener *l = wrap(loop, log, fd, text);
    l->device = made.st_dev;
    l->inode = made.st_ino;
    return l;
}

struct listener *listener_open(struct loop *loop, struct log *log, const char *text, unsigned mode, char **error) {
    bool overlaps;

    return open_address(loop, log, text, mode, NULL, &overlaps, error);
}

struct listener *listener_open_beside(struct loop *loop, struct log *log, const char *text, unsigned mode,
                                      const struct list *own, bool *overlaps, char **error) {
    return open_address(loop, log, text, mode, own, overlaps, error);
}

static void destroy(void *object) {
    struct listener *l;

    CAST_OBJ_NOTNULL(l, object, LISTENER_MAGIC);
    free(l->configured);
    FREE_OBJ(l);
}

void listener_close(struct listener *l) {
    CHECK_OBJ_NOTNULL(l, LISTENER_MAGIC);
    ASSERT(l->fd >= 0);
    listener_stop(l);
    if (l->inode != 0) /* first, so that nobody connects to what is about to close */
        bind_remove_file(&l->address, l->device, l->inode);
    (void)close(l->fd);
    l->fd = -1;
    list_remove(&l->node);
    loop_free_later(l->loop, &l->freed, destroy, l);
}

/* ---- inherited from systemd ------------------------------------------------ */

static int get_option(int fd, int level, int option) {
    int value = -1;
    socklen_t length = sizeof value;

    return getsockopt(fd, level, option, &value, &length) == 0 ? value : -1;
}

static bool same_address(const struct address *a, const struct address *b) {
    char left[ADDRESS_TEXT_MAX], right[ADDRESS_TEXT_MAX];

    address_format(a, left, sizeof left);
    address_format(b, right, sizeof right);
    return strcmp(left, right) == 0;
}

/* Does a socket on `bound` serve who asked for `wanted`? */
static bool serves(int fd, const struct address *bound, const struct address *wanted) {
    if (same_address(bound, wanted))
        return true;
    return bound->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&bound->in6.sin6_addr) &&
           get_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0 && wanted->any.sa_family == AF_INET &&
           wanted->in.sin_addr.s_addr == htonl(INADDR_ANY) && wanted->in.sin_port == bound->in6.sin6_port;
}

void listener_seal(const struct listener *l) {
    CHECK_OBJ_NOTNULL(l, LISTENER_MAGIC);
    if (address_is_tcp(&l->address))
        bind_seal_port(&l->address);
}

bool listener_is_for(const struct listener *l, const char *text) {
    struct address wanted;
    const char *why;

    CHECK_OBJ_NOTNULL(l, LISTENER_MAGIC);
    if (strcmp(l->configured, text) == 0)
        return true;
    return address_parse(str_of(text), &wanted, &why) && serves(l->fd, &l->address, &wanted);
}

struct listener *listener_adopt(struct loop *loop, struct log *log, int fd, const char *text) {
    struct address bound = {.length = ADDRESS_ROOM}, wanted;
    const char *why;

    if (get_option(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM || get_option(fd, SOL_SOCKET, SO_ACCEPTCONN) != 1)
        return NULL;
    if (getsockname(fd, &bound.any, &bound.length) < 0 || !bind_resolve(str_of(text), &wanted, &why))
        return NULL;
    if (!serves(fd, &bound, &wanted))
        return NULL;
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return NULL;
    struct listener *l = wrap(loop, log, fd, text);
    l->inherited = true;
    return l;
}

int listener_inherited_count(char *const *environ_) {
    uint64_t pid, count;

    if (!str_to_u64(str_of(environ_value(environ_, STR("LISTEN_PID"))), &pid) || pid != (uint64_t)getpid())
        return 0;
    if (!str_to_u64(str_of(environ_value(environ_, STR("LISTEN_FDS"))), &count) || count > INT_MAX - FIRST_INHERITED)
        return 0;
    for (int i = 0; i < (int)count; i++)
        if (fcntl(FIRST_INHERITED + i, F_SETFD, FD_CLOEXEC) < 0)
            return 0; /* a lie, as sd_listen_fds(3) sees it: none of them is ours */
    return (int)count;
}
