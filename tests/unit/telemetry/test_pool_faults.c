/* The pool when servers die, hang, fail over or ask for TLS: every event arrives once, and the loop goes on. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "pool_fixture.h"

static struct server server;

static int begin_test(void **state) {
    return fixture_begin_test(state, &server, SEED_TABLE);
}

static void assert_once(struct fixture *f) {
    fixture_assert_once(f, &server);
}

/* ---- servers that go away ---- */

static void append_some(struct fixture *f) {
    fixture_append_many(f, 20);
}

static void test_killed_server(void **state) {
    struct fixture *f = *state;
    fixture_pool(f);
    for (int i = 0; i < 2; i++) {
        f->each = append_some;
        assert_false(fixture_await(f, never, 200 * DUR_MS));
        f->each = NULL;
        server_do(&server, "kill9");
        f->each = append_some;
        assert_false(fixture_await(f, never, 500 * DUR_MS));
        f->each = NULL;
        assert_true(is_in_trouble(f));
        server_do(&server, "start");
    }
    assert_await(f, is_all_stored, 30 * DUR_S);
    assert_false(is_in_trouble(f));
    assert_said(f, "takes events again");
    assert_once(f);
}

static void test_terminated_at_random(void **state) {
    struct fixture *f = *state;
    struct pool_status s;
    f->options.flush_interval = DUR_MS;
    fixture_pool(f);
    for (int i = 0; i < 60; i++) {
        f->each = append_some;
        assert_false(fixture_await(f, never, (dur_t)(random_u64() % 30) * DUR_MS));
        f->each = NULL;
        server_do(&server, "terminate faucet");
    }
    assert_await(f, is_all_stored, 30 * DUR_S);
    pool_status(f->pool, &s);
    assert_true(s.reconnects > 5);
    assert_once(f);
}

static void test_paused_server(void **state) {
    struct fixture *f = *state;
    fixture_pool(f);
    f->each = append_some;
    assert_false(fixture_await(f, never, 200 * DUR_MS));
    f->each = NULL;
    server_do(&server, "pause");
    f->each = append_some;
    assert_false(fixture_await(f, never, 4 * DUR_S)); /* longer than connect_timeout */
    f->each = NULL;
    server_do(&server, "resume");
    assert_await(f, is_all_stored, 30 * DUR_S);
    assert_once(f);
}

/* ---- hosts ---- */

/* A port on which connecting hangs: its backlog is full. */
static int black_hole(int *port, int *fillers) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    for (int i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&a, sizeof a);
    }
    *port = ntohs(a.sin_port);
    return fd;
}

static void test_black_hole_first(void **state) {
    struct fixture *f = *state;
    struct pool_status s;
    int port, fillers[4], fd = black_hole(&port, fillers);
    f->options.connect_timeout = DUR_S;
    snprintf(f->connection, sizeof f->connection, "host=127.0.0.1,%s port=%d,%d user=postgres dbname=app",
             server.directory, port, server.port);
    fixture_pool(f);
    fixture_append_many(f, 5);
    mono_t began = mono_now();
    assert_false(fixture_await(f, is_all_stored, DUR_S / 2));
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_in_range(mono_since(began, mono_now()), DUR_S * 9 / 10, 5 * DUR_S);
    pool_status(f->pool, &s);
    assert_non_null(strstr(s.host, server.directory));
    server_do(&server, "terminate faucet"); /* the host that works is tried first now */
    began = mono_now();
    fixture_append_many(f, 5);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_true(mono_since(began, mono_now()) < DUR_S);
    assert_once(f);
    for (int i = 0; i < 4; i++)
        close(fillers[i]);
    close(fd);
}

/* A server that accepts and says nothing; and a name that is nowhere. */
static void test_silent_first(void **state) {
    struct fixture *f = *state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 10), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    snprintf(f->connection, sizeof f->connection,
             "host=nowhere.invalid,127.0.0.1,%s port=5432,%d,%d user=postgres dbname=app connect_timeout=1",
             server.directory, ntohs(a.sin_port), server.port);
    assert_true(resolver_set_servers(f->resolver, "127.0.0.1:1"));
    fixture_pool(f);
    fixture_append_many(f, 5);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_once(f);
    close(fd);
}

