/*
 * Making a listening socket. Most of this file is about telling a person why it
 * could not be had, and about the file that a Unix socket leaves behind: who
 * finds one asks by connecting whether a server still lives there, and removes
 * it only when none does and the file is still the one that was asked.
 */
#include "net/bind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

#define FIRST_UNPRIVILEGED_PORT 1024
#define IN_USE                  "the address is in use by another program"

struct words {
    int error;
    const char *text;
};

static const struct words tcp_words[] = {
    {EADDRINUSE, IN_USE},
    {EADDRNOTAVAIL, "this machine has no such address"},
    {EAFNOSUPPORT, "this machine does not speak that kind of address (is IPv6 switched off?)"},
    {EACCES, "permission denied"},
    {EPERM, "permission denied"},
    {EMFILE, "this process has no file descriptor left"},
    {ENFILE, "the system has no file descriptor left"},
};

static const struct words unix_words[] = {
    {EADDRINUSE, IN_USE},
    {ENOENT, "the directory does not exist"},
    {ENOTDIR, "a part of the path is not a directory"},
    {EACCES, "permission denied: this user may not make files in that directory"},
    {EPERM, "permission denied: this user may not replace the file that stands there"},
    {EROFS, "the file system is read-only"},
    {ENOSPC, "the disk is full"},
    {ELOOP, "the path runs in a circle of symbolic links"},
    {EMFILE, "this process has no file descriptor left"},
    {ENFILE, "the system has no file descriptor left"},
};

static const char *words_find(const struct words *table, size_t n, int error) {
    for (size_t i = 0; i < n; i++)
        if (table[i].error == error)
            return table[i].text;
    const char *text = strerrordesc_np(error);
    return text != NULL ? text : "unknown error";
}

static const char *say(const struct address *a, int error) {
    if (a->any.sa_family == AF_UNIX)
        return words_find(unix_words, ARRAY_LENGTH(unix_words), error);
    if (error == EACCES && ntohs(a->in.sin_port) < FIRST_UNPRIVILEGED_PORT) /* sin6_port is at the same place */
        return "permission denied: ports below 1024 need root or CAP_NET_BIND_SERVICE";
    return words_find(tcp_words, ARRAY_LENGTH(tcp_words), error);
}

static int make_socket(const struct address *a) {
    return socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* ---- Unix ----------------------------------------------------------------- */

/* NULL: nobody answers at that path. Else why it cannot be ours. */
static const char *ask_for_life(const struct address *a) {
    int fd = make_socket(a), error = 0;

    if (fd < 0)
        return say(a, errno);
    if (connect(fd, &a->any, a->length) < 0)
        error = errno;
    (void)close(fd);
    switch (error) {
    case ECONNREFUSED:
    case ENOENT:
        return NULL;
    case 0:
    case EAGAIN: /* alive, and its backlog is full */
    case EINPROGRESS:
        return IN_USE;
    case EACCES:
        return "a socket that belongs to another user stands there";
    case EPROTOTYPE:
        return "a socket of another kind stands there";
    default:
        return say(a, error);
    }
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Removes what a dead server left at the path. NULL: the path is free. */
static const char *make_way(const struct address *a) {
    struct stat before, now;

    if (lstat(a->un.sun_path, &before) < 0)
        return errno == ENOENT ? NULL : say(a, errno);
    if (!S_ISSOCK(before.st_mode))
        return "something that is not a socket stands there: remove it or choose another path";
    const char *why = ask_for_life(a);
    if (why != NULL)
        return why;
    if (lstat(a->un.sun_path, &now) < 0)
        return errno == ENOENT ? NULL : say(a, errno);
    if (!same_file(&before, &now))
        return IN_USE; /* another server was quicker */
    return unlink(a->un.sun_path) == 0 || errno == ENOENT ? NULL : say(a, errno);
}

static const char *bind_unix(int fd, const struct address *a, unsigned mode, struct stat *made) {
    mode &= 0777;
    /* bind makes the file with the socket's own mode less the umask */
    if (fchmod(fd, mode) < 0)
        return say(a, errno);
    if (bind(fd, &a->any, a->length) < 0) {
        if (errno != EADDRINUSE)
            return say(a, errno);
        const char *why = make_way(a);
        if (why != NULL)
            return why;
        if (bind(fd, &a->any, a->length) < 0)
            return say(a, errno);
    }
    if (lstat(a->un.sun_path, made) < 0)
        return say(a, errno);
    if ((made->st_mode & 0777) != mode && chmod(a->un.sun_path, mode) < 0) {
        const char *why = say(a, errno);
        bind_remove_file(a, made->st_dev, made->st_ino);
        return why;
    }
    return NULL;
}

void bind_remove_file(const struct address *a, dev_t device, ino_t inode) {
    struct stat now;

    ASSERT(a->any.sa_family == AF_UNIX);
    if (lstat(a->un.sun_path, &now) == 0 && now.st_dev == device && now.st_ino == inode)
        (void)unlink(a->un.sun_path);
}

/* ---- TCP ------------------------------------------------------------------- */

bool bind_share_port(int fd, bool on) {
    const int value = on;

    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &value, sizeof value) == 0;
}

/* False: somebody, we perhaps, has that address. */
static bool touch_port(const struct address *a) {
    static const int on = 1;
    int fd = make_socket(a);

    if (fd < 0)
        return false;
    if (a->any.sa_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on); /* also for IPv6: an address we do not have */
    bool bound = bind(fd, &a->any, a->length) == 0;
    (void)close(fd);
    return bound;
}

void bind_seal_port(const struct address *a) {
    static const char *const nobodys[] = {"::1", "127.0.0.1", "127.255.255.254", "2001:db8::1"}; /* RFC 3849 */
    char port[8];
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM}, *found;
    bool sealed = false;

    snprintf(port, sizeof port, "%u", ntohs(a->in.sin_port)); /* sin6_port is at the same place */
    for (size_t i = 0; i < ARRAY_LENGTH(nobodys) && !sealed; i++) {
        struct address other = {0};
        if (getaddrinfo(nobodys[i], port, &hints, &found) != 0)
            continue;
        memcpy(&other.any, found->ai_addr, found->ai_addrlen);
        other.length = found->ai_addrlen;
        freeaddrinfo(found);
        sealed = touch_port(&other);
    }
}

