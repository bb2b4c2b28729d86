/* ${VAR} in values: every form, once, and what is refused. */
#include "yaml_fixture.h"

static char *const environment[] = {(char *)"PORT=3838",        (char *)"EMPTY=",       (char *)"NESTED=${PORT}",
                                    (char *)"YAML=[a, {b: c}]", (char *)"NULLISH=null", (char *)"_x9=under",
                                    (char *)"PORT=second",      (char *)"broken",       NULL};

static const struct {
    const char *value, *expected;
} forms[] = {
    {"${PORT}", "3838"},
    {"x${PORT}y${PORT}", "x3838y3838"},
    {"${EMPTY}", ""},
    {"${EMPTY:-d}", "d"},
    {"${PORT:-d}", "3838"},
    {"${NO:-d e:-f}", "d e:-f"},
    {"${NO:-}", ""},
    {"${NO:-{socket}}!", "{socket}!"},
    {"${NO:-a{b{c}d}e}}", "a{b{c}d}e}"},
    {"${NO:-$PORT}", "$PORT"},
    {"${PORT:?must be set}", "3838"},
    {"$${PORT}", "${PORT}"},
    {"$$${PORT}", "$${PORT}"},
    {"$$", "$$"},
    {"$PORT $ a$", "$PORT $ a$"},
    {"${NESTED}", "${PORT}"}, /* once: what comes out is not looked at again */
    {"${YAML}", "[a, {b: c}]"},
    {"${_x9}", "under"},
    {"}{", "}{"},
    {"ä${PORT}ö", "ä3838ö"},
};

static void every_form(void **state) {
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        const char *text = arena_printf(f->arena, "a: '%s'\n", forms[i].value).p;
        struct yaml_node *top = load_text(f, text);
        yaml_interpolate(f->arena, top, environment, NULL, &f->problems);
        assert_string_equal(said(f), "");
        assert_int_equal(top->pairs[0].value->type, YAML_SCALAR);
        assert_string_equal(top->pairs[0].value->text.p, forms[i].expected);
        assert_int_equal(top->pairs[0].value->text.n, strlen(forms[i].expected));
    }
}

static const struct {
    const char *value, *problem;
} wrong[] = {
    {"${NO}", "t.yaml:2:6: a.b: the environment variable NO is not set; set it, or give a default: ${NO:-…}"},
    {"${NO:?ask Anna}", "t.yaml:2:6: a.b: the environment variable NO is not set: ask Anna"},
    {"${EMPTY:?ask Anna}", "t.yaml:2:6: a.b: the environment variable EMPTY is empty: ask Anna"},
    {"${NO:?}", "t.yaml:2:6: a.b: the environment variable NO is not set\n"},
    {"${broken}", "the environment variable broken is not set"},
    {"${POR}", "the environment variable POR is not set"},
    {"${", "t.yaml:2:6: a.b: ${ is not closed by }; allowed are ${VAR}, ${VAR:-default} and ${VAR:?message}; a literal "
           "${ is written $${"},
    {"${PORT", "${ is not closed by }; allowed"},
    {"${PORT:-x", "${ is not closed by }; allowed"},
    {"${PORT:-{x}", "${ is not closed by }; allowed"},
    {"${}", "${ is not followed by the name of a variable; allowed"},
    {"${ PORT}", "${ is not followed by the name of a variable; allowed"},
    {"${1X}", "the name of a variable does not begin with a digit; allowed"},
    {"${PORT:+x}", "what follows the name of the variable is not understood; allowed"},
    {"${PORT-x}", "what follows the name of the variable is not understood; allowed"},
    {"${PORT }", "what follows the name of the variable is not understood; allowed"},
    {"${PO.RT}", "what follows the name of the variable is not understood; allowed"},
    {"${NO:-${PORT}}", "${ inside of another ${ } is not expanded; allowed"},
};

static void what_is_refused(void **state) {
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(wrong); i++) {
        const char *text = arena_printf(f->arena, "a:\n  b: '%s'\n", wrong[i].value).p;
        yaml_interpolate(f->arena, load_text(f, text), environment, NULL, &f->problems);
        assert_int_equal(f->problems.errors, 1);
        assert_contains(said(f), wrong[i].problem);
    }
}

static void types_stay(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "a: ${PORT}\nb: '${PORT}'\nc: ${EMPTY}\nd: '${EMPTY}'\ne: ${NULLISH}\nf:\n");

    yaml_interpolate(f->arena, top, environment, NULL, &f->problems);
    assert_string_equal(said(f), "");
    assert_string_equal(tree(f, top), "{a: 3838, b: '3838', c: , d: '', e: null, f: null}");
    assert_true(yaml_get(top, "a")->plain);
    assert_false(yaml_get(top, "b")->plain);
    assert_int_equal(yaml_get(top, "c")->type, YAML_SCALAR);
    assert_true(yaml_get(top, "c")->plain);
    assert_int_equal(yaml_get(top, "e")->type, YAML_SCALAR);
    assert_int_equal(yaml_get(top, "f")->type, YAML_NULL);
}

