/* The strategies, seen through leases on endpoints without processes. */
#include "live_fixture.h"

static unsigned serve_one(struct live *l, struct client_key client) {
    struct asker a = {0};
    assert_int_equal(ask(l, &a, client), LEASE_OK);
    assert_int_equal(a.lease.state, LEASE_HELD);
    unsigned id = a.lease.endpoint->worker_id;
    lease_release(&a.lease);
    return id;
}

static void round_robin_takes_turns(void **state) {
    struct live l;
    (void)state;

    live_open_fake(&l, 3, COUNT_IS_UNLIMITED, STRATEGY_ROUND_ROBIN);
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(serve_one(&l, client_number(1)), i % 3 + 1); /* a client is nobody's here */
    live_close(&l);
}

static void round_robin_skips_the_full_and_the_unready(void **state) {
    struct live l;
    struct asker busy = {0};
    (void)state;

    live_open_fake(&l, 4, 1, STRATEGY_ROUND_ROBIN);
    ask_as_nobody(&l, &busy);
    assert_int_equal(busy.lease.endpoint->worker_id, 1);
    endpoint_move(l.endpoints[2], ENDPOINT_STARTING);
    for (int i = 0; i < 8; i++) {
        unsigned id = serve_one(&l, client_number(1));
        assert_true(id == 2 || id == 4);
    }
    lease_release(&busy.lease);
    live_close(&l);
}

