/* The queue while it runs: order, acknowledgement, slots, limits, gaps, full disks, missing pages, helper threads. */
#include "queue_fixture.h"

#include <signal.h>
#include <sys/resource.h>

static void append_n(struct fixture *f, struct event_queue *q, int64_t from, int64_t to) {
    for (int64_t i = from; i < to; i++)
        assert_true(event_queue_append(q, RECORD_HTTP, numbered(f, RECORD_HTTP, i, 400)));
}

/* Takes and stores all of a kind; expects numbers from `from` on, in order. Returns how many. */
static int64_t drain(struct event_queue *q, enum record_kind kind, int64_t from) {
    struct event_batch *b;
    int64_t n = 0;

    while ((b = event_queue_take(q, kind, 64 * 1024)) != NULL) {
        assert_int_equal(b->kind, kind);
        assert_true(b->n > 0 && b->bytes <= 64 * 1024);
        for (size_t i = 0; i < b->n; i++)
            assert_int_equal(number_of(b->records[i]), from + n++);
        event_batch_stored(q, b);
        check_account(q);
    }
    return n;
}

static void test_in_order(void **state) {
    struct fixture f;
    (void)state;
    for (int memory = 0; memory < 2; memory++) {
        fixture_init(&f);
        if (memory)
            f.options.directory = NULL;
        struct event_queue *q = fixture_open(&f);
        assert_int_equal(event_queue_on_disk(q), !memory);
        assert_null(event_queue_take(q, RECORD_HTTP, 1000));
        append_n(&f, q, 0, 10000); /* over several segments */
        assert_true(event_queue_append(q, RECORD_LOG, numbered(&f, RECORD_LOG, 7, 0)));
        assert_int_equal(queued(q, RECORD_HTTP), 10000);
        assert_true(event_queue_bytes(q) > 4 * (size_t)MIB);
        check_account(q);
        assert_int_equal(drain(q, RECORD_HTTP, 0), 10000);
        assert_int_equal(drain(q, RECORD_LOG, 7), 1);
        assert_int_equal(event_queue_account(q, RECORD_HTTP)->stored, 10000);
        assert_int_equal(queued(q, RECORD_HTTP), 0);
        assert_int_equal(event_queue_bytes(q), 0);
        assert_true(fixture_files(&f, NULL) <= 4); /* written, ahead, and two to be used again */
        event_queue_close(q);
        fixture_end(&f);
    }
}

static void test_acknowledged_out_of_order(void **state) {
    struct fixture f;
    struct event_batch *b[16];
    size_t n = 0;

    (void)state;
    fixture_init(&f);
    struct event_queue *q = fixture_open(&f);
    append_n(&f, q, 0, 10000);
    size_t segments = fixture_files(&f, NULL);
    while (n < 16 && (b[n] = event_queue_take(q, RECORD_HTTP, 400 * 1024)) != NULL)
        n++;
    assert_null(event_queue_take(q, RECORD_HTTP, 1));
    for (size_t i = n; i-- > 1;) /* the newest first; the first segment has to stay */
        event_batch_stored(q, b[i]);
    check_account(q);
    assert_true(fixture_files(&f, NULL) < segments);
    assert_int_equal(queued(q, RECORD_HTTP), b[0]->n);
    for (size_t i = 0; i < b[0]->n; i++) /* views are good still */
        assert_int_equal(number_of(b[0]->records[i]), i);
    event_batch_give_back(q, b[0]);
    assert_true(drain(q, RECORD_HTTP, 0) > 900);
    assert_int_equal(queued(q, RECORD_HTTP), 0);
    event_queue_close(q);
    fixture_end(&f);
}

