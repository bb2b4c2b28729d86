/* What makes an app, or a configuration, another one. */
#include "fixture.h"

static uint64_t process_of(struct fixture *f, const char *file) {
    struct snapshot *s = fixture_load(f, file);
    uint64_t hash = s->apps[0]->process_hash;
    snapshot_unref(s);
    return hash;
}

static void process_settings(void **state) {
    static const char *const same[] = {
        "apps: { a: { dir: ., type: shiny, workers: 3 } }\n", "apps: { a: { dir: ., type: shiny, route: /x } }\n",
        "apps: { a: { dir: ./, type: shiny, telemetry: { version: 2 } } }\n",
        "uv: x\napps: { a: { dir: ., type: shiny } }\n", "apps: { a: { dir: ., type: shiny }, b: { dir: . } }\n"};
    static const char *const other[] = {
        "apps: { a: { dir: .., type: shiny } }\n", "apps: { a: { dir: ., type: plumber } }\n",
        "apps: { a: { dir: ., type: shiny, env: { A: 1 } } }\n", "rscript: x\napps: { a: { dir: ., type: shiny } }\n"};
    struct fixture *f = *state;
    uint64_t first = process_of(f, "apps: { a: { dir: ., type: shiny } }\n");
    for (size_t i = 0; i < ARRAY_LENGTH(same); i++)
        assert_true(process_of(f, same[i]) == first);
    for (size_t i = 0; i < ARRAY_LENGTH(other); i++)
        assert_true(process_of(f, other[i]) != first);
    assert_true(process_of(f, "apps: { a: { dir: ., type: shiny, env: { A: 1, B: 2 } } }\n") ==
                process_of(f, "apps: { a: { dir: ., type: shiny, env: { B: 2, A: 1 } } }\n"));
}

static void all_settings_of_an_app(void **state) {
    static const char *const files[] = {"apps: { a: { dir: ., workers: 3 }, b: { dir: . } }\n",
                                        "telemetry: { version: 2 }\napps: { a: { dir: . }, b: { dir: . } }\n",
                                        "apps: { a: { dir: ., env: { A: 1 } }, b: { dir: . } }\n"};
    struct fixture *f = *state;
    struct snapshot *one = fixture_load(f, "apps: { a: { dir: . }, b: { dir: . } }\n");
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        struct snapshot *s = fixture_load(f, files[i]);
        assert_true(s->apps[0]->settings_hash != one->apps[0]->settings_hash);
        assert_true((s->apps[1]->settings_hash == one->apps[1]->settings_hash) == (i != 1));
        snapshot_unref(s);
    }
    snapshot_unref(one);
}

static void the_whole(void **state) {
    struct fixture *f = *state;
    struct snapshot *a = fixture_load(f, "timeouts: { body: 60s }\napps: { a: { dir: . } }\n");
    struct snapshot *b = fixture_load(f, "# same\ntimeouts: { body: 1m }\napps: { a: { dir: . } }\n");
    struct snapshot *c = fixture_load(f, "timeouts: { body: 61s }\napps: { a: { dir: . } }\n");
    struct snapshot *d = fixture_load(f, "telemetry: { postgres_string: x }\napps: { a: { dir: . } }\n");
    assert_int_equal(strlen(a->hash), 16);
    assert_string_equal(a->hash, b->hash);
    assert_string_not_equal(a->hash, c->hash);
    assert_string_not_equal(a->hash, d->hash);
    snapshot_unref(a);
    snapshot_unref(b);
    snapshot_unref(c);
    snapshot_unref(d);
}

int main(void) {
    const struct CMUnitTest tests[] = {FIXTURE_TEST(process_settings), FIXTURE_TEST(all_settings_of_an_app),
                                       FIXTURE_TEST(the_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
