/* Broken YAML → the sentence a person gets, and the place it points to. */
#include "yaml_fixture.h"

static const struct {
    const char *text, *problem;
} cases[] = {
    /* tabs */
    {"a:\n\tb: 1\n", "t.yaml:2:1: a tab is used for indentation; YAML allows only spaces there"},
    {"a:\n  b: 1\n\tc: 2\n", "t.yaml:3:1: a tab is used for indentation"},
    {"a:\n- b\n\t- c\n", "t.yaml:3:1: a tab is used for indentation"},
    {"a: >\n\tb\n", "t.yaml:2:1: a tab is used for indentation"},
    /* key:value */
    {"listen:3838\nlog: x\n", "t.yaml:1:1: a space is missing after the colon: write \"listen: …\""},
    {"log: x\nlisten:3838\nb: 1\n", "t.yaml:2:1: a space is missing after the colon: write \"listen: …\""},
    {"apps:\n  s:\n    # where\n    dir:foo\n\n    workers: 4\n",
     "t.yaml:4:5: a space is missing after the colon: write "
     "\"dir: …\""},
    {"a: 1\nb\nc: 2\n", "t.yaml:2:1: this line is no `key: value`: the colon is missing"},
    {"b\na: 1\n", "t.yaml:2:2: no key may begin here: line 1 above is no `key: value`"},
    /* two colons */
    {"a: b: c\n", "t.yaml:1:5: a second `: ` in one line; a value that holds a colon and a space needs quotes"},
    /* values that need quotes */
    {"c: [${X}]\n", "t.yaml:1:5: ${…} inside of [ ] or { } needs quotes: \"${…}\""},
    {"c: [a, ${X}, b]\n", "t.yaml:1:8: ${…} inside of [ ] or { } needs quotes"},
    {"c: {a: ${X}}\n", "t.yaml:1:8: ${…} inside of [ ] or { } needs quotes"},
    {"l: [::1]:80\n", "t.yaml:1:5: an IPv6 address needs quotes: \"[::1]:3838\""},
    {"l: [a, [::1]:80]\n", "t.yaml:1:9: an IPv6 address needs quotes"},
    {"u: {host}:80\n", "t.yaml:1:10: text follows the closing }; a value that begins with { and goes on needs quotes"},
    {"u: [a]b\n", "t.yaml:1:7: text follows the closing ]"},
    {"h: *.example.com\n", "t.yaml:1:4: a value that begins with * needs quotes"},
    {"include: *.yaml\n", "t.yaml:1:10: a value that begins with * needs quotes"},
    {"h: &x&y\n", "t.yaml:1:4: a value that begins with & needs quotes"},
    {"h: @x\n", "t.yaml:1:4: a value that begins with @ needs quotes"},
    {"h: %x\n", "t.yaml:1:4: a value that begins with % needs quotes"},
    {"h: `x`\n", "t.yaml:1:4: a value that begins with ` needs quotes"},
    {"h: [a, %b]\n", "t.yaml:1:8: a value that begins with % needs quotes"},
    {"h: !x!y z\n", "t.yaml:1:4: a value that begins with ! needs quotes"},
    {"h: |x\n", "after | or > the text begins on the next line"},
    {"h: ? b\n", "t.yaml:1:4: a value that begins with `? ` needs quotes"},
    {"h: ]\n", "t.yaml:1:4: a value cannot begin with ] here; text needs quotes"},
    {"a: - b\n", "t.yaml:1:4: a list cannot begin here"},
    /* quotes */
    {"a: \"x\nb: 1\n", "t.yaml:1:4: the quote \" that opens here is never closed"},
    {"a: 'x\n---\n", "t.yaml:1:4: the quote ' that opens here is never closed"},
    {"a: 'it's'\n", "t.yaml:1:8: text follows the closing quote; the whole value must stand inside, and a ' in it is "
                    "written ''"},
    {"a: \"b\" c\n", "t.yaml:1:8: text follows the closing quote"},
    {"a: \"C:\\q\"\n", "t.yaml:1:7: in \"double quotes\" a \\ begins an escape"},
    {"a: \"\\ud800\"\n", "in \"double quotes\" a \\ begins an escape"},
    /* brackets */
    {"a: [1, 2\n", "t.yaml:1:4: the list that begins here is not closed: ] is missing"},
    {"a: [1, 2\nb: 1\n", "t.yaml:1:4: the list that begins here is not closed: ] or a comma is missing before line 2"},
    {"a: {x: 1\nb: 1\n", "t.yaml:1:4: the map that begins here is not closed: } or a comma is missing before line 2"},
    {"a: [x,,y]\n", "t.yaml:1:7: a value is missing before ,"},
    {"k: [a: b: c]\n", "t.yaml:1:9: a comma or ] is missing in the list that begins at line 1"},
    {"{a: 1}\nb: 2\n", "t.yaml:2:1: the text goes on after the value has ended"},
    /* indentation */
    {"a:\n   b: 1\n  c: 2\n", "t.yaml:3:3: the indentation fits no line above"},
    {"a: 1\n  b: 2\n",
     "t.yaml:2:4: no key may begin here: it is indented as a part of line 1 above, which has a value"},
    {"a:\n  - x\n  b: 1\n", "t.yaml:3:3: this line stands in the list that begins at line 2, column 3, but does not "
                            "begin with `- `"},
    {"a:\n  : b\n", "t.yaml:2:3: a key is missing before the colon"},
    {"a: {: b}\n", "t.yaml:1:5: a key is missing before the colon"},
    /* directives */
    {"%FOO\na: 1\n", "a line that begins with % is a YAML directive"},
    {"%YAML 3.0\n---\na: 1\n", "this YAML version is not known; 1.1 and 1.2 are allowed"},
    {"%YAML 1.2\n%YAML 1.2\n---\na: 1\n", "%YAML may stand in a file once"},
};

static void each_mistake_has_its_sentence(void **state) {
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        if (load_text(f, cases[i].text) != NULL)
            fail_msg("accepted: %s", cases[i].text);
        assert_int_equal(f->problems.errors, 1);
        const char *text = said(f);
        if (strstr(text, cases[i].problem) == NULL)
            fail_msg("%s\n  gave   %s  wanted %s", cases[i].text, text, cases[i].problem);
    }
}

/* A comment of half a million lines between the mistake and its cause must not cost a walk over all of it. */
static void looking_back_is_bounded(void **state) {
    struct fixture *f = *state;
    struct buf text = {.data = NULL};

    buf_append(&text, STR("a: 1\n"));
    for (size_t i = 0; i < 500000; i++)
        buf_append(&text, STR("#\n"));
    buf_append(&text, STR("  b: 2\n"));
    buf_append_char(&text, '\0');
    assert_null(load_text(f, buf_str(&text).p));
    assert_contains(said(f), "t.yaml:500002:");
    buf_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(each_mistake_has_its_sentence),
        FIXTURE_TEST(looking_back_is_bounded),
    };
    return cmocka_run_group_tests_name("config/yaml_syntax", tests, NULL, NULL);
}
