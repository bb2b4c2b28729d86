/* Stable reading. The file under test is included, so that what the kernel says of a file can be told by the test. */
#include "yaml_fixture.h"

static struct {
    unsigned calls;
    void (*meddle)(unsigned call); /* before the nth fstat */
    unsigned pauses;
    void (*paused)(void); /* what others do meanwhile */
} kernel;

static int told_fstat(int fd, struct stat *st) {
    kernel.calls++;
    if (kernel.meddle != NULL)
        kernel.meddle(kernel.calls);
    return fstat(fd, st);
}

static int told_nanosleep(const struct timespec *pause, struct timespec *left) {
    (void)pause;
    (void)left;
    kernel.pauses++;
    if (kernel.paused != NULL)
        kernel.paused();
    return 0;
}

#define fstat     told_fstat
#define nanosleep told_nanosleep
#include "../../../src/config/file_read.c"
#undef fstat
#undef nanosleep

static bool read_it(struct fixture *f, struct str *text, const char **why) {
    kernel.calls = kernel.pauses = 0;
    *why = "";
    return file_read_stable(f->arena, "t", 1000, text, why);
}

static void reads_what_is_there(void **state) {
    struct fixture *f = *state;
    struct str text;
    const char *why;

    kernel.meddle = NULL;
    write_bytes("t", "a\0b", 3);
    assert_true(read_it(f, &text, &why));
    assert_int_equal(text.n, 3);
    assert_memory_equal(text.p, "a\0b", 4);
    assert_int_equal(kernel.pauses, 0);
    write_bytes("t", "", 0);
    assert_true(read_it(f, &text, &why));
    assert_int_equal(text.n, 0);
    assert_string_equal(text.p, "");
}

static void size_is_limited(void **state) {
    struct fixture *f = *state;
    char bytes[1001];
    struct str text;
    const char *why;

    kernel.meddle = NULL;
    memset(bytes, 'x', sizeof bytes);
    write_bytes("t", bytes, 1000);
    assert_true(read_it(f, &text, &why));
    assert_int_equal(text.n, 1000);
    write_bytes("t", bytes, 1001);
    assert_false(read_it(f, &text, &why));
    assert_string_equal(why, "is larger than 1000, the most that is read");
    /* a file that does not say its size */
    assert_false(file_read_stable(f->arena, "/proc/self/status", 100, &text, &why));
    assert_string_equal(why, "is larger than 100, the most that is read");
    assert_true(file_read_stable(f->arena, "/proc/self/status", 100000, &text, &why));
    assert_true(str_starts(text, STR("Name:")));
}

/* The second fstat of a try is the one after reading. */
static void grow_once(unsigned call) {
    if (call == 2)
        write_bytes("t", "longer than before", 18);
}

static void replace_once(unsigned call) {
    if (call != 2)
        return;
    write_bytes("new", "NEW", 3);
    assert_int_equal(rename("new", "t"), 0);
}

static void touch_once(unsigned call) {
    const struct timespec times[2] = {{1, 5}, {1, 5}};
    if (call == 2) {
        write_bytes("t", "two", 3); /* same size: only the time tells */
        assert_int_equal(utimensat(AT_FDCWD, "t", times, 0), 0);
    }
}

static void remove_once(unsigned call) {
    if (call == 2)
        assert_int_equal(unlink("t"), 0);
}

static void a_changed_file_is_read_again(void **state) {
    struct fixture *f = *state;
    static const struct {
        void (*meddle)(unsigned call);
        const char *expected;
    } cases[] = {{grow_once, "longer than before"}, {replace_once, "NEW"}, {touch_once, "two"}};

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct str text;
        const char *why;
        kernel.meddle = NULL;
        write_bytes("t", "one", 3);
        kernel.meddle = cases[i].meddle;
        assert_true(read_it(f, &text, &why));
        assert_string_equal(text.p, cases[i].expected);
        assert_int_equal(kernel.calls, 4);
        assert_int_equal(kernel.pauses, 1);
    }
    kernel.meddle = NULL;
}

static void a_file_that_goes_away(void **state) {
    struct fixture *f = *state;
    struct str text;
    const char *why;

    write_bytes("t", "one", 3);
    kernel.meddle = remove_once;
    assert_false(read_it(f, &text, &why));
    assert_string_equal(why, "does not exist");
    assert_int_equal(kernel.pauses, FILE_READ_TRIES - 1);
    kernel.meddle = NULL;
}

static void grow_always(unsigned call) {
    char bytes[100];

    memset(bytes, 'x', sizeof bytes);
    if (call % 2 == 0)
        write_bytes("t", bytes, call);
}