static void test_bisecting(void **state) {
    struct fixture f;

    (void)state;
    fixture_init(&f);
    struct event_queue *q = fixture_open(&f);
    append_n(&f, q, 0, 100);
    struct event_batch *b = event_queue_take(q, RECORD_HTTP, SIZE_MAX);
    assert_int_equal(b->n, 100);
    size_t bytes = b->bytes;
    event_batch_committing(q, b, 77);
    assert_true(b->in_doubt);
    b->in_doubt = false;
    struct event_batch *rest = event_batch_split(q, b, 40);
    assert_int_equal(b->n, 40);
    assert_int_equal(rest->n, 60);
    assert_int_equal(b->bytes + rest->bytes, bytes);
    assert_int_equal(number_of(rest->records[0]), 40);
    assert_int_not_equal(rest->id, b->id);
    event_batch_drop_row(q, rest, 5);
    assert_int_equal(number_of(rest->records[5]), 46);
    check_account(q);
    event_batch_dropped(q, b, DROP_NO_TABLE);
    event_batch_give_back(q, rest);
    rest = event_queue_take(q, RECORD_HTTP, SIZE_MAX);
    assert_int_equal(rest->n, 59);
    while (rest->n > 0)
        event_batch_drop_row(q, rest, rest->n - 1);
    event_batch_give_back(q, rest);
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_BAD_ROW], 60);
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_NO_TABLE], 40);
    assert_int_equal(queued(q, RECORD_HTTP), 0);
    check_account(q);
    assert_null(event_queue_take(q, RECORD_HTTP, SIZE_MAX));
    event_queue_close(q);
    fixture_end(&f);
}

static void test_doubt_comes_first_and_whole(void **state) {
    struct fixture f;

    (void)state;
    fixture_init(&f);
    struct event_queue *q = fixture_open(&f);
    append_n(&f, q, 0, 200);
    struct event_batch *first = event_queue_take(q, RECORD_HTTP, 20000);
    struct event_batch *second = event_queue_take(q, RECORD_HTTP, 20000);
    size_t n = second->n;
    event_batch_committing(q, second, 4711);
    event_batch_give_back(q, first);
    event_batch_give_back(q, second);
    struct event_batch *b = event_queue_take(q, RECORD_HTTP, 1); /* whatever is asked for */
    assert_true(b->in_doubt && b->transaction == 4711 && b->n == n);
    event_batch_stored(q, b);
    b = event_queue_take(q, RECORD_HTTP, 1);
    assert_true(!b->in_doubt && b->n == 1 && number_of(b->records[0]) == 0);
    event_batch_stored(q, b);
    check_account(q);
    assert_int_equal(queued(q, RECORD_HTTP), 200 - n - 1);
    event_queue_close(q);
    fixture_end(&f);
}

/* ---- files are used again ---- */

static ino_t inodes[2][32];
static size_t inode_count;
static int inode_set;
static void note_inode(const char *path) {
    struct stat st;
    if (strstr(path, ".segment") != NULL && stat(path, &st) == 0 && inode_count < 32)
        inodes[inode_set][inode_count++] = st.st_ino;
}
static size_t note_inodes(const struct fixture *f, int set) {
    inode_set = set;
    inode_count = 0;
    return fixture_files(f, note_inode);
}

static void test_files_are_used_again(void **state) {
    struct fixture f;

    (void)state;
    fixture_init(&f); /* segments of 1 MiB, about 2,300 of these events */
    struct event_queue *q = fixture_open(&f);
    append_n(&f, q, 0, 10000);
    assert_int_equal(drain(q, RECORD_HTTP, 0), 10000);
    size_t before = note_inodes(&f, 0);
    assert_int_equal(before, 4);
    append_n(&f, q, 0, 6000); /* what is written, ahead and used again */
    size_t after = note_inodes(&f, 1), same = 0;
    for (size_t i = 0; i < before; i++)
        for (size_t k = 0; k < after; k++)
            same += inodes[0][i] == inodes[1][k];
    assert_int_equal(same, before);
    event_queue_close(q);
    q = fixture_open(&f); /* nothing of their first use is left in them */
    assert_int_equal(drain(q, RECORD_HTTP, 0), 6000);
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_CORRUPT], 0);
    event_queue_resize(q, 2 * MIB); /* files of this size are of no use any more */
    append_n(&f, q, 0, 2500);
    assert_int_equal(drain(q, RECORD_HTTP, 0), 2500);
    check_account(q);
    event_queue_close(q);
    assert_true(fixture_files(&f, NULL) == 0);
    fixture_end(&f);
}