static void least_busy_fills_evenly(void **state) {
    struct live l;
    struct asker a[9] = {0};
    (void)state;

    live_open_fake(&l, 3, COUNT_IS_UNLIMITED, STRATEGY_LEAST_BUSY);
    for (int i = 0; i < 9; i++)
        ask_as_nobody(&l, &a[i]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(l.endpoints[i]->leases, 3);
    struct endpoint *freed = a[4].lease.endpoint;
    lease_release(&a[4].lease);
    ask_as_nobody(&l, &a[4]);
    assert_ptr_equal(a[4].lease.endpoint, freed);
    for (int i = 0; i < 9; i++)
        lease_release(&a[i].lease);
    live_close(&l);
}

static void least_busy_takes_turns_among_the_idle(void **state) {
    struct live l;
    unsigned served[4] = {0};
    (void)state;

    live_open_fake(&l, 3, COUNT_IS_UNLIMITED, STRATEGY_LEAST_BUSY);
    for (int i = 0; i < 30; i++)
        served[serve_one(&l, client_number(1))]++;
    for (int i = 1; i <= 3; i++)
        assert_int_equal(served[i], 10);
    live_close(&l);
}

static void hashing_is_even_and_moves_few(void **state) {
    struct live l;
    enum { CLIENTS = 4000 };
    static unsigned before[CLIENTS];
    unsigned served[5] = {0}, moved = 0;
    (void)state;

    live_open_fake(&l, 4, COUNT_IS_UNLIMITED, STRATEGY_COOKIE_HASH);
    for (unsigned i = 0; i < CLIENTS; i++) {
        before[i] = serve_one(&l, client_number(i));
        served[before[i]]++;
        assert_int_equal(serve_one(&l, client_number(i)), before[i]);
    }
    for (int i = 1; i <= 4; i++)
        assert_in_range(served[i], CLIENTS / 4 - 150, CLIENTS / 4 + 150);
    endpoint_move(l.endpoints[1], ENDPOINT_STARTING); /* only its clients move */
    for (unsigned i = 0; i < CLIENTS; i++) {
        unsigned now = serve_one(&l, client_number(i));
        if (before[i] != 2)
            assert_int_equal(now, before[i]);
        moved += now != before[i];
    }
    assert_int_equal(moved, served[2]);
    endpoint_move(l.endpoints[1], ENDPOINT_READY); /* and they come back */
    for (unsigned i = 0; i < CLIENTS; i++)
        assert_int_equal(serve_one(&l, client_number(i)), before[i]);
    live_close(&l);
}

/* Rendezvous is over worker_id: a new process, or a new order, changes nothing. */
static void hashing_survives_a_restart(void **state) {
    struct live l;
    unsigned before[100];
    (void)state;

    live_open_fake(&l, 3, COUNT_IS_UNLIMITED, STRATEGY_IP_HASH);
    for (unsigned i = 0; i < 100; i++)
        before[i] = serve_one(&l, client_number(i));
    endpoint_move(l.endpoints[0], ENDPOINT_RETIRED);
    struct endpoint *again = endpoint_new(l.generation, NULL, 1);
    endpoint_move(again, ENDPOINT_READY);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(serve_one(&l, client_number(i)), before[i]);
    live_close(&l);
}

static void hashed_clients_wait_for_their_own(void **state) {
    struct live l;
    struct asker a = {0}, b = {0}, nobody = {0};
    (void)state;

    live_open_fake(&l, 2, 1, STRATEGY_COOKIE_HASH);
    ask(&l, &a, client_number(1));
    ask(&l, &b, client_number(1));
    assert_int_equal(b.lease.state, LEASE_QUEUED);
    assert_int_equal(a.lease.endpoint->waiting.length, 1);
    ask_as_nobody(&l, &nobody); /* anywhere will do */
    assert_int_equal(nobody.lease.state, LEASE_HELD);
    assert_ptr_not_equal(nobody.lease.endpoint, a.lease.endpoint);
    lease_release(&nobody.lease);
    live_turn(&l);
    assert_int_equal(b.lease.state, LEASE_QUEUED);
    lease_release(&a.lease);
    live_turn(&l);
    assert_int_equal(b.lease.state, LEASE_HELD);
    lease_release(&b.lease);
    live_close(&l);
}

/* The one who asked first is served first, whichever line he stands in. */
static void lines_are_merged_by_time(void **state) {
    struct live l;
    struct asker holder = {0}, nobody = {0}, sticky = {0};
    (void)state;

    live_open_fake(&l, 1, 1, STRATEGY_COOKIE_HASH);
    ask(&l, &holder, client_number(1));
    ask_as_nobody(&l, &nobody);
    l.loop->now.us += 10;
    ask(&l, &sticky, client_number(1));
    assert_int_equal(l.app->queue.order.length, 1);
    assert_int_equal(l.endpoints[0]->waiting.length, 1);
    lease_release(&holder.lease);
    live_turn(&l);
    assert_int_equal(nobody.granted, 1);
    assert_int_equal(sticky.granted, 0);
    lease_release(&nobody.lease);
    live_turn(&l);
    assert_int_equal(sticky.granted, 1);
    lease_release(&sticky.lease);
    live_close(&l);
}

/* As in a reload: the new generation is ready, and gets nothing until it is the current one. */
static void only_the_current_generation_gets_new_clients(void **state) {
    struct live l;
    struct asker a = {0};
    (void)state;

    live_open_fake(&l, 2, COUNT_IS_UNLIMITED, STRATEGY_ROUND_ROBIN);
    struct generation *next = generation_new(l.app, l.snapshot, &l.config), *old = l.generation;
    struct endpoint *fresh = endpoint_new(next, NULL, 1);
    endpoint_move(fresh, ENDPOINT_READY);
    assert_int_equal(next->number, 2);
    for (int i = 0; i < 6; i++)
        serve_one(&l, client_number(1));
    assert_int_equal(fresh->requests, 0);

    struct client_key session = client_number(9);
    ask(&l, &a, session);
    struct endpoint *his = a.lease.endpoint;
    endpoint_pin(his, &session);
    lease_release(&a.lease);
    l.app->current = next;
    generation_drain(old);
    for (size_t i = 0; i < 2; i++)
        endpoint_move(l.endpoints[i], ENDPOINT_DRAINING); /* workers do this for theirs */
    ask(&l, &a, client_number(1));
    assert_ptr_equal(a.lease.endpoint, fresh);
    lease_release(&a.lease);
    ask(&l, &a, session);
    assert_ptr_equal(a.lease.endpoint, his);
    lease_release(&a.lease);
    assert_int_equal(l.app->generations.length, 2);
    endpoint_unpin(his, &session);
    live_turn(&l);
    assert_int_equal(l.app->generations.length, 1); /* nothing left: it goes at once */
    live_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_takes_turns),
        cmocka_unit_test(round_robin_skips_the_full_and_the_unready),
        cmocka_unit_test(least_busy_fills_evenly),
        cmocka_unit_test(least_busy_takes_turns_among_the_idle),
        cmocka_unit_test(hashing_is_even_and_moves_few),
        cmocka_unit_test(hashing_survives_a_restart),
        cmocka_unit_test(hashed_clients_wait_for_their_own),
        cmocka_unit_test(lines_are_merged_by_time),
        cmocka_unit_test(only_the_current_generation_gets_new_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
