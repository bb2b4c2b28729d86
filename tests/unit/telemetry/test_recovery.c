/*
 * The queue after an end nobody planned: kill -9 at any moment of a process
 * that appends, finishes, commits and acknowledges; damaged, cut and foreign files;
 * directories that cannot be written; two daemons at one state_dir.
 */
#include "queue_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "telemetry/segment.h"

/* ---- kill -9 ---- */

#define EVENTS 60000
#define ROUNDS 40

enum event_state {
    NOTHING,
    APPENDING, /* the call had not returned */
    APPENDED,
    RESERVED,
    FINISHING,
    FINISHED,
    COMMITTED, /* in a batch whose COMMIT is under way */
    STORING,
    STORED,
    REFUSED
};

struct shared { /* what the child says it did; survives it */
    volatile uint64_t n;
    volatile uint8_t state[EVENTS];
};

static uint64_t seed;
static uint64_t dice(uint64_t sides) { /* xorshift64*: the same rolls each run */
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545f4914f6cdd1du >> 16) % sides;
}

static struct str finished_form(struct fixture *f, int64_t number) {
    (void)numbered(f, RECORD_HTTP, number, 100 + (size_t)(uint32_t)number % 600);
    record_integer(&f->record, COLUMN_OF_HTTP_elapsed, number);
    record_end(&f->record);
    return buf_str(&f->record);
}

struct child {
    struct fixture *f;
    struct shared *shared;
    struct event_queue *queue;
    int64_t base;
    size_t open;
    struct {
        struct event_slot slot;
        uint64_t i;
    } slots[32];
};

static void child_append(struct child *c, bool reserve) {
    uint64_t i = c->shared->n;
    bool done;

    if (reserve && c->open == ARRAY_LENGTH(c->slots))
        return;
    struct str r = numbered(c->f, RECORD_HTTP, c->base + (int64_t)i, 100 + i % 600);
    c->shared->state[i] = APPENDING;
    c->shared->n = i + 1;
    if (reserve) {
        done = event_queue_reserve(c->queue, RECORD_HTTP, r, &c->slots[c->open].slot);
        c->slots[c->open].i = i;
        c->open += done;
    } else {
        done = event_queue_append(c->queue, RECORD_HTTP, r);
    }
    c->shared->state[i] = !done ? REFUSED : reserve ? RESERVED : APPENDED;
}

static void child_finish(struct child *c) {
    if (c->open == 0)
        return;
    size_t at = (size_t)dice(c->open);
    uint64_t i = c->slots[at].i;
    struct str r = finished_form(c->f, c->base + (int64_t)i);
    c->shared->state[i] = FINISHING;
    event_queue_finish(&c->slots[at].slot, r);
    c->shared->state[i] = FINISHED;
    c->slots[at] = c->slots[--c->open];
}

static void set_states(struct child *c, const struct event_batch *b, enum event_state s) {
    for (size_t i = 0; i < b->n; i++)
        c->shared->state[number_of(b->records[i]) - c->base] = (uint8_t)s;
}

static void child_send(struct child *c) {
    struct event_batch *b = event_queue_take(c->queue, RECORD_HTTP, 1 + (size_t)dice(40000));
    uint64_t *numbers;
    size_t n;

    if (b == NULL)
        return;
    if (!b->in_doubt && dice(4) == 0) {
        event_batch_give_back(c->queue, b);
        return;
    }
    n = b->n;
    numbers = malloc(n * sizeof *numbers);
    for (size_t i = 0; i < n; i++)
        numbers[i] = (uint64_t)(number_of(b->records[i]) - c->base);
    event_batch_committing(c->queue, b, 1000 + dice(1000));
    set_states(c, b, COMMITTED);
    if (dice(4) == 0) { /* the connection was lost */
        event_batch_give_back(c->queue, b);
    } else {
        set_states(c, b, STORING);
        event_batch_stored(c->queue, b);
        for (size_t i = 0; i < n; i++)
            c->shared->state[numbers[i]] = STORED;
    }
    free(numbers);
}

static _Noreturn void child_main(struct fixture *f, struct shared *shared, int64_t base) {
    struct child c = {.f = f, .shared = shared, .base = base};
    char *error;

    c.queue = event_queue_open(&f->options, &error);
    while (c.queue != NULL && shared->n < EVENTS) {
        uint64_t what = dice(100);
        if (what < 50)
            child_append(&c, false);
        else if (what < 73)
            child_append(&c, true);
        else if (what < 96)
            child_finish(&c);
        else
            child_send(&c);
    }
    for (;;) /* done, or failed: the parent kills us either way */
        pause();
}

