/* Arenas: alignment, zeroing, growth, reset. AddressSanitizer watches the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdalign.h>
#include <stdio.h>

#include "base/arena.h"

static void test_alloc_is_aligned_and_zeroed(void **state) {
    struct arena *a = arena_new(0);

    (void)state;
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *p;

        memset(arena_bytes(a, 3), 0xff, 3); /* an odd place to begin from */
        p = arena_alloc(a, n);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    arena_free(a);
}

static void test_zero_bytes_are_a_pointer_of_their_own(void **state) {
    struct arena *a = arena_new(64);

    (void)state;
    assert_ptr_not_equal(arena_alloc(a, 0), arena_alloc(a, 0));
    assert_ptr_not_equal(arena_bytes(a, 0), arena_bytes(a, 0));
    arena_free(a);
}

static void test_contents_survive_growth(void **state) {
    struct arena *a = arena_new(32);
    struct str texts[500];

    (void)state;
    for (size_t i = 0; i < 500; i++)
        texts[i] = arena_printf(a, "text %zu", i);
    memset(arena_bytes(a, 5000000), 'x', 5000000); /* beyond any chunk size */
    for (size_t i = 0; i < 500; i++) {
        char expected[32];
        int n = snprintf(expected, sizeof expected, "text %zu", i);

        assert_int_equal(texts[i].n, n);
        assert_string_equal(texts[i].p, expected);
    }
    arena_free(a);
}

static void test_few_chunks_are_taken(void **state) {
    struct arena *a = arena_new(64);
    size_t sizes = 0, before = arena_size(a);

    (void)state;
    for (size_t i = 0; i < 100000; i++) {
        (void)arena_alloc(a, 16);
        if (arena_size(a) != before) {
            before = arena_size(a);
            sizes++;
        }
    }
    assert_in_range(sizes, 1, 20);
    assert_in_range(arena_size(a), 1600000, 4 * 1600000);
    arena_free(a);
}

static void test_first_chunk_holds_what_was_asked(void **state) {
    struct arena *a = arena_new(10000);
    size_t size = arena_size(a);

    (void)state;
    for (size_t i = 0; i < 10000; i++)
        (void)arena_bytes(a, 1);
    assert_int_equal(arena_size(a), size);
    arena_free(a);
}

static void test_reset_keeps_the_first_chunk(void **state) {
    struct arena *a = arena_new(1000);
    size_t size = arena_size(a);
    char *first = arena_bytes(a, 8), *again;

    (void)state;
    memset(arena_bytes(a, 100000), 1, 100000);
    assert_true(arena_size(a) > size);
    arena_reset(a);
    assert_int_equal(arena_size(a), size);
    again = arena_bytes(a, 8);
    assert_ptr_equal(first, again);
    arena_free(a);
}

static void test_text(void **state) {
    struct arena *a = arena_new(0);
    struct str s = arena_str(a, STR("a\0b"));

    (void)state;
    assert_int_equal(s.n, 3);
    assert_memory_equal(s.p, "a\0b\0", 4);
    s = arena_str(a, STR_NONE);
    assert_int_equal(s.n, 0);
    assert_string_equal(s.p, "");
    assert_string_equal(arena_strdup(a, "zero"), "zero");
    s = arena_printf(a, "%s", "");
    assert_int_equal(s.n, 0);
    assert_non_null(s.p);
    s = arena_printf(a, "%5000d|", 7);
    assert_int_equal(s.n, 5001);
    assert_int_equal(s.p[5000], '|');
    arena_free(a);
    arena_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc_is_aligned_and_zeroed),
        cmocka_unit_test(test_zero_bytes_are_a_pointer_of_their_own),
        cmocka_unit_test(test_contents_survive_growth),
        cmocka_unit_test(test_few_chunks_are_taken),
        cmocka_unit_test(test_first_chunk_holds_what_was_asked),
        cmocka_unit_test(test_reset_keeps_the_first_chunk),
        cmocka_unit_test(test_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
