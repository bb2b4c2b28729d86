/* Written dates, against the C library's over the whole range that can be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

static void test_known_moments(void **state) {
    char out[30];

    (void)state;
    assert_int_equal(wall_http_date((wall_t){784111777 * DUR_S}, out), 29); /* the example of RFC 9110 5.6.7 */
    assert_string_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_int_equal(wall_rfc3339((wall_t){0}, out), 20);
    assert_string_equal(out, "1970-01-01T00:00:00Z");
    assert_int_equal(wall_rfc3339_us((wall_t){1767225600000007}, out), 27);
    assert_string_equal(out, "2026-01-01T00:00:00.000007Z");
    wall_rfc3339_us((wall_t){-1}, out);
    assert_string_equal(out, "1969-12-31T23:59:59.999999Z");
    wall_rfc3339((wall_t){951782400 * DUR_S}, out);
    assert_string_equal(out, "2000-02-29T00:00:00Z");
}

static void test_beyond_what_can_be_written(void **state) {
    char out[30];

    (void)state;
    wall_rfc3339_us((wall_t){INT64_MAX}, out);
    assert_string_equal(out, "9999-12-31T23:59:59.999999Z");
    wall_rfc3339_us((wall_t){INT64_MIN}, out);
    assert_string_equal(out, "0000-01-01T00:00:00.000000Z");
}

static void compare_with_library(int64_t second) {
    time_t t = (time_t)second;
    struct tm tm;
    char expected[64], got[30];

    assert_non_null(gmtime_r(&t, &tm));
    snprintf(expected, sizeof expected, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    assert_int_equal(wall_rfc3339((wall_t){second * DUR_S}, got), 20);
    assert_string_equal(got, expected);
    assert_int_not_equal(strftime(expected, sizeof expected, "%a, %d %b ", &tm), 0);
    assert_int_equal(wall_http_date((wall_t){second * DUR_S}, got), 29);
    assert_memory_equal(got, expected, 12);
}

static void test_every_day_from_year_0_to_9999(void **state) {
    (void)state;
    for (int64_t second = -62167219200; second <= 253402300799; second += 86400)
        compare_with_library(second);
    for (int64_t second = -62167219200; second <= 253402300799; second += 86400 * 97 + 12347)
        compare_with_library(second);
    compare_with_library(253402300799);
}

static void test_clocks_advance(void **state) {
    mono_t a = mono_now(), b = mono_now();
    wall_t w = wall_now();
    int64_t seconds = (int64_t)time(NULL);

    (void)state;
    assert_true(mono_since(a, b) >= 0);
    assert_true(mono_since(a, mono_add(a, 5 * DUR_MS)) == 5000);
    assert_true(seconds - w.us / DUR_S <= 1 && seconds - w.us / DUR_S >= -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_moments),
        cmocka_unit_test(test_beyond_what_can_be_written),
        cmocka_unit_test(test_every_day_from_year_0_to_9999),
        cmocka_unit_test(test_clocks_advance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
