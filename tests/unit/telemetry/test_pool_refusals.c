/* The pool and a real PostgreSQL that refuses some rows, some tables or some sizes of batches: what others wait for,
 * what is set aside and what is kept. */
#include "pool_fixture.h"

static struct server server;

static int begin_test(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    sql(&server, "postgres", "DROP DATABASE IF EXISTS app WITH (FORCE)");
    sql(&server, "postgres", "CREATE DATABASE app TEMPLATE template0");
    fixture_init(f, &server);
    *state = f;
    return 0;
}

static int end_test(void **state) {
    fixture_free(*state);
    free(*state);
    return 0;
}

static const struct event_account *account(struct fixture *f) {
    return event_queue_account(f->queue, RECORD_HTTP);
}

static bool is_settled(struct fixture *f) {
    return account(f)->queued == 0 && !is_in_trouble(f);
}

/* ---- rows ---- */

static void append_good(struct fixture *f) {
    static mono_t last;
    if (mono_since(last, mono_now()) < 100 * DUR_MS)
        return;
    last = mono_now();
    fixture_append(f, "/good", 200);
}

static bool are_bad_ones_gone(struct fixture *f) {
    return account(f)->dropped[DROP_BAD_ROW] == 500;
}

/* More of them than can be told from a table that takes nothing: those that come later show that it takes rows. */
static void test_burst_of_bad_rows(void **state) {
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE "ALTER TABLE faucet_http_events ADD CHECK (path <> '/bad')");
    fixture_pool(f);
    for (int i = 0; i < 500; i++)
        fixture_append(f, "/bad", 200);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    assert_int_equal(account(f)->dropped[DROP_BAD_ROW], 16);
    f->each = append_good;
    assert_await(f, are_bad_ones_gone, 20 * DUR_S);
    f->each = NULL;
    assert_await(f, is_settled, 20 * DUR_S);
    assert_int_equal(account(f)->dropped[DROP_BAD_ROW], 500);
    assert_int_equal(account(f)->stored, f->appended - 500);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), f->appended - 500);
}

static bool are_others_stored(struct fixture *f) {
    return account(f)->stored >= 40;
}

/* No partition for their day: nothing is wrong with the rows; they are kept, and those of today do not wait for them.
 */
static void test_no_partition(void **state) {
    struct fixture *f = *state;
    wall_t old = {wall_now().us - 40 * DUR_H};
    sql(&server, "app",
        "CREATE TABLE faucet_http_events (request_uuid UUID, namespace TEXT, version TEXT, target TEXT, worker_route "
        "TEXT, worker_id INT, ip_addr INET, method TEXT, path TEXT, query_params TEXT, http_version TEXT, status "
        "SMALLINT, user_agent TEXT, elapsed BIGINT, time TIMESTAMPTZ NOT NULL) PARTITION BY RANGE (time)");
    for (int i = 0; i < 60; i++)
        fixture_append_at(f, "/old", 200, i % 6 == 0 ? wall_now() : old);
    fixture_pool(f);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    assert_said(f, "no partition of relation");
    assert_int_equal(account(f)->queued, 60);
    sql(&server, "app",
        "DO $$ BEGIN EXECUTE format('CREATE TABLE today PARTITION OF faucet_http_events FOR VALUES FROM (%L) TO (%L)', "
        "now() - interval '1 hour', now() + interval '1 day'); END $$");
    fixture_append_many(f, 30);
    assert_await(f, are_others_stored, 15 * DUR_S); /* and the ten of the first ones that have a partition now */
    f->each = append_good;
    assert_false(fixture_await(f, never, 3 * DUR_S));
    f->each = NULL;
    assert_true(account(f)->stored > 55);
    assert_true(is_in_trouble(f));
    assert_in_range(fixture_count(f, "\n"), 1, 12); /* which is not said again and again */
    sql(&server, "app",
        "DO $$ BEGIN EXECUTE format('CREATE TABLE past PARTITION OF faucet_http_events FOR VALUES FROM (%L) TO (%L)', "
        "now() - interval '3 days', now() - interval '2 hours'); END $$");
    assert_await(f, is_settled, 40 * DUR_S);
    assert_true(is_all_stored(f));
    assert_int_equal(sql_int(&server, "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), f->appended);
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
        TEST(test_burst_of_bad_rows),
        TEST(test_no_partition),
    };
    return cmocka_run_group_tests(tests, begin_group, end_group);
}
