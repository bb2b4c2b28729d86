/* Frames survive any cut; malformed ones are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "keeper/protocol.h"

static const char *const argv_[] = {"/bin/prog", "a b", "", NULL};
static const char *const envp_[] = {"A=1", "EMPTY=", NULL};

static void test_spawn_goes_and_comes(void **state) {
    (void)state;
    struct buf whole = {0}, in = {0};
    assert_true(protocol_put_spawn(&whole, 7, argv_, envp_, "/some/dir"));
    assert_true(protocol_put_spawn(&whole, 8, argv_, envp_ + 2, NULL));
    struct str bytes = buf_str(&whole);
    unsigned frames = 0;
    for (size_t i = 0; i < bytes.n; i++) { /* byte by byte: any cut */
        struct protocol_head head;
        struct str body;
        buf_append_char(&in, bytes.p[i]);
        enum protocol_result r = protocol_next(&in, &head, &body);
        assert_int_not_equal(r, PROTOCOL_BAD);
        if (r == PROTOCOL_MORE)
            continue;
        struct protocol_spawn s;
        assert_int_equal(head.type, PROTOCOL_SPAWN);
        assert_true(protocol_get_spawn(body, 2, &s));
        assert_int_equal(head.id, 7 + frames);
        assert_string_equal(s.argv[0], "/bin/prog");
        assert_string_equal(s.argv[1], "a b");
        assert_string_equal(s.argv[2], "");
        assert_null(s.argv[3]);
        if (frames == 0) {
            assert_string_equal(s.envp[1], "EMPTY=");
            assert_null(s.envp[2]);
            assert_string_equal(s.directory, "/some/dir");
        } else {
            assert_null(s.envp[0]);
            assert_null(s.directory);
        }
        free(s.block);
        buf_consume(&in, head.length);
        frames++;
    }
    assert_int_equal(frames, 2);
    assert_int_equal(buf_length(&in), 0);
    buf_free(&whole);
}

static void test_small_bodies(void **state) {
    (void)state;
    struct buf b = {0};
    struct protocol_kill out = {.signal = 9, .group = 1}, in;
    struct protocol_head head;
    struct str body;
    protocol_put(&b, PROTOCOL_KILL, 3, &out, sizeof out);
    protocol_put(&b, PROTOCOL_RELEASE, 4, NULL, 0);
    assert_int_equal(protocol_next(&b, &head, &body), PROTOCOL_FRAME);
    assert_true(protocol_get(body, &in, sizeof in));
    assert_int_equal(in.signal, 9);
    assert_false(protocol_get(body, &in, sizeof in - 1));
    buf_consume(&b, head.length);
    assert_int_equal(protocol_next(&b, &head, &body), PROTOCOL_FRAME);
    assert_int_equal(body.n, 0);
    buf_free(&b);
}

static void test_refuses(void **state) {
    (void)state;
    struct protocol_head heads[] = {
        {.length = 3, .type = PROTOCOL_KILL},
        {.length = (uint32_t)PROTOCOL_FRAME_MAX + 1, .type = PROTOCOL_KILL},
        {.length = 64, .type = 0},
        {.length = 64, .type = 99},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        struct buf b = {0};
        struct protocol_head head;
        struct str body;
        buf_append(&b, str_make((const char *)&heads[i], sizeof heads[i]));
        assert_int_equal(protocol_next(&b, &head, &body), PROTOCOL_BAD);
        buf_free(&b);
    }
}

/* Every prefix of a SPAWN body but the whole is malformed, and so is one with a byte more. */
static void test_torn_spawn(void **state) {
    (void)state;
    struct buf b = {0};
    struct protocol_head head;
    struct protocol_spawn s;
    struct str body;
    assert_true(protocol_put_spawn(&b, 1, argv_, envp_, "/d"));
    assert_int_equal(protocol_next(&b, &head, &body), PROTOCOL_FRAME);
    for (size_t n = 0; n < body.n; n++) {
        char *copy = malloc(n + 1); /* of that size exactly, so that the sanitizer sees a step too far */
        memcpy(copy, body.p, n);
        assert_false(protocol_get_spawn(str_make(copy, n), 0, &s));
        assert_null(s.block);
        free(copy);
    }
    char *more = calloc(1, body.n + 1);
    memcpy(more, body.p, body.n);
    assert_false(protocol_get_spawn(str_make(more, body.n + 1), 0, &s));
    memset(more, 0xff, 12); /* counts of 4 billion */
    assert_false(protocol_get_spawn(str_make(more, body.n), 0, &s));
    free(more);
    buf_free(&b);
}

static void test_too_large(void **state) {
    (void)state;
    size_t n = PROTOCOL_FRAME_MAX;
    char *big = malloc(n + 1);
    memset(big, 'x', n);
    big[n] = '\0';
    const char *const argv[] = {"/bin/true", big, NULL}, *const none[] = {NULL};
    struct buf b = {0};
    assert_false(protocol_put_spawn(&b, 1, argv, none, NULL));
    assert_int_equal(buf_length(&b), 0);
    free(big);
}

static void test_step_names(void **state) {
    (void)state;
    for (unsigned i = 0; i < LAUNCH_STEP_COUNT; i++)
        assert_non_null(launch_step_name((enum launch_step)i));
    assert_string_equal(launch_step_name(LAUNCH_STEP_EXEC), "exec");
    assert_string_equal(launch_step_name((enum launch_step)77), "unknown");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spawn_goes_and_comes),
        cmocka_unit_test(test_small_bodies),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_torn_spawn),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_step_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
