/*
 * The queue after an end nobody planned, piece by piece (test_killed.c has the
 * whole): moments that chance hits too seldom; damaged, cut and foreign files;
 * directories that cannot be written; two daemons at one state_dir.
 */
#include "queue_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "telemetry/account.h"
#include "telemetry/segment.h"

static uint64_t seed;
static uint64_t dice(uint64_t sides) { /* xorshift64*: the same rolls each run */
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545f4914f6cdd1du >> 16) % sides;
}

/* ---- what a clean end leaves ---- */

static void test_counted_over_restarts(void **state) {
    struct fixture f;

    (void)state;
    fixture_init(&f);
    for (uint64_t i = 0; i < 5; i++) {
        struct event_queue *q = fixture_open(&f);
        const struct event_account *a = event_queue_account(q, RECORD_HTTP);
        check_account(q);
        assert_int_equal(a->queued, i * 60);
        assert_int_equal(a->recovered, i == 0 ? 0 : i * 100 - 40); /* all but what the first run sent itself */
        assert_int_equal(a->received, i == 0 ? 0 : 40);
        assert_int_equal(a->stored, i * 40);
        for (int64_t n = 0; n < 100; n++)
            assert_true(event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, n, 400)));
        assert_int_equal(a->received, i == 0 ? 100 : 140);
        size_t left = 40;
        while (left > 0) {
            struct event_batch *b = event_queue_take(q, RECORD_HTTP, 400 * left);
            if (b->n > left) {
                struct event_batch *rest = event_batch_split(q, b, left);
                event_batch_give_back(q, rest);
            }
            left -= b->n;
            event_batch_stored(q, b);
        }
        check_account(q);
        event_queue_close(q);
        assert_in_range(fixture_files(&f, NULL), 1, i + 1);
    }
    fixture_end(&f);
}

static char one_segment[400];
static void note_segment(const char *path) {
    if (strstr(path, ".segment") != NULL)
        snprintf(one_segment, sizeof one_segment, "%s", path);
}

static void flip(const char *path, off_t at, unsigned bit) {
    unsigned char c;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= (unsigned char)(1u << bit);
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

/* ---- moments that chance hits too seldom: files as a kill leaves them in the middle of a step ---- */

/* Its last fields were written, but nothing says so yet. */
static void test_killed_while_finishing(void **state) {
    struct fixture f;
    struct event_slot slot;
    struct event_batch *b;
    struct str bytes;

    (void)state;
    fixture_init(&f);
    struct event_queue *q = fixture_open(&f);
    size_t length = numbered(&f, RECORD_HTTP, 3, 103).n;
    assert_true(event_queue_reserve(q, RECORD_HTTP, record_str(&f.record), &slot));
    event_queue_close(q);
    assert_int_equal(fixture_files(&f, note_segment), 1);
    for (size_t i = 0; i < 30; i++)
        flip(one_segment, (off_t)(slot.offset + sizeof(struct frame) + length + i), 2);
    q = fixture_open(&f);
    b = event_queue_take(q, RECORD_HTTP, 1000);
    assert_int_equal(number_of(b->records[0]), 3);
    assert_false(record_find(b->records[0], COLUMN_OF_HTTP_elapsed, &bytes));
    assert_true(record_find(b->records[0], COLUMN_OF_HTTP_error, &bytes) && str_eq(bytes, STR("daemon_died")));
    event_batch_stored(q, b);
    check_account(q);
    assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_CORRUPT], 0);
    event_queue_close(q);
    fixture_end(&f);
}

