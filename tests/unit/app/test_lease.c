/* Leases with endpoints that have no process: order, caps, timeouts, pins, refusals. */
#include "live_fixture.h"

#include <errno.h>

static void held_while_there_is_room(void **state) {
    struct live l;
    struct asker a[3] = {0};
    (void)state;

    live_open_fake(&l, 2, 1, STRATEGY_ROUND_ROBIN);
    assert_int_equal(ask_as_nobody(&l, &a[0]), LEASE_OK);
    assert_int_equal(ask_as_nobody(&l, &a[1]), LEASE_OK);
    assert_int_equal(ask_as_nobody(&l, &a[2]), LEASE_OK);
    assert_int_equal(a[0].lease.state, LEASE_HELD);
    assert_int_equal(a[1].lease.state, LEASE_HELD);
    assert_int_equal(a[2].lease.state, LEASE_QUEUED);
    assert_ptr_not_equal(a[0].lease.endpoint, a[1].lease.endpoint);
    assert_int_equal(app_queue_length(l.app), 1);
    size_t leases, pins;
    apps_busy(l.apps, &leases, &pins);
    assert_int_equal(leases, 2);

    lease_release(&a[0].lease);
    assert_int_equal(a[2].granted, 0); /* told from a fresh stack */
    live_turn(&l);
    assert_int_equal(a[2].granted, 1);
    assert_int_equal(a[2].lease.state, LEASE_HELD);
    lease_release(&a[1].lease);
    lease_release(&a[2].lease);
    assert_int_equal(l.app->leases, 0);
    assert_int_equal(l.endpoints[0]->requests + l.endpoints[1]->requests, 3);
    live_close(&l);
}

static void nobody_overtakes(void **state) {
    struct live l;
    struct asker first = {0}, waiting[5] = {0}, late = {0};
    (void)state;

    live_open_fake(&l, 1, 1, STRATEGY_ROUND_ROBIN);
    ask_as_nobody(&l, &first);
    for (int i = 0; i < 5; i++)
        ask_as_nobody(&l, &waiting[i]);
    lease_release(&first.lease);
    ask_as_nobody(&l, &late); /* before the loop ran: the freed place belongs to waiting[0] already */
    assert_int_equal(late.lease.state, LEASE_QUEUED);
    for (int i = 0; i < 5; i++) {
        live_turn(&l);
        assert_int_equal(waiting[i].granted, 1);
        if (i < 4)
            assert_int_equal(waiting[i + 1].granted, 0);
        lease_release(&waiting[i].lease);
    }
    live_turn(&l);
    assert_int_equal(late.granted, 1);
    lease_release(&late.lease);
    live_close(&l);
}

static void one_cap_over_all_lines(void **state) {
    struct live l;
    struct asker a[8] = {0};
    (void)state;

    live_open_fake(&l, 2, 1, STRATEGY_COOKIE_HASH);
    l.config.queue_size = 3;
    /* clients of both endpoints fill both places and then wait, each at his own */
    unsigned n = 0, client[2] = {0, 0};
    while (client[0] == 0 || client[1] == 0) {
        struct asker probe = {0};
        ask(&l, &probe, client_number(++n));
        client[probe.lease.endpoint->worker_id - 1] = n;
        lease_release(&probe.lease);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask(&l, &a[i], client_number(client[i % 2])), LEASE_OK);
    assert_int_equal(l.endpoints[0]->waiting.length, 2);
    assert_int_equal(l.endpoints[1]->waiting.length, 1);
    assert_int_equal(app_queue_length(l.app), 3);
    assert_int_equal(ask(&l, &a[5], client_number(client[1])), LEASE_QUEUE_FULL);
    assert_int_equal(a[5].lease.state, LEASE_NONE);
    lease_cancel(&a[2].lease);
    assert_int_equal(ask(&l, &a[5], client_number(client[1])), LEASE_OK);
    for (int i = 0; i < 6; i++)
        if (a[i].lease.state == LEASE_QUEUED)
            lease_cancel(&a[i].lease);
    assert_int_equal(app_queue_length(l.app), 0);
    lease_release(&a[0].lease);
    lease_release(&a[1].lease);
    live_close(&l);
}

