/* Segments: frames are found again, no flipped bit makes a wrong record, and a missing page is no crash. */
#include "queue_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "telemetry/segment.h"
#include "telemetry/segment_file.h"
#include "telemetry/segment_guard.h"

#define SIZE ((size_t)64 * 1024)

static struct segment *segment_in_memory(void) {
    struct segment *s = calloc(1, sizeof *s);

    s->serial = 42;
    s->size = SIZE;
    s->base = calloc(1, SIZE);
    s->used = sizeof(struct segment_head);
    segment_head_write(s->base, s->serial, s->size, (wall_t){1});
    return s;
}

static void segment_end(struct segment *s) {
    free(s->base);
    free(s);
}

static void put(struct segment *s, struct str record, size_t room, enum frame_state state) {
    segment_publish(s, segment_place(s, RECORD_HTTP, record, room, state, (mono_t){7}));
}

static void test_found_again(void **state) {
    struct segment *s = segment_in_memory();
    static const char *const texts[] = {"one", "twotwotwo", "", "eightbyt", "five"};
    size_t at = sizeof(struct segment_head), unpublished, i = 0;
    struct frame_view v;
    struct str record;
    bool skipped = false;

    (void)state;
    for (; i < ARRAY_LENGTH(texts); i++)
        put(s, str_make(texts[i], strlen(texts[i])), i, FRAME_WHOLE);
    unpublished = segment_place(s, RECORD_HTTP, STR("torn"), 0, FRAME_WHOLE, (mono_t){7});
    for (i = 0; segment_next(s, &at, SIZE, &v, &skipped); i++) {
        assert_true(frame_record(&v, &record) && str_eq(record, str_of(texts[i])));
        assert_int_equal(v.head.came, 7);
        assert_int_equal(v.head.gone, FRAME_HERE);
    }
    assert_int_equal(i, ARRAY_LENGTH(texts));
    assert_int_equal(at, SIZE);
    assert_true(skipped); /* the torn one */
    segment_publish(s, unpublished);
    assert_true(segment_frame(s, unpublished, &v));
    assert_false(segment_frame(s, unpublished + 8, &v));
    assert_false(segment_frame(s, unpublished + 1, &v));
    assert_false(segment_frame(s, SIZE, &v));
    assert_false(segment_frame(s, SIZE_MAX - 7, &v));
    s->serial++; /* a frame copied elsewhere is no frame */
    assert_false(segment_frame(s, unpublished, &v));
    segment_end(s);
}

static void test_finished(void **state) {
    struct segment *s = segment_in_memory();
    struct frame_view v;
    struct str record;

    (void)state;
    put(s, STR("reserved"), 16, FRAME_RESERVED);
    put(s, STR("next"), 0, FRAME_WHOLE);
    assert_true(segment_frame(s, 64, &v) && v.head.state == FRAME_RESERVED);
    assert_true(frame_record(&v, &record) && str_eq(record, STR("reserved")));
    frame_finish(&v, STR(", then finished"));
    assert_true(segment_frame(s, 64, &v) && v.head.state == FRAME_FINISHED);
    assert_true(frame_record(&v, &record) && str_eq(record, STR("reserved, then finished")));
    size_t at = 64;
    assert_true(segment_next(s, &at, SIZE, &v, NULL) && segment_next(s, &at, SIZE, &v, NULL));
    assert_true(frame_record(&v, &record) && str_eq(record, STR("next")));
    segment_end(s);
}