static bool is_on_second(struct fixture *f) {
    struct pool_status s;
    pool_status(f->pool, &s);
    return strstr(s.host, ":5433") != NULL && is_all_stored(f);
}

/* The second host takes no writes at first, so the first one serves; then the first one becomes read-only while
 * connected. */
static void test_failover(void **state) {
    struct fixture *f = *state;
    char answer[300];
    struct server second = {0};
    struct pool_status s;
    server_ask(&server, answer, sizeof answer, "second");
    assert_int_equal(sscanf(answer, "ok %99s %d", second.directory, &second.port), 2);
    snprintf(f->connection, sizeof f->connection, "host=%s,%s port=%d,%d user=postgres dbname=app", second.directory,
             server.directory, second.port, server.port);
    fixture_pool(f);
    fixture_append_many(f, 5);
    assert_await(f, is_all_stored, 10 * DUR_S);
    pool_status(f->pool, &s);
    assert_non_null(strstr(s.host, server.directory)); /* the other one was judged and left */

    server_do(&server, "writable");
    sql(&second, "postgres", "CREATE DATABASE app");
    sql(&second, "app", SEED_TABLE);
    sql(&server, "postgres", "ALTER SYSTEM SET default_transaction_read_only = on");
    sql(&server, "postgres", "SELECT pg_reload_conf()");
    f->longest = 0;
    fixture_append_many(f, 7);
    assert_await(f, is_on_second, 20 * DUR_S);
    assert_string_equal(sql(&second, "app", "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), "7");
    PGconn *c = sql_open(&server, "postgres");
    sql_on(c, "SET default_transaction_read_only = off");
    sql_on(c, "ALTER SYSTEM RESET default_transaction_read_only");
    sql_on(c, "SELECT pg_reload_conf()");
    PQfinish(c);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), 5);
    assert_true(f->longest < TURN_MAX);
}

/* ---- TLS ---- */

static void test_verify_full(void **state) {
    struct fixture *f = *state;
    snprintf(f->connection, sizeof f->connection, "host=localhost port=%d user=postgres dbname=app", server.port);
    f->options.sslmode = "verify-full";
    f->options.sslrootcert = server.ca;
    fixture_pool(f);
    fixture_append_many(f, 50000); /* through the TLS layer's own buffers */
    assert_await(f, is_all_stored, 30 * DUR_S);
    assert_once(f);
    assert_string_equal(
        sql(&server, "app",
            "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = "
            "'faucet'"),
        "t");
    server_do(&server, "terminate faucet");
    fixture_append_many(f, 10);
    assert_await(f, is_all_stored, 30 * DUR_S);
    assert_once(f);
}

/* The certificate is of localhost, not of that name, although the address is the same. */
static void test_verify_full_of_another_name(void **state) {
    struct fixture *f = *state;
    snprintf(f->connection, sizeof f->connection,
             "host=db.example hostaddr=127.0.0.1 port=%d user=postgres dbname=app password=hunter2", server.port);
    f->options.sslmode = "verify-full";
    f->options.sslrootcert = server.ca;
    fixture_pool(f);
    fixture_append_many(f, 5);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    assert_said(f, "does not match host name");
    assert_int_equal(fixture_count(f, "hunter2"), 0);
    assert_int_equal(event_queue_account(f->queue, RECORD_HTTP)->queued, 5);
}

static int begin_group(void **state) {
    (void)state;
    return server_begin(&server, "tls");
}

static int end_group(void **state) {
    (void)state;
    return server_close(&server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, fixture_end_test)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_killed_server),
        TEST(test_terminated_at_random),
        TEST(test_paused_server),
        TEST(test_black_hole_first),
        TEST(test_silent_first),
        TEST(test_verify_full),
        TEST(test_verify_full_of_another_name),
        TEST(test_failover),
    };
    return cmocka_run_group_tests(tests, begin_group, end_group);
}
