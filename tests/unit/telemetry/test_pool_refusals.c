/* The pool and a real PostgreSQL that refuses some rows, some tables or some sizes of batches: what others wait for,
 * what is set aside and what is kept. */
#include <dirent.h>

#include "pool_fixture.h"

static struct server server;

static int begin_test(void **state) {
    return fixture_begin_test(state, &server, NULL);
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
    assert_int_equal(fixture_count(f, "is set aside"), 10);
    pool_free(f->pool); /* or a minute later */
    f->pool = NULL;
    assert_said(f, "490 further rows of faucet_http_events were set aside");
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

/* ---- what is kept, and the room it takes ---- */

static void open_queue(struct fixture *f, const char *directory, int64_t size) {
    char *error = NULL;
    const struct event_queue_options o = {.loop = f->loop,
                                          .log = f->log,
                                          .size = size,
                                          .directory = directory,
                                          .now = wall_now,
                                          .ready = fixture_ready,
                                          .owner = f};

    event_queue_close(f->queue);
    f->options.queue = f->queue = event_queue_open(&o, &error);
    assert_non_null(f->queue);
}

static void use_clerk(struct fixture *f) {
    sql(&server, "app", "DO $$ BEGIN CREATE ROLE clerk LOGIN; EXCEPTION WHEN duplicate_object THEN END $$");
    snprintf(f->connection, sizeof f->connection, "host=%s port=%d user=clerk dbname=app", server.directory,
             server.port);
}

#define LOG_TABLE                                                                                                      \
    "CREATE TABLE faucet_log_events (namespace TEXT, version TEXT, target TEXT, time TIMESTAMPTZ, event_id UUID, "     \
    "parent_event_id UUID, level TEXT, event_type TEXT, message TEXT, body JSONB);"

static void append_both(struct fixture *f) {
    if (f->appended < 30000)
        fixture_append_many(f, 20);
    if (f->appended % 400 == 0 && f->appended < 30000)
        fixture_append_log(f, "one that pins a segment");
}

static bool are_30000_stored(struct fixture *f) {
    return f->appended == 30000 && is_all_stored(f);
}

/* Few events that their table does not take lie in as many segments: at last they go, not the requests. */
static void test_kept_events_fill_the_queue(void **state) {
    struct fixture *f = *state;
    const struct event_account *log;
    open_queue(f, NULL, 2 << 20);
    use_clerk(f);
    sql(&server, "app", SEED_TABLE LOG_TABLE "GRANT INSERT ON faucet_http_events TO clerk");
    fixture_append_log(f, "first");
    fixture_pool(f);
    log = event_queue_account(f->queue, RECORD_LOG);
    assert_await(f, is_in_trouble, 10 * DUR_S);
    assert_false(fixture_await(f, never, 8 * DUR_S)); /* it may be mended soon */
    assert_int_equal(log->queued, 1);
    f->each = append_both;
    assert_await(f, are_30000_stored, 60 * DUR_S);
    f->each = NULL;
    assert_int_equal(account(f)->dropped[DROP_FULL], 0);
    assert_true(log->dropped[DROP_FULL] > 0 && log->queued > 0);
    assert_int_equal(log->dropped[DROP_FULL] + log->queued, log->received);
    assert_int_equal(fixture_count(f, "the queue is nearly full"), 1);
    assert_said(f, "faucet_log_events that were kept are dropped");
    sql(&server, "app", "GRANT INSERT ON faucet_log_events TO clerk");
    pool_free(f->pool); /* its back-off is long by now */
    fixture_pool(f);
    assert_await(f, is_nothing_queued, 60 * DUR_S);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_log_events"), log->stored);
}

/* ---- tables that fail as a server does ---- */

static void append_steadily(struct fixture *f) {
    static mono_t last;
    if (mono_since(last, mono_now()) < 20 * DUR_MS)
        return;
    last = mono_now();
    fixture_append(f, "/x", 200);
    fixture_append_log(f, "x");
}

/* One table has no disk to grow on, or is locked, or its trigger is broken: the connection stays, the log is quiet. */
static void test_one_table_fails(void **state) {
    static const char *const states[] = {"53100", "55P03", "40P01", "XX000"};
    struct fixture *f = *state;
    struct pool_status s;
    sql(&server, "app",
        SEED_TABLE LOG_TABLE
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no space' USING ERRCODE "
        "= TG_ARGV[0]; END $$");
    fixture_pool(f);
    for (size_t i = 0; i < ARRAY_LENGTH(states); i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "DROP TRIGGER IF EXISTS t ON faucet_log_events; CREATE TRIGGER t BEFORE INSERT ON faucet_log_events "
                 "FOR EACH ROW EXECUTE FUNCTION fail('%s')",
                 states[i]);
        sql(&server, "app", text);
        f->each = append_steadily;
        assert_false(fixture_await(f, never, 2 * DUR_S));
        f->each = NULL;
    }
    assert_await(f, is_all_stored, 10 * DUR_S);
    pool_status(f->pool, &s);
    assert_non_null(s.error);
    assert_true(s.reachable);
    assert_int_equal(event_queue_account(f->queue, RECORD_LOG)->stored, 0);
    assert_in_range(s.reconnects, 0, 3); /* for XX: its backend is left */
    assert_in_range(fixture_count(f, "\n"), 1, 12);
    sql(&server, "app", "DROP TRIGGER t ON faucet_log_events");
    pool_free(f->pool); /* its back-off is long by now */
    fixture_pool(f);
    assert_await(f, is_nothing_queued, 40 * DUR_S);
}

