/* HTTP dates in their three forms, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http_date.h"

#define NOW_2026 ((wall_t){(int64_t)1767225600 * DUR_S})

static void assert_date(const char *text, int64_t expected) {
    int64_t seconds = -1;

    if (!http_date_parse(str_of(text), NOW_2026, &seconds))
        fail_msg("\"%s\" was refused", text);
    assert_int_equal(seconds, expected);
}

static void test_three_forms(void **state) {
    (void)state;
    assert_date("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    assert_date("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    assert_date("Sun Nov  6 08:49:37 1994", 784111777);
    assert_date("Wed Nov 16 08:49:37 1994", 784111777 + 864000);
}

static void test_calendar(void **state) {
    (void)state;
    assert_date("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    assert_date("Wed, 31 Dec 1969 23:59:59 GMT", -1);
    assert_date("Tue, 29 Feb 2000 00:00:00 GMT", 951782400);
    assert_date("Thu, 29 Feb 2024 12:00:00 GMT", 1709208000);
    assert_date("Wed, 31 Dec 2025 23:59:59 GMT", 1767225599);
    assert_date("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800); /* a leap second */
    assert_date("Fri, 31 Dec 9999 23:59:59 GMT", INT64_C(253402300799));
}

static void test_two_digit_years(void **state) {
    (void)state;
    assert_date("Thursday, 01-Jan-76 00:00:00 GMT", INT64_C(3345062400)); /* 2076: 50 years ahead */
    assert_date("Saturday, 01-Jan-77 00:00:00 GMT", 220924800);           /* 1977 */
    assert_date("Saturday, 01-Jan-00 00:00:00 GMT", 946684800);           /* 2000 */
}

static void test_goes_back_and_forth(void **state) {
    char text[30];

    (void)state;
    for (int64_t s = -86400 * 400; s < INT64_C(4200000000); s += 86400 * 13 + 12345) {
        int64_t back;
        size_t n = wall_http_date((wall_t){s * DUR_S}, text);

        assert_true(http_date_parse(str_make(text, n), NOW_2026, &back));
        assert_int_equal(back, s);
    }
}

static void test_refused(void **state) {
    static const char *const bad[] = {
        "",
        "0",
        "GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 GMT, x",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun,06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Xxx, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 2023 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 -8:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov  6 08:49:37 1994 GMT",
        "1994-11-06T08:49:37Z",
    };
    int64_t seconds;

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        if (http_date_parse(str_of(bad[i]), NOW_2026, &seconds))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(http_date_parse(STR("Sun, 06 Nov 1994 08:49:37 GMT\0"), NOW_2026, &seconds));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_forms),     cmocka_unit_test(test_calendar),
        cmocka_unit_test(test_two_digit_years), cmocka_unit_test(test_goes_back_and_forth),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
