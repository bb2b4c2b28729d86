/* The pool and a real PostgreSQL: what arrives, which columns are filled, what is dropped, what is kept and said. */
#include "pool_fixture.h"

static struct server server;

static int begin_test(void **state) {
    return fixture_begin_test(state, &server, NULL);
}

static void test_seed_table(void **state) {
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE);
    fixture_pool(f);
    fixture_append(f, "/caf\xc3\xa9\t\\", 404);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_string_equal(
        sql(&server, "app",
            "SELECT concat_ws('|', namespace, coalesce(version, 'null'), target, worker_route, worker_id, ip_addr, "
            "method, "
            "path, coalesce(query_params, 'null'), http_version, status, user_agent, elapsed, now() - time < '1 "
            "minute', "
            "request_uuid IS NOT NULL) FROM faucet_http_events"),
        "test|null|Worker::a::1|/a|1|10.0.0.1|GET|/caf\xc3\xa9\t\\|null|HTTP/1.1|404|Mozilla/5.0 (X11; Linux x86_64) "
        "\xc3\xa9|0|t|t");
    struct pool_status s;
    pool_status(f->pool, &s);
    assert_true(s.reachable);
    assert_null(s.error);
    assert_int_equal(s.rows, 1);
    assert_int_equal(s.connections, 1);
}

/* Columns added later, one of ours among them; a domain counts as its base type, another type makes it text. */
static void test_other_columns(void **state) {
    struct fixture *f = *state;
    sql(&server, "app",
        SEED_TABLE
        "CREATE DOMAIN word AS TEXT; ALTER TABLE faucet_http_events ADD COLUMN app word, ADD COLUMN mine INT DEFAULT "
        "7, ADD COLUMN total_us BIGINT GENERATED ALWAYS AS (elapsed * 1000) STORED");
    fixture_append(f, "/x", 200);
    fixture_append(f, "/x", 200);
    fixture_pool(f);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events WHERE app = 'a' AND mine = 7"), 2);
    assert_int_equal(sql_int(&server, "SELECT sum(total_us) FROM faucet_http_events"), 1000);
}

static void test_other_types(void **state) {
    struct fixture *f = *state;
    sql(&server, "app",
        "CREATE TABLE faucet_http_events (request_uuid TEXT, namespace VARCHAR(10), version TEXT, target TEXT, "
        "worker_route TEXT, "
        "worker_id BIGINT, ip_addr TEXT, method TEXT, path TEXT, query_params TEXT, http_version TEXT, status INT, "
        "user_agent TEXT,"
        " elapsed INT, time TIMESTAMP NOT NULL)");
    fixture_pool(f);
    fixture_append(f, "/a\tb\\\n\r\\N\\.", 200);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_int_equal(sql_int(&server,
                             "SELECT count(*) FROM faucet_http_events WHERE path = E'/a\\tb\\\\\\n\\r\\\\N\\\\.' AND "
                             "ip_addr = '10.0.0.1' AND now() AT TIME ZONE 'UTC' - time < '1 minute'"),
                     1);
}

/* While connected: 22P03, and the column is looked at again; 42703 after a column is gone. */
static void test_types_change(void **state) {
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE "ALTER TABLE faucet_http_events ADD COLUMN app TEXT");
    fixture_pool(f);
    fixture_append(f, "/x", 200);
    assert_await(f, is_all_stored, 10 * DUR_S);
    sql(&server, "app", "ALTER TABLE faucet_http_events ALTER COLUMN elapsed TYPE INT");
    fixture_append(f, "/x", 200);
    assert_await(f, is_all_stored, 10 * DUR_S);
    sql(&server, "app", "ALTER TABLE faucet_http_events DROP COLUMN app");
    fixture_append(f, "/x", 200);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), 3);
}

static bool log_is_dropped(struct fixture *f) {
    return event_queue_account(f->queue, RECORD_LOG)->dropped[DROP_NO_TABLE] == 3 && is_all_stored(f);
}

static void test_no_table_of_others(void **state) {
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE);
    fixture_pool(f);
    fixture_append_log(f, "one");
    fixture_append_log(f, "two");
    fixture_append(f, "/x", 200);
    assert_true(fixture_await(f, is_nothing_queued, 10 * DUR_S));
    fixture_append_log(f, "three");
    assert_await(f, log_is_dropped, 10 * DUR_S);
    assert_int_equal(fixture_count(f, "faucet_log_events is missing"), 1);
    pool_free(f->pool);
    sql(&server, "app",
        "CREATE TABLE faucet_log_events (namespace TEXT, version TEXT, target TEXT, time TIMESTAMPTZ, event_id UUID, "
        "parent_event_id UUID, level TEXT, event_type TEXT, message TEXT, body JSONB)");
    fixture_pool(f);
    fixture_append_log(f, "four");
    assert_await(f, is_nothing_queued, 10 * DUR_S);
    assert_string_equal(sql(&server, "app", "SELECT message || body::text FROM faucet_log_events"),
                        "four{\"n\": [1, null, \"x\"]}");
}

