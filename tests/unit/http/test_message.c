/* Looking things up in a head: fields, cookies, reasons; and the table of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/message.h"
#include "http/name.h"

static struct http_field fields[] = {{{"Host", 4}, {"a", 1}},
                                     {{"Cookie", 6}, {"a=1; b=2;c=\"3\" ; d; =e", 22}},
                                     {{"X", 1}, {"first", 5}},
                                     {{"cookie", 6}, {"f=6;a=7", 7}},
                                     {{"x", 1}, {"second", 6}}};
static const struct http_head head = {.fields = fields, .field_count = 5};

static void finds_the_first_without_case(void **state) {
    (void)state;
    assert_ptr_equal(http_find(&head, STR("x")), &fields[2]);
    assert_true(str_eq(http_value(&head, STR("HOST")), STR("a")));
    assert_null(http_find(&head, STR("Hos")));
    assert_null(http_value(&head, STR("Absent")).p);
}

static void finds_cookies(void **state) {
    (void)state;
    static const struct {
        const char *name, *value;
    } cases[] = {{"a", "1"}, {"b", "2"}, {"c", "\"3\""}, {"f", "6"}, {"d", NULL}, {"A", NULL}, {"e", NULL}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct str v = http_cookie(&head, str_of(cases[i].name));
        assert_true((v.p == NULL) == (cases[i].value == NULL));
        assert_true(str_eq(v, str_of(cases[i].value)));
    }
}

static void knows_reasons(void **state) {
    (void)state;
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(http_reason(299), "");
}

static void names_and_their_aliases(void **state) {
    (void)state;
    static const struct {
        const char *name;
        enum http_name id;
        bool exact;
    } cases[] = {{"Content-Length", HTTP_NAME_CONTENT_LENGTH, true},
                 {"CONTENT_LENGTH", HTTP_NAME_CONTENT_LENGTH, false},
                 {"content.length", HTTP_NAME_CONTENT_LENGTH, false},
                 {"transfer-encoding", HTTP_NAME_TRANSFER_ENCODING, true},
                 {"Transfer_Encoding", HTTP_NAME_TRANSFER_ENCODING, false},
                 {"host", HTTP_NAME_HOST, true},
                 {"hosu", HTTP_NAME_OTHER, false},
                 {"", HTTP_NAME_OTHER, true},
                 {"a-name-that-is-much-longer-than-any", HTTP_NAME_OTHER, false}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct http_name_row *row = http_name_find(str_of(cases[i].name));
        assert_int_equal(row->id, cases[i].id);
        if (row->id != HTTP_NAME_OTHER)
            assert_true(http_name_exact(row, str_of(cases[i].name)) == cases[i].exact);
    }
    assert_true((http_name_find(STR("X_Forwarded_For"))->flags & HTTP_NAME_SET) != 0);
    assert_true((http_name_find(STR("Keep-Alive"))->flags & HTTP_NAME_HOP) != 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_first_without_case),
        cmocka_unit_test(finds_cookies),
        cmocka_unit_test(knows_reasons),
        cmocka_unit_test(names_and_their_aliases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
