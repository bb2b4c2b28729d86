/* .Renviron and .env: what a line means in which dialect, and what ${…} becomes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "app/dotenv.h"

struct fixture {
    struct arena *arena;
    struct problems problems;
    struct string_map map;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->arena = arena_new(1024);
    problems_init(&f->problems);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    problems_free(&f->problems);
    arena_free(f->arena);
    free(f);
    return 0;
}

static const char *lookup(const void *of, struct str name) {
    const struct string_map *map = of;
    for (size_t i = 0; i < map->n; i++)
        if (str_eq(name, str_of(map->v[i].key)))
            return map->v[i].value;
    return NULL;
}

/* The raw value of X in text, expanded against what the text itself defines; NULL: none. */
static const char *value_in(struct fixture *f, enum dotenv_dialect dialect, const char *text) {
    f->map = (struct string_map){0, NULL};
    dotenv_parse(f->arena, str_of(text), dialect, "file", &f->map, &f->problems);
    const char *raw = lookup(&f->map, STR("X"));
    return raw != NULL ? dotenv_expand(f->arena, raw, lookup, &f->map) : NULL;
}

static void test_values(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *env, *renviron; /* X in either dialect */
    } cases[] = {
        {"X=1", "1", "1"},
        {"  X = a b  \n", "a b", "a b"},
        {"X=1\r\nY=2\r\n", "1", "1"},
        {"X=1\nX=2", "2", "2"},
        {"X=", "", ""},
        {"# X=0\n\n  # more\nX=1", "1", "1"},
        {"\xef\xbb\xbfX=1", "1", "1"},
        {"export X=1", "1", NULL},
        {"export=3\nX=1", "1", "1"},
        {"X=a#b", "a#b", "a#b"},
        {"X=a #b", "a", "a #b"},
        {"X=\"a #b\" # why", "a #b", "a #b # why"},
        {"X='it''s'", NULL, "its"},
        {"X='a b'", "a b", "a b"},
        {"X=\"a\\nb\"", "a\nb", "a\\nb"},
        {"X='a\\nb'", "a\\nb", "a\\nb"},
        {"X=C:\\temp", "C:\\temp", "C:temp"},
        {"X=\"say \\\"hi\\\"\"", "say \"hi\"", "say \"hi\""},
        {"X=\"line 1\nline 2\"\nY=2", "line 1\nline 2", NULL},
        {"X=\"never closed", NULL, NULL},
        {"X=\"a\" b", NULL, "a b"},
        {"1X=3\nX", NULL, NULL},
        {"Y=1\nX=${Y}2", "12", "12"},
        {"Y=1\nX='${Y}2'", "${Y}2", "12"},
        {"Y=1\nX=\"\\${Y}\"", "${Y}", "\\1"},
        {"X=${Z}", "", ""},
        {"X=${Z-none}", "none", "none"},
        {"Z=\nX=${Z:-none}", "none", "none"},
        {"Z=a-b\nX=<${Z-none}>", "<a-b>", "<a-b>"},
        {"Y=y\nX=${A-${B-${Y}}}!", "y!", "y!"},
        {"X=${A", "${A", "${A"},
        {"X=$Y", "$Y", "$Y"},
        {"X=pa$$word", "pa$$word", "pa$$word"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *const expected[] = {cases[i].env, cases[i].renviron};
        const enum dotenv_dialect dialects[] = {DOTENV_ENV, DOTENV_RENVIRON};
        for (size_t d = 0; d < 2; d++) {
            const char *got = value_in(f, dialects[d], cases[i].text);
            if (expected[d] == NULL && got != NULL)
                fail_msg("case %zu, dialect %zu: expected nothing, got \"%s\"", i, d, got);
            if (expected[d] != NULL && (got == NULL || strcmp(got, expected[d]) != 0))
                fail_msg("case %zu, dialect %zu: expected \"%s\", got \"%s\"", i, d, expected[d],
                         got != NULL ? got : "(nothing)");
        }
    }
}

static void test_problems_name_the_line(void **state) {
    struct fixture *f = *state;
    (void)value_in(f, DOTENV_ENV, "A=1\nB='two\nlines'\nnonsense\nX=\"open");
    assert_int_equal(f->problems.warnings, 1);
    assert_int_equal(f->problems.errors, 1);
    const struct problem *first = CONTAINER_OF(list_first(&f->problems.list), struct problem, node);
    assert_string_equal(first->where, "file:4");
    const struct problem *second = CONTAINER_OF(list_last(&f->problems.list), struct problem, node);
    assert_string_equal(second->where, "file:5");
}

static void test_nul_is_refused(void **state) {
    struct fixture *f = *state;
    dotenv_parse(f->arena, str_make("A=\0b", 4), DOTENV_ENV, "file", &f->map, &f->problems);
    assert_int_equal(f->problems.errors, 1);
    assert_int_equal(f->map.n, 0);
}

static void test_deep_nesting_ends(void **state) {
    struct fixture *f = *state;
    char text[4096] = "X=";
    for (size_t i = 0; i < 600; i++)
        memcpy(text + 2 + i * 5, "${A-x", 5);
    memset(text + 2 + 3000, '}', 600);
    assert_non_null(value_in(f, DOTENV_ENV, text));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(test_values),
        WITH(test_problems_name_the_line),
        WITH(test_nul_is_refused),
        WITH(test_deep_nesting_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