static void test_no_table(void **state) {
    struct fixture *f = *state;
    fixture_pool(f);
    fixture_append(f, "/x", 200);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    assert_said(f, "faucet_http_events is missing; `faucet db init` makes it");
    assert_false(fixture_await(f, never, DUR_S));
    assert_int_equal(fixture_count(f, "faucet_http_events is missing"), 1);
    assert_int_equal(event_queue_account(f->queue, RECORD_HTTP)->queued, 1);
    sql(&server, "app", SEED_TABLE);
    assert_await(f, is_all_stored, 10 * DUR_S);
    assert_false(is_in_trouble(f));
    sql(&server, "app", "DROP TABLE faucet_http_events"); /* 42P01 in the middle */
    fixture_append(f, "/x", 200);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    sql(&server, "app", SEED_TABLE);
    assert_await(f, is_all_stored, 10 * DUR_S);
}

static bool is_gap_stored(struct fixture *f) {
    return event_queue_account(f->queue, RECORD_GAP)->stored == 1;
}

/* Rows that are stored leave room for the row of the gap: that one goes at once, and not with the next event. */
static void test_gap_after_full(void **state) {
    struct fixture *f = *state;
    size_t refused = 0;
    sql(&server, "app",
        SEED_TABLE "CREATE TABLE faucet_gaps (time TIMESTAMPTZ, table_name TEXT, reason TEXT, dropped BIGINT)");
    event_queue_resize(f->queue, 512 * 1024);
    fixture_append(f, "/x", 200);
    for (size_t i = 0; i < 10000; i++)
        refused += !event_queue_append(f->queue, RECORD_HTTP, record_str(&f->record));
    assert_true(refused > 0);
    fixture_pool(f);
    assert_await(f, is_gap_stored, 10 * DUR_S);
    assert_int_equal(
        sql_int(&server, "SELECT dropped FROM faucet_gaps WHERE table_name = 'faucet_http_events' AND reason = 'full'"),
        (int)refused);
}

static void test_rights(void **state) {
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE "DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
    snprintf(f->connection, sizeof f->connection, "host=%s port=%d user=clerk dbname=app", server.directory,
             server.port);
    fixture_pool(f);
    fixture_append(f, "/x", 200);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    assert_said(f, "GRANT INSERT ON faucet_http_events TO \"clerk\"");
    sql(&server, "app", "GRANT INSERT ON faucet_http_events TO clerk");
    assert_await(f, is_all_stored, 10 * DUR_S);
    sql(&server, "app", "REVOKE INSERT ON faucet_http_events FROM clerk");
    fixture_append(f, "/x", 200);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    assert_said(f, "42501");
    sql(&server, "app", "GRANT INSERT ON faucet_http_events TO clerk");
    assert_await(f, is_all_stored, 10 * DUR_S);
    sql(&server, "app", "ALTER TABLE faucet_http_events DROP COLUMN version");
    fixture_append(f, "/x", 200);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    assert_false(fixture_await(f, never, DUR_S / 2));
    assert_said(f, "ALTER TABLE faucet_http_events ADD COLUMN version text");
    sql(&server, "app",
        "ALTER TABLE faucet_http_events ADD COLUMN version text; GRANT INSERT ON faucet_http_events TO clerk");
    assert_await(f, is_all_stored, 10 * DUR_S);
}

static void test_bad_rows(void **state) {
    struct fixture *f = *state;
    const struct event_account *a = event_queue_account(f->queue, RECORD_HTTP);
    sql(&server, "app", SEED_TABLE "ALTER TABLE faucet_http_events ADD CHECK (path <> '/bad')");
    for (int i = 0; i < 300; i++)
        fixture_append(f, i % 100 == 7 ? "/bad" : "/good", 200);
    fixture_pool(f);
    assert_await(f, is_nothing_queued, 20 * DUR_S);
    assert_int_equal(a->dropped[DROP_BAD_ROW], 3);
    assert_int_equal(a->stored, 297);
    assert_int_equal(sql_int(&server, "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), 297);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), 297);
    assert_int_equal(fixture_count(f, "is set aside"), 3);
    assert_said(f, "violates check constraint");
}

/* Every row is refused: not the rows are what is wrong. */
static void test_all_bad(void **state) {
    struct fixture *f = *state;
    const struct event_account *a = event_queue_account(f->queue, RECORD_HTTP);
    sql(&server, "app", SEED_TABLE "ALTER TABLE faucet_http_events ADD COLUMN theirs INT NOT NULL");
    fixture_append_many(f, 500);
    fixture_pool(f);
    assert_await(f, is_in_trouble, 20 * DUR_S);
    assert_false(fixture_await(f, never, DUR_S));
    assert_said(f, "many rows in a row were refused");
    assert_int_equal(a->dropped[DROP_BAD_ROW], 16);
    sql(&server, "app", "ALTER TABLE faucet_http_events DROP COLUMN theirs");
    assert_await(f, is_nothing_queued, 20 * DUR_S);
    assert_int_equal(a->stored, 484);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), 484);
}

