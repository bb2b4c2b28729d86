/* What the tests of net/ share: cmocka, a loop that is run until something is true, sockets on loopback. */
#ifndef FAUCET_TEST_NET_H
#define FAUCET_TEST_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/loop.h"
#include "net/address.h"

#define PATIENCE (20 * DUR_S) /* a test that waits this long has failed */

static inline void wake_up(struct ev_loop *ev, ev_timer *w, int events) {
    (void)ev;
    (void)w;
    (void)events;
}

/* Turns of the loop until *done, or until `limit` has passed. Returns *done. */
static inline bool run_for(struct loop *l, const bool *done, dur_t limit) {
    mono_t start = mono_now();
    ev_timer tick;

    ev_timer_init(&tick, wake_up, 0.005, 0.005);
    ev_timer_start(l->ev, &tick);
    while (!*done && mono_since(start, mono_now()) < limit)
        ev_run(l->ev, EVRUN_ONCE);
    ev_timer_stop(l->ev, &tick);
    return *done;
}
static inline void run_until(struct loop *l, const bool *done) {
    assert_true(run_for(l, done, PATIENCE));
}

static inline struct address parsed(const char *text) {
    struct address a;
    const char *why;

    assert_true(address_parse(str_of(text), &a, &why));
    return a;
}

/* A plain listening socket; *a with port 0 gets the port. */
static inline int plain_listener(struct address *a, int backlog) {
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &a->any, a->length), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, &a->any, &a->length), 0);
    return fd;
}

static inline int plain_connect(const struct address *a) {
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &a->any, a->length), 0);
    return fd;
}

/* A directory of the test's own; path has room for 64 bytes. */
static inline void make_directory(char path[64]) {
    snprintf(path, 64, "/tmp/faucet-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

#endif