static void remove_segment(const char *path) {
    if (strstr(path, ".segment") != NULL)
        assert_int_equal(unlink(path), 0);
}

/* One that was to be used again has gone: a new one is made, and no event is lost. */
static void test_files_that_cannot_be_used_again(void **state) {
    struct fixture f;

    (void)state;
    fixture_init(&f);
    struct event_queue *q = fixture_open(&f);
    append_n(&f, q, 0, 10000);
    assert_int_equal(drain(q, RECORD_HTTP, 0), 10000);
    (void)fixture_files(&f, remove_segment);
    append_n(&f, q, 0, 6000);
    assert_true(fixture_files(&f, NULL) >= 1); /* new ones */
    assert_int_equal(drain(q, RECORD_HTTP, 0), 6000);
    check_account(q);
    event_queue_close(q);
    assert_int_equal(fixture_files(&f, NULL), 0);
    fixture_end(&f);
}

/* ---- slots ---- */

static void test_slots(void **state) {
    struct fixture f;
    struct event_slot slots[10], none = {0};
    struct str bytes;

    (void)state;
    fixture_init(&f);
    struct event_queue *q = fixture_open(&f);
    event_queue_finish(&none, STR("x")); /* nothing happens */
    for (int64_t i = 0; i < 10; i++)
        assert_true(event_queue_reserve(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, i, 400), &slots[i]));
    append_n(&f, q, 10, 5000);
    assert_int_equal(queued(q, RECORD_HTTP), 5000);
    event_queue_finish(&slots[3], ending(&f, 33)); /* before the cursor comes by */
    assert_null(slots[3].queue);
    struct event_batch *b = event_queue_take(q, RECORD_HTTP, 4000);
    assert_int_equal(number_of(b->records[0]), 3);
    assert_true(record_find(b->records[0], COLUMN_OF_HTTP_elapsed, &bytes) && record_get_integer(bytes) == 33);
    assert_int_equal(number_of(b->records[1]), 10); /* open slots are not handed out */
    event_batch_stored(q, b);
    event_queue_finish(&slots[7], ending(&f, 77)); /* after it */
    event_queue_abandon(&slots[1]);
    b = event_queue_take(q, RECORD_HTTP, 2000);
    assert_int_equal(number_of(b->records[0]), 7);
    assert_true(record_find(b->records[0], COLUMN_OF_HTTP_elapsed, &bytes) && record_get_integer(bytes) == 77);
    assert_int_equal(number_of(b->records[1]), 1);
    assert_false(record_find(b->records[1], COLUMN_OF_HTTP_elapsed, &bytes));
    event_batch_stored(q, b);
    while ((b = event_queue_take(q, RECORD_HTTP, 1 << 20)) != NULL)
        event_batch_stored(q, b);
    assert_int_equal(queued(q, RECORD_HTTP), 7);
    check_account(q);
    for (int i = 0; i < 10; i++) /* their segment is there still */
        event_queue_finish(&slots[i], ending(&f, i));
    b = event_queue_take(q, RECORD_HTTP, 1 << 20);
    assert_int_equal(b->n, 7);
    event_batch_stored(q, b);
    assert_int_equal(queued(q, RECORD_HTTP), 0);
    check_account(q);
    event_queue_close(q);
    fixture_end(&f);
}

