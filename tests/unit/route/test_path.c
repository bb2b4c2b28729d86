/* Paths and hosts in normal form. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "route/path.h"

struct pair {
    const char *in, *out;
};

static void expect_paths(const struct pair *pairs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        struct arena *a = arena_new(256);
        const char *why = NULL;
        struct str in = str_of(pairs[i].in), out = path_normalise(a, in, &why);
        if (!str_eq(out, str_of(pairs[i].out)) || (out.p == NULL) != (pairs[i].out == NULL))
            fail_msg("%s: %.*s instead of %s", pairs[i].in, STR_ARG(out), pairs[i].out);
        assert_true((why != NULL) == (out.p == NULL));
        if (out.p != NULL) { /* once is enough */
            struct str again = path_normalise(a, out, &why);
            assert_true(str_eq(again, out));
        }
        arena_free(a);
    }
}

static void dot_segments(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"/", "/"},
        {"/a", "/a"},
        {"/a/", "/a/"},
        {"/./", "/"},
        {"/.", "/"},
        {"/..", "/"},
        {"/../", "/"},
        {"/../../a", "/a"},
        {"/a/..", "/"},
        {"/a/../", "/"},
        {"/a/./b", "/a/b"},
        {"/a/b/../c", "/a/c"},
        {"/a/b/..", "/a/"},
        {"/a/b/.", "/a/b/"},
        {"/a/...", "/a/..."},
        {"/a/..b", "/a/..b"},
        {"/.a/.b/", "/.a/.b/"},
        {"/a/b/c/./../../g", "/a/g"},
        {"/a/%2e%2E/b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a/%2e/b", "/a/b"},
        {"/a/%2e", "/a/"},
        {"/%2e%2e", "/"},
    };
    expect_paths(pairs, ARRAY_LENGTH(pairs));
}

static void empty_segments_are_kept(void **state) {
    (void)state;
    static const struct pair pairs[] = {{"//", "//"},         {"//a", "//a"},   {"/a//b", "/a//b"},
                                        {"/a//../b", "/a/b"}, {"//../a", "/a"}, {"/a//.", "/a//"}};
    expect_paths(pairs, ARRAY_LENGTH(pairs));
}

static void encodings(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"/%61%7e%2D%5f%41", "/a~-_A"},   {"/%2f", "/%2F"},
        {"/a%2f..%2fb", "/a%2F..%2Fb"},   {"/%5c", "/%5C"},
        {"/%c3%a9", "/%C3%A9"},           {"/\xc3\xa9", "/%C3%A9"},
        {"/%252e%252e/", "/%252e%252e/"}, {"/%25", "/%25"},
        {"/%3f%23", "/%3F%23"},           {"/%20", "/%20"},
        {"/%01%7f", "/%01%7F"},           {"/a b\"<>\\^`{|}", "/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D"},
        {"/a?b#", "/a%3Fb%23"},           {"/!$&'()*+,;=:@[]", "/!$&'()*+,;=:@[]"},
    };
    expect_paths(pairs, ARRAY_LENGTH(pairs));
}

static void refused(void **state) {
    (void)state;
    static const struct pair pairs[] = {{"", NULL},     {"a", NULL},      {"*", NULL},     {"%2fa", NULL},
                                        {"/%", NULL},   {"/%4", NULL},    {"/%zz", NULL},  {"/%4g/a", NULL},
                                        {"/%00", NULL}, {"/a%00b", NULL}, {"/\x01", NULL}, {"/a\x7f", NULL},
                                        {"/\n", NULL}};
    expect_paths(pairs, ARRAY_LENGTH(pairs));
    struct arena *a = arena_new(256);
    const char *why = NULL;
    assert_null(path_normalise(a, STR("/a\0b"), &why).p);
    assert_non_null(why);
    arena_free(a);
}

static void normal_form_is_not_copied(void **state) {
    (void)state;
    struct arena *a = arena_new(256);
    const char *why = NULL;
    struct str in = STR("/sales/a.b/c..d/e");
    assert_ptr_equal(path_normalise(a, in, &why).p, in.p);
    arena_free(a);
}

/* Whatever comes in, what goes out holds no dot segment, no byte to be encoded, and is its own normal form. */
static void random_paths(void **state) {
    (void)state;
    static const char alphabet[] = "/////....%%%22eEfFaA5cC0 z\\|\x80";
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 200000; round++) {
        char text[24];
        size_t n = 0;
        text[n++] = '/';
        do {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text[n++] = alphabet[seed % (sizeof alphabet - 1)];
        } while (n < sizeof text && (seed >> 40) % 16 != 0);
        struct arena *a = arena_new(256);
        const char *why = NULL;
        char *exact = malloc(n); /* so that reading past the end is found */
        memcpy(exact, text, n);
        struct str out = path_normalise(a, str_make(exact, n), &why);
        if (out.p != NULL) {
            assert_true(out.n > 0 && out.p[0] == '/');
            struct str again = path_normalise(a, out, &why);
            assert_true(str_eq(again, out));
            for (size_t i = 0; i < out.n; i++) {
                assert_true(out.p[i] > ' ' && out.p[i] != '\\' && out.p[i] != '|');
                if (out.p[i] == '/') {
                    struct str rest = str_from(out, i + 1);
                    struct str segment = str_make(rest.p, str_chr(rest, '/'));
                    assert_false(str_eq(segment, STR(".")) || str_eq(segment, STR("..")));
                }
            }
        }
        free(exact);
        arena_free(a);
    }
}

static void hosts(void **state) {
    (void)state;
    static const struct pair pairs[] = {{"Example.COM", "example.com"},
                                        {"example.com:8080", "example.com"},
                                        {"example.com.", "example.com"},
                                        {"EXAMPLE.com.:80", "example.com"},
                                        {"example.com..", "example.com."},
                                        {"[::1]", "[::1]"},
                                        {"[FE80::A]:80", "[fe80::a]"},
                                        {"127.0.0.1:1", "127.0.0.1"},
                                        {"a:", "a"},
                                        {".", "."},
                                        {"", ""}};
    struct arena *a = arena_new(256);
    for (size_t i = 0; i < ARRAY_LENGTH(pairs); i++)
        assert_true(str_eq(host_normalise(a, str_of(pairs[i].in)), str_of(pairs[i].out)));
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dot_segments), cmocka_unit_test(empty_segments_are_kept),   cmocka_unit_test(encodings),
        cmocka_unit_test(refused),      cmocka_unit_test(normal_form_is_not_copied), cmocka_unit_test(random_paths),
        cmocka_unit_test(hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
