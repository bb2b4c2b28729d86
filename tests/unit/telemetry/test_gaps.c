/*
 * What is dropped, for each reason: a row of faucet_gaps tells how many and from when to when, once, and not more rows
 * than are of use; whoever writes one wakes the pool.
 */
#include "gap_fixture.h"

#include <signal.h>
#include <sys/resource.h>

/* ---- the reasons ---- */

static void test_full(void **state) {
    struct fixture f;
    struct told t = {0};

    (void)state;
    begin(&f);
    struct event_queue *q = fixture_open(&f);
    fill(&f, q);
    clock_us += 5000;
    while (append(&f, q, RECORD_LOG, clock_us)) { /* a smaller one may fit still */
    }
    clock_us += 5000;
    assert_false(append(&f, q, RECORD_HTTP, clock_us));
    store_gaps(q, &t);
    assert_int_equal(t.rows, 0);
    store(q, RECORD_HTTP);
    store_gaps(q, &t);
    check_told(q, &t);
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.events[RECORD_HTTP][DROP_FULL], 2);
    assert_int_equal(t.began[RECORD_HTTP][DROP_FULL], MOMENT);
    assert_int_equal(t.ended[RECORD_HTTP][DROP_FULL], MOMENT + 10000);
    assert_int_equal(t.events[RECORD_LOG][DROP_FULL], 1);
    event_queue_close(q);
    fixture_end(&f);
}

/* The gap of a row that was refused is where the row's event was, not where it was refused. */
static void test_bad_rows(void **state) {
    struct fixture f;
    struct told t = {0};

    (void)state;
    begin(&f);
    struct event_queue *q = fixture_open(&f);
    for (int64_t i = 0; i < 10; i++)
        assert_true(append(&f, q, RECORD_HTTP, EARLIER + i));
    struct event_batch *b = event_queue_take(q, RECORD_HTTP, SIZE_MAX);
    event_batch_drop_row(q, b, 7);
    event_batch_drop_row(q, b, 3);
    event_batch_stored(q, b);
    store_gaps(q, &t);
    assert_int_equal(t.rows, 1);
    assert_int_equal(t.began[RECORD_HTTP][DROP_BAD_ROW], EARLIER + 7);
    event_queue_end_gaps(q);
    store_gaps(q, &t);
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.began[RECORD_HTTP][DROP_BAD_ROW], EARLIER + 3);
    check_told(q, &t);
    assert_int_equal(t.events[RECORD_HTTP][DROP_BAD_ROW], 2);
    event_queue_close(q);
    fixture_end(&f);
}

static void test_too_long(void **state) {
    struct fixture f;
    struct told t = {0};
    char *text = malloc(RECORD_FIELD_MAX);

    (void)state;
    memset(text, 'z', RECORD_FIELD_MAX);
    begin(&f);
    struct event_queue *q = fixture_open(&f);
    record_begin(&f.record, RECORD_HTTP);
    record_text(&f.record, COLUMN_OF_HTTP_path, str_make(text, RECORD_FIELD_MAX));
    record_text(&f.record, COLUMN_OF_HTTP_user_agent, str_make(text, RECORD_FIELD_MAX));
    record_end(&f.record);
    assert_false(event_queue_append(q, RECORD_HTTP, record_str(&f.record)));
    assert_true(append(&f, q, RECORD_HTTP, clock_us));
    store_gaps(q, &t);
    check_told(q, &t);
    assert_int_equal(t.events[RECORD_HTTP][DROP_BAD_ROW], 1);
    assert_int_equal(t.began[RECORD_HTTP][DROP_BAD_ROW], MOMENT);
    free(text);
    event_queue_close(q);
    fixture_end(&f);
}

static void cut_file(const char *path) {
    if (strstr(path, ".segment") != NULL)
        assert_int_equal(truncate(path, 4096), 0);
}

static void test_damage(void **state) {
    struct fixture f;
    struct told t = {0};

    (void)state;
    begin(&f);
    struct event_queue *q = fixture_open(&f);
    for (int i = 0; i < 100; i++)
        assert_true(append(&f, q, RECORD_HTTP, EARLIER));
    (void)fixture_files(&f, cut_file); /* while it runs */
    store(q, RECORD_HTTP);
    assert_true(append(&f, q, RECORD_HTTP, EARLIER));
    store_gaps(q, &t);
    check_told(q, &t);
    assert_in_range(t.events[RECORD_HTTP][DROP_CORRUPT], 80, 99);
    for (int i = 0; i < 100; i++)
        assert_true(append(&f, q, RECORD_HTTP, EARLIER));
    event_queue_close(q);
    (void)fixture_files(&f, cut_file); /* while it does not */
    clock_us += 1000000;
    q = fixture_open(&f);
    store(q, RECORD_HTTP);
    store_gaps(q, &t);
    check_told(q, &t);
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.began[RECORD_HTTP][DROP_CORRUPT], MOMENT + 1000000); /* when that was found */
    event_queue_close(q);
    fixture_end(&f);
}