static void a_file_that_never_rests(void **state) {
    struct fixture *f = *state;
    struct str text;
    const char *why;

    write_bytes("t", "x", 1);
    kernel.meddle = grow_always;
    assert_false(read_it(f, &text, &why));
    assert_contains(why, "is being written to");
    assert_int_equal(kernel.calls, 2 * FILE_READ_TRIES);
    assert_int_equal(kernel.pauses, FILE_READ_TRIES - 1);
    kernel.meddle = NULL;
}

/* A config map: t -> ..data/t, ..data -> ..1; an update makes ..2 and renames a new link over ..data. */
static void flip(const char *version) {
    assert_int_equal(symlink(version, "..new"), 0);
    assert_int_equal(rename("..new", "..data"), 0);
}

static void make_config_map(void) {
    assert_true(mkdir("..1", 0700) == 0 && mkdir("..2", 0700) == 0);
    write_bytes("..1/t", "one", 3);
    write_bytes("..2/t", "two", 3); /* same size */
    assert_int_equal(symlink("..data/t", "t"), 0);
    flip("..1");
}

static void remove_config_map(void) {
    assert_true(unlink("..1/t") == 0 && rmdir("..1") == 0 && unlink("..2/t") == 0 && rmdir("..2") == 0);
    assert_true(unlink("..data") == 0 && unlink("t") == 0);
}

static void flip_once(unsigned call) {
    if (call == 2)
        flip("..2");
}

static void a_config_map_is_swapped(void **state) {
    struct fixture *f = *state;
    struct str text;
    const char *why;

    kernel.meddle = NULL;
    make_config_map();
    assert_true(read_it(f, &text, &why));
    assert_string_equal(text.p, "one");
    flip("..2"); /* between two readings */
    assert_true(read_it(f, &text, &why));
    assert_string_equal(text.p, "two");
    assert_int_equal(kernel.pauses, 0);
    flip("..1");
    kernel.meddle = flip_once; /* the file that was opened is as it was; only the name leads elsewhere */
    assert_true(read_it(f, &text, &why));
    assert_string_equal(text.p, "two");
    assert_int_equal(kernel.pauses, 1);
    kernel.meddle = NULL;
    remove_config_map();
}

static void write_two(void) {
    write_bytes("t", "two", 3);
}

/* vim and emacs move the old file away and write a new one, others write beside it and rename; so does sed -i. */
static void editors_replace_files(void **state) {
    struct fixture *f = *state;
    struct str text;
    const char *why;

    kernel.meddle = NULL;
    write_bytes("t", "one", 3);
    assert_true(read_it(f, &text, &why));
    assert_int_equal(rename("t", "t~"), 0);
    kernel.paused = write_two; /* the moment between the two steps */
    assert_true(read_it(f, &text, &why));
    assert_string_equal(text.p, "two");
    assert_int_equal(kernel.pauses, 1);
    kernel.paused = NULL;
    write_bytes(".t.swp", "3", 1);
    assert_int_equal(rename(".t.swp", "t"), 0);
    assert_true(read_it(f, &text, &why));
    assert_string_equal(text.p, "3");
    assert_int_equal(unlink("t~"), 0);
}

static void never_hangs(void **state) {
    struct fixture *f = *state;
    struct str text;
    const char *why;

    assert_int_equal(mkfifo("t", 0600), 0);
    assert_false(read_it(f, &text, &why)); /* without O_NONBLOCK this waits for a writer for ever */
    assert_string_equal(why, "is a pipe, not a regular file");
    assert_false(file_read_stable(f->arena, ".", 1000, &text, &why));
    assert_string_equal(why, "is a directory, not a file");
    assert_false(file_read_stable(f->arena, "/dev/zero", 1000, &text, &why));
    assert_string_equal(why, "is a device, not a regular file");
    assert_false(file_read_stable(f->arena, "t/x", 1000, &text, &why));
    assert_string_equal(why, "cannot be read: Not a directory");
    assert_false(file_read_stable(f->arena, "", 1000, &text, &why));
    assert_string_equal(why, "does not exist");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(reads_what_is_there),          FIXTURE_TEST(size_is_limited),
        FIXTURE_TEST(a_changed_file_is_read_again), FIXTURE_TEST(a_file_that_goes_away),
        FIXTURE_TEST(a_file_that_never_rests),      FIXTURE_TEST(a_config_map_is_swapped),
        FIXTURE_TEST(editors_replace_files),        FIXTURE_TEST(never_hangs),
    };
    return cmocka_run_group_tests_name("config/file_read", tests, NULL, NULL);
}