static const char *bind_tcp(int fd, const struct address *a, bool share_port) {
    static const int on = 1;

    /* without it a restart is refused while old connections are in TIME_WAIT */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0)
        return say(a, errno);
    if (a->any.sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) < 0)
        return say(a, errno);
    if (share_port && !bind_share_port(fd, true))
        return say(a, errno);
    return bind(fd, &a->any, a->length) < 0 ? say(a, errno) : NULL;
}

/* ---- both ------------------------------------------------------------------ */

int bind_listening(const struct address *a, unsigned mode, bool share_port, struct stat *made, const char **why) {
    bool is_unix = a->any.sa_family == AF_UNIX;
    int fd = make_socket(a);

    memset(made, 0, sizeof *made);
    if (fd < 0) {
        *why = say(a, errno);
        return -1;
    }
    *why = is_unix ? bind_unix(fd, a, mode, made) : bind_tcp(fd, a, share_port);
    if (*why == NULL && listen(fd, SOMAXCONN) < 0) {
        *why = say(a, errno);
        if (is_unix)
            bind_remove_file(a, made->st_dev, made->st_ino);
    }
    if (*why == NULL)
        return fd;
    (void)close(fd);
    return -1;
}

static bool resolve_name(struct str host, uint16_t port, struct address *a, const char **why) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *all;
    char name[256];

    ASSERT(host.n < sizeof name); /* address_split's limit is 253 */
    memcpy(name, host.p, host.n);
    name[host.n] = '\0';
    int error = getaddrinfo(name, NULL, &hints, &all);
    if (error != 0) {
        *why = error == EAI_SYSTEM ? words_find(NULL, 0, errno) : gai_strerror(error);
        return false;
    }
    const struct addrinfo *chosen = all;
    ASSERT(chosen != NULL); /* getaddrinfo(3): success is at least one */
    for (const struct addrinfo *i = all; i != NULL; i = i->ai_next)
        if (i->ai_family == AF_INET) {
            chosen = i;
            break;
        }
    memset(a, 0, sizeof *a);
    ASSERT(chosen->ai_addrlen <= sizeof a->un);
    memcpy(&a->any, chosen->ai_addr, chosen->ai_addrlen);
    a->length = chosen->ai_addrlen;
    freeaddrinfo(all);
    *(a->any.sa_family == AF_INET ? &a->in.sin_port : &a->in6.sin6_port) = htons(port);
    return true;
}

bool bind_resolve(struct str text, struct address *a, const char **why) {
    struct str host;
    struct ip ip;
    uint16_t port;

    if (str_starts(text, STR("unix:")))
        return address_parse(text, a, why);
    if (!address_split(text, &host, &port, why))
        return false;
    if (ip_parse(host, &ip))
        return address_parse(text, a, why);
    return resolve_name(host, port, a, why);
}
