/* Text with its length: edges of lists, numbers, distances and UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/str.h"

static void assert_str(struct str got, const char *expected) {
    assert_int_equal(got.n, strlen(expected));
    if (got.n > 0)
        assert_memory_equal(got.p, expected, got.n);
}

static void test_compare(void **state) {
    (void)state;
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_ieq(STR("Content-Length"), STR("cONTENT-lENGTH")));
    assert_false(str_ieq(STR("@"), STR("`"))); /* differ in the case bit, are no letters */
    assert_false(str_ieq(STR("a"), STR("ab")));
    assert_true(str_starts(STR("/sales/x"), STR("/sales/")));
    assert_false(str_starts(STR("/sal"), STR("/sales/")));
    assert_true(str_starts(STR_NONE, STR_NONE));
    assert_true(str_ends(STR("a.qmd"), STR(".qmd")));
    assert_false(str_ends(STR("qmd"), STR(".qmd")));
}

static void test_from_and_chr(void **state) {
    (void)state;
    assert_str(str_from(STR("abc"), 1), "bc");
    assert_str(str_from(STR("abc"), 3), "");
    assert_str(str_from(STR("abc"), 99), "");
    assert_null(str_from(STR_NONE, 5).p);
    assert_int_equal(str_chr(STR("a:b:c"), ':'), 1);
    assert_int_equal(str_chr(STR("abc"), ':'), 3);
    assert_int_equal(str_chr(STR_NONE, ':'), 0);
}

static void test_trim(void **state) {
    (void)state;
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR(" \t ")), "");
    assert_str(str_trim(STR("\ra\n")), "\ra\n"); /* OWS is space and tab only */
    assert_str(str_trim(STR_NONE), "");
}

static void test_elements(void **state) {
    struct str list = STR(", close ,\t,keep-alive,,Upgrade ,"), element;

    (void)state;
    assert_true(str_next_element(&list, &element));
    assert_str(element, "close");
    assert_true(str_next_element(&list, &element));
    assert_str(element, "keep-alive");
    assert_true(str_next_element(&list, &element));
    assert_str(element, "Upgrade");
    assert_false(str_next_element(&list, &element));
    assert_str(element, "");
    assert_true(str_list_has(STR("Keep-Alive, UPGRADE"), STR("upgrade")));
    assert_false(str_list_has(STR("upgrade2, x-upgrade"), STR("upgrade")));
    assert_false(str_list_has(STR_NONE, STR("upgrade")));
}

static void test_to_u64(void **state) {
    static const struct {
        struct str text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {STR("0"), true, 0},
        {STR("0003"), true, 3},
        {STR("18446744073709551615"), true, UINT64_MAX},
        {STR("18446744073709551616"), false, 0},
        {STR("99999999999999999999"), false, 0},
        {STR("184467440737095516150"), false, 0},
        {STR(""), false, 0},
        {STR("+1"), false, 0},
        {STR("-1"), false, 0},
        {STR(" 1"), false, 0},
        {STR("1 "), false, 0},
        {STR("1\0"), false, 0},
        {STR("0x1"), false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        uint64_t value = 77;

        assert_int_equal(str_to_u64(rows[i].text, &value), rows[i].ok);
        assert_int_equal(value, rows[i].ok ? rows[i].value : 77);
    }
}

static void test_distance(void **state) {
    char longest[64], longer[65];

    (void)state;
    assert_int_equal(str_distance(STR("kitten"), STR("sitting"), 9), 3);
    assert_int_equal(str_distance(STR("workers"), STR("workers"), 2), 0);
    assert_int_equal(str_distance(STR("workres"), STR("workers"), 2), 1); /* swapped */
    assert_int_equal(str_distance(STR("dri"), STR("dir"), 1), 1);
    assert_int_equal(str_distance(STR("ba"), STR("ab"), 2), 1);
    assert_int_equal(str_distance(STR("badc"), STR("abcd"), 4), 2);
    assert_int_equal(str_distance(STR("abc"), STR("cba"), 4), 2);
    assert_int_equal(str_distance(STR(""), STR("abc"), 5), 3);
    assert_int_equal(str_distance(STR("abc"), STR(""), 5), 3);
    assert_int_equal(str_distance(STR("abc"), STR("xyz"), 1), 2); /* limit + 1, not 3 */
    assert_int_equal(str_distance(STR("a"), STR("abcdefgh"), 3), 4);
    memset(longest, 'a', sizeof longest);
    memset(longer, 'a', sizeof longer);
    assert_int_equal(str_distance(str_make(longest, 64), str_make(longest, 63), 2), 1);
    assert_int_equal(str_distance(str_make(longer, 65), str_make(longer, 65), 2), 3);
}

static void test_utf8(void **state) {
    static const struct {
        struct str text;
        size_t length;
    } rows[] = {
        {STR("a"), 1},
        {STR("\0"), 1},
        {STR("\x7f"), 1},
        {STR("\xc2\x80"), 2},
        {STR("\xdf\xbfx"), 2},
        {STR("\xe0\xa0\x80"), 3},
        {STR("\xed\x9f\xbf"), 3},
        {STR("\xef\xbf\xbf"), 3},
        {STR("\xf0\x90\x80\x80"), 4},
        {STR("\xf4\x8f\xbf\xbf"), 4},
        {STR(""), 0},
        {STR("\x80"), 0},             /* continuation alone */
        {STR("\xc0\xaf"), 0},         /* overlong / */
        {STR("\xc1\xbf"), 0},         /* overlong */
        {STR("\xe0\x9f\xbf"), 0},     /* overlong */
        {STR("\xed\xa0\x80"), 0},     /* surrogate */
        {STR("\xf0\x8f\xbf\xbf"), 0}, /* overlong */
        {STR("\xf4\x90\x80\x80"), 0}, /* beyond U+10FFFF */
        {STR("\xf5\x80\x80\x80"), 0},
        {STR("\xff"), 0},
        {STR("\xc2"), 0}, /* cut */
        {STR("\xe2\x82"), 0},
        {STR("\xf0\x9f\x98"), 0},
        {STR("\xe2\x82x"), 0},
        {STR("\xf0\x9f\x98x"), 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++)
        assert_int_equal(str_utf8(rows[i].text), rows[i].length);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),  cmocka_unit_test(test_from_and_chr), cmocka_unit_test(test_trim),
        cmocka_unit_test(test_elements), cmocka_unit_test(test_to_u64),       cmocka_unit_test(test_distance),
        cmocka_unit_test(test_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
