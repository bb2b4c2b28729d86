/* Merge keys: https://yaml.org/type/merge.html */
#include "yaml_fixture.h"

static const struct {
    const char *text, *tree;
} cases[] = {
    {"b: &b {x: 1, y: 2}\na:\n  <<: *b\n", "{b: {x: 1, y: 2}, a: {x: 1, y: 2}}"},
    /* what is written wins, wherever << stands */
    {"b: &b {x: 1, y: 2}\na: {<<: *b, x: 3}\n", "{b: {x: 1, y: 2}, a: {x: 3, y: 2}}"},
    {"b: &b {x: 1, y: 2}\na: {x: 3, <<: *b}\n", "{b: {x: 1, y: 2}, a: {x: 3, y: 2}}"},
    /* of a list the earlier wins */
    {"b: &b {x: 1}\nc: &c {x: 2, y: 2}\na: {<<: [*b, *c]}\n", "{b: {x: 1}, c: {x: 2, y: 2}, a: {x: 1, y: 2}}"},
    {"b: &b {x: 1}\nc: &c {x: 2, y: 2}\na: {<<: [*c, *b, {z: 9}]}\n",
     "{b: {x: 1}, c: {x: 2, y: 2}, a: {x: 2, y: 2, z: 9}}"},
    {"a: {<<: []}\n", "{a: {}}"},
    {"a: {<<: {x: 1}}\n", "{a: {x: 1}}"},
    /* maps are not merged into each other: the whole value is taken */
    {"b: &b {e: {p: 1}}\na: {<<: *b, e: {q: 2}}\n", "{b: {e: {p: 1}}, a: {e: {q: 2}}}"},
    /* what was merged before can be merged on */
    {"b: &b {x: 1}\nc: &c {<<: *b, y: 2}\na: {<<: *c, x: 0}\n", "{b: {x: 1}, c: {y: 2, x: 1}, a: {x: 0, y: 2}}"},
    {"'<<': {x: 1}\n", "{<<: {x: 1}}"},
    {"a: <<\n", "{a: <<}"},
    {"b: &b {x: 1}\n<<: *b\n", "{b: {x: 1}, x: 1}"},
};

static void merges(void **state) {
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_string_equal(tree(f, load_text(f, cases[i].text)), cases[i].tree);
        assert_string_equal(said(f), "");
    }
}

static void merged_values_are_nobody_elses(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "b: &b {x: [1]}\na: {<<: *b}\nc: {<<: *b}\n");

    assert_ptr_not_equal(yaml_get(yaml_get(top, "a"), "x"), yaml_get(yaml_get(top, "b"), "x"));
    assert_ptr_not_equal(yaml_get(yaml_get(top, "a"), "x"), yaml_get(yaml_get(top, "c"), "x"));
    assert_string_equal(yaml_get(yaml_get(top, "a"), "x")->where, "t.yaml:1:11");
}

static void what_cannot_be_merged(void **state) {
    struct fixture *f = *state;

    assert_string_equal(tree(f, load_text(f, "a: {<<: 5, x: 1}\nb:\n  <<: [{y: 1}, z, [{q: 1}]]\nc:\n  <<:\n")),
                        "{a: {x: 1}, b: {y: 1}, c: {}}");
    assert_int_equal(f->problems.errors, 4);
    const char *text = said(f);
    assert_contains(text, "t.yaml:1:9: a.<<: << takes a map or a list of maps");
    assert_contains(text, "t.yaml:3:16: b.<<: << takes a map");
    assert_contains(text, "t.yaml:3:19: b.<<: << takes a map");
    assert_contains(text,
                    "t.yaml:5:6: c.<<: << takes a map or a list of maps, such as `<<: *name` of a map marked with "
                    "`&name`; nothing is given here");
    (void)load_text(f, "a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n");
    assert_contains(said(f),
                    "t.yaml:4:3: b.<<: << stands here a second time, the first is at t.yaml:3:3; several maps are "
                    "merged by a list: <<: [*a, *b]");
}

static void merging_counts_nodes(void **state) {
    struct fixture *f = *state;
    struct buf text = {.data = NULL};

    buf_append(&text, STR("a: &a {"));
    for (unsigned i = 0; i < 1000; i++)
        buf_printf(&text, "k%u: 1, ", i);
    buf_append(&text, STR("}\nb: {<<: ["));
    for (unsigned i = 0; i < 1000; i++)
        buf_append(&text, STR("*a, "));
    buf_append(&text, STR("]}\n"));
    buf_append_char(&text, '\0');
    assert_null(load_text(f, buf_str(&text).p));
    assert_contains(said(f), "too many values");
    buf_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(merges),
        FIXTURE_TEST(merged_values_are_nobody_elses),
        FIXTURE_TEST(what_cannot_be_merged),
        FIXTURE_TEST(merging_counts_nodes),
    };
    return cmocka_run_group_tests_name("config/yaml_merge", tests, NULL, NULL);
}