/* A batch that takes longer than the server allows: smaller ones do not. */
static void test_statement_timeout(void **state) {
    struct fixture *f = *state;
    use_clerk(f);
    sql(&server, "app",
        SEED_TABLE "GRANT INSERT ON faucet_http_events TO clerk;"
                   "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.001); "
                   "RETURN NEW; END $$;"
                   "CREATE TRIGGER t BEFORE INSERT ON faucet_http_events FOR EACH ROW EXECUTE FUNCTION slow();"
                   "ALTER ROLE clerk SET statement_timeout = '300ms'");
    fixture_append_many(f, 2000);
    fixture_pool(f);
    bool stored = fixture_await(f, is_all_stored, 120 * DUR_S);
    sql(&server, "postgres", "ALTER ROLE clerk RESET statement_timeout");
    assert_true(stored);
    assert_int_equal(sql_int(&server, "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), 2000);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), 2000);
}

/* ---- columns that change ---- */

/* While connected, to types whose input functions take the bytes of a record for bad values: no row is blamed. */
static void test_types_change(void **state) {
    static const char *const changes[] = {"request_uuid TYPE TEXT", "worker_id TYPE TEXT",
                                          "request_uuid TYPE BYTEA "
                                          "USING request_uuid::bytea",
                                          "elapsed TYPE NUMERIC"};
    struct fixture *f = *state;
    sql(&server, "app", SEED_TABLE);
    fixture_pool(f);
    fixture_append_many(f, 5);
    assert_await(f, is_all_stored, 10 * DUR_S);
    for (size_t i = 0; i < ARRAY_LENGTH(changes); i++) {
        char text[200];
        snprintf(text, sizeof text, "ALTER TABLE faucet_http_events ALTER COLUMN %s", changes[i]);
        sql(&server, "app", text);
        fixture_append_many(f, 200);
        assert_await(f, is_nothing_queued, 20 * DUR_S);
        assert_true(is_all_stored(f));
    }
    assert_int_equal(fixture_count(f, "WARN"), 0);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events WHERE worker_id = '1'"), f->appended);
}

/* ---- records that go bad ---- */

static void open_on_disk(struct fixture *f, char directory[40]) {
    strcpy(directory, "/tmp/faucet-test-disk-XXXXXX");
    assert_non_null(mkdtemp(directory));
    open_queue(f, directory, 8 << 20);
}

/* As a disk does that gives EIO from then on. Or removes them. */
static void each_file(const char *directory, off_t size, bool end) {
    DIR *d = opendir(directory);
    char path[400];

    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        if (end)
            unlink(path);
        else if (strstr(e->d_name, ".segment") != NULL)
            assert_int_equal(truncate(path, size), 0);
    }
    closedir(d);
}

static bool is_copy_waiting(struct fixture *f) {
    (void)f;
    return sql_int(&server, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 1;
}

/* Half of the pages go while COPY waits for the table: what was in them is lost and counted as that, and nothing else.
 */
static void lose_pages(struct fixture *f) {
    char directory[40];

    open_on_disk(f, directory);
    fixture_append_many(f, 2000);
    PGconn *c = sql_open(&server, "app");
    sql_on(c, "BEGIN; LOCK TABLE faucet_http_events");
    fixture_pool(f);
    assert_await(f, is_copy_waiting, 10 * DUR_S);
    each_file(directory, 256 * 1024, false);
    sql_on(c, "COMMIT");
    PQfinish(c);
    assert_await(f, is_settled, 20 * DUR_S);
    assert_in_range(account(f)->dropped[DROP_CORRUPT], 500, 1500);
    assert_int_equal(account(f)->dropped[DROP_BAD_ROW], 0);
    assert_int_equal(account(f)->stored, 2000 - account(f)->dropped[DROP_CORRUPT]);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events"), account(f)->stored);
    assert_int_equal(sql_int(&server, "SELECT count(*) FROM faucet_http_events WHERE target = 'Worker::a::1'"),
                     account(f)->stored);
    pool_free(f->pool);
    f->pool = NULL;
    event_queue_close(f->queue);
    f->queue = NULL;
    each_file(directory, 0, true);
    assert_int_equal(rmdir(directory), 0);
}

static void test_lost_pages(void **state) {
    sql(&server, "app", SEED_TABLE);
    lose_pages(*state);
}

/* All columns are there, so records go as they stand. */
static void test_lost_pages_of_tuples(void **state) {
    struct buf text = {0};
    const struct table *t = record_table(RECORD_HTTP);

    buf_printf(&text, "CREATE TABLE faucet_http_events (");
    for (size_t i = 0; i < t->n; i++)
        buf_printf(&text, "%s%s %s", i > 0 ? ", " : "", t->columns[i].name, column_type_name(t->columns[i].type));
    buf_append(&text, STR(")"));
    buf_append_char(&text, '\0');
    sql(&server, "app", buf_str(&text).p);
    buf_free(&text);
    lose_pages(*state);
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
        TEST(test_burst_of_bad_rows), TEST(test_no_partition),
        TEST(test_types_change),      TEST(test_kept_events_fill_the_queue),
        TEST(test_one_table_fails),   TEST(test_statement_timeout),
        TEST(test_lost_pages),        TEST(test_lost_pages_of_tuples),
    };
    return cmocka_run_group_tests(tests, begin_group, end_group);
}