static void no_queue_at_all(void **state) {
    struct live l;
    struct asker a = {0}, b = {0};
    (void)state;

    live_open_fake(&l, 1, 1, STRATEGY_ROUND_ROBIN);
    l.config.queue_size = 0;
    ask_as_nobody(&l, &a);
    assert_int_equal(ask_as_nobody(&l, &b), LEASE_QUEUE_FULL);
    lease_release(&a.lease);
    live_close(&l);
}

static void waits_no_longer_than_its_timeout(void **state) {
    struct live l;
    struct asker holder = {0}, patient = {0}, hasty = {0};
    (void)state;

    live_open_fake(&l, 1, 1, STRATEGY_ROUND_ROBIN);
    ask_as_nobody(&l, &holder);
    ask_as_nobody(&l, &patient);
    l.config.queue_timeout = 30 * DUR_MS; /* a reload made it shorter */
    ask_as_nobody(&l, &hasty);
    live_until(&l, hasty.refused);
    assert_int_equal(hasty.why, LEASE_QUEUE_TIMEOUT);
    assert_int_equal(hasty.lease.state, LEASE_NONE);
    assert_int_equal(patient.refused, 0);
    assert_int_equal(app_queue_length(l.app), 1);
    assert_true(mono_since(hasty.lease.asked, mono_now()) >= 30 * DUR_MS);
    lease_release(&holder.lease);
    live_turn(&l);
    assert_int_equal(patient.granted, 1);
    lease_release(&patient.lease);
    live_close(&l);
}

static void cancelled_after_it_was_given_a_place(void **state) {
    struct live l;
    struct asker a = {0}, b = {0}, c = {0};
    (void)state;

    live_open_fake(&l, 1, 1, STRATEGY_ROUND_ROBIN);
    ask_as_nobody(&l, &a);
    ask_as_nobody(&l, &b);
    ask_as_nobody(&l, &c);
    lease_release(&a.lease);
    lease_cancel(&b.lease); /* it was b's turn, b was not told yet */
    live_turn(&l);
    assert_int_equal(b.granted + b.refused, 0);
    assert_int_equal(c.granted, 1);
    lease_release(&c.lease);
    assert_int_equal(l.endpoints[0]->leases, 0);
    live_close(&l);
}

static void waiters_of_a_dead_worker_go_elsewhere(void **state) {
    struct live l;
    struct asker a = {0}, b[3] = {0};
    (void)state;

    live_open_fake(&l, 2, 1, STRATEGY_COOKIE_HASH);
    ask(&l, &a, client_number(7));
    struct endpoint *his = a.lease.endpoint, *other = his == l.endpoints[0] ? l.endpoints[1] : l.endpoints[0];
    for (int i = 0; i < 3; i++)
        ask(&l, &b[i], client_number(7));
    assert_int_equal(his->waiting.length, 3);
    endpoint_move(his, ENDPOINT_RETIRED);
    assert_int_equal(l.retired, 1);
    live_turn(&l);
    assert_int_equal(b[0].granted, 1);
    assert_ptr_equal(b[0].lease.endpoint, other);
    assert_int_equal(other->waiting.length, 2);
    endpoint_move(other, ENDPOINT_STARTING); /* now nobody is ready: 503 at once, never a hang */
    live_turn(&l);
    assert_int_equal(b[1].refused + b[2].refused, 2);
    assert_int_equal(b[1].why, LEASE_NO_WORKER);
    struct asker c = {0};
    assert_int_equal(ask(&l, &c, client_number(7)), LEASE_NO_WORKER);
    lease_release(&a.lease);
    lease_release(&b[0].lease);
    live_close(&l);
}

static void a_place_given_at_a_dying_worker_is_taken_back(void **state) {
    struct live l;
    struct asker a = {0}, b = {0};
    (void)state;

    live_open_fake(&l, 2, 1, STRATEGY_COOKIE_HASH);
    ask(&l, &a, client_number(7));
    ask(&l, &b, client_number(7));
    struct endpoint *dying = a.lease.endpoint;
    lease_release(&a.lease); /* b gets it, in the books */
    endpoint_move(dying, ENDPOINT_RETIRED);
    live_turn(&l);
    assert_int_equal(b.granted, 1);
    assert_ptr_not_equal(b.lease.endpoint, dying);
    lease_release(&b.lease);
    live_close(&l);
}

