/* The log's file: rotation between lines, what cannot be opened, a full disk, somebody else's truncation. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log_file.h"

static char directory[64];
static atomic_bool hurry;

static const char *path_of(const char *name) {
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static int setup(void **state) {
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/faucet-test-XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int teardown(void **state) {
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static void assert_contents(const char *name, const char *expected) {
    char text[4096];
    FILE *f = fopen(path_of(name), "r");
    size_t n;

    assert_non_null(f);
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    assert_string_equal(text, expected);
}

/* What is said on stderr during a test goes to this file. */
static int silence_stderr(void) {
    int saved = dup(STDERR_FILENO), fd = open(path_of("stderr"), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);

    assert_true(saved >= 0 && fd >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
    return saved;
}

static void restore_stderr(int saved) {
    assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
    close(saved);
}

static void test_rotates_between_lines(void **state) {
    struct log_file f;

    (void)state;
    log_file_init(&f, &hurry);
    log_file_open(&f, path_of("a"), 10);
    assert_int_equal(log_file_write(&f, STR("one\ntwo\nthree\n")), 14); /* 8 fit, 6 go on */
    assert_contents("a.1", "one\ntwo\n");
    assert_contents("a", "three\n");
    assert_int_equal(log_file_write(&f, STR("longer than all\n")), 16);
    assert_contents("a.1", "three\n");
    assert_contents("a", "longer than all\n");
    assert_int_equal(log_file_write(&f, STR("x\n")), 2);
    assert_contents("a.1", "longer than all\n");
    assert_contents("a", "x\n");
    log_file_close(&f);
    log_file_open(&f, path_of("a"), 10); /* what is there already counts */
    assert_int_equal(log_file_write(&f, STR("1234567890\n")), 11);
    assert_contents("a.1", "x\n");
    log_file_close(&f);
}

static void test_a_line_in_two_pieces_is_not_torn(void **state) {
    struct log_file f;

    (void)state;
    log_file_init(&f, &hurry);
    log_file_open(&f, path_of("b"), 8);
    assert_int_equal(log_file_write(&f, STR("abc\nde")), 6); /* the ring wraps here */
    assert_int_equal(log_file_write(&f, STR("fghi\nj\n")), 7);
    assert_contents("b.1", "abc\ndefghi\n");
    assert_contents("b", "j\n");
    log_file_close(&f);
}

static void test_truncated_by_somebody_else(void **state) {
    struct log_file f;

    (void)state;
    log_file_init(&f, &hurry);
    log_file_open(&f, path_of("c"), 10);
    log_file_write(&f, STR("12345678\n"));
    assert_int_equal(truncate(path_of("c"), 0), 0);
    assert_int_equal(log_file_write(&f, STR("abc\n")), 4);
    assert_contents("c", "abc\n");
    assert_int_equal(access(path_of("c.1"), F_OK), -1);
    log_file_close(&f);
}

static void test_reopen(void **state) {
    struct log_file f;

    (void)state;
    log_file_init(&f, &hurry);
    log_file_open(&f, path_of("d"), 0);
    log_file_write(&f, STR("before\n"));
    assert_int_equal(rename(path_of("d"), path_of("d.moved")), 0);
    log_file_write(&f, STR("still\n"));
    log_file_reopen(&f);
    log_file_write(&f, STR("after\n"));
    assert_contents("d.moved", "before\nstill\n");
    assert_contents("d", "after\n");
    log_file_close(&f);
}

static void test_what_cannot_be_opened_goes_to_stderr(void **state) {
    struct log_file f;
    int saved = silence_stderr();
    char expected[256];

    (void)state;
    log_file_init(&f, &hurry);
    log_file_open(&f, path_of("no/such"), 10);
    log_file_write(&f, STR("line one is long\nline two\n"));
    assert_int_equal(mkdir(path_of("no"), 0700), 0);
    log_file_reopen(&f);
    log_file_write(&f, STR("there\n"));
    log_file_close(&f);
    restore_stderr(saved);
    snprintf(expected, sizeof expected,
             "faucet: log file %s: cannot be opened, logging to stderr: No such file or directory\n"
             "line one is long\nline two\n",
             path_of("no/such"));
    assert_contents("stderr", expected);
    assert_contents("no/such", "there\n");
}

static void test_what_cannot_be_renamed_grows_on(void **state) {
    struct log_file f;
    int saved;
    char expected[256];

    (void)state;
    assert_int_equal(mkdir(path_of("e.1"), 0700), 0);
    saved = silence_stderr();
    log_file_init(&f, &hurry);
    log_file_open(&f, path_of("e"), 4);
    log_file_write(&f, STR("one\ntwo\nthree\n"));
    log_file_close(&f);
    restore_stderr(saved);
    assert_contents("e", "one\ntwo\nthree\n");
    snprintf(expected, sizeof expected, "faucet: log file %s: cannot be renamed, growing on: Is a directory\n",
             path_of("e"));
    assert_contents("stderr", expected);
}

static void test_a_symlink_does_not_rotate(void **state) {
    struct log_file f;
    int saved = silence_stderr();

    (void)state;
    assert_int_equal(symlink(path_of("target"), path_of("link")), 0);
    log_file_init(&f, &hurry);
    log_file_open(&f, path_of("link"), 4);
    log_file_write(&f, STR("one\ntwo\n"));
    log_file_close(&f);
    restore_stderr(saved);
    assert_contents("target", "one\ntwo\n");
}

static void test_a_full_disk_is_an_error_and_its_end_is_seen(void **state) {
    struct log_file f;
    int full = open("/dev/full", O_WRONLY), file;

    (void)state;
    assert_true(full >= 0);
    log_file_init(&f, &hurry);
    log_file_open(&f, path_of("g"), 0);
    assert_int_equal(log_file_write(&f, STR("cut o")), 5);
    file = dup(f.fd);
    assert_int_equal(dup2(full, f.fd), f.fd);
    assert_int_equal(log_file_write(&f, STR("ff\nlost\n")), 0);
    assert_int_equal(f.error, ENOSPC);
    assert_int_equal(dup2(file, f.fd), f.fd);
    assert_int_equal(log_file_write(&f, STR("again\n")), 6);
    assert_int_equal(f.error, 0);
    assert_contents("g", "cut o\nagain\n"); /* on a line of its own */
    log_file_close(&f);
    close(file);
    close(full);
}

static void test_a_full_non_blocking_pipe_is_left_in_a_hurry(void **state) {
    struct log_file f;
    int ends[2], saved;
    static char filler[1 << 20];

    (void)state;
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    memset(filler, '\n', sizeof filler);
    assert_true(write(ends[1], filler, sizeof filler) > 0);
    saved = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    atomic_store(&hurry, true);
    log_file_init(&f, &hurry);
    assert_int_equal(log_file_write(&f, STR("line\n")), 0);
    restore_stderr(saved);
    assert_int_equal(f.error, EAGAIN);
    atomic_store(&hurry, false);
    close(ends[0]);
    close(ends[1]);
    log_file_close(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotates_between_lines),
        cmocka_unit_test(test_a_line_in_two_pieces_is_not_torn),
        cmocka_unit_test(test_truncated_by_somebody_else),
        cmocka_unit_test(test_reopen),
        cmocka_unit_test(test_what_cannot_be_opened_goes_to_stderr),
        cmocka_unit_test(test_what_cannot_be_renamed_grows_on),
        cmocka_unit_test(test_a_symlink_does_not_rotate),
        cmocka_unit_test(test_a_full_disk_is_an_error_and_its_end_is_seen),
        cmocka_unit_test(test_a_full_non_blocking_pipe_is_left_in_a_hurry),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
