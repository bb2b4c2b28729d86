/* Candidates without workers, and those of another type than what serves. */
#include "reload_fixture.h"

static const char *serving[] = {PYTHON, "-c", SERVE, "{socket}", NULL};

static void upstream_config(struct live *l, struct str *addresses, size_t n) {
    l->config.type = APP_UPSTREAM;
    l->config.concurrency = COUNT_IS_UNLIMITED;
    l->config.command = (struct strings){0, NULL};
    l->config.upstream = (struct address_list){n, addresses};
}

static void cut(struct live *l, struct endpoint *e) {
    assert_int_equal(e->state, ENDPOINT_RETIRED);
    close_tunnel(l, e, 1);
}

static void upstream_addresses_roll_too(void **state) {
    struct live l;
    struct asker a = {0}, b = {0};
    struct outcome o;
    struct str first[] = {STR("127.0.0.1:9"), STR("127.0.0.1:10")}, second[] = {STR("127.0.0.1:11")};
    (void)state;

    live_open(&l, NULL, NULL);
    l.config.drain_timeout = 300 * DUR_MS;
    upstream_config(&l, first, 2);
    roll(&l);
    ask(&l, &a, client_number(1));
    struct endpoint *e = a.lease.endpoint;
    open_tunnel(&l, e, 1);
    upstream_config(&l, second, 1);
    struct candidate *c = prepare(&l, l.app, &o);
    assert_int_equal(candidate_ready(c), 1);
    live_turn(&l);
    assert_int_equal(o.told, 1);
    candidate_commit(c);
    l.at_drained = cut;
    assert_int_equal(e->state, ENDPOINT_DRAINING);
    ask(&l, &b, client_number(1));
    assert_ptr_equal(b.lease.endpoint, e);
    lease_release(&b.lease);
    ask(&l, &b, client_number(2));
    assert_ptr_equal(b.lease.endpoint->generation, l.app->current);
    lease_release(&b.lease);
    live_until(&l, l.drained == 1);
    live_turn(&l);
    assert_int_equal(app_generation_count(l.app), 2); /* what it answers may go on */
    ask(&l, &b, client_number(1));
    assert_ptr_equal(b.lease.endpoint->generation, l.app->current);
    lease_release(&b.lease);
    lease_release(&a.lease);
    live_until(&l, app_generation_count(l.app) == 1);
    /* the same addresses under a newer snapshot: the old one's memory is gone */
    struct endpoint *same = CONTAINER_OF(list_first(&l.app->current->with_room), struct endpoint, room);
    use(&l);
    ask(&l, &b, client_number(2));
    assert_ptr_equal(b.lease.endpoint, same);
    lease_connect_failed(&b.lease, ECONNREFUSED);
    live_turn(&l);
    assert_int_equal(l.state, APP_STATE_BACKOFF);
    apps_stop(l.apps, false);
    live_until(&l, l.stopped);
    live_close(&l);
}

static void names_are_asked_for_before_commit(void **state) {
    struct live l;
    struct outcome o;
    struct str known[] = {STR("localhost:9"), STR("no-such-host.invalid:80")},
               unknown[] = {STR("no-such-host.invalid:80")};
    (void)state;

    live_open(&l, NULL, NULL);
    upstream_config(&l, known, 2);
    struct candidate *c = prepare(&l, NULL, &o);
    live_until(&l, o.told);
    assert_true(o.ready);
    assert_int_equal(candidate_ready(c), 1);
    l.app = candidate_commit(c);
    use(&l);
    upstream_config(&l, unknown, 1);
    c = prepare(&l, l.app, &o);
    live_until(&l, o.told);
    assert_false(o.ready);
    assert_non_null(strstr(o.why, "upstream no-such-host.invalid:80 of sales cannot be resolved"));
    candidate_abandon(c);
    c = prepare(&l, l.app, &o);
    candidate_abandon(c); /* while it is asked for */
    live_turn(&l);
    assert_int_equal(app_generation_count(l.app), 1);
    apps_stop(l.apps, false);
    live_until(&l, l.stopped);
    live_close(&l);
}

static void another_type_is_another_generation(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    struct str addresses[] = {STR("127.0.0.1:9")};
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    struct endpoint *e = worker_numbered(l->generation, 1)->endpoint;
    open_tunnel(l, e, 1);
    ask(l, &a, client_number(1));
    upstream_config(l, addresses, 1);
    roll(l);
    assert_int_equal(app_config(l->app)->type, APP_UPSTREAM);
    assert_false(endpoint_has_room(e)); /* the old workers keep their limit */
    lease_release(&a.lease);
    ask(l, &a, client_number(2));
    lease_connect_failed(&a.lease, ECONNREFUSED);
    assert_int_equal(ask(l, &a, client_number(2)), LEASE_NO_UPSTREAM);
    assert_int_equal(ask(l, &a, client_number(1)), LEASE_OK);
    lease_release(&a.lease);
    close_tunnel(l, e, 1);
    l->config.type = APP_COMMAND;
    set_command(l, serving);
    roll(l);
    live_until(l, app_generation_count(l->app) == 1);
    assert_int_equal(ask(l, &a, client_number(2)), LEASE_OK);
    lease_release(&a.lease);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(upstream_addresses_roll_too),
        cmocka_unit_test(names_are_asked_for_before_commit),
        cmocka_unit_test(another_type_is_another_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