static void pinned_clients_stay(void **state) {
    struct live l;
    struct asker a = {0}, b = {0}, c = {0};
    struct client_key client = client_number(3);
    (void)state;

    live_open_fake(&l, 4, 1, STRATEGY_ROUND_ROBIN);
    ask(&l, &a, client);
    struct endpoint *his = a.lease.endpoint;
    endpoint_pin(his, &client);
    endpoint_pin(his, &client);
    for (int i = 0; i < 5; i++) {
        ask(&l, &b, client); /* the place is taken: he waits there though three others are idle */
        assert_int_equal(b.lease.state, LEASE_QUEUED);
        lease_release(&a.lease);
        live_turn(&l);
        assert_ptr_equal(b.lease.endpoint, his);
        ask(&l, &a, client);
        lease_release(&b.lease);
        live_turn(&l);
        assert_ptr_equal(a.lease.endpoint, his);
    }
    endpoint_move(his, ENDPOINT_DRAINING); /* a reload: he stays, others come here no more */
    for (int i = 0; i < 6; i++) {
        ask(&l, &c, client_number(100 + (unsigned)i));
        assert_ptr_not_equal(c.lease.endpoint, his);
        lease_release(&c.lease);
    }
    lease_release(&a.lease);
    ask(&l, &a, client);
    assert_ptr_equal(a.lease.endpoint, his);
    lease_release(&a.lease);
    endpoint_unpin(his, &client);
    assert_int_equal(his->state, ENDPOINT_DRAINING);
    endpoint_unpin(his, &client); /* the last tunnel */
    assert_int_equal(his->state, ENDPOINT_RETIRED);
    live_turn(&l);
    assert_int_equal(l.generation->endpoints[ENDPOINT_RETIRED].length, 0);
    ask(&l, &a, client);
    assert_int_equal(a.lease.state, LEASE_HELD);
    lease_release(&a.lease);
    live_close(&l);
}

static void the_nameless_are_counted_but_not_pinned(void **state) {
    struct live l;
    struct client_key nobody = {.kind = CLIENT_NOBODY};
    size_t leases, pins;
    (void)state;

    live_open_fake(&l, 1, COUNT_IS_UNLIMITED, STRATEGY_ROUND_ROBIN);
    endpoint_pin(l.endpoints[0], &nobody);
    apps_busy(l.apps, &leases, &pins);
    assert_int_equal(pins, 1);
    endpoint_move(l.endpoints[0], ENDPOINT_DRAINING);
    assert_int_equal(l.endpoints[0]->state, ENDPOINT_DRAINING);
    endpoint_unpin(l.endpoints[0], &nobody);
    assert_int_equal(l.generation->endpoints[ENDPOINT_DRAINING].length, 0);
    live_turn(&l);
    live_close(&l);
}

static void unlimited_concurrency_never_waits(void **state) {
    struct live l;
    static struct asker a[500];
    (void)state;

    live_open_fake(&l, 2, COUNT_IS_UNLIMITED, STRATEGY_ROUND_ROBIN);
    memset(a, 0, sizeof a);
    for (size_t i = 0; i < ARRAY_LENGTH(a); i++) {
        ask_as_nobody(&l, &a[i]);
        assert_int_equal(a[i].lease.state, LEASE_HELD);
    }
    assert_int_equal(l.endpoints[0]->leases, 250);
    for (size_t i = 0; i < ARRAY_LENGTH(a); i++)
        lease_release(&a[i].lease);
    live_close(&l);
}

