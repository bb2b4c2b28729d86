/* The pool when servers die, hang, fail over, lie behind a pooler or ask for TLS: every event arrives once, and the
 * loop goes on. */
#include <netinet/in.h>
#include <sys/socket.h>

#include "pool_fixture.h"
#include "telemetry/settle.h"

#define TURN_MAX                                                                                                       \
    (500 * DUR_MS) /* of the loop, on a machine that does much else; libpq's own waiting would be seconds */

static struct server server;

static int begin_test(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    sql(&server, "postgres", "DROP DATABASE IF EXISTS app WITH (FORCE)");
    sql(&server, "postgres", "CREATE DATABASE app TEMPLATE template0");
    sql(&server, "app", SEED_TABLE);
    fixture_init(f, &server);
    *state = f;
    return 0;
}

static int end_test(void **state) {
    fixture_free(*state);
    free(*state);
    return 0;
}

/* Each event is there, once. */
static void assert_once(struct fixture *f) {
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), f->appended);
    assert_int_equal(sql_int(&server, "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), f->appended);
    if (f->longest > TURN_MAX)
        fail_msg("a turn took %.0f ms", (double)f->longest / 1e3);
}

/* ---- doubt ---- */

/* A batch that another faucet was about to commit as that transaction. */
static struct event_batch *make_doubt(struct fixture *f, size_t n, uint64_t transaction) {
    struct event_batch *b;
    fixture_append_many(f, n);
    b = event_queue_take(f->queue, RECORD_HTTP, SIZE_MAX / 2);
    assert_int_equal(b->n, n);
    event_batch_committing(f->queue, b, transaction);
    return b;
}

/* Puts the batch's first `n` rows there as somebody's transaction; COMMIT or ROLLBACK or neither. */
static uint64_t insert(PGconn *c, const struct event_batch *b, size_t n, const char *end) {
    struct buf text = {0};
    char id[37];
    struct str bytes;
    struct uuid u;
    sql_on(c, "BEGIN");
    uint64_t xid = strtoull(sql_on(c, "SELECT pg_current_xact_id()"), NULL, 10);
    for (size_t i = 0; i < n; i++) {
        assert_true(record_find(b->records[i], COLUMN_OF_HTTP_request_uuid, &bytes));
        memcpy(u.b, bytes.p, 16);
        uuid_format(&u, id);
        assert_true(record_find(b->records[i], COLUMN_OF_HTTP_time, &bytes));
        buf_printf(&text,
                   "INSERT INTO faucet_http_events (request_uuid, time) VALUES ('%s', to_timestamp(%lld / 1e6));", id,
                   (long long)record_get_time(bytes).us);
    }
    buf_append_char(&text, '\0');
    if (n > 0)
        sql_on(c, buf_str(&text).p);
    buf_free(&text);
    sql_on(c, end);
    return xid;
}

static void settle_test(struct fixture *f, size_t rows, const char *end) {
    PGconn *c = sql_open(&server, "app");
    struct event_batch *b = make_doubt(f, 5, 1);
    uint64_t xid = insert(c, b, rows, end);
    PQfinish(c);
    event_batch_committing(f->queue, b, xid);
    event_batch_give_back(f->queue, b);
    fixture_append_many(f, 2);
    fixture_pool(f);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_once(f);
}

static void test_doubt_committed(void **state) {
    settle_test(*state, 5, "COMMIT");
}

static void test_doubt_aborted(void **state) {
    settle_test(*state, 5, "ROLLBACK");
}

static bool are_two_stored(struct fixture *f) {
    return event_queue_account(f->queue, RECORD_HTTP)->stored == 2;
}

/* In progress: asked again, and what comes later does not wait. */
static void test_doubt_in_progress(void **state) {
    struct fixture *f = *state;
    PGconn *c = sql_open(&server, "app");
    struct event_batch *b = make_doubt(f, 5, 1);
    event_batch_committing(f->queue, b, insert(c, b, 5, "SELECT"));
    event_batch_give_back(f->queue, b);
    fixture_append_many(f, 2);
    fixture_pool(f);
    assert_await(f, are_two_stored, 10 * DUR_S);
    assert_false(fixture_await(f, is_all_stored, DUR_S / 2));
    sql_on(c, "COMMIT");
    PQfinish(c);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_once(f);
}

/* A transaction of which this server knows nothing: the rows tell. */
static void doubt_elsewhere(struct fixture *f, uint64_t transaction, size_t rows) {
    PGconn *c = sql_open(&server, "app");
    struct event_batch *b = make_doubt(f, 5, transaction);
    (void)insert(c, b, rows, "COMMIT");
    PQfinish(c);
    event_batch_give_back(f->queue, b);
    fixture_pool(f);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_once(f);
}

static void test_doubt_in_the_future(void **state) {
    doubt_elsewhere(*state, 4000000000u, 0);
}

static void test_doubt_in_the_future_but_there(void **state) {
    doubt_elsewhere(*state, 4000000000u, 5);
}

/* The number belongs to somebody else's transaction here, and that one was committed. */
static void test_doubt_of_another_server(void **state) {
    PGconn *c = sql_open(&server, "app");
    uint64_t xid = strtoull(sql_on(c, "SELECT pg_current_xact_id()"), NULL, 10);
    PGresult *r = PQexec(c, SETTLE_IDENTITY_QUERY);
    uint16_t identity = settle_identity(r);
    PQclear(r);
    PQfinish(c);
    assert_true(identity != 0);
    doubt_elsewhere(*state, settle_transaction((uint16_t)(identity ^ 1), xid), 0);
}

static void test_doubt_of_this_server(void **state) {
    struct fixture *f = *state;
    PGconn *c = sql_open(&server, "app");
    PGresult *r = PQexec(c, SETTLE_IDENTITY_QUERY);
    uint16_t identity = settle_identity(r);
    PQclear(r);
    struct event_batch *b = make_doubt(f, 5, 1);
    uint64_t xid = insert(c, b, 5, "COMMIT");
    sql_on(c, "UPDATE faucet_http_events SET request_uuid = gen_random_uuid()"); /* only the number can tell */
    PQfinish(c);
    event_batch_committing(f->queue, b, settle_transaction(identity, xid));
    event_batch_give_back(f->queue, b);
    fixture_pool(f);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_once(f);
}

static void test_doubt_without_select(void **state) {
    struct fixture *f = *state;
    sql(&server, "app",
        "DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN END $$; GRANT INSERT ON "
        "faucet_http_events TO "
        "clerk");
    snprintf(f->connection, sizeof f->connection, "host=%s port=%d user=clerk dbname=app", server.directory,
             server.port);
    doubt_elsewhere(f, 4000000000u, 0);
    assert_said(f, "GRANT SELECT (request_uuid, time) ON faucet_http_events TO \"clerk\"");
}

/* A real one: the connection goes while COMMIT is under way (a deferred trigger makes it slow). */
static bool is_committing(struct fixture *f) {
    struct pool_status s;
    pool_status(f->pool, &s);
    return s.busy > 0 &&
           sql_int(&server, "SELECT count(*) FROM pg_stat_activity WHERE query = 'COMMIT' AND state = 'active'") == 1;
}
static void test_lost_while_committing(void **state) {
    struct fixture *f = *state;
    struct pool_status s;
    sql(&server, "app",
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.4); RETURN NULL; END'; "
        "CREATE "
        "CONSTRAINT TRIGGER slow AFTER INSERT ON faucet_http_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN "
        "(NEW.path = "
        "'/slow') EXECUTE FUNCTION slow()");
    fixture_append(f, "/slow", 200);
    fixture_append_many(f, 5);
    fixture_pool(f);
    assert_await(f, is_committing, 10 * DUR_S);
    server_do(&server, "terminate faucet");
    assert_await(f, is_all_stored, 10 * DUR_S);
    pool_status(f->pool, &s);
    assert_int_equal(s.doubts, 1);
    fixture_append(f, "/slow", 200);
    assert_await(f, is_committing, 10 * DUR_S);
    pool_free(f->pool); /* the server goes on with it */
    f->longest = 0;     /* is_committing() blocks */
    fixture_pool(f);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_once(f);
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

/* ---- TLS and a pooler ---- */

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

static void test_pooler(void **state) {
    struct fixture *f = *state;
    char answer[300], directory[100];
    int port;
    server_ask(&server, answer, sizeof answer, "pgbouncer");
    assert_int_equal(sscanf(answer, "ok %99s %d", directory, &port), 2);
    snprintf(f->connection, sizeof f->connection, "host=%s port=%d user=postgres dbname=app", directory, port);
    fixture_pool(f);
    fixture_append_many(f, 20000);
    assert_await(f, is_all_stored, 20 * DUR_S);
    assert_once(f);
    server_do(&server, "terminate");
    fixture_append_many(f, 100);
    assert_await(f, is_all_stored, 20 * DUR_S);
    assert_once(f);
    PGconn *c = sql_open(&server, "app");
    struct event_batch *b = make_doubt(f, 5, 1);
    uint64_t xid = insert(c, b, 5, "COMMIT");
    PQfinish(c);
    event_batch_committing(f->queue, b, xid);
    event_batch_give_back(f->queue, b);
    pool_wake(f->pool);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_once(f);
}

static int begin_group(void **state) {
    (void)state;
    return server_begin(&server, "tls");
}

static int end_group(void **state) {
    (void)state;
    return server_close(&server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, end_test)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_doubt_committed),
        TEST(test_doubt_aborted),
        TEST(test_doubt_in_progress),
        TEST(test_doubt_in_the_future),
        TEST(test_doubt_in_the_future_but_there),
        TEST(test_doubt_of_another_server),
        TEST(test_doubt_of_this_server),
        TEST(test_doubt_without_select),
        TEST(test_lost_while_committing),
        TEST(test_killed_server),
        TEST(test_terminated_at_random),
        TEST(test_paused_server),
        TEST(test_black_hole_first),
        TEST(test_silent_first),
        TEST(test_verify_full),
        TEST(test_verify_full_of_another_name),
        TEST(test_pooler),
        TEST(test_failover),
    };
    return cmocka_run_group_tests(tests, begin_group, end_group);
}
