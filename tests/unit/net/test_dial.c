/* Dialling: at once, refused, a full backlog, a peer that never answers, cancelled. */
#include "net_test.h"

#include <netinet/tcp.h>

#include "net/dial.h"

struct fixture {
    struct loop *loop;
    struct dial dial;
    char directory[64];
    struct address unix_address;
    bool done;
    int calls, fd, error;
};

static void on_done(struct dial *d, int fd, int error) {
    struct fixture *f = CONTAINER_OF(d, struct fixture, dial);

    f->calls++;
    f->fd = fd;
    f->error = error;
    f->done = true;
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    char text[96];

    f->loop = loop_new();
    assert_non_null(f->loop);
    make_directory(f->directory);
    snprintf(text, sizeof text, "unix:%s/s", f->directory);
    f->unix_address = parsed(text);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    dial_cancel(&f->dial);
    unlink(f->unix_address.un.sun_path);
    rmdir(f->directory);
    loop_free(f->loop);
    free(f);
    return 0;
}

static int start(struct fixture *f, const struct address *to, dur_t timeout) {
    int fd = dial_start(&f->dial, f->loop, to, timeout, on_done);

    assert_int_equal(f->calls, 0); /* never from inside */
    return fd;
}

/* Either way is right for TCP on loopback. */
static int wait_for_fd(struct fixture *f, int fd) {
    if (fd >= 0)
        return fd;
    assert_int_equal(errno, EINPROGRESS);
    run_until(f->loop, &f->done);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->error, 0);
    return f->fd;
}

static void assert_good(int fd, bool tcp) {
    int value = 0;
    socklen_t length = sizeof value;

    assert_true(fd >= 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    if (tcp) {
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
        assert_int_not_equal(value, 0);
    }
}

static void test_tcp(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("127.0.0.1:0");
    int listening = plain_listener(&a, 8);
    int fd = wait_for_fd(f, start(f, &a, PATIENCE));
    int peer = accept(listening, NULL, NULL);

    assert_good(fd, true);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
    close(peer);
    close(listening);
}

static void test_unix_at_once(void **state) {
    struct fixture *f = *state;
    int listening = plain_listener(&f->unix_address, 8);
    int fd = start(f, &f->unix_address, PATIENCE);

    assert_good(fd, false);
    dial_cancel(&f->dial); /* nothing under way: the descriptor is ours and stays open */
    assert_true(fcntl(fd, F_GETFD) >= 0);
    close(fd);
    close(listening);
}

static void test_refused(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("127.0.0.1:0");
    int fd;

    close(plain_listener(&a, 8));
    fd = start(f, &a, PATIENCE);
    assert_int_equal(fd, -1);
    int error = errno;
    if (error == EINPROGRESS) {
        run_until(f->loop, &f->done);
        assert_int_equal(f->fd, -1);
        error = f->error;
    }
    assert_int_equal(error, ECONNREFUSED);

    f->done = false;
    f->calls = 0;
    assert_int_equal(start(f, &f->unix_address, PATIENCE), -1);
    assert_int_equal(errno, ENOENT);
    close(plain_listener(&f->unix_address, 8)); /* a dead socket file */
    assert_int_equal(start(f, &f->unix_address, PATIENCE), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(f->calls, 0);
}

/* Fills a Unix backlog; returns how many connections that took. */
static size_t fill(const struct address *a, int *fds, size_t room) {
    for (size_t n = 0; n < room; n++) {
        fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fds[n], &a->any, a->length) == 0)
            continue;
        assert_int_equal(errno, EAGAIN);
        close(fds[n]);
        return n;
    }
    fail_msg("the backlog never filled");
    return 0;
}

static void test_full_backlog_is_tried_again(void **state) {
    struct fixture *f = *state;
    int listening = plain_listener(&f->unix_address, 1), fds[16];
    size_t n = fill(&f->unix_address, fds, ARRAY_LENGTH(fds));

    assert_int_equal(start(f, &f->unix_address, PATIENCE), -1);
    assert_int_equal(errno, EINPROGRESS);
    assert_false(run_for(f->loop, &f->done, 20 * DUR_MS));
    int peer = accept(listening, NULL, NULL); /* room for one more */
    run_until(f->loop, &f->done);
    assert_int_equal(f->error, 0);
    assert_good(f->fd, false);
    close(f->fd);
    close(peer);
    while (n > 0)
        close(fds[--n]);
    close(listening);
}

