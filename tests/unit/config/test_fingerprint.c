/* What makes a configuration another one. */
#include "fixture.h"

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
    const struct CMUnitTest tests[] = {FIXTURE_TEST(the_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