static void kill_after(pid_t pid, uint64_t us) {
    int status;

    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* found: how often each came back; bit 7: in doubt; bit 6: daemon_died; bit 5: with elapsed */
static void collect(struct event_queue *q, uint8_t *found, int64_t base) {
    struct event_batch *b;
    struct str bytes;

    while ((b = event_queue_take(q, RECORD_HTTP, 256 * 1024)) != NULL) {
        for (size_t i = 0; i < b->n; i++) {
            int64_t number = number_of(b->records[i]) - base;
            assert_in_range(number, 0, EVENTS - 1);
            found[number]++;
            found[number] |= (uint8_t)(b->in_doubt ? 0x80 : 0);
            if (record_find(b->records[i], COLUMN_OF_HTTP_error, &bytes)) {
                assert_true(str_eq(bytes, STR("daemon_died")));
                found[number] |= 0x40;
            }
            if (record_find(b->records[i], COLUMN_OF_HTTP_elapsed, &bytes)) {
                assert_int_equal(record_get_integer(bytes), base + number);
                found[number] |= 0x20;
            }
        }
        event_batch_stored(q, b);
        check_account(q);
    }
}

static bool is_right(enum event_state s, uint8_t found) {
    unsigned times = found & 0x1f;
    bool doubt = found & 0x80, died = found & 0x40, elapsed = found & 0x20;

    switch (s) {
    case NOTHING:
    case STORED:
    case REFUSED:
        return times == 0;
    case APPENDING: /* either; perhaps it was reserved */
        return times <= 1 && !elapsed;
    case APPENDED:
        return times == 1 && !died && !elapsed;
    case RESERVED:
        return times == 1 && died && !elapsed;
    case FINISHING:
        return times == 1 && died != elapsed;
    case FINISHED: /* or already marked, if the kill came before the child could say so */
        return times == 1 && !died && elapsed;
    case COMMITTED:
        return times == 1 && doubt && !died;
    case STORING:
        return times <= 1 && !died;
    }
    return false;
}

static void check_round(const struct shared *shared, const uint8_t *found, uint64_t round) {
    size_t storing[2] = {0, 0};

    for (uint64_t i = 0; i < EVENTS; i++) {
        if (!is_right((enum event_state)shared->state[i], found[i]))
            fail_msg("round %llu, event %llu of %llu: state %d, found %#x", (unsigned long long)round,
                     (unsigned long long)i, (unsigned long long)shared->n, shared->state[i], found[i]);
        if (shared->state[i] == STORING)
            storing[found[i] & 1]++;
    }
    if (storing[0] > 0 && storing[1] > 0) /* marking STORED row by row: the whole batch is gone by then */
        fail_msg("round %llu: a batch came back in part", (unsigned long long)round);
}

static void test_killed(void **state) {
    struct fixture f;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t *found = malloc(EVENTS);
    uint64_t before = 0;

    (void)state;
    assert_true(shared != MAP_FAILED);
    fixture_init(&f);
    f.options.size = 4 * MIB; /* segments of 512 KiB */
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        int64_t base = (int64_t)(round << 32);
        seed = round * 0x9e3779b97f4a7c15u;
        memset(shared, 0, sizeof *shared);
        memset(found, 0, EVENTS);
        pid_t pid = fork();
        if (pid == 0)
            child_main(&f, shared, base);
        while (shared->n == 0)
            sched_yield();
        kill_after(pid, dice(round % 4 == 0 ? 40000 : 8000));
        if (round % 3 == 0) { /* the next one dies while it recovers */
            pid = fork();
            if (pid == 0) {
                char *error;
                (void)event_queue_open(&f.options, &error);
                for (;;)
                    pause();
            }
            kill_after(pid, dice(1500));
        }
        struct event_queue *q = fixture_open(&f);
        const struct event_account *a = event_queue_account(q, RECORD_HTTP);
        check_account(q);
        assert_int_equal(a->dropped[DROP_CORRUPT], 0);
        collect(q, found, base);
        check_round(shared, found, round);
        assert_int_equal(a->queued, 0);
        assert_true(a->recovered + a->received >= before + shared->n - 1);
        assert_true(a->recovered + a->received <= before + shared->n);
        before = a->recovered + a->received;
        struct event_batch *gap; /* of a queue that was full */
        while ((gap = event_queue_take(q, RECORD_GAP, 1 << 20)) != NULL)
            event_batch_stored(q, gap);
        check_account(q);
        event_queue_close(q);
    }
    assert_true(before > ROUNDS * 50);
    free(found);
    munmap(shared, sizeof *shared);
    fixture_end(&f);
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

/* ---- damage ---- */

static char one_segment[400];
static void note_segment(const char *path) {
    if (strstr(path, ".segment") != NULL)
        snprintf(one_segment, sizeof one_segment, "%s", path);
}

/* A closed queue with n events in one segment; its path is in one_segment. */
static void prepare(struct fixture *f, int64_t n) {
    fixture_init(f);
    struct event_queue *q = fixture_open(f);
    for (int64_t i = 0; i < n; i++)
        assert_true(event_queue_append(q, RECORD_HTTP, numbered(f, RECORD_HTTP, i, 400)));
    event_queue_close(q);
    assert_int_equal(fixture_files(f, note_segment), 1);
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
    assert_int_equal(segment_head_check(bytes, 8192, 5), HEAD_NEWER);
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
        cmocka_unit_test(test_killed),
        cmocka_unit_test(test_counted_over_restarts),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_lost_account),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_newer_segment_is_left_alone),
        cmocka_unit_test(test_directories_that_will_not_do),
        cmocka_unit_test(test_state_dir_lock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
