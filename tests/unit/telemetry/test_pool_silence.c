/* The two silences that look like work under way: a name server that takes the question and never answers, and a server
 * that agrees to TLS and says no more. The loop goes on meanwhile, and the next host is used. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "pool_fixture.h"

#define TURN_MAX (500 * DUR_MS) /* of the loop; waiting for either would be connect_timeout, a second */

static struct server server;

struct silence {
    struct fixture f;
    int fd, port;   /* the name server, or the listener */
    ev_io accepted; /* connections to the listener, one at a time */
    ev_io peer;
    char said[8]; /* what the peer said first */
    size_t said_n;
    size_t hello; /* bytes that came after our S */
    size_t ended; /* connections that were given up */
};

static struct silence *silence_of(struct fixture *f) {
    return CONTAINER_OF(f, struct silence, f);
}

static int begin_test(void **state) {
    struct silence *s = calloc(1, sizeof *s);

    assert_non_null(s);
    sql(&server, "postgres", "DROP DATABASE IF EXISTS app WITH (FORCE)");
    sql(&server, "postgres", "CREATE DATABASE app TEMPLATE template0");
    sql(&server, "app", SEED_TABLE);
    fixture_init(&s->f, &server);
    s->fd = s->peer.fd = -1;
    *state = s;
    return 0;
}

static int end_test(void **state) {
    struct silence *s = *state;

    ev_io_stop(s->f.loop->ev, &s->accepted);
    ev_io_stop(s->f.loop->ev, &s->peer);
    if (s->peer.fd >= 0)
        close(s->peer.fd);
    close(s->fd);
    fixture_free(&s->f);
    free(s);
    return 0;
}

static void open_loopback(struct silence *s, int type) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;

    s->fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(s->fd >= 0);
    assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &length), 0);
    s->port = ntohs(a.sin_port);
}

static void append_one(struct fixture *f) {
    fixture_append_many(f, 1);
}

/* Events go on coming while the first host keeps its silence, and all are there once the second is asked. */
static void assert_goes_on(struct silence *s, bool (*silent)(struct fixture *f)) {
    struct fixture *f = &s->f;
    struct pool_status status;

    fixture_pool(f);
    f->each = append_one;
    assert_await(f, silent, 10 * DUR_S);
    assert_int_equal(event_queue_account(f->queue, RECORD_HTTP)->stored, 0);
    uint64_t before = f->appended;
    assert_false(fixture_await(f, is_all_stored, DUR_S / 2)); /* of a second that the first host has */
    assert_true(f->appended > before + 50);
    f->each = NULL;
    assert_await(f, is_all_stored, 10 * DUR_S);
    if (f->longest > TURN_MAX)
        fail_msg("a turn took %.0f ms", (double)f->longest / 1e3);
    assert_int_equal(sql_int(&server, "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), f->appended);
    pool_status(f->pool, &status);
    assert_non_null(strstr(status.host, server.directory));
}

/* ---- names ---- */

static bool was_asked(struct fixture *f) {
    uint8_t question[512];
    ssize_t n = recv(silence_of(f)->fd, question, sizeof question, MSG_DONTWAIT);

    return n > 12 && memcmp(question + 12, "\2db\6faucet\4test", 15) == 0;
}

static void test_name_server(void **state) {
    struct silence *s = *state;
    char servers[40];

    open_loopback(s, SOCK_DGRAM);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s->port);
    assert_true(resolver_set_servers(s->f.resolver, servers));
    snprintf(s->f.connection, sizeof s->f.connection,
             "host=db.faucet.test,%s port=5432,%d user=postgres dbname=app connect_timeout=1", server.directory,
             server.port);
    assert_goes_on(s, was_asked);
}

/* Its end, while the question is open: nothing is called back, nothing is left behind. */
static void test_end_while_asking(void **state) {
    struct silence *s = *state;
    char servers[40];

    open_loopback(s, SOCK_DGRAM);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", s->port);
    assert_true(resolver_set_servers(s->f.resolver, servers));
    snprintf(s->f.connection, sizeof s->f.connection, "host=db.faucet.test user=postgres dbname=app");
    fixture_pool(&s->f);
    fixture_append_many(&s->f, 3);
    assert_await(&s->f, was_asked, 10 * DUR_S);
    pool_free(s->f.pool);
    s->f.pool = NULL;
    assert_false(fixture_await(&s->f, never, 50 * DUR_MS));
    assert_int_equal(event_queue_account(s->f.queue, RECORD_HTTP)->queued, 3);
}

/* ---- TLS ---- */

static void on_peer(struct ev_loop *ev, ev_io *w, int events) {
    struct silence *s = CONTAINER_OF(w, struct silence, peer);
    char more[4096];

    (void)events;
    if (s->said_n < sizeof s->said) {
        ssize_t n = recv(w->fd, s->said + s->said_n, sizeof s->said - s->said_n, 0);
        assert_true(n > 0);
        s->said_n += (size_t)n;
        if (s->said_n == sizeof s->said)
            assert_int_equal(send(w->fd, "S", 1, 0), 1);
        return;
    }
    ssize_t n = recv(w->fd, more, sizeof more, 0);
    if (n > 0) {
        s->hello += (size_t)n;
        return;
    }
    ev_io_stop(ev, w);
    close(w->fd);
    w->fd = -1;
    s->ended++;
}

static void on_accepted(struct ev_loop *ev, ev_io *w, int events) {
    struct silence *s = CONTAINER_OF(w, struct silence, accepted);

    (void)events;
    if (s->peer.fd >= 0)
        return; /* it waits in the backlog */
    int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    s->said_n = 0;
    ev_io_init(&s->peer, on_peer, fd, EV_READ);
    ev_io_start(ev, &s->peer);
}

static bool has_said_hello(struct fixture *f) {
    return silence_of(f)->hello > 0;
}

static void test_tls(void **state) {
    static const char ssl_request[8] = {0, 0, 0, 8, 0x04, (char)0xd2, 0x16, 0x2f};
    struct silence *s = *state;

    open_loopback(s, SOCK_STREAM);
    assert_int_equal(listen(s->fd, 10), 0);
    ev_io_init(&s->accepted, on_accepted, s->fd, EV_READ);
    ev_io_start(s->f.loop->ev, &s->accepted);
    s->f.options.size = 1;
    snprintf(s->f.connection, sizeof s->f.connection,
             "host=127.0.0.1,%s port=%d,%d user=postgres dbname=app sslmode=require connect_timeout=1",
             server.directory, s->port, server.port);
    assert_goes_on(s, has_said_hello);
    assert_memory_equal(s->said, ssl_request, sizeof ssl_request);
    assert_int_equal(s->ended, 1); /* once was enough */
}

static int begin_group(void **state) {
    (void)state;
    return server_begin(&server, NULL);
}

static int end_group(void **state) {
    (void)state;
    return server_close(&server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_name_server),
        TEST(test_end_while_asking),
        TEST(test_tls),
    };
    return cmocka_run_group_tests(tests, begin_group, end_group);
}
