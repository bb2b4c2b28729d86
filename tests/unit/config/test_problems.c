/* Problems: order, repetition, the line a person sees. */
#include "yaml_fixture.h"

static void add(struct fixture *f, const char *where, const char *message) {
    problem_add(&f->problems, PROBLEM_ERROR, where, "", "%s", message);
}

static void come_in_file_order(void **state) {
    struct fixture *f = *state;

    add(f, "b.yaml:10:1", "b4");
    add(f, "a.yaml:3:1", "a2");
    add(f, "b.yaml:9:12", "b3");
    add(f, "flag --set", "f1");
    add(f, "b.yaml:9:2", "b2");
    add(f, "a.yaml:3:1", "a3");
    add(f, "a.yaml:1:1", "a1");
    add(f, "flag --set", "f2");
    add(f, "b.yaml", "b1");
    add(f, "a.yaml:20:1", "a4");
    assert_string_equal(said(f), "b.yaml: b1\nb.yaml:9:2: b2\nb.yaml:9:12: b3\nb.yaml:10:1: b4\n"
                                 "a.yaml:1:1: a1\na.yaml:3:1: a2\na.yaml:3:1: a3\na.yaml:20:1: a4\n"
                                 "flag --set: f1\nflag --set: f2\n");
}

static void the_same_is_said_once(void **state) {
    struct fixture *f = *state;

    problem_add(&f->problems, PROBLEM_ERROR, "a:1:1", "k", "m %d", 1);
    problem_add(&f->problems, PROBLEM_ERROR, "a:1:1", "k", "m %d", 2);
    problem_add(&f->problems, PROBLEM_ERROR, "a:1:1", "k", "m %d", 1);
    problem_add(&f->problems, PROBLEM_ERROR, "a:1:1", "l", "m %d", 1);
    problem_add(&f->problems, PROBLEM_ERROR, "a:1:2", "k", "m %d", 1);
    problem_add(&f->problems, PROBLEM_WARNING, "a:1:1", "k", "m %d", 1);
    assert_int_equal(f->problems.errors, 4);
    assert_int_equal(f->problems.warnings, 1);
    assert_int_equal(f->problems.list.length, 5);
}

static void one_line_each(void **state) {
    struct fixture *f = *state;

    problem_add(&f->problems, PROBLEM_ERROR, "a b.yaml:1:2", "apps.x\ny", "bad\x1b[2J %s", "value ä");
    assert_string_equal(said(f), "a b.yaml:1:2: apps.x\\x0ay: bad\\x1b[2J value ä\n");
    problem_add(&f->problems, PROBLEM_ERROR, NULL, NULL, "m");
    assert_string_equal(said(f), "m\n");
    problem_add(&f->problems, PROBLEM_ERROR, "", "key", "m");
    assert_string_equal(said(f), "key: m\n");
}

static void arguments_are_copied(void **state) {
    struct fixture *f = *state;
    char where[] = "a:1:1", key[] = "key", word[] = "word";

    problem_add(&f->problems, PROBLEM_WARNING, where, key, "%s", word);
    where[0] = key[0] = word[0] = '#';
    assert_string_equal(said(f), "a:1:1: key: word\n");
}

static void a_flood_is_counted(void **state) {
    struct fixture *f = *state;

    for (unsigned i = 1; i <= 50000; i++) {
        char where[32];
        (void)snprintf(where, sizeof where, "a:%u:1", i);
        problem_add(&f->problems, PROBLEM_WARNING, where, "", "w");
    }
    assert_int_equal(f->problems.warnings, 50000);
    assert_int_equal(f->problems.list.length, PROBLEMS_KEPT_MAX);
    add(f, "a:2:1", "an error has its own place");
    assert_int_equal(f->problems.errors, 1);
    assert_int_equal(f->problems.list.length, PROBLEMS_KEPT_MAX + 1);
}

static void odd_places(void **state) {
    struct fixture *f = *state;

    add(f, "a:b:1:1", "1");
    add(f, "::", "2");
    add(f, ":1:2", "3");
    add(f, "a:1", "4");
    add(f, "a:99999999999999999999999:1", "5");
    add(f, "environment FAUCET_X", "6");
    assert_int_equal(f->problems.list.length, 6);
    assert_contains(said(f), "a:99999999999999999999999:1: 5\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(come_in_file_order),   FIXTURE_TEST(the_same_is_said_once), FIXTURE_TEST(one_line_each),
        FIXTURE_TEST(arguments_are_copied), FIXTURE_TEST(a_flood_is_counted),    FIXTURE_TEST(odd_places),
    };
    return cmocka_run_group_tests_name("config/problems", tests, NULL, NULL);
}
