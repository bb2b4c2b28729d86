/*
 * Bytes that wait: whatever the pieces and however far the file is behind, they come out as they went in, once and
 * again; a disk that takes no more loses none that it was given. The loop and the helper threads are real.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/loop.h"
#include "proxy/spool.h"

struct fixture {
    struct loop *loop;
    struct helpers *helpers;
    struct spool s;
    unsigned progressed;
    uint64_t put, got; /* positions in the pattern */
};

static void progress(struct spool *s) {
    struct fixture *f = s->owner;
    f->progressed++;
}

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->loop = loop_new();
    f->helpers = helpers_new(f->loop, 2, 16);
    assert_non_null(f->helpers);
    spool_init(&f->s, f->helpers, progress);
    f->s.owner = f;
    *state = f;
    return 0;
}

static void wait_idle(struct fixture *f) {
    while (f->s.busy)
        ev_run(f->loop->ev, EVRUN_ONCE);
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    wait_idle(f);
    spool_free(&f->s);
    helpers_free(f->helpers);
    loop_free(f->loop);
    free(f);
    (void)unsetenv("TMPDIR");
    return 0;
}

/* No period that fits a block. */
static char pattern(uint64_t at) {
    return (char)(at * 2654435761u >> 13);
}

static void put(struct fixture *f, size_t n) {
    char *bytes = malloc(n);
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = pattern(f->put + i);
    spool_write(&f->s, str_make(bytes, n));
    f->put += n;
    free(bytes);
}

/* Reads at most `most`; false: nothing is at hand. */
static bool get(struct fixture *f, size_t most) {
    struct str s = spool_peek(&f->s);
    if (s.n == 0)
        return false;
    s.n = s.n < most ? s.n : most;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != pattern(f->got + i))
            fail_msg("byte %llu is wrong", (unsigned long long)(f->got + i));
    f->got += s.n;
    spool_consume(&f->s, s.n);
    return true;
}

static void get_all(struct fixture *f) {
    while (!spool_drained(&f->s)) {
        if (get(f, SIZE_MAX))
            continue;
        assert_true(f->s.busy); /* progress will come */
        ev_run(f->loop->ev, EVRUN_ONCE);
    }
    assert_int_equal(f->got, f->put);
}

static void small_ones_stay_in_memory(void **state) {
    struct fixture *f = *state;
    for (int i = 0; i < 64; i++)
        put(f, 1024);
    assert_int_equal(f->s.fd, -1);
    assert_false(f->s.busy);
    get_all(f);
    spool_rewind(&f->s);
    f->got = 0;
    get_all(f);
    assert_false(get(f, 1));
    assert_int_equal(f->progressed, 0);
}

static void large_ones_go_to_a_file_and_come_back_twice(void **state) {
    struct fixture *f = *state;
    while (f->put < 3u << 20) {
        while (!spool_takes(&f->s))
            ev_run(f->loop->ev, EVRUN_ONCE);
        put(f, 10007);
    }
    wait_idle(f);
    assert_true(f->s.fd >= 0);
    struct stat st;
    assert_int_equal(fstat(f->s.fd, &st), 0);
    assert_int_equal(st.st_nlink, 0); /* no name */
    assert_int_equal(st.st_mode & 0077, 0);
    assert_true(buf_length(&f->s.memory) + buf_length(&f->s.tail) <= 2 * SPOOL_MEMORY);
    get_all(f);
    spool_rewind(&f->s);
    f->got = 0;
    get_all(f);
}

static void reader_follows_the_writer(void **state) {
    struct fixture *f = *state;
    unsigned seed = 1;
    while (f->put < 4u << 20) {
        seed = seed * 1103515245u + 12345u;
        if (spool_takes(&f->s))
            put(f, 1 + (seed >> 8) % 50000);
        for (unsigned i = (seed >> 4) % 4; i > 0; i--)
            (void)get(f, 1 + (seed >> 6) % 60000);
        ev_run(f->loop->ev, EVRUN_NOWAIT);
    }
    get_all(f);
}

static void used_again_from_the_start(void **state) {
    struct fixture *f = *state;
    for (int round = 0; round < 3; round++) {
        while (f->put < 300000) {
            while (!spool_takes(&f->s))
                ev_run(f->loop->ev, EVRUN_ONCE);
            put(f, 30000);
        }
        get_all(f);
        wait_idle(f);
        spool_reset(&f->s);
        assert_null(f->s.memory.data);
        assert_null(f->s.tail.data);
        f->put = f->got = 0;
    }
}

