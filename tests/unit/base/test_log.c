/*
 * The log as a whole: levels, order, live changes, and that neither a full
 * pipe nor a full disk stops the one who logs. Whoever waits here waits for a
 * byte or a thread; alarm(2) ends a test that would hang.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/log_writer.h"

static char directory[64];

static const char *path_of(const char *name) {
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static int setup(void **state) {
    (void)state;
    alarm(120);
    snprintf(directory, sizeof directory, "/tmp/faucet-test-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int teardown(void **state) {
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

/* The whole of fd until its end, NUL-terminated, in a buf. */
static struct buf read_all(int fd) {
    struct buf b = {0};
    ssize_t n;

    while ((n = read(fd, buf_reserve(&b, 65536), 65536)) > 0)
        buf_commit(&b, (size_t)n);
    assert_int_equal(n, 0);
    *buf_reserve(&b, 1) = '\0';
    return b;
}

static struct buf contents(const char *name) {
    int fd = open(path_of(name), O_RDONLY);
    struct buf b;

    assert_true(fd >= 0);
    b = read_all(fd);
    close(fd);
    return b;
}

static bool holds(const char *name, const char *text) {
    struct buf b = contents(name);
    bool found = strstr(b.data + b.start, text) != NULL;

    buf_free(&b);
    return found;
}

static int replace_stderr(int fd) {
    int saved = dup(STDERR_FILENO);

    assert_true(saved >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
    return saved;
}

static int stderr_to(const char *name) {
    return replace_stderr(open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600));
}

static void restore_stderr(int saved) {
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
}

static void test_synchronous_on_stderr(void **state) {
    int saved = stderr_to("sync");
    struct log *l = log_open_stderr();
    char longer[3000];

    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    log_info(l, "number %d", 7);
    log_debug(l, "not at info");
    errno = ENOENT;
    log_printf(l, LOG_WARN, "app::sales", "%m %s|", longer);
    assert_int_equal(errno, ENOENT);
    assert_false(log_enabled(l, LOG_DEBUG));
    log_configure(l, LOG_DEBUG, LOG_JSON, NULL, 0);
    assert_true(log_enabled(l, LOG_DEBUG));
    log_debug(l, "now it is");
    assert_int_equal(log_dropped(l), 0);
    log_close(l);
    restore_stderr(saved);
    assert_true(holds("sync", "Z INFO  faucet] number 7\n"));
    assert_false(holds("sync", "not at info"));
    assert_true(holds("sync", "Z WARN  app::sales] No such file or directory xxxx"));
    assert_true(holds("sync", "xxxx|\n"));
    assert_true(holds("sync", "\"level\":\"debug\",\"source\":\"faucet\",\"message\":\"now it is\"}\n"));
}

/* The file holds nothing but lines "line N", from `from` on, in order; returns the next N. */
static int follow_lines(const char *name, int from) {
    struct buf b = contents(name);
    struct str rest = buf_str(&b);

    while (rest.n > 0) {
        struct str line = str_make(rest.p, str_chr(rest, '\n'));
        char expected[64];

        snprintf(expected, sizeof expected, "Z INFO  faucet] line %d", from++);
        assert_true(str_ends(line, str_of(expected)));
        assert_int_equal(line.n, 20 + strlen(expected));
        rest = str_from(rest, line.n + 1);
    }
    buf_free(&b);
    return from;
}

/* The writer may be put off for long on a busy machine: not to outrun it is our part here. */
static void wait_for_size(const char *name, off_t size) {
    struct stat st;

    while (stat(path_of(name), &st) != 0 || st.st_size < size)
        usleep(500);
}

static void test_every_line_in_order(void **state) {
    struct log *l = log_open_stderr();
    off_t bytes = 0;

    (void)state;
    log_configure(l, LOG_INFO, LOG_TEXT, path_of("order"), 0); /* before the thread: remembered */
    assert_true(log_start_thread(l));
    for (int i = 0; i < 100000; i++) { /* several times around the ring */
        log_info(l, "line %d", i);
        bytes += snprintf(NULL, 0, "[2026-01-01T00:00:00Z INFO  faucet] line %d\n", i);
        if (i % 1000 == 0)
            wait_for_size("order", bytes - i % 7 * (off_t)(LOG_RING_SIZE / 8));
    }
    assert_int_equal(log_dropped(l), 0);
    log_close(l);
    assert_int_equal(follow_lines("order", 0), 100000);
}

