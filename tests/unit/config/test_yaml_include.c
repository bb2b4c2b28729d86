/* include: which files, in which order, under which name, and what they may hold. */
#include "yaml_fixture.h"

static void write_text(const char *name, const char *text) {
    write_bytes(name, text, strlen(text));
}

struct loaded {
    struct yaml_node *top, **trees;
    size_t n;
    bool ok;
};

static struct loaded load(struct fixture *f, const char *name) {
    struct loaded l = {.top = yaml_load_file(f->arena, name, &f->problems)};

    assert_non_null(l.top);
    l.ok = yaml_load_includes(f->arena, l.top, &l.trees, &l.n, &f->problems);
    return l;
}

static int make_directories(void **state) {
    if (fixture_setup(state) != 0)
        return -1;
    return mkdir("conf", 0700) | mkdir("conf/apps.d", 0700);
}

static void pattern_is_sorted_by_bytes(void **state) {
    struct fixture *f = *state;
    char origin[128];

    write_text("conf/f.yaml", "a: 1\ninclude: apps.d/*.yaml\nb: 2\n");
    write_text("conf/apps.d/b.yaml", "apps: {b: 1}\n");
    write_text("conf/apps.d/B.yaml", "apps: {B: 1}\n");
    write_text("conf/apps.d/a.yaml", "apps: {a: 1}\nx-y: 1\n");
    write_text("conf/apps.d/a.txt", "no: yaml\n");
    write_text("conf/apps.d/.hidden.yaml", "no: 1\n");
    struct loaded l = load(f, "conf/f.yaml");
    assert_string_equal(said(f), "");
    assert_true(l.ok);
    assert_int_equal(l.n, 3);
    assert_string_equal(tree(f, l.trees[0]), "{apps: {B: 1}}");
    assert_string_equal(tree(f, l.trees[1]), "{apps: {a: 1}, x-y: 1}");
    assert_string_equal(tree(f, l.trees[2]), "{apps: {b: 1}}");
    assert_string_equal(l.trees[1]->pairs[0].value->where, "conf/apps.d/a.yaml:1:7");
    assert_string_equal(l.trees[1]->pairs[0].value->file, "conf/apps.d/a.yaml");
    (void)snprintf(origin, sizeof origin, "%s/conf/apps.d", f->directory);
    assert_string_equal(l.trees[1]->origin, origin);
    assert_string_equal(tree(f, l.top), "{a: 1, b: 2}"); /* the key is gone */
}

static void no_include_is_fine(void **state) {
    struct fixture *f = *state;

    write_text("f.yaml", "a: 1\n");
    struct loaded l = load(f, "f.yaml");
    assert_true(l.ok);
    assert_int_equal(l.n, 0);
    write_text("f.yaml", "include:\n");
    l = load(f, "f.yaml");
    assert_true(l.ok);
    assert_int_equal(l.n, 0);
    assert_string_equal(tree(f, l.top), "{}");
    write_text("f.yaml", "include: [\"none/*.yaml\", \"conf/no?.yaml\", '[xyz].yaml']\n");
    l = load(f, "f.yaml");
    assert_true(l.ok);
    assert_int_equal(l.n, 0);
    assert_string_equal(said(f), "");
}

static void names_must_exist(void **state) {
    struct fixture *f = *state;

    write_text("conf/f.yaml", "include: [apps.d/a.yaml, apps.d/no.yaml, nor.yaml]\n");
    write_text("conf/apps.d/a.yaml", "apps: {a: 1}\n");
    struct loaded l = load(f, "conf/f.yaml");
    assert_false(l.ok);
    assert_int_equal(l.n, 1);
    const char *text = said(f);
    assert_contains(text, "conf/f.yaml:1:26: include: the file conf/apps.d/no.yaml does not exist");
    assert_contains(text, "conf/f.yaml:1:42: include: the file conf/nor.yaml does not exist");
}

static void absolute_patterns(void **state) {
    struct fixture *f = *state;
    char text[256], name[128];

    (void)snprintf(text, sizeof text, "include: [%s/conf/apps.d/*.yaml, %s/conf/c.yaml]\n", f->directory, f->directory);
    write_text("f.yaml", text);
    write_text("conf/apps.d/a.yaml", "apps: {a: 1}\n");
    write_text("conf/c.yaml", "apps: {c: 1}\n");
    struct loaded l = load(f, "f.yaml");
    assert_string_equal(said(f), "");
    assert_int_equal(l.n, 2);
    (void)snprintf(name, sizeof name, "%s/conf/apps.d/a.yaml", f->directory);
    assert_string_equal(l.trees[0]->file, name);
}

/* The directory's own name holds what glob would take for a pattern. */
static void odd_directory(void **state) {
    struct fixture *f = *state;

    assert_int_equal(mkdir("[x]*\\", 0700), 0);
    write_text("[x]*\\/f.yaml", "include: a*.yaml\n");
    write_text("[x]*\\/ab.yaml", "apps: {ab: 1}\n");
    struct loaded l = load(f, "[x]*\\/f.yaml");
    assert_string_equal(said(f), "");
    assert_int_equal(l.n, 1);
    assert_string_equal(l.trees[0]->file, "[x]*\\/ab.yaml");
}