static void test_too_long_an_ending_loses_its_last_fields(void **state) {
    struct fixture f;
    struct event_slot slot;
    struct str bytes;
    char text[300];

    (void)state;
    memset(text, 'y', sizeof text);
    fixture_init(&f);
    struct event_queue *q = fixture_open(&f);
    assert_true(event_queue_reserve(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, 5, 100), &slot));
    (void)ending(&f, 9);
    record_text(&f.record, COLUMN_OF_HTTP_error, str_make(text, sizeof text));
    event_queue_finish(&slot, record_str(&f.record));
    struct event_batch *b = event_queue_take(q, RECORD_HTTP, 1 << 20);
    assert_int_equal(number_of(b->records[0]), 5);
    assert_true(record_find(b->records[0], COLUMN_OF_HTTP_elapsed, &bytes));
    assert_false(record_find(b->records[0], COLUMN_OF_HTTP_error, &bytes));
    event_batch_stored(q, b);
    event_queue_close(q);
    fixture_end(&f);
}

/* ---- limits ---- */

static int64_t test_clock_us;
static wall_t test_clock(void) {
    return (wall_t){test_clock_us += 1000};
}

static void describe(void *owner, struct record_draft *gap) {
    record_text(gap, COLUMN_OF_GAP_namespace, str_of(owner));
}

static int64_t integer_of(struct str record, unsigned column) {
    struct str bytes;
    assert_true(record_find(record, column, &bytes));
    return record_table(RECORD_GAP)->columns[column].type == COLUMN_TIMESTAMPTZ ? record_get_time(bytes).us
                                                                                : record_get_integer(bytes);
}

static void check_gap(struct event_queue *q, const char *reason, int64_t dropped) {
    struct event_batch *b = event_queue_take(q, RECORD_GAP, 1 << 20);
    struct str bytes;

    assert_non_null(b);
    assert_int_equal(b->n, 1);
    assert_int_equal(integer_of(b->records[0], COLUMN_OF_GAP_dropped), dropped);
    assert_true(integer_of(b->records[0], COLUMN_OF_GAP_began) > 1000000);
    assert_true(integer_of(b->records[0], COLUMN_OF_GAP_ended) ==
                integer_of(b->records[0], COLUMN_OF_GAP_began) + (dropped - 1) * 1000);
    assert_true(record_find(b->records[0], COLUMN_OF_GAP_table_name, &bytes) &&
                str_eq(bytes, STR("faucet_http_events")));
    assert_true(record_find(b->records[0], COLUMN_OF_GAP_reason, &bytes) && str_eq(bytes, str_of(reason)));
    assert_true(record_find(b->records[0], COLUMN_OF_GAP_namespace, &bytes) && str_eq(bytes, STR("ours")));
    event_batch_stored(q, b);
}

static void test_full_and_the_gap(void **state) {
    struct fixture f;
    char name[] = "ours";

    (void)state;
    for (int memory = 0; memory < 2; memory++) {
        fixture_init(&f);
        f.options.size = 2 * MIB;
        f.options.now = test_clock;
        f.options.describe_gap = describe;
        f.options.owner = name;
        if (memory)
            f.options.directory = NULL;
        test_clock_us = 1000000;
        struct event_queue *q = fixture_open(&f);
        int64_t n = 0;
        while (event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, n, 400)))
            n++;
        assert_true(n > 3500 && n < 5000);
        for (int i = 0; i < 99; i++)
            assert_false(event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, 0, 400)));
        check_account(q);
        assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_FULL], 100);
        assert_null(event_queue_take(q, RECORD_GAP, 1 << 20)); /* no room for it yet */
        assert_int_equal(drain(q, RECORD_HTTP, 0), n);
        check_gap(q, "full", 100);
        assert_null(event_queue_take(q, RECORD_GAP, 1 << 20));
        append_n(&f, q, 0, 1000);
        event_queue_resize(q, 0);
        while (event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, 0, 400))) {
        }
        event_queue_resize(q, 8 * MIB);
        assert_true(event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, 0, 400)));
        check_account(q);
        event_queue_close(q);
        fixture_end(&f);
    }
}

