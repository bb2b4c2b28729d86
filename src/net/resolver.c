/*
 * Host names without blocking the loop. c-ares 1.18 says which sockets it wants
 * watched (ARES_OPT_SOCK_STATE_CB) and when it wants to be called (ares_timeout).
 *
 * Odd: c-ares calls back from inside its own functions and must be neither
 * cancelled nor destroyed there. So a cancelled lookup is only forgotten, its
 * answer thrown away when it comes; and a resolver freed from inside a callback
 * is destroyed when the outermost call into c-ares has returned (`depth`).
 */
#include "net/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <unistd.h>

#include "base/miniobj.h"

#define FIRST_TRY_MS  2000 /* doubled at each further try */
#define TRIES         3
#define HOST_MAX      253 /* bytes, RFC 1035 2.3.4 */
#define ADDRESSES_MAX 32  /* of one name; more are cut off */

struct watched {
    struct list_node node;
    struct resolver *resolver;
    ev_io io;
};

struct resolver {
    unsigned magic;
#define RESOLVER_MAGIC 0x2e501e44
    struct loop *loop;
    ares_channel channel;
    ev_timer timer;
    struct list sockets; /* of struct watched */
    struct list lookups; /* of struct lookup, the forgotten ones too */
    unsigned depth;      /* calls into c-ares on the stack */
    bool dying;
};

struct lookup {
    unsigned magic;
#define LOOKUP_MAGIC 0x100c0b0a
    struct list_node node;
    lookup_done *done; /* NULL: cancelled */
    void *owner;
    uint16_t port;
    bool *gone; /* set while resolver_lookup is on the stack: it wants to know */
};

/* ---- between c-ares and the loop --------------------------------------------- */

static void resolver_destroy(struct resolver *r) {
    ares_destroy(r->channel); /* ends every lookup (ARES_EDESTRUCTION) and every watch */
    ASSERT(list_empty(&r->lookups));
    ASSERT(list_empty(&r->sockets));
    ev_timer_stop(r->loop->ev, &r->timer);
    ares_library_cleanup();
    FREE_OBJ(r);
}

static void enter(struct resolver *r) {
    r->depth++;
}

/* Afterwards r may be gone. */
static void leave(struct resolver *r) {
    struct timeval t, *next;

    ASSERT(r->depth > 0);
    if (--r->depth > 0)
        return;
    if (r->dying) {
        resolver_destroy(r);
        return;
    }
    ev_timer_stop(r->loop->ev, &r->timer);
    next = ares_timeout(r->channel, NULL, &t);
    if (next == NULL)
        return;
    ev_now_update(r->loop->ev);
    ev_timer_set(&r->timer, (double)next->tv_sec + (double)next->tv_usec / (double)DUR_S, 0.);
    ev_timer_start(r->loop->ev, &r->timer);
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int events) {
    struct resolver *r = CONTAINER_OF(w, struct resolver, timer);

    (void)loop;
    (void)events;
    CHECK_OBJ(r, RESOLVER_MAGIC);
    enter(r);
    ares_process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD); /* looks for what has timed out */
    leave(r);
}

static void on_socket(struct ev_loop *loop, ev_io *w, int events) {
    struct watched *s = CONTAINER_OF(w, struct watched, io);
    struct resolver *r = s->resolver; /* s may go during the call */
    int fd = w->fd;

    (void)loop;
    CHECK_OBJ(r, RESOLVER_MAGIC);
    enter(r);
    ares_process_fd(r->channel, events & EV_READ ? fd : ARES_SOCKET_BAD, events & EV_WRITE ? fd : ARES_SOCKET_BAD);
    leave(r);
}

static struct watched *watched_find(struct resolver *r, int fd) {
    LIST_FOREACH (&r->sockets, struct watched, s, node) {
        if (s->io.fd == fd)
            return s;
    }
    return NULL;
}

/* c-ares wants fd watched so; neither: it is about to close it. */
static void on_socket_state(void *data, ares_socket_t fd, int readable, int writable) {
    struct resolver *r = data;
    struct watched *s = watched_find(r, fd);

    if (s == NULL) {
        if (!readable && !writable)
            return;
        s = calloc(1, sizeof *s);
        XXXAN(s);
        s->resolver = r;
        ev_io_init(&s->io, on_socket, fd, EV_NONE);
        list_append(&r->sockets, &s->node);
    }
    ev_io_stop(r->loop->ev, &s->io);
    if (!readable && !writable) {
        list_remove(&s->node);
        free(s);
        return;
    }
    ev_io_set(&s->io, fd, (readable ? EV_READ : EV_NONE) | (writable ? EV_WRITE : EV_NONE));
    ev_io_start(r->loop->ev, &s->io);
}

/* ---- lookups ------------------------------------------------------------------ */

static bool address_take(struct address *a, const struct ares_addrinfo_node *node, uint16_t port) {
    memset(a, 0, sizeof *a);
    if (node->ai_family == AF_INET && (size_t)node->ai_addrlen >= sizeof a->in) {
        memcpy(&a->in, node->ai_addr, sizeof a->in);
        a->in.sin_port = htons(port);
        a->length = sizeof a->in;
    } else if (node->ai_family == AF_INET6 && (size_t)node->ai_addrlen >= sizeof a->in6) {
        memcpy(&a->in6, node->ai_addr, sizeof a->in6);
        a->in6.sin6_port = htons(port);
        a->length = sizeof a->in6;
    }
    return a->length > 0;
}