static void overlapping_patterns_read_once(void **state) {
    struct fixture *f = *state;

    write_text("conf/f.yaml", "include: [apps.d/b.yaml, \"apps.d/*.yaml\", ./apps.d/a.yaml]\n");
    write_text("conf/apps.d/a.yaml", "apps: {a: 1}\n");
    write_text("conf/apps.d/b.yaml", "apps: {b: 1}\n");
    struct loaded l = load(f, "conf/f.yaml");
    assert_string_equal(said(f), "");
    assert_int_equal(l.n, 2);
    assert_string_equal(l.trees[0]->file, "conf/apps.d/b.yaml");
}

static void not_itself(void **state) {
    struct fixture *f = *state;

    write_text("conf/f.yaml", "include: \"*.yaml\"\n");
    struct loaded l = load(f, "conf/f.yaml");
    assert_false(l.ok);
    assert_int_equal(l.n, 0);
    assert_contains(said(f), "conf/f.yaml:1:10: include: conf/f.yaml is the file that says this; put the apps into a "
                             "directory of their own");
}

static void only_apps(void **state) {
    struct fixture *f = *state;

    write_text("conf/f.yaml", "include: apps.d/a.yaml\n");
    write_text("conf/apps.d/a.yaml", "apps: {a: 1}\nlisten: x\ninclude: b.yaml\nx-b: 1\ndefaults: {}\n");
    struct loaded l = load(f, "conf/f.yaml");
    assert_false(l.ok);
    assert_int_equal(l.n, 1);
    assert_int_equal(f->problems.errors, 3);
    const char *text = said(f);
    assert_contains(text,
                    "conf/apps.d/a.yaml:2:1: listen: an included file holds apps only; allowed are `apps:` and keys "
                    "that begin with x-");
    assert_contains(text, "conf/apps.d/a.yaml:3:1: include: an included file cannot include others");
    assert_contains(text, "conf/apps.d/a.yaml:5:1: defaults: an included file holds apps only");
}

static void broken_files_are_all_named(void **state) {
    struct fixture *f = *state;

    write_text("conf/f.yaml", "include: apps.d/*\n");
    write_text("conf/apps.d/a.yaml", "apps: [\n");
    write_text("conf/apps.d/b.yaml", "apps: {b: 1}\n");
    write_text("conf/apps.d/c.yaml", "apps: @\n");
    assert_int_equal(mkdir("conf/apps.d/d.yaml", 0700), 0);
    assert_int_equal(symlink("nowhere", "conf/apps.d/e.yaml"), 0);
    struct loaded l = load(f, "conf/f.yaml");
    assert_false(l.ok);
    assert_int_equal(l.n, 1);
    const char *text = said(f);
    assert_contains(text, "conf/apps.d/a.yaml:2:1: a list or map was opened and not closed");
    assert_contains(text, "conf/apps.d/c.yaml:1:7: ");
    assert_contains(text, "conf/apps.d/d.yaml: is a directory");
    assert_contains(text, "conf/apps.d/e.yaml: does not exist");
}

static void wrong_values(void **state) {
    struct fixture *f = *state;

    write_text("f.yaml", "include: {a: b}\n");
    assert_false(load(f, "f.yaml").ok);
    assert_contains(said(f), "f.yaml:1:10: include: must be a file name or a pattern");
    write_text("f.yaml", "include: [[a], ~, '']\n");
    assert_false(load(f, "f.yaml").ok);
    assert_int_equal(f->problems.errors, 3);
}

static void nodes_are_counted_together(void **state) {
    struct fixture *f = *state;
    struct buf text = {.data = NULL};
    char name[64];

    buf_append(&text, STR("x-a: ["));
    for (unsigned i = 0; i < 40000; i++)
        buf_append(&text, STR("x,"));
    buf_append(&text, STR("]\n"));
    for (unsigned i = 0; i < 3; i++) {
        (void)snprintf(name, sizeof name, "conf/apps.d/%u.yaml", i);
        write_bytes(name, buf_str(&text).p, buf_length(&text));
    }
    buf_free(&text);
    write_text("conf/f.yaml", "include: apps.d/*.yaml\n");
    struct loaded l = load(f, "conf/f.yaml");
    assert_false(l.ok);
    assert_int_equal(l.n, 2);
    assert_contains(said(f), "conf/apps.d/2.yaml:1:");
}

#define INCLUDE_TEST(test) cmocka_unit_test_setup_teardown(test, make_directories, fixture_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        INCLUDE_TEST(pattern_is_sorted_by_bytes),
        INCLUDE_TEST(no_include_is_fine),
        INCLUDE_TEST(names_must_exist),
        INCLUDE_TEST(absolute_patterns),
        INCLUDE_TEST(odd_directory),
        INCLUDE_TEST(overlapping_patterns_read_once),
        INCLUDE_TEST(not_itself),
        INCLUDE_TEST(only_apps),
        INCLUDE_TEST(broken_files_are_all_named),
        INCLUDE_TEST(wrong_values),
        INCLUDE_TEST(nodes_are_counted_together),
    };
    return cmocka_run_group_tests_name("config/yaml_include", tests, NULL, NULL);
}
