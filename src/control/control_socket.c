/*
 * The listening side. The socket is made with mode 0600 before it has a name
 * (net/bind.c), so there is no moment in which others could connect.
 */
#include "control/control_socket.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/control_parts.h"
#include "control/control_place.h"

#define SOCKET_MODE     0600
#define CONNECTIONS_MAX 32

char *control_socket_default(char *const *environ_, const char *file) {
    struct arena *a = arena_new(1024);
    char *copy = strdup(control_place_default(a, environ_, file));
    XXXAN(copy);
    arena_free(a);
    return copy;
}

/* "unix:/path" for this daemon, allocated. `faucet start` has no file: its directory and its app stand for one. */
static char *wanted_address(const struct faucet *f, const struct snapshot *s) {
    const struct options *o = f->options;
    const struct str configured = s->daemon.control;
    char *address, *instead = NULL;
    if (configured.n > 0) {
        XXXASSERT(asprintf(&address, "%.*s", STR_ARG(configured)) >= 0);
        return address;
    }
    if (o->file == NULL)
        XXXASSERT(asprintf(&instead, "%s/%s", o->start_dir, f->app_name != NULL ? f->app_name : "start") >= 0);
    char *path = control_socket_default(o->environ_, o->file != NULL ? o->file : instead);
    XXXASSERT(asprintf(&address, "unix:%s", path) >= 0);
    free(path);
    free(instead);
    return address;
}

/* One write, no waiting: the socket's buffer is empty. */
static void turn_away(int fd) {
    static const char body[] = "{\"error\": \"too many clients are connected to this socket\"}\n";
    char reply[512];
    int n = snprintf(reply, sizeof reply,
                     "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
                     "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                     sizeof body - 1, body);
    (void)!send(fd, reply, (size_t)n, MSG_NOSIGNAL);
    (void)close(fd);
}

static void accepted(struct listener *l, int fd, const struct address *peer) {
    struct control_socket *c;
    (void)peer;
    CAST_OBJ_NOTNULL(c, l->owner, CONTROL_SOCKET_MAGIC);
    if (c->connections.length < CONNECTIONS_MAX)
        control_connection_new(c, fd);
    else
        turn_away(fd);
}

/* Who can write to the directory can put a socket of his own there. */
static void judge_directory(const struct faucet *f, const char *address) {
    const char *path = address + strlen("unix:"), *slash = strrchr(path, '/');
    struct stat st;
    char *directory;
    XXXASSERT(asprintf(&directory, "%.*s", slash == path ? 1 : (int)(slash - path), path) >= 0);
    if (stat(directory, &st) == 0 && (st.st_mode & 0022) != 0 && (st.st_mode & S_ISVTX) == 0)
        log_warn(f->log,
                 "control: other users can write to %s and so could replace the control socket; mode 0700 is "
                 "right for it",
                 directory);
    free(directory);
}

struct control_socket *control_socket_open(struct faucet *f, const struct snapshot *s, char **error) {
    CHECK_OBJ_NOTNULL(f, FAUCET_MAGIC);
    char *address = wanted_address(f, s);
    struct listener *l = listener_open(f->loop, f->log, address, SOCKET_MODE, error);
    if (l == NULL) {
        free(address);
        return NULL;
    }
    judge_directory(f, address);
    free(address);
    struct control_socket *c;
    ALLOC_OBJ(c, CONTROL_SOCKET_MAGIC);
    c->faucet = f;
    c->listener = l;
    list_init(&c->connections);
    listener_start(l, accepted, c);
    return c;
}

void control_socket_close(struct control_socket *c) {
    if (c == NULL)
        return;
    CHECK_OBJ(c, CONTROL_SOCKET_MAGIC);
    listener_close(c->listener);
    LIST_FOREACH (&c->connections, struct control_connection, each, node)
        control_connection_close(each, CLOSE_SHUTDOWN);
    FREE_OBJ(c);
}

const char *control_socket_address(const struct control_socket *c) {
    CHECK_OBJ_NOTNULL(c, CONTROL_SOCKET_MAGIC);
    return c->listener->text;
}

bool control_socket_begin(struct faucet *f, const struct snapshot *first) {
    char *error = NULL;
    f->control = control_socket_open(f, first, &error);
    if (f->control != NULL) {
        log_info(f->log, "control socket: %s", control_socket_address(f->control));
        return true;
    }
    bool named = first->daemon.control.n > 0;
    if (named)
        log_error(f->log, "control: %s", error);
    else
        log_warn(
            f->log,
            "no control socket, so `faucet status`, `reload` and their kind cannot reach this daemon: %s; `control:` "
            "names another place",
            error);
    free(error);
    return !named;
}