static void retry_goes_elsewhere(void **state) {
    struct live l;
    struct asker a = {0};
    (void)state;

    live_open_fake(&l, 3, 1, STRATEGY_COOKIE_HASH);
    ask(&l, &a, client_number(5));
    struct endpoint *refusing = a.lease.endpoint;
    lease_connect_failed(&a.lease, ECONNREFUSED);
    assert_int_equal(a.lease.state, LEASE_NONE);
    assert_int_equal(refusing->leases, 0);
    a.lease.avoid = refusing;
    ask(&l, &a, client_number(5));
    assert_int_equal(a.lease.state, LEASE_HELD);
    assert_ptr_not_equal(a.lease.endpoint, refusing);
    lease_release(&a.lease);
    /* but if there is no other, that one */
    endpoint_move(l.endpoints[0], ENDPOINT_STARTING);
    endpoint_move(l.endpoints[1], ENDPOINT_STARTING);
    a.lease.avoid = l.endpoints[2];
    ask(&l, &a, client_number(5));
    assert_ptr_equal(a.lease.endpoint, l.endpoints[2]);
    lease_release(&a.lease);
    live_close(&l);
}

static void retired_endpoints_live_as_long_as_they_are_held(void **state) {
    struct live l;
    struct asker a = {0};
    (void)state;

    live_open_fake(&l, 2, 1, STRATEGY_ROUND_ROBIN);
    ask_as_nobody(&l, &a);
    struct endpoint *e = a.lease.endpoint;
    endpoint_hold(e);
    endpoint_move(e, ENDPOINT_RETIRED);
    lease_release(&a.lease);
    live_turn(&l);
    assert_int_equal(l.generation->endpoints[ENDPOINT_RETIRED].length, 1);
    endpoint_drop(e);
    live_turn(&l);
    assert_int_equal(l.generation->endpoints[ENDPOINT_RETIRED].length, 0);
    live_close(&l);
}

static void a_stop_refuses_and_drains(void **state) {
    struct live l;
    struct asker a = {0}, b = {0}, c = {0};
    (void)state;

    live_open_fake(&l, 1, 1, STRATEGY_ROUND_ROBIN);
    ask_as_nobody(&l, &a);
    ask_as_nobody(&l, &b);
    apps_stop(l.apps, false);
    assert_int_equal(ask_as_nobody(&l, &c), LEASE_APP_GONE);
    live_turn(&l);
    assert_int_equal(b.why, LEASE_APP_GONE);
    assert_int_equal(l.state, APP_STATE_STOPPING);
    lease_release(&a.lease);
    live_until(&l, l.stopped);
    live_close(&l);
}

static unsigned cascades;
static void release_at_once(struct lease *l) {
    cascades++;
    lease_release(l);
}
static void exchanges_that_end_at_once_cascade(void **state) {
    struct live l;
    static struct asker a[100];
    (void)state;

    live_open_fake(&l, 1, 1, STRATEGY_ROUND_ROBIN);
    memset(a, 0, sizeof a);
    cascades = 0;
    for (size_t i = 0; i < ARRAY_LENGTH(a); i++) {
        ask_as_nobody(&l, &a[i]);
        a[i].lease.granted = release_at_once;
    }
    lease_release(&a[0].lease);
    live_turn(&l);
    assert_int_equal(cascades, 99);
    assert_int_equal(app_queue_length(l.app), 0);
    live_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_while_there_is_room),
        cmocka_unit_test(nobody_overtakes),
        cmocka_unit_test(one_cap_over_all_lines),
        cmocka_unit_test(no_queue_at_all),
        cmocka_unit_test(waits_no_longer_than_its_timeout),
        cmocka_unit_test(cancelled_after_it_was_given_a_place),
        cmocka_unit_test(waiters_of_a_dead_worker_go_elsewhere),
        cmocka_unit_test(a_place_given_at_a_dying_worker_is_taken_back),
        cmocka_unit_test(pinned_clients_stay),
        cmocka_unit_test(the_nameless_are_counted_but_not_pinned),
        cmocka_unit_test(unlimited_concurrency_never_waits),
        cmocka_unit_test(retry_goes_elsewhere),
        cmocka_unit_test(retired_endpoints_live_as_long_as_they_are_held),
        cmocka_unit_test(a_stop_refuses_and_drains),
        cmocka_unit_test(exchanges_that_end_at_once_cascade),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
