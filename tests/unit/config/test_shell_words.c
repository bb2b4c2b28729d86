/* Splitting as a shell does. */
#include "fixture.h"

#include "config/shell_words.h"

static void splits(void **state) {
    static const struct {
        const char *line, *words; /* joined by | */
    } cases[] = {
        {"python3 serve.py {socket}", "python3|serve.py|{socket}"},
        {"  a\t b\n", "a|b"},
        {"a 'b c' \"d e\"", "a|b c|d e"},
        {"a'b'\"c\"d", "abcd"},
        {"'' a \"\"", "|a|"},
        {"a\\ b \\' \\\\", "a b|'|\\"},
        {"\"a\\\"b\\n\\$c\"", "a\"b\\n$c"},
        {"'a\\' b", "a\\|b"},
        {"'|&;<>`' \\&", "|&;<>`|&"},
        {"$HOME *", "$HOME|*"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena *a = arena_new(256);
        struct strings words;
        const char *why;
        struct buf joined = {0};
        assert_true(shell_words(a, str_of(cases[i].line), &words, &why));
        for (size_t k = 0; k < words.n; k++)
            buf_printf(&joined, "%s%s", k == 0 ? "" : "|", words.v[k]);
        buf_append_char(&joined, '\0');
        assert_string_equal(buf_str(&joined).p, cases[i].words);
        buf_free(&joined);
        arena_free(a);
    }
}

static void refuses(void **state) {
    static const char *const cases[] = {"'a", "\"a", "a\\", "a | b", "a && b", "a; b", "a > b", "a < b", "`a`"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct arena *a = arena_new(256);
        struct strings words;
        const char *why = NULL;
        assert_false(shell_words(a, str_of(cases[i]), &words, &why));
        assert_non_null(why);
        arena_free(a);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(splits), cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