static void test_live_change_of_everything(void **state) {
    struct log *l = log_open_stderr();

    (void)state;
    assert_true(log_start_thread(l));
    log_configure(l, LOG_INFO, LOG_TEXT, path_of("first"), 0);
    log_info(l, "to the first");
    log_configure(l, LOG_INFO, LOG_TEXT, path_of("second"), 0);
    log_info(l, "to the second");
    log_configure(l, LOG_WARN, LOG_JSON, path_of("second"), 0);
    log_info(l, "too low");
    log_warn(l, "high enough");
    log_close(l);
    assert_false(holds("second", "to the first"));
    assert_false(holds("second", "too low"));
    assert_true(holds("second", "to the second"));
    assert_true(holds("second", "\"message\":\"high enough\"}\n"));
}

static void test_reopen(void **state) {
    struct log *l = log_open_stderr();

    (void)state;
    log_configure(l, LOG_INFO, LOG_TEXT, path_of("log"), 0);
    assert_true(log_start_thread(l));
    log_info(l, "before");
    while (access(path_of("log"), F_OK) != 0 || !holds("log", "before"))
        usleep(1000);
    assert_int_equal(rename(path_of("log"), path_of("log.old")), 0);
    log_info(l, "between");
    log_reopen(l);
    log_info(l, "after");
    log_close(l);
    assert_true(holds("log.old", "before\n"));
    assert_true(holds("log.old", "between\n"));
    assert_true(holds("log", "after\n"));
    assert_false(holds("log", "between\n"));
}

static void test_rotation(void **state) {
    struct log *l = log_open_stderr();
    int last_of_old, end;

    (void)state;
    log_configure(l, LOG_INFO, LOG_TEXT, path_of("turn"), 30000);
    assert_true(log_start_thread(l));
    for (int i = 0; i < 1000; i++)
        log_info(l, "line %d", i);
    log_close(l);
    last_of_old = follow_lines("turn.1", 0); /* 1000 lines are 45 kB: one turn */
    end = follow_lines("turn", last_of_old);
    assert_in_range(last_of_old, 600, 900);
    assert_int_equal(end, 1000);
}

static void test_json_fields_keep_their_types(void **state) {
    const struct log_field fields[] = {LOG_STR("path", STR("/a\"b")), LOG_INT("status", 404)};
    struct log *l = log_open_stderr();
    struct buf b;
    json_t *json;

    (void)state;
    log_configure(l, LOG_INFO, LOG_JSON, path_of("json"), 0);
    assert_true(log_start_thread(l));
    log_record(l, LOG_INFO, STR("Worker::sales::1"), STR("text"), fields, 2);
    log_close(l);
    b = contents("json");
    json = json_loadb(b.data + b.start, buf_length(&b), 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "source")), "Worker::sales::1");
    assert_string_equal(json_string_value(json_object_get(json, "path")), "/a\"b");
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 404);
    json_decref(json);
    buf_free(&b);
}

/* One line at a time through a writer that works, naps or sleeps: each must come out without another behind it. */
static void test_a_lone_line_is_written_soon(void **state) {
    int ends[2], saved;
    struct log *l = log_open_stderr();

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    saved = replace_stderr(ends[1]);
    assert_true(log_start_thread(l));
    for (int i = 0; i < 60; i++) {
        char line[256];
        ssize_t n;

        log_info(l, "line %d", i);
        n = read(ends[0], line, sizeof line); /* blocks until it comes */
        assert_true(n > 0 && line[n - 1] == '\n');
        if (i % 3 == 0)
            usleep((useconds_t)i * 500); /* varies what the writer does when the next one comes */
    }
    log_close(l);
    restore_stderr(saved);
    close(ends[0]);
}