/* A reader that has all leaves the writer's job under way; bytes that come then follow in order. */
static void drained_while_a_write_runs(void **state) {
    struct fixture *f = *state;
    put(f, SPOOL_MEMORY);
    put(f, SPOOL_MEMORY - 1); /* in the tail, too few for the file */
    get_all(f);
    assert_false(f->s.busy);
    put(f, 1);
    assert_true(f->s.busy);
    put(f, 100);
    get_all(f);
}

static void limit_file_size(rlim_t most, struct rlimit *before) {
    assert_int_equal(getrlimit(RLIMIT_FSIZE, before), 0);
    struct rlimit limit = {most, before->rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void full_disk_keeps_what_it_was_given(void **state) {
    struct fixture *f = *state;
    struct rlimit before;
    limit_file_size(200000, &before);
    while (!f->s.failed && f->put < 4u << 20) {
        if (spool_takes(&f->s))
            put(f, 20011);
        else
            ev_run(f->loop->ev, EVRUN_ONCE);
    }
    assert_true(f->s.failed);
    assert_int_equal(f->s.error, EFBIG);
    assert_false(spool_takes(&f->s));
    assert_true(f->progressed > 0);
    get_all(f);
    wait_idle(f);
    spool_reset(&f->s);
    assert_true(spool_takes(&f->s));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

static void unusable_directory_is_passed_over(void **state) {
    struct fixture *f = *state;
    assert_int_equal(setenv("TMPDIR", "/nonexistent/faucet", 1), 0);
    put(f, 3 * SPOOL_MEMORY);
    wait_idle(f);
    assert_false(f->s.failed);
    assert_true(f->s.fd >= 0);
    get_all(f);
}

/* /proc knows no O_TMPFILE and no files of ours; the next directory is taken. */
static void directory_without_tmpfile_is_passed_over(void **state) {
    struct fixture *f = *state;
    assert_int_equal(setenv("TMPDIR", "/proc", 1), 0);
    put(f, 3 * SPOOL_MEMORY);
    wait_idle(f);
    assert_false(f->s.failed);
    get_all(f);
}

static void lost_file_is_broken_not_wrong(void **state) {
    struct fixture *f = *state;
    put(f, 3 * SPOOL_MEMORY);
    wait_idle(f);
    assert_int_equal(ftruncate(f->s.fd, 10), 0);
    while (!f->s.broken && !spool_drained(&f->s)) {
        if (!get(f, SIZE_MAX) && f->s.busy)
            ev_run(f->loop->ev, EVRUN_ONCE);
    }
    assert_true(f->s.broken);
    assert_int_equal(f->s.error, EIO);
    assert_int_equal(f->got, SPOOL_MEMORY + 10);
    assert_int_equal(spool_peek(&f->s).n, 0);
    assert_false(f->s.busy); /* no second try */
}

struct blocker {
    struct helper_job job;
    int pipe[2];
};

static void block(struct helper_job *job) {
    struct blocker *b = CONTAINER_OF(job, struct blocker, job);
    char byte;
    (void)!read(b->pipe[0], &byte, 1);
}

static void blocked(struct helper_job *job) {
    (void)job;
}

/* Nobody comes back to try again, so it is said at once. */
static void full_ring_is_a_failure(void **state) {
    struct fixture *f = *state;
    struct helpers *real = f->helpers;
    struct loop *l = loop_new();
    struct blocker b[2] = {{.job = {.run = block, .done = blocked}}, {.job = {.run = block, .done = blocked}}};
    f->s.helpers = helpers_new(l, 1, 1);
    assert_non_null(f->s.helpers);
    for (size_t i = 0; i < 2; i++) { /* one is run, one waits: the ring is full */
        assert_int_equal(pipe(b[i].pipe), 0);
        while (!helper_submit(f->s.helpers, &b[i].job))
            (void)usleep(100); /* until the thread has taken the first */
    }
    put(f, 3 * SPOOL_MEMORY);
    assert_true(f->s.failed);
    assert_int_equal(f->s.error, EAGAIN);
    assert_false(f->s.busy);
    get_all(f); /* nothing is lost */
    for (size_t i = 0; i < 2; i++)
        close(b[i].pipe[1]);
    helpers_free(f->s.helpers);
    for (size_t i = 0; i < 2; i++)
        close(b[i].pipe[0]);
    loop_free(l);
    f->s.helpers = real;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(small_ones_stay_in_memory),         TEST(large_ones_go_to_a_file_and_come_back_twice),
        TEST(reader_follows_the_writer),         TEST(used_again_from_the_start),
        TEST(drained_while_a_write_runs),        TEST(full_disk_keeps_what_it_was_given),
        TEST(unusable_directory_is_passed_over), TEST(directory_without_tmpfile_is_passed_over),
        TEST(lost_file_is_broken_not_wrong),     TEST(full_ring_is_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