/* What was in memory only, because the disk was full, and found no file at the end either. */
static void test_no_space(void **state) {
    struct fixture f;
    struct told t = {0};
    struct rlimit before, small;

    (void)state;
    begin(&f);
    f.options.size = 16 * MIB; /* segments of 2 MiB */
    struct event_queue *q = fixture_open(&f);
    signal(SIGXFSZ, SIG_IGN);
    AZ(getrlimit(RLIMIT_FSIZE, &before));
    small = before;
    small.rlim_cur = 300 * 1024;
    AZ(setrlimit(RLIMIT_FSIZE, &small));
    for (int i = 0; i < 11000; i++) /* two files were there */
        assert_true(append(&f, q, RECORD_HTTP, EARLIER));
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_NO_SPACE], 0);
    clock_us += 7000;
    event_queue_close(q);
    AZ(setrlimit(RLIMIT_FSIZE, &before));
    clock_us += 1000000;
    q = fixture_open(&f);
    assert_true(event_queue_account(q, RECORD_HTTP)->dropped[DROP_NO_SPACE] > 1000);
    assert_true(append(&f, q, RECORD_HTTP, clock_us));
    store_gaps(q, &t);
    check_told(q, &t);
    assert_int_equal(t.began[RECORD_HTTP][DROP_NO_SPACE], MOMENT + 7000);
    AZ(setrlimit(RLIMIT_FSIZE, &small));
    fill(&f, q); /* and what is refused while that is so */
    AZ(setrlimit(RLIMIT_FSIZE, &before));
    clock_us += 3000000;
    event_queue_close(q);
    q = fixture_open(&f);
    assert_true(append(&f, q, RECORD_HTTP, clock_us));
    store_gaps(q, &t);
    check_told(q, &t);
    assert_int_equal(t.ended[RECORD_HTTP][DROP_NO_SPACE], MOMENT + 1007000);
    event_queue_close(q);
    fixture_end(&f);
}

/* A table that is missing: told at once, then when it is there, and now and then in between, however many are dropped.
 */
static void test_no_table(void **state) {
    struct fixture f;
    struct told t = {0};

    (void)state;
    begin(&f);
    f.options.gap_pause = DUR_H;
    struct event_queue *q = fixture_open(&f);
    for (int64_t i = 0; i < 50; i++) {
        assert_true(append(&f, q, RECORD_LOG, EARLIER + 2 * i));
        assert_true(append(&f, q, RECORD_LOG, EARLIER + 2 * i + 1));
        drop_all(q, RECORD_LOG, DROP_NO_TABLE);
        store_gaps(q, &t);
    }
    assert_int_equal(t.rows, 1);
    assert_int_equal(t.events[RECORD_LOG][DROP_NO_TABLE], 2);
    assert_int_equal(t.began[RECORD_LOG][DROP_NO_TABLE], EARLIER);
    assert_int_equal(t.ended[RECORD_LOG][DROP_NO_TABLE], EARLIER + 1);
    assert_true(append(&f, q, RECORD_LOG, EARLIER));
    store(q, RECORD_LOG); /* it is there again */
    store_gaps(q, &t);
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.began[RECORD_LOG][DROP_NO_TABLE], EARLIER + 2);
    assert_int_equal(t.ended[RECORD_LOG][DROP_NO_TABLE], EARLIER + 99);
    check_told(q, &t);
    event_queue_close(q);
    fixture_end(&f);
}

/* ---- the pause, and who is woken ---- */

static void drop_one(struct fixture *f, struct event_queue *q, enum record_kind kind) {
    assert_true(append(f, q, kind, EARLIER));
    struct event_batch *b = event_queue_take(q, kind, SIZE_MAX);
    event_batch_drop_row(q, b, 0);
    event_batch_give_back(q, b);
}