static void test_killed_while_acknowledging(void **state) {
    struct fixture f;
    struct account a;
    struct doubt d;
    char *error = NULL;

    (void)state;
    for (int stored = 0; stored < 2; stored++) {
        fixture_init(&f);
        struct event_queue *q = fixture_open(&f);
        for (int64_t i = 0; i < 50; i++)
            assert_true(event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, i, 400)));
        struct event_batch *b = event_queue_take(q, RECORD_HTTP, 400 * 20);
        size_t n = b->n;
        event_batch_committing(q, b, 99);
        event_queue_close(q);
        assert_true(account_open(&a, f.directory, &error));
        assert_true(account_doubt(&a, 0, &d) && d.transaction == 99 && d.state == DOUBT_COMMITTING);
        struct event_account before = a.kinds[RECORD_HTTP];
        a.kinds[RECORD_HTTP].queued = n;
        account_doubt_decide(&a, 0, RECORD_HTTP, stored, DROP_NO_TABLE, n, 0);
        if (stored) { /* killed between the entry and the counter: another decision puts the counter back */
            a.kinds[RECORD_HTTP] = before;
            account_refused(&a, RECORD_LOG, DROP_FULL);
            account_dropped(&a, RECORD_HTTP, DROP_FULL, false, 0);
        }
        account_close(&a);
        q = fixture_open(&f);
        check_account(q);
        assert_int_equal(queued(q, RECORD_HTTP), 50 - n);
        assert_int_equal(event_queue_account(q, RECORD_HTTP)->stored, stored ? n : 0);
        assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_NO_TABLE], stored ? 0 : n);
        assert_int_equal(event_queue_account(q, RECORD_HTTP)->dropped[DROP_CORRUPT], 0);
        b = event_queue_take(q, RECORD_HTTP, 1 << 20);
        assert_int_equal(b->n, 50 - n);
        assert_false(b->in_doubt);
        event_batch_stored(q, b);
        event_queue_close(q);
        fixture_end(&f);
    }
}

/* ---- damage ---- */

/* A closed queue with n events in one segment; its path is in one_segment. */
static void prepare(struct fixture *f, int64_t n) {
    fixture_init(f);
    struct event_queue *q = fixture_open(f);
    for (int64_t i = 0; i < n; i++)
        assert_true(event_queue_append(q, RECORD_HTTP, numbered(f, RECORD_HTTP, i, 400)));
    event_queue_close(q);
    assert_int_equal(fixture_files(f, note_segment), 1);
}

/* Opens, checks the equation, drains. Returns how many came back. */
static uint64_t reopen(struct fixture *f, struct event_account *a) {
    struct event_queue *q = fixture_open(f);
    struct event_batch *b;
    uint64_t n = 0;
    int64_t last = -1;

    check_account(q);
    while ((b = event_queue_take(q, RECORD_HTTP, 1 << 20)) != NULL) {
        for (size_t i = 0; i < b->n; i++, n++) {
            assert_true(number_of(b->records[i]) > last);
            last = number_of(b->records[i]);
        }
        event_batch_stored(q, b);
    }
    check_account(q);
    *a = *event_queue_account(q, RECORD_HTTP);
    event_queue_close(q);
    return n;
}

static void test_bit_flips(void **state) {
    struct fixture f;
    struct event_account a;

    (void)state;
    for (uint64_t i = 0; i < 60; i++) {
        prepare(&f, 50);
        seed = i + 1;
        flip(one_segment, (off_t)dice(20000), (unsigned)dice(8));
        uint64_t n = reopen(&f, &a);
        assert_in_range(n, 49, 50); /* one at most */
        assert_int_equal(a.dropped[DROP_CORRUPT], 50 - n);
        assert_int_equal(reopen(&f, &a), 0);
        assert_int_equal(a.dropped[DROP_CORRUPT], 50 - n); /* counted once */
        fixture_end(&f);
    }
}

static void test_cut_files(void **state) {
    struct fixture f;
    struct event_account a;
    static const off_t sizes[] = {0, 10, 64, 65, 100, 470, 4096, 10001, 21000};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        prepare(&f, 50);
        assert_int_equal(truncate(one_segment, sizes[i]), 0);
        uint64_t n = reopen(&f, &a);
        assert_int_equal(n, sizes[i] < 64 ? 0 : (uint64_t)(sizes[i] - 64) / 424);
        assert_int_equal(a.dropped[DROP_CORRUPT], 50 - n);
        fixture_end(&f);
    }
}

