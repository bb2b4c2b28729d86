/* Connections over socketpairs and loopback TCP: reads, writes, closing from inside callbacks, no SIGPIPE. */
#include "net_test.h"

#include <netinet/tcp.h>
#include <signal.h>

#include "net/conn.h"

struct fixture {
    struct loop *loop;
    struct conn conn;
    int peer;
    int reads, writes, expiries;
    bool called;
    bool close_when_readable, close_when_writable;
};

static struct fixture *fixture_of(struct conn *c) {
    return CONTAINER_OF(c, struct fixture, conn);
}
static void readable(struct conn *c) {
    struct fixture *f = fixture_of(c);

    f->reads++;
    f->called = true;
    if (f->close_when_readable)
        conn_close(c, CLOSE_CLIENT_CLOSED);
}
static void writable(struct conn *c) {
    struct fixture *f = fixture_of(c);

    f->writes++;
    f->called = true;
    if (f->close_when_writable)
        conn_close(c, CLOSE_CLIENT_CLOSED);
}
static void expired(struct conn *c) {
    struct fixture *f = fixture_of(c);

    f->expiries++;
    f->called = true;
}
static const struct conn_ops ops = {readable, writable, expired};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    f->loop = loop_new();
    assert_non_null(f->loop);
    conn_init(&f->conn, f->loop, pair[0], &ops);
    f->peer = pair[1];
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    conn_close(&f->conn, CLOSE_SHUTDOWN);
    if (f->peer >= 0)
        close(f->peer);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void test_read(void **state) {
    struct fixture *f = *state;
    struct buf b = {0};
    size_t got = 99;

    assert_int_equal(conn_read(&f->conn, &b, 4096, &got), IO_AGAIN);
    assert_int_equal(got, 0);
    assert_null(b.data); /* nothing came: no memory is held */

    assert_int_equal(write(f->peer, "hello world", 11), 11);
    assert_int_equal(conn_read(&f->conn, &b, 5, &got), IO_OK);
    assert_int_equal(got, 5); /* at most `room` */
    assert_int_equal(conn_read(&f->conn, &b, 4096, &got), IO_OK);
    assert_int_equal(got, 6);
    assert_true(str_eq(buf_str(&b), STR("hello world")));

    shutdown(f->peer, SHUT_WR);
    assert_int_equal(conn_read(&f->conn, &b, 4096, &got), IO_EOF);
    assert_int_equal(got, 0);
    assert_true(str_eq(buf_str(&b), STR("hello world")));
    buf_free(&b);
}

static void test_write_buf(void **state) {
    struct fixture *f = *state;
    struct buf b = {0};
    size_t sent, total = 0, received = 0;
    char chunk[4096];

    assert_int_equal(conn_write_buf(&f->conn, &b, &sent), IO_OK); /* empty */
    assert_int_equal(sent, 0);
    buf_append(&b, STR("all of it"));
    assert_int_equal(conn_write_buf(&f->conn, &b, &sent), IO_OK);
    assert_int_equal(sent, 9);
    assert_null(b.data);
    assert_int_equal(read(f->peer, chunk, sizeof chunk), 9);

    const size_t big = (size_t)4 << 20;
    memset(buf_reserve(&b, big), 'x', big);
    buf_commit(&b, big);
    assert_int_equal(conn_write_buf(&f->conn, &b, &sent), IO_AGAIN);
    assert_in_range(sent, 1, big - 1);
    assert_int_equal(buf_length(&b), big - sent);
    assert_false(ev_is_active(&f->conn.write)); /* not by itself */
    total = sent;
    while (received < big) {
        ssize_t n = read(f->peer, chunk, sizeof chunk);
        if (n > 0)
            received += (size_t)n;
        enum io io = conn_write_buf(&f->conn, &b, &sent);
        assert_true(io == IO_OK || io == IO_AGAIN);
        total += sent;
    }
    assert_int_equal(total, big);
    assert_int_equal(buf_length(&b), 0);
}

static void test_writev(void **state) {
    struct fixture *f = *state;
    char one[] = "one ", two[] = "two", got[16] = "";
    const struct iovec v[] = {{one, 4}, {two, 3}};
    size_t sent;

    assert_int_equal(conn_writev(&f->conn, v, 2, &sent), IO_OK);
    assert_int_equal(sent, 7);
    assert_int_equal(read(f->peer, got, sizeof got), 7);
    assert_string_equal(got, "one two");
}

static void test_no_sigpipe(void **state) {
    struct fixture *f = *state;
    struct buf b = {0};
    char text[] = "x";
    const struct iovec v = {text, 1};
    size_t sent;

    (void)signal(SIGPIPE, SIG_DFL); /* would end this program */
    close(f->peer);
    f->peer = -1;
    assert_int_equal(conn_writev(&f->conn, &v, 1, &sent), IO_ERROR);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(sent, 0);
    buf_append(&b, STR("x"));
    assert_int_equal(conn_write_buf(&f->conn, &b, &sent), IO_ERROR);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(buf_length(&b), 1);
    buf_free(&b);
}

