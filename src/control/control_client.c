/*
 * Odd here: that a daemon has ended is seen at two places. Its connection ends
 * first; its process (a pidfd, where the kernel gives one) a little later, and
 * who asked for a stop wants the latter.
 */
#include "control/control_client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/reader.h"

#define CONNECT_TIMEOUT_S 5
#define HEAD_MAX          65536
#define REPLY_MAX         ((size_t)64 << 20)
#define READ_SIZE         65536

static int open_process(pid_t pid) {
    int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    return fd;
}

static const struct {
    int error;
    enum control_open open;
    const char *why;
} errors[] = {
    {ENOENT, CONTROL_NOBODY,
     "there is no such socket (where another user runs it: --control unix:PATH, the log says it at the start)"},
    {ENOTDIR, CONTROL_NOBODY, "there is no such socket"},
    {ECONNREFUSED, CONTROL_NOBODY, "nobody answers there: the daemon was killed, or the file is no socket"},
    {EACCES, CONTROL_DENIED, "permission denied: ask as the user that faucet runs as, or as root"},
    {EPERM, CONTROL_DENIED, "permission denied: ask as the user that faucet runs as, or as root"},
    {EAGAIN, CONTROL_DENIED, "faucet does not accept connections (its queue is full)"},
    {EPROTOTYPE, CONTROL_DENIED, "a socket of another kind stands there"},
};

static enum control_open refused(int error, const char **why) {
    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++)
        if (errors[i].error == error) {
            *why = errors[i].why;
            return errors[i].open;
        }
    *why = strerrordesc_np(error);
    if (*why == NULL)
        *why = "unknown error";
    return CONTROL_DENIED;
}

enum control_open control_client_open(struct control_client *c, const char *path, const char **why) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = CONNECT_TIMEOUT_S};
    size_t n = strlen(path);
    *c = (struct control_client){.fd = -1, .process = -1};
    if (n >= sizeof to.sun_path) {
        *why = "the path of a Unix socket may have 107 bytes at most";
        return CONTROL_NOBODY;
    }
    memcpy(to.sun_path, path, n);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return refused(errno, why);
    (void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience); /* of connect, too: unix(7) */
    if (connect(c->fd, (const struct sockaddr *)&to, sizeof to) < 0) {
        int error = errno;
        control_client_close(c);
        return refused(error, why);
    }
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (getsockopt(c->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
        c->pid = peer.pid;
    c->process = open_process(c->pid);
    return CONTROL_OPEN;
}

void control_client_close(struct control_client *c) {
    if (c->fd >= 0)
        close(c->fd);
    if (c->process >= 0)
        close(c->process);
    buf_free(&c->in);
    c->fd = c->process = -1;
}

/* ---- one request ---- */

/* False: the timeout passed. */
static bool await(int fd, dur_t timeout) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    mono_t until = mono_add(mono_now(), timeout);
    for (;;) {
        dur_t left = timeout == CONTROL_FOREVER ? 0 : mono_since(mono_now(), until);
        if (left < 0)
            left = 0;
        int n = poll(&p, 1, timeout == CONTROL_FOREVER ? -1 : (int)((left + DUR_MS - 1) / DUR_MS));
        if (n > 0)
            return true;
        if (n == 0 || errno != EINTR)
            return false;
    }
}

static bool send_all(int fd, struct str bytes) {
    while (bytes.n > 0) {
        ssize_t n = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        bytes = str_from(bytes, (size_t)n);
    }
    return true;
}

/* More bytes in c->in; 0 at the end of the connection. */
static bool receive(struct control_client *c, dur_t timeout, size_t *got, const char **why) {
    ssize_t n;
    *got = 0;
    if (!await(c->fd, timeout)) {
        *why = "faucet does not answer in time";
        return false;
    }
    char *to = buf_reserve(&c->in, READ_SIZE);
    do
        n = recv(c->fd, to, READ_SIZE, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        buf_commit(&c->in, (size_t)n);
    *got = n > 0 ? (size_t)n : 0;
    return true;
}

static bool read_reply(struct control_client *c, struct arena *arena, dur_t timeout, struct control_answer *answer,
                       const char **why) {
    static const struct http_limits limits = {.header_size = HEAD_MAX};
    struct http_reader *reader = http_reply_reader(arena, &limits, false, false);
    for (;;) {
        struct str in = buf_str(&c->in), body = STR_NONE;
        size_t before = in.n, got;
        enum http_event event = http_reader_next(reader, &in, &body);
        if (event == HTTP_BODY)
            buf_append(&answer->body, body); /* before its bytes are given back */
        if (event == HTTP_HEAD)
            answer->status = http_reader_head(reader)->status;
        buf_consume(&c->in, before - in.n);
        if (event == HTTP_DONE)
            return true;
        if (event == HTTP_BAD || event == HTTP_UPGRADED || buf_length(&answer->body) > REPLY_MAX) {
            *why = "what answers there does not speak as faucet does";
            return false;
        }
        if (event != HTTP_MORE)
            continue;
        if (!receive(c, timeout, &got, why))
            return false;
        if (got == 0) {
            *why = "faucet ended before it answered";
            return false;
        }
    }
}

static bool parse(struct control_answer *answer, const char **why) {
    struct str body = buf_str(&answer->body);
    json_error_t error;
    answer->json = json_loadb(body.n > 0 ? body.p : "", body.n, JSON_REJECT_DUPLICATES, &error);
    *why = "what answers there does not speak as faucet does";
    return json_is_object(answer->json);
}

bool control_client_ask(struct control_client *c, const char *method, const char *target, dur_t timeout,
                        struct control_answer *answer, const char **why) {
    struct arena *arena = arena_new(4096);
    *answer = (struct control_answer){0};
    struct str request =
        arena_printf(arena, "%s %s HTTP/1.1\r\nHost: faucet\r\nContent-Length: 0\r\n\r\n", method, target);
    bool good = send_all(c->fd, request);
    if (!good)
        *why = "faucet does not take the request";
    good = good && read_reply(c, arena, timeout, answer, why) && parse(answer, why);
    arena_free(arena);
    if (!good)
        control_answer_free(answer);
    return good;
}

void control_answer_free(struct control_answer *a) {
    buf_free(&a->body);
    json_decref(a->json);
    a->json = NULL;
}

bool control_client_await_end(struct control_client *c, dur_t timeout) {
    size_t got;
    const char *why;
    if (c->process >= 0)
        return await(c->process, timeout);
    while (receive(c, timeout, &got, &why))
        if (got == 0)
            return true;
    return false;
}