static void test_lost_account(void **state) {
    struct fixture f;
    struct event_account a;
    char path[128];

    (void)state;
    for (int how = 0; how < 3; how++) {
        prepare(&f, 50);
        snprintf(path, sizeof path, "%s/account", f.directory);
        if (how == 0)
            assert_int_equal(unlink(path), 0);
        else if (how == 1)
            assert_int_equal(truncate(path, 5), 0);
        else
            flip(path, 3, 1);
        flip(one_segment, 64 + 48 + 100, 1); /* in the first record */
        assert_int_equal(reopen(&f, &a), 49);
        assert_int_equal(a.recovered, 50);
        assert_int_equal(a.dropped[DROP_CORRUPT], 1);
        assert_int_equal(reopen(&f, &a), 0);
        assert_int_equal(a.recovered, 50);
        fixture_end(&f);
    }
}

static void put_file(const char *directory, const char *name, struct str bytes) {
    char path[400];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes.p, bytes.n), bytes.n);
    close(fd);
}

static bool exists(const char *directory, const char *name) {
    char path[400];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return access(path, F_OK) == 0;
}

static void test_foreign_files(void **state) {
    struct fixture f;
    struct event_account a;
    char path[400], command[900], head[4096] = "";
    static const char *const others[] = {"0000000000000001.segmenx", "notes.txt", "00000000000000FF.segment",
                                         "0000000000000000.segment"};

    (void)state;
    prepare(&f, 50);
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        put_file(f.directory, others[i],
                 STR("hello, this is no segment at all, but long enough to be one, is it not?"));
    put_file(f.directory, "0000000000000777.segment",
             STR("hello, this is no segment at all, but long enough to be one?"
                 "hello, this is no segment at all, but long enough to be one?"));
    snprintf(path, sizeof path, "%s/0000000000000778.segment", f.directory);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/0000000000000779.segment", f.directory);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    /* a copy of a segment: its events are not sent twice */
    snprintf(command, sizeof command, "cp %s %s/0000000000000780.segment", one_segment, f.directory);
    assert_int_equal(system(command), 0); // NOLINT(bugprone-command-processor): paths of our own
    /* a newer release's */
    segment_head_write(head, 0x781, sizeof head, (wall_t){1});
    head[8] = 2;
    put_file(f.directory, "0000000000000781.segment", str_make(head, sizeof head)); /* its CRC does not fit: damaged */
    assert_int_equal(reopen(&f, &a), 50);
    assert_int_equal(a.dropped[DROP_CORRUPT], 0);
    for (size_t i = 0; i < ARRAY_LENGTH(others); i++)
        assert_true(exists(f.directory, others[i]));
    assert_true(exists(f.directory, "0000000000000777.segment.damaged"));
    assert_true(exists(f.directory, "0000000000000780.segment"));
    fixture_end(&f);
}

/* Killed while a file was made ready to be used again, before and after its new name. */
static void test_emptied_segment_is_removed(void **state) {
    struct fixture f;
    struct event_account a;
    char empty[8], path[400];

    (void)state;
    for (int renamed = 0; renamed < 2; renamed++) {
        fixture_init(&f);
        struct event_queue *q = fixture_open(&f);
        for (int64_t i = 0; i < 5; i++)
            assert_true(event_queue_append(q, RECORD_HTTP, numbered(&f, RECORD_HTTP, i, 400)));
        event_queue_close(q);
        assert_int_equal(fixture_files(&f, note_segment), 1);
        int fd = open(one_segment, O_RDWR | O_CLOEXEC);
        memcpy(empty, SEGMENT_EMPTY, sizeof empty);
        assert_int_equal(pwrite(fd, empty, sizeof empty, 0), sizeof empty);
        close(fd);
        snprintf(path, sizeof path, "%s/0000000000000077.segment", f.directory);
        if (renamed)
            assert_int_equal(rename(one_segment, path), 0);
        snprintf(path, sizeof path, "%s/account", f.directory); /* it would count them as missing */
        assert_int_equal(unlink(path), 0);
        assert_int_equal(reopen(&f, &a), 0);
        assert_int_equal(a.recovered + a.dropped[DROP_CORRUPT], 0);
        assert_false(exists(f.directory, renamed ? "0000000000000077.segment" : strrchr(one_segment, '/') + 1));
        fixture_end(&f);
    }
}