static void test_few_rows_about_many_bad_ones(void **state) {
    struct fixture f;
    struct told t = {0};

    (void)state;
    begin_with_loop(&f);
    f.options.gap_pause = 300 * DUR_MS;
    struct event_queue *q = fixture_open(&f);
    mono_t began = mono_now();
    for (int i = 0; i < 1000; i++) {
        drop_one(&f, q, RECORD_HTTP);
        ev_run(f.options.loop->ev, EVRUN_NOWAIT);
        store_gaps(q, &t);
        if (i == 0)
            assert_int_equal(t.rows, 1);
    }
    dur_t took = mono_since(began, mono_now());
    while (t.events[RECORD_HTTP][DROP_BAD_ROW] < 1000) { /* by itself, when the pause is over */
        assert_true(mono_since(began, mono_now()) < took + 10 * DUR_S);
        ready_calls = 0;
        ev_run(f.options.loop->ev, EVRUN_ONCE);
        struct told before = t;
        if (ready_calls > 0)
            store_gaps(q, &t); /* only where somebody says so */
        assert_true(t.rows <= before.rows + 1);
    }
    check_told(q, &t);
    assert_in_range(t.rows, 2, 2 + (size_t)(took / (300 * DUR_MS)) + 1);
    end_with_loop(&f, q);
}

/* Before the end nobody waits for a pause. */
static void test_end_gaps(void **state) {
    struct fixture f;
    struct told t = {0};

    (void)state;
    begin_with_loop(&f);
    struct event_queue *q = fixture_open(&f);
    drop_one(&f, q, RECORD_HTTP);
    ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    store_gaps(q, &t);
    drop_one(&f, q, RECORD_HTTP);
    ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    store_gaps(q, &t);
    assert_int_equal(t.rows, 1);
    event_queue_end_gaps(q);
    store_gaps(q, &t);
    assert_int_equal(t.rows, 2);
    check_told(q, &t);
    end_with_loop(&f, q);
}

/* Nothing else happens that would wake the pool: no event, no segment. */
static void expect_ready(struct fixture *f, struct event_queue *q, struct told *t) {
    mono_t began = mono_now();

    ready_calls = 0;
    while (ready_calls == 0) {
        assert_true(mono_since(began, mono_now()) < 10 * DUR_S);
        ev_run(f->options.loop->ev, EVRUN_NOWAIT);
    }
    assert_int_equal(queued(q, RECORD_GAP), 1);
    store_gaps(q, t);
    assert_int_equal(queued(q, RECORD_GAP), 0);
}

static void test_room_wakes_the_pool(void **state) {
    struct fixture f;
    struct told t = {0};

    (void)state;
    begin_with_loop(&f);
    struct event_queue *q = fixture_open(&f);
    fill(&f, q);
    ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    assert_int_equal(queued(q, RECORD_GAP), 0);
    store(q, RECORD_HTTP); /* a batch is stored */
    assert_int_equal(queued(q, RECORD_GAP), 1);
    expect_ready(&f, q, &t);

    fill(&f, q);
    struct event_batch *b = event_queue_take(q, RECORD_HTTP, SIZE_MAX);
    while (b->n > 0 && queued(q, RECORD_GAP) == 0) /* rows are set aside */
        event_batch_drop_row(q, b, 0);
    event_batch_stored(q, b);
    ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    assert_true(ready_calls > 0);
    store(q, RECORD_HTTP);
    store_gaps(q, &t);

    fill(&f, q);
    event_queue_resize(q, 4 * MIB); /* more is allowed */
    expect_ready(&f, q, &t);
    end_with_loop(&f, q);
}

static void test_what_is_untold_is_told_after_a_restart(void **state) {
    struct fixture f;
    struct told t = {0};

    (void)state;
    begin_with_loop(&f);
    struct event_queue *q = fixture_open(&f);
    fill(&f, q);
    clock_us += 3000;
    assert_false(append(&f, q, RECORD_HTTP, clock_us));
    event_queue_close(q);
    clock_us += 1000000;
    f.options.size = 4 * MIB;
    q = fixture_open(&f);
    expect_ready(&f, q, &t); /* and it is not lost by that */
    assert_int_equal(t.ended[RECORD_HTTP][DROP_FULL], MOMENT + 3000);
    fill(&f, q);
    event_queue_close(q);
    clock_us += 1000000;
    f.options.size = 8 * MIB;
    q = fixture_open(&f);
    expect_ready(&f, q, &t);
    check_told(q, &t);
    assert_int_equal(t.rows, 2);
    assert_int_equal(t.began[RECORD_HTTP][DROP_FULL], MOMENT + 1003000);
    end_with_loop(&f, q);
}

/* ---- faucet_gaps itself is missing ---- */

