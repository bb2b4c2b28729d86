/* The byte queue: order, compaction, growth, and that an empty one holds nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"

static void test_empty_holds_no_memory(void **state) {
    struct buf b = {0};

    (void)state;
    assert_int_equal(buf_length(&b), 0);
    assert_int_equal(buf_str(&b).n, 0);
    buf_append(&b, STR("hello"));
    assert_int_equal(b.capacity, BUF_BLOCK);
    buf_consume(&b, 2);
    assert_non_null(b.data);
    buf_consume(&b, 3);
    assert_null(b.data);
    assert_int_equal(b.capacity, 0);
    buf_append(&b, STR_NONE);
    buf_printf(&b, "%s", "");
    assert_null(b.data);
    buf_free(&b);
    buf_consume(&b, 0);
    assert_null(b.data);
}

static void test_reserve_compacts_before_it_grows(void **state) {
    struct buf b = {0};
    char *p = buf_reserve(&b, BUF_BLOCK);

    (void)state;
    memset(p, 'a', BUF_BLOCK);
    buf_commit(&b, BUF_BLOCK);
    assert_int_equal(buf_room(&b), 0);
    b.data[BUF_BLOCK - 1] = 'z';
    buf_consume(&b, BUF_BLOCK - 10);
    memset(buf_reserve(&b, BUF_BLOCK - 10), 'b', BUF_BLOCK - 10);
    buf_commit(&b, BUF_BLOCK - 10);
    assert_int_equal(b.capacity, BUF_BLOCK);
    assert_int_equal(buf_length(&b), BUF_BLOCK);
    assert_memory_equal(buf_str(&b).p, "aaaaaaaaazb", 11);
    buf_free(&b);
}

static void test_reserve_grows(void **state) {
    struct buf b = {0};

    (void)state;
    buf_append(&b, STR("0123456789"));
    buf_consume(&b, 5);
    assert_non_null(buf_reserve(&b, 5 * BUF_BLOCK));
    assert_true(buf_room(&b) >= 5 * BUF_BLOCK);
    assert_memory_equal(buf_str(&b).p, "56789", 5);
    assert_int_equal(buf_length(&b), 5);
    buf_free(&b);
}

/* Every byte comes out once and in order, through all the ways in which room is made. */
static void test_queue_order(void **state) {
    struct buf b = {0};
    uint32_t in = 0, out = 0, random = 12345;
    size_t largest = 0;

    (void)state;
    for (int turn = 0; turn < 20000; turn++) {
        size_t n;

        random = random * 1664525 + 1013904223;
        n = (random >> 8) % 3000;
        for (size_t i = 0; i < n; i++)
            buf_append_char(&b, (char)(in++ * 31));
        random = random * 1664525 + 1013904223;
        n = (random >> 8) % 3050;
        if (n > buf_length(&b))
            n = buf_length(&b);
        for (size_t i = 0; i < n; i++)
            assert_int_equal((unsigned char)buf_str(&b).p[i], (unsigned char)(out++ * 31));
        buf_consume(&b, n);
        largest = buf_length(&b) > largest ? buf_length(&b) : largest;
        assert_true(b.capacity <= 4 * (largest + BUF_BLOCK));
    }
    assert_true(largest > BUF_BLOCK);
    buf_free(&b);
}

/* Whoever is asked for a block of the standard size gets the one that was freed last. */
static void test_blocks_are_kept(void **state) {
    struct buf b[BUF_KEPT_MAX + 8];
    char *last = NULL;

    (void)state;
    memset(b, 0, sizeof b);
    buf_keep_blocks(SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LENGTH(b); i++)
        buf_append_char(&b[i], 'x');
    for (size_t i = 0; i < ARRAY_LENGTH(b); i++) {
        last = i < BUF_KEPT_MAX ? b[i].data : last;
        buf_consume(&b[i], 1);
        assert_null(b[i].data);
    }
    buf_append_char(&b[0], 'y');
#ifndef __SANITIZE_ADDRESS__
    assert_ptr_equal(b[0].data, last);
#endif
    (void)buf_reserve(&b[0], 2 * BUF_BLOCK); /* grows out of it */
    assert_memory_equal(buf_str(&b[0]).p, "y", 1);
    buf_free(&b[0]);
    buf_keep_blocks(0); /* a leak would be told by the sanitizer */
}

static void test_numbers_and_formats(void **state) {
    struct buf b = {0};
    char text[20001];

    (void)state;
    buf_append_u64(&b, 0);
    buf_append_char(&b, ' ');
    buf_append_u64(&b, UINT64_MAX);
    buf_printf(&b, " %s-%d", "x", -7);
    assert_int_equal(buf_length(&b), strlen("0 18446744073709551615 x--7"));
    assert_memory_equal(buf_str(&b).p, "0 18446744073709551615 x--7", buf_length(&b));
    memset(text, 'q', 20000);
    text[20000] = '\0';
    buf_printf(&b, "%s!", text);
    assert_int_equal(buf_length(&b), 27 + 20001);
    assert_int_equal(buf_str(&b).p[27 + 20000], '!');
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty_holds_no_memory), cmocka_unit_test(test_reserve_compacts_before_it_grows),
        cmocka_unit_test(test_reserve_grows),         cmocka_unit_test(test_queue_order),
        cmocka_unit_test(test_blocks_are_kept),       cmocka_unit_test(test_numbers_and_formats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
