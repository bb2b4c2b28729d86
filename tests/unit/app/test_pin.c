/* The table of pinned clients. */
#include "live_fixture.h"

static void balanced_and_found(void **state) {
    struct pins p = {0};
    struct endpoint e = {.state = ENDPOINT_READY}, other = {.state = ENDPOINT_READY};
    struct client_key c = client_number(1), stranger = client_number(2), nobody = {.kind = CLIENT_NOBODY};
    (void)state;

    assert_null(pins_find(&p, &c));
    assert_false(pins_remove(&p, &c, &e));
    pins_add(&p, &c, &e);
    pins_add(&p, &c, &e);
    assert_int_equal(p.entries, 1);
    assert_ptr_equal(pins_find(&p, &c), &e);
    assert_null(pins_find(&p, &stranger));
    assert_null(pins_find(&p, &nobody));
    assert_false(pins_remove(&p, &c, &other));
    assert_true(pins_remove(&p, &c, &e));
    assert_ptr_equal(pins_find(&p, &c), &e);
    assert_true(pins_remove(&p, &c, &e));
    assert_null(pins_find(&p, &c));
    assert_int_equal(p.entries, 0);
    pins_destroy(&p);
}

static void an_address_is_not_a_cookie(void **state) {
    struct pins p = {0};
    struct endpoint e = {.state = ENDPOINT_READY};
    struct client_key cookie = client_number(1), address = client_number(1);
    (void)state;

    address.kind = CLIENT_ADDRESS;
    pins_add(&p, &cookie, &e);
    assert_null(pins_find(&p, &address));
    pins_destroy(&p);
}

static void the_newest_usable_counts(void **state) {
    struct pins p = {0};
    struct endpoint dead = {.state = ENDPOINT_READY}, next = {.state = ENDPOINT_READY};
    struct client_key c = client_number(1);
    (void)state;

    pins_add(&p, &c, &dead);
    dead.state = ENDPOINT_RETIRED;
    assert_null(pins_find(&p, &c));
    pins_add(&p, &c, &next);
    assert_ptr_equal(pins_find(&p, &c), &next);
    next.state = ENDPOINT_DRAINING;
    assert_ptr_equal(pins_find(&p, &c), &next);
    assert_true(pins_remove(&p, &c, &dead));
    assert_ptr_equal(pins_find(&p, &c), &next);
    dead.state = ENDPOINT_READY;
    pins_add(&p, &c, &dead);
    for (unsigned i = 100; i < 1000; i++) { /* grows; the order within a client stays */
        struct client_key other = client_number(i);
        pins_add(&p, &other, &next);
    }
    assert_ptr_equal(pins_find(&p, &c), &dead);
    for (unsigned i = 100; i < 1000; i++) {
        struct client_key other = client_number(i);
        assert_ptr_equal(pins_find(&p, &other), &next);
        assert_true(pins_remove(&p, &other, &next));
    }
    assert_int_equal(p.entries, 2);
    pins_destroy(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(balanced_and_found),
        cmocka_unit_test(an_address_is_not_a_cookie),
        cmocka_unit_test(the_newest_usable_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
