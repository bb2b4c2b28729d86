/*
 * Listening sockets: TCP, Unix, or inherited from systemd (LISTEN_FDS,
 * sd_listen_fds(3)). Accepting stops for a moment when descriptors run out
 * (EMFILE) instead of spinning, and is paused when limits.connections is reached.
 */
#ifndef FAUCET_NET_LISTENER_H
#define FAUCET_NET_LISTENER_H

#include <sys/types.h>

#include "base/log.h"
#include "base/loop.h"
#include "net/address.h"

struct listener {
    unsigned magic;
#define LISTENER_MAGIC 0x115e7e12
    struct list_node node;
    struct loop *loop;
    struct log *log;
    struct address address; /* as bound: port 0 is replaced by the port the kernel gave */
    char text[ADDRESS_TEXT_MAX];
    char *configured; /* as it was asked for: "localhost:80" */
    int fd;           /* -1: closed */
    bool inherited;
    bool short_of_descriptors; /* an episode of EMFILE and the like: said once, until the backlog was empty again */
    dev_t device;              /* of the socket file that we made, inode 0: none; only that very file is removed */
    ino_t inode;
    struct loop_freed freed;
    ev_io acceptable;
    ev_timer pause; /* after EMFILE/ENFILE/ENOBUFS/ENOMEM, 100 ms */
    /* fd is nonblocking and CLOEXEC, TCP_NODELAY set; the callee owns it. */
    void (*accepted)(struct listener *l, int fd, const struct address *peer);
    void *owner;
};

/* Binds and listens (SO_REUSEADDR, IPV6_V6ONLY, backlog SOMAXCONN), does not accept yet. A Unix path in use by a living
 * server is refused after a connect test; a dead socket file is replaced; mode is for Unix sockets, e.g. 0666. NULL:
 * *error (allocated, caller frees) says which address and why, in words. Names ("localhost:80") are resolved with
 * getaddrinfo, at boot and in prepare only; the first IPv4 address is taken, else the first. */
struct listener *listener_open(struct loop *l, struct log *log, const char *text, unsigned mode,
                               char **error) MUST_CHECK;
/* The same while `own`, listeners of ours, hold the port on an overlapping address (127.0.0.1:80 → 0.0.0.0:80): they
 * share it by SO_REUSEPORT for the moment of binding; afterwards nobody else can. *overlaps: there were such. */
struct listener *listener_open_beside(struct loop *l, struct log *log, const char *text, unsigned mode,
                                      const struct list *own, bool *overlaps, char **error) MUST_CHECK;
/* Again, when other listeners of that port were closed: as long as both wildcards are held, nothing can be bound to see
 * to it that the port is shared no more. Also right after listener_close(l). */
void listener_seal(const struct listener *l);
/* Would listener_open(text) bind the address that l has? (Also spelt differently; a name is not looked up.) */
bool listener_is_for(const struct listener *l, const char *text);
/* Takes all that waits in the backlog; before a listener that served is closed. It must be accepting. */
void listener_accept_all(struct listener *l);
/* Wraps a descriptor passed by systemd, if it is a listening stream socket bound to `text`; NULL otherwise (the
 * descriptor stays the caller's). A socket on [::] that takes IPv4 as well (systemd's ListenStream=3838) counts as
 * 0.0.0.0 too. */
struct listener *listener_adopt(struct loop *l, struct log *log, int fd, const char *text);
/* Descriptors 3.. that $LISTEN_PID/$LISTEN_FDS name for this process: sets CLOEXEC, returns how many. */
int listener_inherited_count(char *const *environ_);
void listener_start(struct listener *l, void (*accepted)(struct listener *, int, const struct address *), void *owner);
void listener_stop(struct listener *l); /* stops accepting; what waits in the backlog stays */
/* Closes and gives the memory back after the turn (safe inside accepted); a Unix socket file that we made is removed.
 * Takes l off the list it is on. */
void listener_close(struct listener *l);

#endif