static void test_newer_segment_is_left_alone(void **state) {
    struct fixture f;
    struct event_account a;
    struct segment_head h;
    char *bytes = calloc(1, 8192);

    (void)state;
    fixture_init(&f);
    segment_head_write(bytes, 5, 8192, (wall_t){1});
    memcpy(&h, bytes, sizeof h);
    h.version = SEGMENT_VERSION + 1;
    memcpy(bytes, &h, sizeof h);
    assert_int_equal(segment_head_check(bytes, 8192, 5), HEAD_DAMAGED);
    h.crc = segment_head_crc(&h);
    memcpy(bytes, &h, sizeof h);
    assert_int_equal(segment_head_check(bytes, 8192, 5), HEAD_OTHER_RELEASE);
    put_file(f.directory, "0000000000000005.segment", str_make(bytes, 8192));
    assert_int_equal(reopen(&f, &a), 0);
    assert_true(exists(f.directory, "0000000000000005.segment"));
    free(bytes);
    fixture_end(&f);
}

static void refused(const struct event_queue_options *o, const char *why) {
    char *error = NULL;

    assert_null(event_queue_open(o, &error));
    assert_non_null(error);
    if (strstr(error, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error, why);
    free(error);
}

static void test_directories_that_will_not_do(void **state) {
    struct fixture f;
    struct event_queue_options o;
    char path[128];

    (void)state;
    prepare(&f, 5);
    o = f.options;
    o.directory = "/proc/faucet/queue"; /* read-only for root too */
    refused(&o, "/proc/faucet/queue");
    snprintf(path, sizeof path, "%s/account", f.directory);
    o.directory = path; /* a file */
    refused(&o, "Not a directory");
    struct event_queue *q = fixture_open(&f);
    refused(&f.options, "in use");
    event_queue_close(q);
    flip(path, 8, 3); /* the version, under the CRC: begun anew */
    q = fixture_open(&f);
    assert_int_equal(queued(q, RECORD_HTTP), 5);
    event_queue_close(q);
    fixture_end(&f);
}

/* ---- state_dir ---- */

static void test_state_dir_lock(void **state) {
    char base[] = "/tmp/faucet-test-state-XXXXXX", path[128], pid_text[32], *error = NULL;
    int ready[2], status;

    (void)state;
    assert_non_null(mkdtemp(base));
    snprintf(path, sizeof path, "%s/a/b", base);
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = state_dir_lock(path, &error);
        if (fd < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], pid_text, 1), 1);
    assert_int_equal(state_dir_lock(path, &error), -1);
    snprintf(pid_text, sizeof pid_text, "process %ld", (long)pid);
    assert_non_null(strstr(error, pid_text));
    assert_non_null(strstr(error, path));
    free(error);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    int fd = state_dir_lock(path, &error); /* a killed daemon leaves no lock */
    assert_true(fd >= 0);
    close(fd);
    close(ready[0]);
    assert_int_equal(state_dir_lock("/proc/faucet", &error), -1);
    assert_non_null(strstr(error, "/proc/faucet"));
    free(error);
    snprintf(path, sizeof path, "%s/a/b/lock", base);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 3; i++) {
        *strrchr(path, '/') = '\0';
        assert_int_equal(rmdir(path), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counted_over_restarts),
        cmocka_unit_test(test_killed_while_finishing),
        cmocka_unit_test(test_killed_while_acknowledging),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_lost_account),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_emptied_segment_is_removed),
        cmocka_unit_test(test_newer_segment_is_left_alone),
        cmocka_unit_test(test_directories_that_will_not_do),
        cmocka_unit_test(test_state_dir_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