static void test_too_long_a_record(void **state) {
    struct fixture f;
    char *text = malloc(RECORD_FIELD_MAX);

    (void)state;
    memset(text, 'z', RECORD_FIELD_MAX);
    fixture_init(&f);
    f.options.size = MIB;
    struct event_queue *q = fixture_open(&f);
    record_begin(&f.record, RECORD_HTTP);
    record_text(&f.record, COLUMN_OF_HTTP_path, str_make(text, RECORD_FIELD_MAX));
    for (int i = 0; i < 3; i++)
        assert_true(event_queue_append(q, RECORD_HTTP, record_str(&f.record)));
    record_text(&f.record, COLUMN_OF_HTTP_user_agent, str_make(text, RECORD_FIELD_MAX));
    assert_false(event_queue_append(q, RECORD_HTTP, record_str(&f.record)));
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_BAD_ROW], 1);
    check_account(q);
    event_queue_close(q);
    free(text);
    fixture_end(&f);
}

/* ---- a disk that has no room: files cannot be made larger than 300 KiB, so no further segment of 1 MiB ---- */

static void test_disk_full(void **state) {
    struct fixture f;
    struct rlimit before, small;
    char name[] = "ours";

    (void)state;
    fixture_init(&f);
    f.options.now = test_clock;
    f.options.describe_gap = describe;
    f.options.owner = name;
    f.options.size = 64 * MIB;
    test_clock_us = 1000000;
    struct event_queue *q = fixture_open(&f);
    append_n(&f, q, 0, 1);
    signal(SIGXFSZ, SIG_IGN);
    AZ(getrlimit(RLIMIT_FSIZE, &before));
    small = before;
    small.rlim_cur = 300 * 1024;
    AZ(setrlimit(RLIMIT_FSIZE, &small));
    int64_t n = 1;
    while (event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, n, 400)))
        n++;
    assert_false(event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, n, 400)));
    assert_true(n > 30000); /* two segments of 4 MiB were there, two more went to memory */
    assert_true(n < 45000);
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_NO_SPACE], 2);
    check_account(q);
    AZ(setrlimit(RLIMIT_FSIZE, &before));
    struct event_batch *b;
    int64_t seen = 0;
    while (seen < 20000 && (b = event_queue_take(q, RECORD_HTTP, 64 * 1024)) != NULL) {
        for (size_t i = 0; i < b->n; i++)
            assert_int_equal(number_of(b->records[i]), seen++);
        event_batch_stored(q, b);
    }
    check_account(q);
    event_queue_close(q); /* what is in memory goes to files now that there is room */
    q = fixture_open(&f);
    check_account(q);
    assert_int_equal(queued(q, RECORD_HTTP), n - seen);
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->recovered, n - seen);
    assert_int_equal(drain(q, RECORD_HTTP, seen), n - seen);
    append_n(&f, q, 0, 1);
    check_gap(q, "no_space", 2);
    event_queue_close(q);
    fixture_end(&f);
}

/* ---- pages that go missing under the mapping ---- */

static void cut_file(const char *path) {
    if (strstr(path, ".segment") != NULL)
        assert_int_equal(truncate(path, 4096), 0);
}

static void test_missing_pages(void **state) {
    struct fixture f;

    (void)state;
    fixture_init(&f);
    struct event_queue *q = fixture_open(&f);
    append_n(&f, q, 0, 100);
    struct event_slot slot, early;
    assert_true(event_queue_reserve(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, 100, 400), &slot));
    assert_true(event_queue_reserve(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, 101, 400), &early));
    (void)fixture_files(&f, cut_file);
    event_queue_finish(&early, ending(&f, 1)); /* on a page that is not there */
    check_account(q);
    append_n(&f, q, 102, 300); /* goes on elsewhere */
    check_account(q);
    assert_int_equal(queued(q, RECORD_HTTP), 300);
    int64_t n = 0, first = -1, last = -1;
    struct event_batch *b;
    while ((b = event_queue_take(q, RECORD_HTTP, 1 << 20)) != NULL) {
        for (size_t i = 0; i < b->n; i++) {
            int64_t number = number_of(b->records[i]);
            first = first < 0 ? number : first;
            assert_true(number > last);
            last = number;
            n++;
        }
        event_batch_stored(q, b);
        check_account(q);
    }
    event_queue_finish(&slot, ending(&f, 1));
    check_account(q);
    assert_int_equal(first, 0); /* the first page is there */
    assert_int_equal(last, 299);
    assert_true(n >= 198 + 7 && n < 250);
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_CORRUPT], 300 - n);
    assert_int_equal(queued(q, RECORD_HTTP), 0);
    event_queue_close(q);
    fixture_end(&f);
}

