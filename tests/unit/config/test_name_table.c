/* The hash table of names. */
#include "yaml_fixture.h"

#include "config/name_table.h"

static void keeps_every_name(void **state) {
    struct name_table t = {NULL, 0, 0};
    static char names[5000][8];
    static int values[5000];

    (void)state;
    assert_null(name_table_get(&t, STR("a")));
    for (unsigned i = 0; i < 5000; i++) {
        (void)snprintf(names[i], sizeof names[i], "n%u", i);
        void **value = name_table_put(&t, str_of(names[i]));
        assert_null(*value);
        *value = &values[i];
    }
    for (unsigned i = 0; i < 5000; i++) {
        assert_ptr_equal(name_table_get(&t, str_of(names[i])), &values[i]);
        assert_ptr_equal(*name_table_put(&t, str_of(names[i])), &values[i]);
    }
    assert_int_equal(t.used, 5000);
    assert_null(name_table_get(&t, STR("n5000")));
    assert_null(name_table_get(&t, STR("")));
    name_table_free(&t);
    assert_null(name_table_get(&t, STR("n1")));
}

static void the_empty_name_is_one(void **state) {
    struct name_table t = {NULL, 0, 0};
    int value;

    (void)state;
    *name_table_put(&t, STR("")) = &value;
    assert_ptr_equal(name_table_get(&t, STR("")), &value);
    assert_null(name_table_get(&t, STR("a")));
    name_table_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_every_name), cmocka_unit_test(the_empty_name_is_one)};
    return cmocka_run_group_tests_name("config/name_table", tests, NULL, NULL);
}
