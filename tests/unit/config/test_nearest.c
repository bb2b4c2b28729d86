#include "fixture.h"

#include "config/nearest.h"

static const char *best(const char *word) {
    static const char *const names[] = {"listen", "log.level", "uv", "workers", "telemetry.namespace"};
    struct nearest n;
    nearest_init(&n, str_of(word));
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        nearest_offer(&n, names[i]);
    return n.best;
}

static void near_and_far(void **state) {
    (void)state;
    assert_string_equal(best("lisen"), "listen");
    assert_string_equal(best("LISTEN"), "listen");
    assert_string_equal(best("wrokers"), "workers");
    assert_string_equal(best("log_level"), "log.level");
    assert_string_equal(best("telemtry.namepsace"), "telemetry.namespace");
    assert_string_equal(best("uvv"), "uv");
    assert_null(best("x"));
    assert_null(best("xy"));
    assert_null(best(""));
    assert_null(best("something else"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(near_and_far)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
