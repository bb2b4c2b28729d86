/* Durations and sizes: what is taken, what is refused, and that what is written is read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/unit.h"

#define REFUSED INT64_MIN

struct row {
    struct str text;
    int64_t value;
};

static void test_durations(void **state) {
    static const struct row rows[] = {
        {STR("0"), 0},
        {STR("0s"), 0},
        {STR("250us"), 250},
        {STR("500ms"), 500 * DUR_MS},
        {STR("30s"), 30 * DUR_S},
        {STR("5m"), 5 * DUR_MIN},
        {STR("1h"), DUR_H},
        {STR("1d"), 24 * DUR_H},
        {STR("1.5s"), 1500 * DUR_MS},
        {STR("0.25h"), 15 * DUR_MIN},
        {STR("1.10s"), 1100 * DUR_MS},
        {STR("0.000001s"), 1},
        {STR("0.000000001h"), REFUSED}, /* 3.6 us */
        {STR("1.0000000000000000000000000s"), DUR_S},
        {STR("1.0000000000000000000000001s"), REFUSED},
        {STR("0.0000001s"), REFUSED},
        {STR("36525d"), 36525 * 24 * DUR_H},
        {STR("36525.5d"), REFUSED},
        {STR("36526d"), REFUSED},
        {STR("99999999999999999999s"), REFUSED},
        {STR("9223372036854775807us"), REFUSED},
        {STR(""), REFUSED},
        {STR("30"), REFUSED},
        {STR("s"), REFUSED},
        {STR("00"), REFUSED},
        {STR("-1s"), REFUSED},
        {STR("+1s"), REFUSED},
        {STR("1 s"), REFUSED},
        {STR(" 1s"), REFUSED},
        {STR("1s "), REFUSED},
        {STR("1S"), REFUSED},
        {STR("1."), REFUSED},
        {STR("1.s"), REFUSED},
        {STR(".5s"), REFUSED},
        {STR("1,5s"), REFUSED},
        {STR("1.5.5s"), REFUSED},
        {STR("1m30s"), REFUSED},
        {STR("1sec"), REFUSED},
        {STR("1e3s"), REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        dur_t value = -7;
        bool ok = unit_parse_duration(rows[i].text, &value);

        if (ok != (rows[i].value != REFUSED))
            fail_msg("%s", rows[i].text.p);
        if (ok)
            assert_int_equal(value, rows[i].value);
    }
}

static void test_sizes(void **state) {
    static const struct row rows[] = {
        {STR("0"), 0},
        {STR("512"), 512},
        {STR("512B"), 512},
        {STR("64KiB"), 65536},
        {STR("10MiB"), 10485760},
        {STR("1GiB"), 1073741824},
        {STR("1TiB"), 1099511627776},
        {STR("64KB"), 64000},
        {STR("64kB"), 64000},
        {STR("2MB"), 2000000},
        {STR("3GB"), 3000000000},
        {STR("8388607TiB"), 8388607 * INT64_C(1099511627776)},
        {STR("9223372036854775807"), INT64_MAX},
        {STR("8388608TiB"), REFUSED},
        {STR("9223372036854775808"), REFUSED},
        {STR("18446744073709551616"), REFUSED},
        {STR("64k"), REFUSED},
        {STR("64K"), REFUSED},
        {STR("64M"), REFUSED},
        {STR("64kib"), REFUSED},
        {STR("1.5MiB"), REFUSED},
        {STR("64 KiB"), REFUSED},
        {STR("KiB"), REFUSED},
        {STR(""), REFUSED},
        {STR("-1"), REFUSED},
        {STR("unlimited"), REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        int64_t value = -7;
        bool ok = unit_parse_size(rows[i].text, &value);

        if (ok != (rows[i].value != REFUSED))
            fail_msg("%s", rows[i].text.p);
        if (ok)
            assert_int_equal(value, rows[i].value);
    }
}

static void test_written_forms(void **state) {
    static const struct row durations[] = {
        {STR("0"), 0},
        {STR("90s"), 90 * DUR_S},
        {STR("1m"), 60 * DUR_S},
        {STR("1500ms"), 1500 * DUR_MS},
        {STR("1us"), 1},
        {STR("1h"), DUR_H},
        {STR("25h"), 25 * DUR_H},
        {STR("2d"), 48 * DUR_H},
        {STR("1000001us"), 1000001},
    };
    static const struct row sizes[] = {
        {STR("0"), 0},
        {STR("64KiB"), 65536},
        {STR("1000"), 1000},
        {STR("1025"), 1025},
        {STR("1MiB"), 1048576},
        {STR("1025KiB"), 1049600},
        {STR("1TiB"), INT64_C(1099511627776)},
        {STR("unlimited"), SIZE_UNLIMITED},
    };
    char out[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(durations); i++) {
        dur_t back;

        assert_int_equal(unit_format_duration(durations[i].value, out), durations[i].text.n);
        assert_string_equal(out, durations[i].text.p);
        assert_true(unit_parse_duration(str_of(out), &back));
        assert_int_equal(back, durations[i].value);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
        assert_int_equal(unit_format_size(sizes[i].value, out), sizes[i].text.n);
        assert_string_equal(out, sizes[i].text.p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_written_forms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
