/* One variable out of many: names that begin alike, entries without a value, values that do not count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/environ.h"

static char *const block[] = {
    "HOMEPAGE=x", "HOME=/root", "TWICE=1", "TWICE=2", "EMPTY=", "BARE", "=odd", "HERE=./a", "SUM=1+1=2", NULL};

static void value(void **state) {
    (void)state;
    assert_string_equal(environ_value(block, STR("HOME")), "/root");
    assert_string_equal(environ_value(block, STR("HOMEPAGE")), "x");
    assert_string_equal(environ_value(block, STR("TWICE")), "1");
    assert_string_equal(environ_value(block, STR("EMPTY")), "");
    assert_string_equal(environ_value(block, STR("SUM")), "1+1=2");
    assert_null(environ_value(block, STR("HOM")));
    assert_null(environ_value(block, STR("BARE")));
    assert_null(environ_value(block, STR("BAREFOOT")));
    assert_null(environ_value(block, STR("home")));
}

/* A name may be part of a longer text, as in ${HOME}. */
static void name_is_a_slice(void **state) {
    (void)state;
    assert_string_equal(environ_value(block, str_make("HOMELAND", 4)), "/root");
}

static void no_block(void **state) {
    static char *const nothing[] = {NULL};

    (void)state;
    assert_null(environ_value(nothing, STR("HOME")));
    assert_null(environ_value(NULL, STR("HOME")));
}

static void nonempty(void **state) {
    (void)state;
    assert_string_equal(environ_nonempty(block, STR("HERE")), "./a");
    assert_null(environ_nonempty(block, STR("EMPTY")));
    assert_null(environ_nonempty(block, STR("BARE")));
}

static void path(void **state) {
    (void)state;
    assert_string_equal(environ_path(block, STR("HOME")), "/root");
    assert_null(environ_path(block, STR("HERE")));
    assert_null(environ_path(block, STR("EMPTY")));
    assert_null(environ_path(block, STR("BARE")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value),    cmocka_unit_test(name_is_a_slice),
        cmocka_unit_test(no_block), cmocka_unit_test(nonempty),
        cmocka_unit_test(path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
