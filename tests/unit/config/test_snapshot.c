/* References; the empty snapshot. */
#include "fixture.h"

static void the_empty_one(void **state) {
    struct snapshot *s = snapshot_empty();
    (void)state;
    assert_int_equal(s->number, 0);
    assert_int_equal(s->app_count, 0);
    assert_int_equal(s->daemon.listen.n, 0);
    assert_int_equal(s->daemon.timeout_header, 10 * DUR_S);
    assert_int_equal(s->daemon.log_max_size, -1);
    assert_null(snapshot_app(s, "x"));
    snapshot_unref(s);
}

static void the_last_reference_frees(void **state) {
    struct snapshot *s = snapshot_empty();
    (void)state;
    assert_ptr_equal(snapshot_ref(s), s);
    assert_int_equal(s->references, 2);
    snapshot_unref(s);
    assert_int_equal(s->references, 1);
    snapshot_unref(s); /* the leak check sees the rest */
    snapshot_unref(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_empty_one), cmocka_unit_test(the_last_reference_frees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
