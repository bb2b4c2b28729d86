/* JSON strings: escapes, and bytes that are no UTF-8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"

static void test_strings(void **state) {
    static const struct {
        struct str in, out;
    } rows[] = {
        {STR(""), STR("\"\"")},
        {STR("plain / text"), STR("\"plain / text\"")},
        {STR("q\" b\\ n\n t\t r\r b\b f\f"), STR("\"q\\\" b\\\\ n\\n t\\t r\\r b\\b f\\f\"")},
        {STR("\0\x01\x1f\x7f"), STR("\"\\u0000\\u0001\\u001f\\u007f\"")},
        {STR("ñ €\xf0\x9f\x98\x80"), STR("\"ñ €\xf0\x9f\x98\x80\"")},
        {STR("\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0"), STR("\"\\u0080\\u009b\\u009f\xc2\xa0\"")},
        {STR("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"), STR("\"\\u2028\\u2029\xe2\x80\xaa\"")},
        {STR("a\xff\xfe"), STR("\"a\xef\xbf\xbd\xef\xbf\xbd\"")},
        {STR("\xed\xa0\x80"), STR("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")},
        {STR("cut \xe2\x82"), STR("\"cut \xef\xbf\xbd\xef\xbf\xbd\"")},
        {STR("\xc0\xaf"), STR("\"\xef\xbf\xbd\xef\xbf\xbd\"")},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct buf b = {0};

        json_append_string(&b, rows[i].in);
        assert_int_equal(buf_length(&b), rows[i].out.n);
        assert_memory_equal(buf_str(&b).p, rows[i].out.p, rows[i].out.n);
        buf_free(&b);
    }
}

static void test_appends(void **state) {
    struct buf b = {0};

    (void)state;
    buf_append(&b, STR("{\"k\":"));
    json_append_string(&b, STR("v"));
    buf_append_char(&b, '}');
    assert_int_equal(buf_length(&b), 9);
    assert_memory_equal(buf_str(&b).p, "{\"k\":\"v\"}", 9);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_strings), cmocka_unit_test(test_appends)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
