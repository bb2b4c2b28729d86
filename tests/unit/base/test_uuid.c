/* UUIDs: versions, order, both ways of the text; random bytes that do not repeat, in threads too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/uuid.h"

static void test_version_and_variant(void **state) {
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct uuid four = uuid_v4(), seven = uuid_v7((wall_t){1767225600000000});

        assert_int_equal(four.b[6] >> 4, 4);
        assert_int_equal(four.b[8] >> 6, 2);
        assert_int_equal(seven.b[6] >> 4, 7);
        assert_int_equal(seven.b[8] >> 6, 2);
    }
}

static void test_v7_carries_the_time(void **state) {
    /* RFC 9562 A.6: 2022-02-22T14:22:22-05:00, 0x017F22E279B0 ms */
    struct uuid u = uuid_v7((wall_t){INT64_C(1645557742000) * 1000});
    char text[37];

    (void)state;
    uuid_format(&u, text);
    assert_memory_equal(text, "017f22e2-79b0-7000-", 19);
    u = uuid_v7((wall_t){INT64_C(1645557742000) * 1000 + 500});
    uuid_format(&u, text);
    assert_memory_equal(text, "017f22e2-79b0-7800-", 19);
    u = uuid_v7((wall_t){-5});
    uuid_format(&u, text);
    assert_memory_equal(text, "00000000-0000-7000-", 19);
}

static void test_v7_sorts_by_microsecond(void **state) {
    struct uuid before = uuid_v7((wall_t){1767225600000000});

    (void)state;
    for (int64_t us = 1; us < 5000; us++) {
        struct uuid u = uuid_v7((wall_t){1767225600000000 + us});

        assert_true(memcmp(before.b, u.b, 8) < 0);
        before = u;
    }
}

static void test_text_both_ways(void **state) {
    struct uuid u, back;
    char text[37];

    (void)state;
    assert_true(uuid_parse(STR("017F22e2-79b0-7cc3-98C4-dc0c0c07398f"), &u));
    uuid_format(&u, text);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    u = uuid_v4();
    uuid_format(&u, text);
    assert_true(uuid_parse(str_of(text), &back));
    assert_memory_equal(u.b, back.b, 16);
}

static void test_other_text_is_refused(void **state) {
    static const struct str rows[] = {
        STR(""),
        STR("017f22e279b07cc398c4dc0c0c07398f"),
        STR("{017f22e2-79b0-7cc3-98c4-dc0c0c07398f}"),
        STR("017f22e2-79b0-7cc3-98c4-dc0c0c07398"),
        STR("017f22e2-79b0-7cc3-98c4-dc0c0c07398f0"),
        STR("017f22e2-79b0-7cc3-98c4-dc0c0c07398g"),
        STR("017f22e2-79b0-7cc3-98c4+dc0c0c07398f"),
        STR("017f22e-279b0-7cc3-98c4-dc0c0c07398f"),
        STR("017f22e2-79b0-7cc3-98c4--c0c0c07398f"),
        STR(" 17f22e2-79b0-7cc3-98c4-dc0c0c07398f"),
    };
    struct uuid u = {{1, 2, 3}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        assert_false(uuid_parse(rows[i], &u));
    assert_int_equal(u.b[2], 3); /* untouched */
}

#define DRAWN 2000

static void *draw(void *argument) {
    uint64_t *values = argument;

    for (size_t i = 0; i < DRAWN; i++)
        values[i] = random_u64();
    return NULL;
}

static int compare_u64(const void *a, const void *b) {
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void test_random_does_not_repeat(void **state) {
    static uint64_t values[3 * DRAWN];
    pthread_t threads[2];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        AZ(pthread_create(&threads[i], NULL, draw, values + i * DRAWN));
    draw(values + 2 * DRAWN);
    for (size_t i = 0; i < 2; i++)
        AZ(pthread_join(threads[i], NULL));
    qsort(values, ARRAY_LENGTH(values), sizeof values[0], compare_u64);
    for (size_t i = 1; i < ARRAY_LENGTH(values); i++)
        assert_true(values[i] != values[i - 1]);
}

static void test_random_of_every_length(void **state) {
    unsigned char bytes[1002];

    (void)state;
    for (size_t n = 0; n <= 1000; n++) {
        size_t zeros = 0;

        memset(bytes, 0, sizeof bytes);
        bytes[n] = 0xab;
        random_bytes(bytes, n);
        assert_int_equal(bytes[n], 0xab);
        for (size_t i = 0; i < n; i++)
            zeros += bytes[i] == 0;
        assert_true(zeros < 20 + n / 16); /* 1 of 256 expected: a part that was not filled shows */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_and_variant),     cmocka_unit_test(test_v7_carries_the_time),
        cmocka_unit_test(test_v7_sorts_by_microsecond), cmocka_unit_test(test_text_both_ways),
        cmocka_unit_test(test_other_text_is_refused),   cmocka_unit_test(test_random_does_not_repeat),
        cmocka_unit_test(test_random_of_every_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
