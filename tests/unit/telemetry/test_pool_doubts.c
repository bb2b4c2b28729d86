/* Batches whose COMMIT was not answered, and what becomes of them: every event arrives once, whoever has to be asked.
 */
#include "pool_fixture.h"
#include "telemetry/settle.h"

static struct server server;

static int begin_test(void **state) {
    return fixture_begin_test(state, &server, SEED_TABLE);
}

static void assert_once(struct fixture *f) {
    fixture_assert_once(f, &server);
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

/* Each stands for a backend that waits in COMMIT: there must not be more and more of them. */
static void test_many_doubts(void **state) {
    struct fixture *f = *state;
    PGconn *c[2];
    struct event_batch *b[2];
    for (int i = 0; i < 2; i++) {
        c[i] = sql_open(&server, "app");
        b[i] = make_doubt(f, 5, 1);
        event_batch_committing(f->queue, b[i], insert(c[i], b[i], 5, "SELECT"));
    }
    for (int i = 0; i < 2; i++)
        event_batch_give_back(f->queue, b[i]);
    fixture_append_many(f, 2);
    fixture_pool(f);
    assert_false(fixture_await(f, are_two_stored, DUR_S));
    for (int i = 0; i < 2; i++) {
        sql_on(c[i], "COMMIT");
        PQfinish(c[i]);
    }
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

/* Its times are not ours to the microsecond. */
static void test_doubt_rounded(void **state) {
    sql(&server, "app", "ALTER TABLE faucet_http_events ALTER COLUMN time TYPE TIMESTAMPTZ(0)");
    doubt_elsewhere(*state, 4000000000u, 5);
}

/* A view whose reading takes as long as a look-up in a large table without an index. */
static void read_slowly(struct fixture *f, const char *seconds) {
    char text[1200];

    snprintf(text, sizeof text,
             "ALTER TABLE faucet_http_events RENAME TO real_events;"
             "CREATE FUNCTION slowly() RETURNS SETOF real_events LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(%s); "
             "RETURN QUERY SELECT * FROM real_events; END $$;"
             "CREATE VIEW faucet_http_events AS SELECT * FROM slowly();"
             "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO "
             "real_events VALUES (NEW.*); RETURN NEW; END $$;"
             "CREATE TRIGGER pass INSTEAD OF INSERT ON faucet_http_events FOR EACH ROW EXECUTE FUNCTION pass();"
             "DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN END $$;"
             "GRANT INSERT, SELECT ON faucet_http_events, real_events TO clerk",
             seconds);
    sql(&server, "app", text);
    snprintf(f->connection, sizeof f->connection, "host=%s port=%d user=clerk dbname=app", server.directory,
             server.port);
}

/* Looking takes long: what is new does not wait for it. */
static void test_doubt_slow(void **state) {
    struct fixture *f = *state;
    read_slowly(f, "4");
    event_batch_give_back(f->queue, make_doubt(f, 5, 4000000000u));
    fixture_append_many(f, 2);
    fixture_pool(f);
    assert_await(f, are_two_stored, 3 * DUR_S);
    assert_await(f, is_all_stored, 15 * DUR_S);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM real_events"), 7);
}

/* Looking is always cut off: the connection stays, and at last the rows are sent again. */
static void test_doubt_never_answered(void **state) {
    struct fixture *f = *state;
    struct pool_status s;
    read_slowly(f, "4");
    f->options.size = 1;
    sql(&server, "postgres", "ALTER ROLE clerk SET statement_timeout = '200ms'");
    event_batch_give_back(f->queue, make_doubt(f, 5, 4000000000u));
    fixture_append_many(f, 2);
    fixture_pool(f);
    bool two = fixture_await(f, are_two_stored, 2 * DUR_S), all = fixture_await(f, is_all_stored, 30 * DUR_S);
    sql(&server, "postgres", "ALTER ROLE clerk RESET statement_timeout");
    assert_true(two);
    assert_true(all);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM real_events"), 7);
    assert_said(f, "cannot be found out");
    pool_status(f->pool, &s);
    assert_int_equal(s.reconnects, 0);
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

/* An error in answer to COMMIT that may be a pooler's, of the connection behind it: nobody knows. */
static void test_commit_answered_by_somebody(void **state) {
    struct fixture *f = *state;
    struct pool_status s;
    sql(&server, "app",
        "CREATE SEQUENCE tries; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF "
        "nextval('tries') "
        "= 1 THEN RAISE EXCEPTION 'server conn crashed?' USING ERRCODE = '08006'; END IF; RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON faucet_http_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION fail()");
    fixture_append_many(f, 5);
    fixture_pool(f);
    assert_await(f, is_all_stored, 10 * DUR_S);
    pool_status(f->pool, &s);
    assert_int_equal(s.doubts, 1);
    assert_once(f);
}

/* ---- a pooler ---- */

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

/* The connection to the pooler stays while another server is behind it, where the number is somebody else's. */
static void test_failover_behind_pooler(void **state) {
    struct fixture *f = *state;
    char answer[300], directory[100];
    struct server second = {0};
    int port;
    server_ask(&server, answer, sizeof answer, "pgbouncer");
    assert_int_equal(sscanf(answer, "ok %99s %d", directory, &port), 2);
    server_ask(&server, answer, sizeof answer, "second");
    assert_int_equal(sscanf(answer, "ok %99s %d", second.directory, &second.port), 2);
    server_do(&server, "writable");
    sql(&second, "postgres", "CREATE DATABASE app");
    sql(&second, "app", SEED_TABLE);
    snprintf(f->connection, sizeof f->connection, "host=%s port=%d user=postgres dbname=app", directory, port);
    PGconn *c = sql_open(&server, "app");
    PGresult *r = PQexec(c, SETTLE_IDENTITY_QUERY);
    uint16_t identity = settle_identity(r);
    PQclear(r);
    PQfinish(c);
    fixture_pool(f);
    fixture_append_many(f, 2);
    assert_await(f, is_all_stored, 10 * DUR_S);

    server_do(&server, "switch");
    uint64_t xid = strtoull(sql(&second, "app", "SELECT pg_current_xact_id()"), NULL, 10);
    event_batch_give_back(f->queue, make_doubt(f, 5, settle_transaction(identity, xid)));
    pool_wake(f->pool);
    assert_await(f, is_all_stored, 10 * DUR_S);
    struct pool_status s;
    pool_status(f->pool, &s);
    assert_int_equal(s.reconnects, 0);
    assert_string_equal(sql(&second, "app", "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), "5");
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), 2);
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
        TEST(test_doubt_committed),
        TEST(test_doubt_aborted),
        TEST(test_doubt_in_progress),
        TEST(test_doubt_in_the_future),
        TEST(test_doubt_in_the_future_but_there),
        TEST(test_doubt_of_another_server),
        TEST(test_doubt_of_this_server),
        TEST(test_doubt_without_select),
        TEST(test_lost_while_committing),
        TEST(test_many_doubts),
        TEST(test_doubt_rounded),
        TEST(test_doubt_slow),
        TEST(test_doubt_never_answered),
        TEST(test_commit_answered_by_somebody),
        TEST(test_pooler),
        TEST(test_failover_behind_pooler),
    };
    return cmocka_run_group_tests(tests, begin_group, end_group);
}