static void everywhere_but_in_keys(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "'${PORT}': [\"${PORT}\", {k: \"${PORT}\"}]\nx: &x \"${NESTED}\"\ny: *x\n");

    yaml_interpolate(f->arena, top, environment, NULL, &f->problems);
    /* the alias is a copy, so no value is expanded twice */
    assert_string_equal(tree(f, top), "{${PORT}: ['3838', {k: '3838'}], x: '${PORT}', y: '${PORT}'}");
    assert_string_equal(said(f), "");
}

static void variables_are_remembered(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "a: ${PORT}${EMPTY}${PORT}${NO:-}\nb: $${PORT}\nc: ${PORT}\nd: ${_x9}\n");
    struct strings used = {0, NULL};

    yaml_interpolate(f->arena, top, environment, &used, &f->problems);
    const struct strings *a = &yaml_get(top, "a")->variables;
    assert_int_equal(a->n, 3);
    assert_string_equal(a->v[0], "PORT");
    assert_string_equal(a->v[1], "EMPTY");
    assert_string_equal(a->v[2], "NO");
    assert_int_equal(yaml_get(top, "b")->variables.n, 0);
    assert_int_equal(yaml_get(top, "c")->variables.n, 1);
    assert_int_equal(used.n, 4);
    assert_string_equal(used.v[3], "_x9");
}

static void all_problems_of_a_file(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "a: ${NO1} ${NO2}\nb: [\"${NO3}\"]\nc: {d: \"${\"}\n");

    yaml_interpolate(f->arena, top, NULL, NULL, &f->problems);
    assert_int_equal(f->problems.errors, 4);
    const char *text = said(f);
    assert_contains(text, "t.yaml:1:4: a: the environment variable NO1");
    assert_contains(text, "t.yaml:1:4: a: the environment variable NO2");
    assert_contains(text, "t.yaml:2:5: b: the environment variable NO3");
    assert_contains(text, "t.yaml:3:8: c.d: ${ is not closed");
}

/* A mistake marks the value and what it stands in, and nothing beside it. */
static void mistakes_are_marked(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top =
        load_text(f, "a: {b: [x, \"${NO}/y\"], c: \"${PORT}\"}\nd: \"${\"\ne: [\"${NO:-}\"]\nf: \"${NO:?x}\"\n");

    yaml_interpolate(f->arena, top, environment, NULL, &f->problems);
    assert_int_equal(f->problems.errors, 3);
    const struct yaml_node *a = yaml_get(top, "a"), *b = yaml_get(a, "b");
    assert_true(top->unresolved && a->unresolved && b->unresolved && b->items[1]->unresolved);
    assert_false(b->items[0]->unresolved || yaml_get(a, "c")->unresolved);
    assert_true(yaml_get(top, "d")->unresolved && yaml_get(top, "f")->unresolved);
    assert_false(yaml_get(top, "e")->unresolved);
}

static void growth_is_limited(void **state) {
    struct fixture *f = *state;
    struct buf text = {.data = NULL};
    size_t n = 100000;
    char *entry = arena_bytes(f->arena, n + 1);

    memset(entry, 'x', n);
    memcpy(entry, "B=", 2);
    entry[n] = '\0';
    buf_append(&text, STR("a: \""));
    for (unsigned i = 0; i < 1000; i++)
        buf_append(&text, STR("${B}"));
    buf_append(&text, STR("\"\nb: ${NO}\n"));
    buf_append_char(&text, '\0');
    struct yaml_node *top = load_text(f, buf_str(&text).p);
    yaml_interpolate(f->arena, top, (char *const[]){entry, NULL}, NULL, &f->problems);
    assert_string_equal(said(f), "t.yaml:1:4: a: the variables of this file make more than 16 MiB of text; that is the "
                                 "most\n");
    buf_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_form),
        FIXTURE_TEST(what_is_refused),
        FIXTURE_TEST(types_stay),
        FIXTURE_TEST(everywhere_but_in_keys),
        FIXTURE_TEST(variables_are_remembered),
        FIXTURE_TEST(all_problems_of_a_file),
        FIXTURE_TEST(mistakes_are_marked),
        FIXTURE_TEST(growth_is_limited),
    };
    return cmocka_run_group_tests_name("config/interpolate", tests, NULL, NULL);
}