static bool address_among(const struct address *list, size_t n, const struct address *a) {
    for (size_t i = 0; i < n; i++)
        if (list[i].length == a->length && memcmp(&list[i].any, &a->any, a->length) == 0)
            return true;
    return false;
}

static size_t addresses_take(struct address *list, const struct ares_addrinfo *result, uint16_t port) {
    size_t n = 0;

    for (const struct ares_addrinfo_node *i = result->nodes; i != NULL && n < ADDRESSES_MAX; i = i->ai_next)
        if (address_take(&list[n], i, port) && !address_among(list, n, &list[n]))
            n++;
    return n;
}

static const char *why_failed(int status) {
    switch (status) {
    case ARES_ENOTFOUND:
        return "the name is not known";
    case ARES_ENODATA:
        return "the name has no address";
    case ARES_ETIMEOUT:
        return "the name server did not answer in time";
    case ARES_ECONNREFUSED:
        return "no name server could be reached";
    case ARES_ESERVFAIL:
        return "the name server could not find out";
    case ARES_EBADNAME:
        return "the name is not a valid host name";
    default:
        return ares_strerror(status); /* static text */
    }
}

static void on_answer(void *data, int status, int timeouts, struct ares_addrinfo *result) {
    struct address list[ADDRESSES_MAX];
    struct lookup *q;
    size_t n = 0;

    (void)timeouts;
    CAST_OBJ_NOTNULL(q, data, LOOKUP_MAGIC);
    list_remove(&q->node);
    if (q->gone != NULL)
        *q->gone = true;
    if (q->done != NULL) {
        if (status == ARES_SUCCESS)
            n = addresses_take(list, result, q->port);
        q->done(q->owner, list, n, n > 0 ? NULL : why_failed(status == ARES_SUCCESS ? ARES_ENODATA : status));
    }
    if (result != NULL)
        ares_freeaddrinfo(result);
    FREE_OBJ(q);
}

static void address_from_ip(struct address *a, const struct ip *ip, uint16_t port) {
    memset(a, 0, sizeof *a);
    if (ip->family == AF_INET) {
        a->in.sin_family = AF_INET;
        a->in.sin_port = htons(port);
        memcpy(&a->in.sin_addr, ip->b + 12, 4);
        a->length = sizeof a->in;
    } else {
        a->in6.sin6_family = AF_INET6;
        a->in6.sin6_port = htons(port);
        memcpy(&a->in6.sin6_addr, ip->b, 16);
        a->length = sizeof a->in6;
    }
}

struct lookup *resolver_lookup(struct resolver *r, struct str host, uint16_t port, lookup_done *done, void *owner) {
    static const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    char name[HOST_MAX + 1];
    struct address numeric;
    struct ip ip;
    struct lookup *q;
    bool gone = false;

    CHECK_OBJ_NOTNULL(r, RESOLVER_MAGIC);
    ASSERT(!r->dying);
    if (ip_parse(host, &ip)) {
        address_from_ip(&numeric, &ip, port);
        done(owner, &numeric, 1, NULL);
        return NULL;
    }
    if (host.n == 0 || host.n > HOST_MAX || memchr(host.p, '\0', host.n) != NULL) {
        done(owner, NULL, 0, why_failed(ARES_EBADNAME));
        return NULL;
    }
    memcpy(name, host.p, host.n);
    name[host.n] = '\0';

    ALLOC_OBJ(q, LOOKUP_MAGIC);
    q->done = done;
    q->owner = owner;
    q->port = port;
    q->gone = &gone;
    list_append(&r->lookups, &q->node);
    enter(r);
    ares_getaddrinfo(r->channel, name, NULL, &hints, on_answer, q); /* may answer before it returns */
    leave(r); /* from here on r may be gone, and every lookup with it */
    if (gone)
        return NULL;
    q->gone = NULL;
    return q;
}

void lookup_cancel(struct lookup *q) {
    CHECK_OBJ_NOTNULL(q, LOOKUP_MAGIC);
    q->done = NULL;
}

/* ---- the resolver ------------------------------------------------------------- */

static int errno_of(int status) {
    switch (status) {
    case ARES_ENOMEM:
        return ENOMEM;
    case ARES_EFILE:
        return EIO;
    default:
        return EINVAL;
    }
}

struct resolver *resolver_new(struct loop *l) {
    struct ares_options options = {.timeout = FIRST_TRY_MS, .tries = TRIES, .sock_state_cb = on_socket_state};
    struct resolver *r;
    int status = ares_library_init(ARES_LIB_INIT_ALL); /* counts its callers */

    if (status != ARES_SUCCESS) {
        errno = errno_of(status);
        return NULL;
    }
    ALLOC_OBJ(r, RESOLVER_MAGIC);
    r->loop = l;
    list_init(&r->sockets);
    list_init(&r->lookups);
    ev_timer_init(&r->timer, on_timer, 0., 0.);
    options.sock_state_cb_data = r;
    status = ares_init_options(&r->channel, &options, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        ares_library_cleanup();
        FREE_OBJ(r);
        errno = errno_of(status);
        return NULL;
    }
    return r;
}

void resolver_free(struct resolver *r) {
    CHECK_OBJ_NOTNULL(r, RESOLVER_MAGIC);
    ASSERT(!r->dying);
    r->dying = true;
    LIST_FOREACH (&r->lookups, struct lookup, q, node) {
        q->done = NULL;
    }
    enter(r);
    leave(r);
}

bool resolver_set_servers(struct resolver *r, const char *servers) {
    CHECK_OBJ_NOTNULL(r, RESOLVER_MAGIC);
    return ares_set_servers_ports_csv(r->channel, servers) == ARES_SUCCESS;
}