/* Every bit of a segment with three frames, one after the other: each record is itself or is not there. */
static void test_no_flipped_bit_makes_a_wrong_record(void **state) {
    struct segment *s = segment_in_memory();
    static const struct str texts[] = {{"first record", 12}, {"second, reserved, finished", 26}, {"the third one", 13}};

    (void)state;
    put(s, texts[0], 0, FRAME_WHOLE);
    put(s, STR("second, reserved"), 16, FRAME_RESERVED);
    put(s, texts[2], 0, FRAME_WHOLE);
    struct frame_view v;
    assert_true(segment_frame(s, 64 + 48 + 16, &v));
    frame_finish(&v, STR(", finished"));
    for (size_t bit = 64 * 8; bit < s->used * 8; bit++) {
        size_t at = 64, found = 0;
        struct str record;
        s->base[bit / 8] = (char)(s->base[bit / 8] ^ 1 << bit % 8);
        while (segment_next(s, &at, SIZE, &v, NULL)) {
            size_t i = v.offset == 64 ? 0 : v.offset == 64 + 48 + 16 ? 1 : 2;
            if (v.head.gone == FRAME_HERE && frame_record(&v, &record)) {
                assert_true(str_eq(record, texts[i]));
                found++;
            }
        }
        assert_in_range(found, 2, 3);
        s->base[bit / 8] = (char)(s->base[bit / 8] ^ 1 << bit % 8);
    }
    segment_end(s);
}

static void test_names(void **state) {
    uint64_t serial;
    char *path = segment_path("/x", 0xabc);

    (void)state;
    assert_string_equal(path, "/x/0000000000000abc.segment");
    assert_true(segment_serial(path + 3, &serial) && serial == 0xabc);
    free(path);
    assert_false(segment_serial("0000000000000000.segment", &serial));
    assert_false(segment_serial("ffffffffffffffff.segment", &serial));
    assert_false(segment_serial("0000000000000ABC.segment", &serial));
    assert_false(segment_serial("0000000000000abc.segment~", &serial));
    assert_false(segment_serial("abc", &serial));
    assert_false(segment_serial("", &serial));
}

/* ---- missing pages ---- */

static char *map_cut_file(size_t size, size_t left) {
    char path[] = "/tmp/faucet-test-guard-XXXXXX";
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    unlink(path);
    assert_true(segment_file_allocate(fd, size, 0));
    char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(p != MAP_FAILED);
    memset(p, 'a', size);
    assert_int_equal(ftruncate(fd, (off_t)left), 0);
    close(fd);
    return p;
}

static void test_a_missing_page_is_marked(void **state) {
    char *p = map_cut_file(SIZE, 8192), *other = map_cut_file(SIZE, SIZE);

    (void)state;
    segment_guard_install();
    int guard = segment_guard_add(p, SIZE), second = segment_guard_add(other, SIZE);
    assert_true(guard >= 0 && second >= 0 && guard != second);
    assert_int_equal(*(volatile char *)(p + 4096), 'a');
    assert_false(segment_guard_hurt(guard));
    assert_int_equal(*(volatile char *)(p + 8192), 0); /* read */
    assert_true(segment_guard_hurt(guard));
    memset(p + 20000, 'b', 10000); /* written, over several pages */
    assert_int_equal(p[29999], 'b');
    assert_int_equal(p[100], 'a');
    assert_false(segment_guard_hurt(second));
    segment_guard_remove(guard);
    segment_guard_remove(second);
    segment_guard_remove(-1);
    assert_false(segment_guard_hurt(-1));
    munmap(p, SIZE);
    munmap(other, SIZE);
}

/* Elsewhere SIGBUS is what it was. */
static void test_other_bus_errors_kill(void **state) {
    int status;

    (void)state;
    for (int how = 0; how < 2; how++) {
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGBUS, SIG_DFL);
            segment_guard_install();
            char *p = map_cut_file(SIZE, 0);
            int guard = segment_guard_add(p, SIZE);
            segment_guard_remove(guard);
            if (how == 0)
                *(volatile char *)p = 1;
            else
                (void)raise(SIGBUS);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found_again),
        cmocka_unit_test(test_finished),
        cmocka_unit_test(test_no_flipped_bit_makes_a_wrong_record),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_missing_page_is_marked),
        cmocka_unit_test(test_other_bus_errors_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
