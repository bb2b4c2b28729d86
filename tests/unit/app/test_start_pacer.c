/* The FIFO of workers that want to start. */
#include "live_fixture.h"

static struct start_ticket tickets[10];
static size_t went[10], went_count;

static void go(struct start_ticket *t) {
    went[went_count++] = (size_t)(t - tickets);
}

static void a_few_at_a_time_in_order(void **state) {
    struct live l;
    struct start_pacer p;
    (void)state;

    live_open(&l, NULL, NULL);
    memset(tickets, 0, sizeof tickets);
    went_count = 0;
    start_pacer_init(&p, l.loop, 2);
    for (size_t i = 0; i < 6; i++) {
        start_pacer_enter(&p, &tickets[i], go);
        start_pacer_enter(&p, &tickets[i], go); /* no-op */
    }
    assert_int_equal(went_count, 0); /* from a fresh stack */
    live_turn(&l);
    assert_int_equal(went_count, 2);
    start_pacer_leave(&p, &tickets[3]); /* gives up while waiting */
    start_pacer_leave(&p, &tickets[0]);
    start_pacer_leave(&p, &tickets[0]);
    live_turn(&l);
    assert_int_equal(went_count, 3);
    start_pacer_set_limit(&p, 4);
    live_turn(&l);
    assert_int_equal(went_count, 5);
    const size_t order[] = {0, 1, 2, 4, 5};
    assert_memory_equal(went, order, sizeof order);
    assert_int_equal(p.under_way.length, 4);
    start_pacer_destroy(&p);
    live_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_few_at_a_time_in_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