static void test_wanting(void **state) {
    struct fixture *f = *state;

    conn_want_read(&f->conn, true);
    conn_want_read(&f->conn, true);
    assert_int_equal(write(f->peer, "x", 1), 1);
    run_until(f->loop, &f->called);
    assert_int_equal(f->reads, 1);
    conn_want_read(&f->conn, false);
    conn_want_read(&f->conn, false);
    f->called = false;
    conn_want_write(&f->conn, true);
    run_until(f->loop, &f->called);
    assert_int_equal(f->writes, 1);
    assert_int_equal(f->reads, 1); /* not wanted, not told */
    conn_want_write(&f->conn, false);
    f->called = false;
    assert_false(run_for(f->loop, &f->called, 20 * DUR_MS));
}

/* Both events are pending in one turn; whichever callback runs first closes, and the other must not come. */
static void test_close_inside_callback(void **state) {
    struct fixture *f = *state;

    f->close_when_readable = f->close_when_writable = true;
    assert_int_equal(write(f->peer, "x", 1), 1);
    conn_want_read(&f->conn, true);
    conn_want_write(&f->conn, true);
    deadline_set(&f->conn.deadline, DUR_MS);
    run_until(f->loop, &f->called);
    f->called = false;
    assert_false(run_for(f->loop, &f->called, 20 * DUR_MS));
    assert_int_equal(f->reads + f->writes, 1);
    assert_int_equal(f->expiries, 0);
    assert_false(conn_is_open(&f->conn));
    assert_int_equal(f->conn.closed, CLOSE_CLIENT_CLOSED);
}

static void test_close_twice_keeps_the_first_reason(void **state) {
    struct fixture *f = *state;
    char byte;

    conn_want_read(&f->conn, true);
    conn_close(&f->conn, CLOSE_BAD_REQUEST);
    conn_close(&f->conn, CLOSE_SHUTDOWN);
    conn_abort(&f->conn, CLOSE_SHUTDOWN);
    assert_int_equal(f->conn.closed, CLOSE_BAD_REQUEST);
    assert_int_equal(read(f->peer, &byte, 1), 0);
    conn_want_read(&f->conn, false); /* harmless */
    conn_want_write(&f->conn, false);
}

static void test_deadline(void **state) {
    struct fixture *f = *state;

    deadline_set(&f->conn.deadline, 2 * DUR_MS);
    run_until(f->loop, &f->called);
    assert_int_equal(f->expiries, 1);
    assert_true(conn_is_open(&f->conn));
}

static void test_shutdown_write(void **state) {
    struct fixture *f = *state;
    char got[4];
    struct buf b = {0};
    size_t n;

    conn_shutdown_write(&f->conn);
    assert_int_equal(read(f->peer, got, sizeof got), 0);
    assert_int_equal(write(f->peer, "x", 1), 1); /* the other direction lives */
    assert_int_equal(conn_read(&f->conn, &b, 16, &n), IO_OK);
    buf_free(&b);
}

/* The peer of an aborted TCP connection sees a reset, of a closed one an end. */
static void test_abort_resets(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("127.0.0.1:0");
    int listening = plain_listener(&a, 8), peer = plain_connect(&a);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    char byte;
    int value = 0;
    socklen_t length = sizeof value;
    struct conn c;

    assert_true(fd >= 0);
    conn_init(&c, f->loop, fd, &ops);
    conn_set_nodelay(fd);
    conn_set_quickack(fd);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    assert_int_not_equal(value, 0);
    conn_abort(&c, CLOSE_WORKER_ERROR);
    assert_int_equal(c.closed, CLOSE_WORKER_ERROR);
    assert_int_equal(read(peer, &byte, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    close(peer);
    close(listening);

    conn_set_nodelay(f->conn.fd); /* a Unix socket: harmless */
    conn_set_quickack(f->conn.fd);
}

static void test_read_error(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("127.0.0.1:0");
    int listening = plain_listener(&a, 8), peer = plain_connect(&a);
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct buf b = {0};
    size_t got;
    struct linger hard = {1, 0};
    struct conn c;

    conn_init(&c, f->loop, fd, &ops);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(peer);
    assert_int_equal(conn_read(&c, &b, 100, &got), IO_ERROR);
    assert_int_equal(errno, ECONNRESET);
    assert_null(b.data);
    conn_close(&c, CLOSE_CLIENT_RESET);
    close(listening);
}

static void test_close_reasons(void **state) {
    (void)state;
    assert_string_equal(close_reason_name(CLOSE_NONE), "none");
    assert_string_equal(close_reason_name(CLOSE_HEADER_TIMEOUT), "header_timeout");
    assert_string_equal(close_reason_text(CLOSE_SHUTDOWN), "faucet stopped");
    for (unsigned i = 0; i < CLOSE_REASON_COUNT; i++) {
        assert_non_null(close_reason_name((enum close_reason)i));
        assert_non_null(close_reason_text((enum close_reason)i));
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(close_reason_name((enum close_reason)i), close_reason_name((enum close_reason)j));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_read),
        TEST(test_write_buf),
        TEST(test_writev),
        TEST(test_no_sigpipe),
        TEST(test_wanting),
        TEST(test_close_inside_callback),
        TEST(test_close_twice_keeps_the_first_reason),
        TEST(test_deadline),
        TEST(test_shutdown_write),
        TEST(test_abort_resets),
        TEST(test_read_error),
        cmocka_unit_test(test_close_reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