static void test_full_backlog_times_out(void **state) {
    struct fixture *f = *state;
    int listening = plain_listener(&f->unix_address, 1), fds[16];
    size_t n = fill(&f->unix_address, fds, ARRAY_LENGTH(fds));
    mono_t before = mono_now();

    assert_int_equal(start(f, &f->unix_address, 30 * DUR_MS), -1);
    assert_int_equal(errno, EINPROGRESS);
    run_until(f->loop, &f->done);
    assert_int_equal(f->fd, -1);
    assert_int_equal(f->error, ETIMEDOUT);
    assert_true(mono_since(before, mono_now()) >= 30 * DUR_MS - DUR_MS);
    while (n > 0)
        close(fds[--n]);
    close(listening);
}

/* A TCP listener whose backlog is full drops SYNs: the handshake never ends. */
static size_t fill_tcp(struct loop *loop, const struct address *a, int *fds, size_t room) {
    bool never = false;

    for (size_t n = 0; n < room; n++) {
        fds[n] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fds[n], &a->any, a->length);
    }
    (void)run_for(loop, &never, 20 * DUR_MS);
    return room;
}

static void test_silent_peer_times_out(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("127.0.0.1:0");
    int listening = plain_listener(&a, 0), fds[8];
    size_t n = fill_tcp(f->loop, &a, fds, ARRAY_LENGTH(fds));

    assert_int_equal(start(f, &a, 30 * DUR_MS), -1);
    assert_int_equal(errno, EINPROGRESS);
    run_until(f->loop, &f->done);
    assert_int_equal(f->fd, -1);
    assert_int_equal(f->error, ETIMEDOUT);
    while (n > 0)
        close(fds[--n]);
    close(listening);
}

static void test_cancel(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("127.0.0.1:0");
    int listening = plain_listener(&a, 0), fds[8];
    size_t n = fill_tcp(f->loop, &a, fds, ARRAY_LENGTH(fds));

    dial_cancel(&f->dial); /* zeroed: harmless */
    assert_int_equal(start(f, &a, 10 * DUR_MS), -1);
    int fd = f->dial.fd;
    dial_cancel(&f->dial);
    dial_cancel(&f->dial);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_false(run_for(f->loop, &f->done, 30 * DUR_MS));
    assert_int_equal(start(f, &a, 10 * DUR_MS), -1); /* can be used again */
    run_until(f->loop, &f->done);
    assert_int_equal(f->calls, 1);
    while (n > 0)
        close(fds[--n]);
    close(listening);
}

/* done may free the dial. */
struct alone {
    struct dial dial;
    bool *done;
};
static void free_it(struct dial *d, int fd, int error) {
    struct alone *x = CONTAINER_OF(d, struct alone, dial);

    assert_int_equal(fd, -1);
    assert_int_equal(error, ETIMEDOUT);
    *x->done = true;
    free(x);
}
static void test_freed_in_done(void **state) {
    struct fixture *f = *state;
    int listening = plain_listener(&f->unix_address, 1), fds[16];
    size_t n = fill(&f->unix_address, fds, ARRAY_LENGTH(fds));
    struct alone *x = calloc(1, sizeof *x);

    x->done = &f->done;
    assert_int_equal(dial_start(&x->dial, f->loop, &f->unix_address, 10 * DUR_MS, free_it), -1);
    run_until(f->loop, &f->done);
    while (n > 0)
        close(fds[--n]);
    close(listening);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_tcp),
        TEST(test_unix_at_once),
        TEST(test_refused),
        TEST(test_full_backlog_is_tried_again),
        TEST(test_full_backlog_times_out),
        TEST(test_silent_peer_times_out),
        TEST(test_cancel),
        TEST(test_freed_in_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