static void test_no_table_of_gaps(void **state) {
    struct fixture f;
    struct told t = {0};
    size_t tries = 0;

    (void)state;
    begin_with_loop(&f);
    f.options.gap_pause = 200 * DUR_MS;
    struct event_queue *q = fixture_open(&f);
    mono_t began = mono_now();
    for (int i = 0; i < 300; i++) {
        drop_one(&f, q, RECORD_HTTP);
        assert_true(append(&f, q, RECORD_LOG, EARLIER + i));
        drop_all(q, RECORD_LOG, DROP_NO_TABLE);
        ev_run(f.options.loop->ev, EVRUN_NOWAIT);
        tries += queued(q, RECORD_GAP);
        drop_all(q, RECORD_GAP, DROP_NO_TABLE);
        check_account(q);
    }
    assert_in_range(tries, 2, 2 * (2 + (size_t)(mono_since(began, mono_now()) / (200 * DUR_MS))));
    event_queue_end_gaps(q); /* in vain: it would be dropped */
    assert_int_equal(queued(q, RECORD_GAP), 0);
    event_queue_close(q);
    q = fixture_open(&f); /* nothing is forgotten; nobody knows yet that the table is missing still */
    ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    assert_int_equal(queued(q, RECORD_GAP), 2);
    drop_all(q, RECORD_GAP, DROP_NO_TABLE);
    began = mono_now();
    while (t.rows < 2) { /* tried again by itself; now it is there */
        assert_true(mono_since(began, mono_now()) < 10 * DUR_S);
        ev_run(f.options.loop->ev, EVRUN_ONCE);
        store_gaps(q, &t);
    }
    check_told(q, &t);
    assert_int_equal(t.events[RECORD_HTTP][DROP_BAD_ROW], 300);
    assert_int_equal(t.events[RECORD_LOG][DROP_NO_TABLE], 300);
    assert_int_equal(t.began[RECORD_LOG][DROP_NO_TABLE], EARLIER);
    assert_int_equal(t.ended[RECORD_LOG][DROP_NO_TABLE], EARLIER + 299);
    end_with_loop(&f, q);
}

/* ---- all of it, in any order ---- */

static uint64_t seed;
static uint64_t dice(uint64_t sides) { /* xorshift64*: the same rolls each run */
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545f4914f6cdd1du >> 16) % sides;
}

static void one_thing(struct fixture *f, struct event_queue *q, struct told *t) {
    enum record_kind kind = (enum record_kind)dice(RECORD_GAP);
    struct event_batch *b;

    switch (dice(8)) {
    case 0:
        store_gaps(q, t);
        break;
    case 1:
        if ((b = event_queue_take(q, RECORD_GAP, SIZE_MAX)) != NULL)
            event_batch_dropped(q, b, DROP_NO_TABLE);
        break;
    case 2:
        if ((b = event_queue_take(q, kind, SIZE_MAX)) != NULL)
            event_batch_dropped(q, b, DROP_NO_TABLE);
        break;
    case 3:
        if ((b = event_queue_take(q, kind, SIZE_MAX)) == NULL)
            break;
        event_batch_drop_row(q, b, (size_t)dice(b->n));
        event_batch_stored(q, b);
        break;
    case 4:
        event_queue_resize(q, dice(3) == 0 ? 0 : MIB);
        break;
    default:
        for (uint64_t n = dice(1000); n > 0; n--)
            (void)append(f, q, kind, clock_us += 10);
    }
    check_account(q);
}

static void test_in_any_order(void **state) {
    struct fixture f;
    struct told t;

    (void)state;
    for (uint64_t round = 1; round <= 20; round++) {
        seed = round;
        t = (struct told){0};
        begin(&f);
        struct event_queue *q = fixture_open(&f);
        for (int i = 0; i < 300; i++) {
            one_thing(&f, q, &t);
            if (dice(40) == 0) {
                event_queue_close(q);
                q = fixture_open(&f);
            }
        }
        event_queue_resize(q, 64 * MIB);
        store_gaps(q, &t);
        assert_true(append(&f, q, RECORD_GAP, clock_us)); /* so that its table is known to be there */
        struct event_batch *b = event_queue_take(q, RECORD_GAP, SIZE_MAX);
        event_batch_stored(q, b);
        event_queue_end_gaps(q);
        store_gaps(q, &t);
        check_told(q, &t);
        assert_true(t.events[RECORD_HTTP][DROP_FULL] > 0 && t.events[RECORD_HTTP][DROP_NO_TABLE] > 0);
        event_queue_close(q);
        fixture_end(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_no_space),
        cmocka_unit_test(test_no_table),
        cmocka_unit_test(test_few_rows_about_many_bad_ones),
        cmocka_unit_test(test_end_gaps),
        cmocka_unit_test(test_room_wakes_the_pool),
        cmocka_unit_test(test_what_is_untold_is_told_after_a_restart),
        cmocka_unit_test(test_no_table_of_gaps),
        cmocka_unit_test(test_in_any_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