/* Full batches, by both connections, and the loop goes on meanwhile. */
static void test_many(void **state) {
    struct fixture *f = *state;
    size_t connections = 0;
    sql(&server, "app", SEED_TABLE);
    fixture_append_many(f, 60000);
    fixture_pool(f);
    mono_t began = mono_now();
    while (!is_all_stored(f)) {
        struct pool_status s;
        (void)fixture_await(f, is_all_stored, 10 * DUR_MS);
        pool_status(f->pool, &s);
        connections = s.connections > connections ? s.connections : connections;
        assert_true(mono_since(began, mono_now()) < 60 * DUR_S);
    }
    assert_int_equal(connections, 2);
    assert_int_equal(sql_int(&server, "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), 60000);
    assert_true(f->longest < 300 * DUR_MS);
    struct pool_status s;
    pool_status(f->pool, &s);
    assert_true(s.batches >= 10);
    assert_int_equal(s.rows, 60000);
}

/* Few rows wait for flush_interval: not a transaction each. */
static void append_one(struct fixture *f) {
    if (f->appended < 400)
        fixture_append(f, "/x", 200);
}
static bool are_400_stored(struct fixture *f) {
    return f->appended == 400 && is_all_stored(f);
}
static void test_flush_interval(void **state) {
    struct fixture *f = *state;
    struct pool_status s;
    sql(&server, "app", SEED_TABLE);
    f->options.flush_interval = 200 * DUR_MS;
    fixture_pool(f);
    f->each = append_one;
    assert_await(f, are_400_stored, 20 * DUR_S);
    pool_status(f->pool, &s);
    assert_in_range(s.batches, 2, 40);
    assert_int_equal(s.connections, 1);
}

static void test_drain(void **state) {
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE);
    f->options.flush_interval = DUR_H;
    fixture_pool(f);
    fixture_append_many(f, 100);
    assert_false(fixture_await(f, is_all_stored, 100 * DUR_MS));
    pool_drain(f->pool, 10 * DUR_S);
    assert_await(f, is_drained, 10 * DUR_S);
    assert_true(is_all_stored(f));
    f->drained = false;
    pool_drain(f->pool, 10 * DUR_S); /* nothing to do */
    assert_await(f, is_drained, DUR_S);
}

static void test_drain_in_vain(void **state) {
    struct fixture *f = *state;
    snprintf(f->connection, sizeof f->connection, "host=127.0.0.1 port=1 user=u password=hunter2 dbname=d");
    fixture_pool(f);
    fixture_append_many(f, 10);
    pool_drain(f->pool, 500 * DUR_MS);
    assert_false(fixture_await(f, is_drained, 300 * DUR_MS));
    assert_await(f, is_drained, DUR_S);
    assert_int_equal(event_queue_account(f->queue, RECORD_HTTP)->queued, 10);
    assert_int_equal(fixture_count(f, "hunter2"), 0);
    assert_int_equal(fixture_count(f, "Connection refused"), 1);
}

/* Freed in the middle of a batch: it goes back, and the next pool has it. */
static void test_free_in_the_middle(void **state) {
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE);
    fixture_append_many(f, 3000);
    for (int i = 0; i < 40; i++) {
        fixture_pool(f);
        (void)fixture_await(f, is_all_stored, i * DUR_MS);
        pool_free(f->pool);
        f->pool = NULL;
        fixture_append_many(f, 10);
    }
    fixture_pool(f);
    assert_await(f, is_all_stored, 20 * DUR_S);
    assert_int_equal(sql_int(&server, "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), 3400);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), 3400);
}

/* A lock on the table delays, and nothing else. */
static void test_locked(void **state) {
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE);
    PGconn *c = sql_open(&server, "app");
    sql_on(c, "BEGIN; LOCK TABLE faucet_http_events");
    fixture_pool(f);
    fixture_append_many(f, 10);
    assert_false(fixture_await(f, is_all_stored, 300 * DUR_MS));
    assert_true(f->longest < 300 * DUR_MS);
    sql_on(c, "COMMIT");
    PQfinish(c);
    assert_await(f, is_all_stored, 10 * DUR_S);
}

static int begin_group(void **state) {
    (void)state;
    return server_begin(&server, NULL);
}

static int end_group(void **state) {
    (void)state;
    return server_close(&server);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin_test, fixture_end_test)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_seed_table),     TEST(test_other_columns),      TEST(test_other_types),
        TEST(test_types_change),   TEST(test_no_table_of_others), TEST(test_no_table),
        TEST(test_rights),         TEST(test_bad_rows),           TEST(test_all_bad),
        TEST(test_many),           TEST(test_flush_interval),     TEST(test_drain),
        TEST(test_drain_in_vain),  TEST(test_free_in_the_middle), TEST(test_locked),
        TEST(test_gap_after_full),
    };
    return cmocka_run_group_tests(tests, begin_group, end_group);
}