/* ---- with helper threads and a loop ---- */

static int ready_calls;
static void on_ready(void *owner) {
    (void)owner;
    ready_calls++;
}

static int mapped_segments(void) {
    char line[512];
    int n = 0;
    FILE *in = fopen("/proc/self/maps", "re");
    while (in != NULL && fgets(line, sizeof line, in) != NULL)
        n += strstr(line, ".segment") != NULL;
    if (in != NULL)
        fclose(in);
    return n;
}

static long rss_anon_kib(void) {
    char line[256];
    long kib = -1;
    FILE *in = fopen("/proc/self/status", "re");
    while (in != NULL && fgets(line, sizeof line, in) != NULL)
        if (sscanf(line, "RssAnon: %ld kB", &kib) == 1)
            break;
    if (in != NULL)
        fclose(in);
    return kib;
}

static void test_helpers(void **state) {
    struct fixture f;
    struct event_batch *b;
    int64_t seen = 0, total = 60000;

    (void)state;
    fixture_init(&f);
    f.options.loop = loop_new();
    f.options.helpers = helpers_new(f.options.loop, 2, 64);
    f.options.size = 128 * MIB;
    f.options.ready = on_ready;
    ready_calls = 0;
    struct event_queue *q = fixture_open(&f);
    long before = rss_anon_kib();
    for (int64_t i = 0; i < total; i++) {
        append_n(&f, q, i, i + 1);
        if (i % 500 == 0)
            ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    }
    ev_run(f.options.loop->ev, 0);
    assert_true(fixture_files(&f, NULL) >= 6);
    assert_in_range(mapped_segments(), 1, 4); /* written, ahead, and the first two to be sent */
#ifndef __SANITIZE_ADDRESS__
    assert_true(rss_anon_kib() - before < 4096);
#else
    (void)before;
#endif
    for (int idle = 0; seen < total;) {
        b = event_queue_take(q, RECORD_HTTP, 256 * 1024);
        if (b == NULL) { /* being mapped: ready follows */
            int calls = ready_calls;
            ev_run(f.options.loop->ev, EVRUN_ONCE);
            idle = ready_calls == calls ? idle + 1 : 0;
            assert_true(idle < 10000);
            continue;
        }
        for (size_t i = 0; i < b->n; i++)
            assert_int_equal(number_of(b->records[i]), seen++);
        event_batch_stored(q, b);
    }
    assert_null(event_queue_take(q, RECORD_HTTP, 1));
    check_account(q);
    ev_run(f.options.loop->ev, 0);
    assert_true(fixture_files(&f, NULL) <= 4);
    append_n(&f, q, 0, 10);
    event_queue_close(q);
    helpers_free(f.options.helpers);
    loop_free(f.options.loop);
    f.options.loop = NULL;
    f.options.helpers = NULL;
    q = fixture_open(&f);
    assert_int_equal(drain(q, RECORD_HTTP, 0), 10);
    event_queue_close(q);
    fixture_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_acknowledged_out_of_order),
        cmocka_unit_test(test_bisecting),
        cmocka_unit_test(test_doubt_comes_first_and_whole),
        cmocka_unit_test(test_files_are_used_again),
        cmocka_unit_test(test_files_that_cannot_be_used_again),
        cmocka_unit_test(test_slots),
        cmocka_unit_test(test_too_long_an_ending_loses_its_last_fields),
        cmocka_unit_test(test_full_and_the_gap),
        cmocka_unit_test(test_too_long_a_record),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_missing_pages),
        cmocka_unit_test(test_helpers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
