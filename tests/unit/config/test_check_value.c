/* Values that others judge: whom they are asked about, and where what they say is reported. */
#include "fixture.h"

static bool paths_skipped;
static unsigned asked;

/* Refuses what begins with "bad". */
static char *problem(const char *value, bool skip_paths) {
    asked++;
    paths_skipped = skip_paths;
    return strncmp(value, "bad", 3) == 0 ? strdup("is bad; it must be good") : NULL;
}

static const struct value_checker rows[] = {{"telemetry.postgres_string", problem}};
static const struct value_checkers checkers = {rows, ARRAY_LENGTH(rows)};

static struct fixture *begin(void **state) {
    struct fixture *f = *state;
    f->sources.checkers = &checkers;
    asked = 0;
    return f;
}

static void reported_where_it_stands(void **state) {
    static const struct {
        const char *file, *said;
    } cases[] = {
        {"telemetry: { postgres_string: bad1 }\napps: { a: { dir: . }, b: { dir: . } }\n",
         "faucet.yaml:1:31: telemetry.postgres_string: is bad; it must be good"},
        {"telemetry: { postgres_string: good }\napps: { a: { dir: ., telemetry: { postgres_string: bad2 } } }\n",
         "faucet.yaml:2:52: apps.a.telemetry.postgres_string: is bad"},
        {"defaults: { telemetry: { postgres_string: bad3 } }\napps: { a: { dir: . }, b: { dir: . } }\n",
         "faucet.yaml:1:43: defaults.telemetry.postgres_string: is bad"},
        {"telemetry: { postgres_string_file: secret }\napps: { a: { dir: . } }\n",
         "faucet.yaml:1:36: telemetry.postgres_string_file: is bad"},
    };
    struct fixture *f = begin(state);
    fixture_write(f, "secret", "bad4\n");
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        assert_null(fixture_try(f, cases[i].file));
        fixture_expect(f, PROBLEM_ERROR, cases[i].said);
        assert_int_equal(f->problems.errors, 1); /* not once for every app that inherits it */
        fixture_reset(f);
    }
}

static void of_environment_and_flags(void **state) {
    struct fixture *f = begin(state);
    fixture_variable(f, "FAUCET_TELEMETRY_POSTGRES_STRING", "bad");
    fixture_refused(f, "apps: { a: { dir: . } }\n",
                    "environment FAUCET_TELEMETRY_POSTGRES_STRING: telemetry.postgres_string: is");
    fixture_flag(f, "--set", "apps.a.telemetry.postgres_string", "bad");
    fixture_refused(f, NULL, "--set: apps.a.telemetry.postgres_string: is bad");
}

static void what_is_beaten_or_off_is_not_asked(void **state) {
    struct fixture *f = begin(state);
    fixture_flag(f, "--set", "telemetry.postgres_string", "good");
    struct snapshot *s =
        fixture_load(f, "telemetry: { postgres_string: bad }\n"
                        "apps: { a: { dir: ., telemetry: { postgres_string: \"\" } }, b: { dir: . } }\n");
    assert_int_equal(asked, 1);
    assert_false(paths_skipped);
    assert_string_equal(s->apps[0]->telemetry.postgres_string, "");
    assert_string_equal(s->apps[1]->telemetry.postgres_string, "good");
    snapshot_unref(s);
}

static void told_that_paths_are_skipped(void **state) {
    struct fixture *f = begin(state);
    f->sources.skip_paths = true;
    fixture_refused(f, "telemetry: { postgres_string: bad }\napps: { a: { dir: . } }\n", "is bad");
    assert_true(paths_skipped);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(reported_where_it_stands),
        FIXTURE_TEST(of_environment_and_flags),
        FIXTURE_TEST(what_is_beaten_or_off_is_not_asked),
        FIXTURE_TEST(told_that_paths_are_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
