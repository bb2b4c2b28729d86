#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "control/text_table.h"

static char *printed(const struct text_table *t) {
    char *text = NULL;
    size_t n;
    FILE *to = open_memstream(&text, &n);
    assert_non_null(to);
    text_table_print(t, to);
    fclose(to);
    return text;
}

static void expect(const struct text_table *t, const char *wanted) {
    char *text = printed(t);
    assert_string_equal(text, wanted);
    free(text);
}

static const struct text_column columns[] = {{"APP", false}, {"N", true}, {"ROUTE", false}};

static void test_columns_are_as_wide_as_their_widest_cell(void **state) {
    struct text_table t;
    (void)state;
    text_table_init(&t, columns, 3);
    text_table_add(&t, "sales");
    text_table_add(&t, "%d", 7);
    text_table_add(&t, "/");
    text_table_add(&t, "b");
    text_table_add(&t, "%d", 1000);
    text_table_add(&t, "/b/");
    expect(&t, "APP       N  ROUTE\n"
               "sales     7  /\n"
               "b      1000  /b/\n");
    text_table_free(&t);
}

static void test_no_space_at_the_end_of_a_line(void **state) {
    struct text_table t;
    (void)state;
    text_table_init(&t, columns, 3);
    for (int i = 0; i < 2; i++) {
        text_table_add(&t, i == 0 ? "x" : "");
        text_table_add(&t, "%s", i == 0 ? "" : "12");
        text_table_add(&t, "%s", "");
    }
    expect(&t, "APP   N  ROUTE\n"
               "x\n"
               "     12\n");
    text_table_free(&t);
}

static void test_width_counts_code_points(void **state) {
    struct text_table t;
    (void)state;
    text_table_init(&t, columns, 3);
    text_table_add(&t, "a → ä");
    text_table_add(&t, "1");
    text_table_add(&t, "/");
    expect(&t, "APP    N  ROUTE\n"
               "a → ä  1  /\n");
    text_table_free(&t);
}

static void test_nothing_in_a_cell_commands_the_terminal(void **state) {
    struct text_table t;
    (void)state;
    text_table_init(&t, columns, 3);
    text_table_add(&t, "a\x1b[31m\nb");
    text_table_add(&t, "\xff");
    text_table_add(&t, "\xc2\x9b+");
    expect(&t, "APP       N  ROUTE\n"
               "a?[31m?b  ?  ??+\n");
    text_table_free(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_as_wide_as_their_widest_cell),
        cmocka_unit_test(test_no_space_at_the_end_of_a_line),
        cmocka_unit_test(test_width_counts_code_points),
        cmocka_unit_test(test_nothing_in_a_cell_commands_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
