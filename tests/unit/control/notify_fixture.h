/* A real datagram socket in systemd's place, by path or abstract, and the environment that names it. */
#ifndef TESTS_CONTROL_NOTIFY_FIXTURE_H
#define TESTS_CONTROL_NOTIFY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
    char directory[64];
    char variable[160], usec[64], pid[64];
    char *environ_[5];
    int fd;
    char text[4096]; /* the last datagram */
};

/* name: "/…" or "@…" */
static inline void fixture_listen(struct fixture *f, const char *name) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t n = strlen(name);
    assert_true(n < sizeof at.sun_path);
    memcpy(at.sun_path, name, n);
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    if (f->fd >= 0)
        close(f->fd);
    f->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(f->fd >= 0);
    assert_int_equal(bind(f->fd, (const struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
                     0);
    snprintf(f->variable, sizeof f->variable, "NOTIFY_SOCKET=%s", name);
    f->environ_[0] = (char *)(uintptr_t) "A=b";
    f->environ_[1] = f->variable;
}

static inline int fixture_setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    char path[100];
    f->fd = -1;
    strcpy(f->directory, "/tmp/faucet-notify-XXXXXX");
    if (mkdtemp(f->directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/s", f->directory);
    fixture_listen(f, path);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state) {
    struct fixture *f = *state;
    char path[100];
    close(f->fd);
    snprintf(path, sizeof path, "%s/s", f->directory);
    unlink(path);
    int result = rmdir(f->directory);
    free(f);
    return result;
}

/* The next datagram, or NULL when none came in that time. */
static inline const char *fixture_receive(struct fixture *f, int ms) {
    struct pollfd p = {.fd = f->fd, .events = POLLIN};
    if (poll(&p, 1, ms) != 1)
        return NULL;
    ssize_t n = recv(f->fd, f->text, sizeof f->text - 1, 0);
    assert_true(n >= 0);
    f->text[n] = '\0';
    return f->text;
}

#define FIXTURE_TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

#endif