static void *drain(void *argument) {
    struct buf *b = malloc(sizeof *b);

    assert_non_null(b);
    *b = read_all(*(int *)argument);
    return b;
}

static void test_a_full_pipe_does_not_stop_us(void **state) {
    int ends[2], saved, total = 0, came = 0;
    struct log *l = log_open_stderr();
    uint64_t dropped;
    unsigned long long told = 0;
    pthread_t reader;
    struct str rest;
    struct buf *b;
    void *result;

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    saved = replace_stderr(ends[1]);
    assert_true(log_start_thread(l));
    for (; log_dropped(l) < 1000; total++) /* nobody reads: would block for ever */
        log_info(l, "line %d", total);
    dropped = log_dropped(l);
    assert_int_equal(pthread_create(&reader, NULL, drain, &ends[0]), 0);
    log_close(l);
    restore_stderr(saved); /* the last end to write to: the reader ends */
    assert_int_equal(pthread_join(reader, &result), 0);
    b = result;
    for (rest = buf_str(b); rest.n > 0; rest = str_from(rest, str_chr(rest, '\n') + 1))
        came += str_starts(str_from(rest, 20), STR("Z INFO  faucet] line "));
    char *notice = strstr(b->data + b->start, "WARN  faucet] ");

    assert_non_null(notice);
    assert_int_equal(sscanf(notice, "WARN  faucet] %llu log records were dropped", &told), 1);
    assert_int_equal(told, dropped);
    assert_int_equal((unsigned long long)came + told, total);
    buf_free(b);
    free(b);
    close(ends[0]);
}

static void test_a_full_disk_is_counted_and_said(void **state) {
    int saved = stderr_to("complaints");
    struct log *l = log_open_stderr();

    (void)state;
    log_configure(l, LOG_INFO, LOG_TEXT, "/dev/full", 0);
    assert_true(log_start_thread(l));
    for (int i = 0; i < 3; i++)
        log_info(l, "lost");
    while (log_dropped(l) < 3)
        usleep(1000);
    log_configure(l, LOG_INFO, LOG_TEXT, path_of("empty"), 0);
    log_info(l, "written");
    log_close(l);
    restore_stderr(saved);
    assert_true(holds("empty", "3 log records were dropped: No space left on device\n"));
    assert_true(holds("empty", "written\n"));
    assert_true(holds("complaints", "faucet: log file /dev/full: cannot be written, records are dropped: No space"));
    assert_false(holds("complaints", "written\n"));
}

static size_t count_threads(void) {
    DIR *d = opendir("/proc/self/task");
    size_t count = 0;

    assert_non_null(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count;
}

static void test_a_stuck_writer_is_left_behind(void **state) {
    int ends[2], saved;
    struct log_writer *w;
    mono_t begun;
    size_t threads = count_threads();

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    saved = replace_stderr(ends[1]);
    w = log_writer_start(LOG_TEXT);
    assert_non_null(w);
    while (log_writer_dropped(w) == 0)
        log_writer_put(w, STR("0123456789012345678901234567890123456789012345678901234567890123456789\n"));
    begun = mono_now();
    assert_false(log_writer_stop(w, 50 * DUR_MS));
    assert_in_range(mono_since(begun, mono_now()), 50 * DUR_MS, 10 * DUR_S);
    close(ends[0]); /* gets it out, with EPIPE; it frees itself */
    while (count_threads() > threads)
        usleep(1000);
    restore_stderr(saved);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_synchronous_on_stderr),
        cmocka_unit_test(test_every_line_in_order),
        cmocka_unit_test(test_live_change_of_everything),
        cmocka_unit_test(test_reopen),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_json_fields_keep_their_types),
        cmocka_unit_test(test_a_lone_line_is_written_soon),
        cmocka_unit_test(test_a_full_pipe_does_not_stop_us),
        cmocka_unit_test(test_a_full_disk_is_counted_and_said),
        cmocka_unit_test(test_a_stuck_writer_is_left_behind),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
