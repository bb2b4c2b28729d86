/* Settings that change in place, resizing, drain_timeout and removal. */
#include "reload_fixture.h"

static const char *serving[] = {PYTHON, "-c", SERVE, "{socket}", NULL};

static void an_unchanged_app_keeps_everything(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a[2] = {0}, waiting = {0};
    (void)state;

    open_world(&w);
    l->config.workers = 2;
    boot_app(l, serving);
    struct endpoint *e[2] = {worker_numbered(l->generation, 1)->endpoint, worker_numbered(l->generation, 2)->endpoint};
    pid_t pids[2] = {worker_numbered(l->generation, 1)->pid, worker_numbered(l->generation, 2)->pid};
    size_t announced = l->announced;
    open_tunnel(l, e[0], 1);
    ask(l, &a[0], client_number(1));
    ask_as_nobody(l, &a[1]);
    ask_as_nobody(l, &waiting);
    assert_int_equal(waiting.lease.state, LEASE_QUEUED);
    struct snapshot *first = snapshot_ref(l->app->snapshot);
    for (int i = 0; i < 20; i++)
        use(l);
    assert_int_equal(first->references, 1); /* nobody keeps it for the app's sake */
    snapshot_unref(first);
    live_turn(l);
    for (unsigned i = 0; i < 2; i++) {
        assert_ptr_equal(worker_numbered(l->generation, i + 1)->endpoint, e[i]);
        assert_int_equal(worker_numbered(l->generation, i + 1)->pid, pids[i]);
        assert_int_equal(e[i]->requests, 1);
    }
    assert_int_equal(l->retired, 0);
    assert_int_equal(l->announced, announced);
    assert_int_equal(app_queue_length(l->app), 1);
    assert_int_equal(waiting.granted + waiting.refused, 0);
    assert_int_equal(app_generation_number(l->app), 1);
    lease_release(&a[0].lease);
    live_turn(l);
    assert_int_equal(waiting.granted, 1);
    lease_release(&waiting.lease);
    ask(l, &a[0], client_number(1));
    assert_ptr_equal(a[0].lease.endpoint, e[0]);
    lease_release(&a[0].lease);
    lease_release(&a[1].lease);
    close_tunnel(l, e[0], 1);
    close_world(&w);
}

static void more_room_serves_who_waits_at_once(void **state) {
    struct live l;
    struct asker a[8] = {0};
    (void)state;

    live_open_fake(&l, 2, 1, STRATEGY_ROUND_ROBIN);
    for (int i = 0; i < 8; i++)
        ask_as_nobody(&l, &a[i]);
    assert_int_equal(app_queue_length(l.app), 6);
    l.config.concurrency = 3;
    l.config.type = APP_COMMAND;
    l.generation->draining = true; /* these endpoints have no workers that could grow or drain */
    use(&l);
    live_turn(&l);
    assert_int_equal(l.endpoints[0]->leases, 3); /* evenly */
    assert_int_equal(l.endpoints[1]->leases, 3);
    for (int i = 2; i < 6; i++)
        assert_int_equal(a[i].granted, 1); /* in the order they came */
    assert_int_equal(a[6].granted + a[7].granted, 0);
    l.config.concurrency = 1; /* nobody is cut */
    use(&l);
    lease_release(&a[0].lease);
    lease_release(&a[1].lease);
    live_turn(&l);
    assert_int_equal(a[6].granted, 0);
    for (int i = 2; i < 6; i++)
        lease_release(&a[i].lease);
    live_turn(&l);
    assert_int_equal(a[6].granted + a[7].granted, 2);
    lease_release(&a[6].lease);
    lease_release(&a[7].lease);
    live_close(&l);
}

static void the_strategy_changes_in_place(void **state) {
    struct live l;
    struct asker a = {0}, b = {0};
    (void)state;

    live_open_fake(&l, 2, 1, STRATEGY_COOKIE_HASH);
    l.generation->draining = true;
    ask(&l, &a, client_number(7));
    ask(&l, &b, client_number(7)); /* waits for his own though the other one is idle */
    assert_int_equal(b.lease.state, LEASE_QUEUED);
    use(&l);
    live_turn(&l);
    assert_int_equal(b.granted, 0);
    l.config.strategy = STRATEGY_LEAST_BUSY;
    use(&l);
    live_turn(&l);
    assert_int_equal(b.granted, 1);
    assert_ptr_not_equal(a.lease.endpoint, b.lease.endpoint);
    lease_release(&a.lease);
    lease_release(&b.lease);
    live_close(&l);
}

static void workers_grow_and_drain_from_the_end(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    pid_t first = worker_numbered(l->generation, 1)->pid;
    l->config.workers = 4;
    use(l);
    live_until(l, app_ready_count(l->app) == 4);
    struct endpoint *e = worker_numbered(l->generation, 3)->endpoint;
    pid_t third = worker_numbered(l->generation, 3)->pid;
    open_tunnel(l, e, 1);
    l->config.workers = 2;
    use(l);
    assert_int_equal(worker_numbered(l->generation, 3)->state, WORKER_DRAINING);
    assert_int_equal(worker_numbered(l->generation, 4)->state, WORKER_STOPPING);
    live_until(l, generation_worker_count(l->generation) == 3);
    ask(l, &a, client_number(1));
    assert_ptr_equal(a.lease.endpoint, e);
    lease_release(&a.lease);
    for (unsigned i = 0; i < 4; i++) {
        ask_as_nobody(l, &a);
        assert_true(a.lease.endpoint->worker_id <= 2);
        lease_release(&a.lease);
    }
    /* the janitor leaves it alone */
    mono_t until = mono_add(mono_now(), 1200 * DUR_MS);
    while (mono_now().us < until.us)
        live_once(l);
    assert_int_equal(generation_worker_count(l->generation), 3);
    assert_int_equal(worker_numbered(l->generation, 3)->pid, third);
    close_tunnel(l, e, 1);
    live_until(l, generation_worker_count(l->generation) == 2);
    assert_false(is_alive(third));
    assert_int_equal(worker_numbered(l->generation, 1)->pid, first);
    assert_int_equal(app_generation_number(l->app), 1);
    close_world(&w);
}

static void timeouts_move_in_place(void **state) {
    static const char *slow[] = {PYTHON, "-c",
                                 SERVER "if os.environ['FAUCET_WORKER_ID'] == '2':\n"
                                        "    time.sleep(60)\n"
                                        "serve(listen())",
                                 "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    boot_app(l, slow);
    l->config.workers = 2;
    use(l);
    struct worker *second = worker_numbered(l->generation, 2);
    live_until(l, second->pid != 0);
    l->config.start_timeout = 300 * DUR_MS; /* was 10 s */
    use(l);
    mono_t began = mono_now();
    live_until(l, second->state == WORKER_BACKOFF);
    assert_true(mono_since(began, mono_now()) < 5 * DUR_S);
    close_world(&w);

    open_world(&w);
    l->config.workers = 2;
    boot_app(l, serving);
    struct endpoint *e = worker_numbered(l->generation, 2)->endpoint;
    open_tunnel(l, e, 1);
    l->config.workers = 1;
    use(l);
    assert_int_equal(e->state, ENDPOINT_DRAINING);
    l->config.drain_timeout = 100 * DUR_MS; /* was 30 s */
    use(l);
    live_until(l, l->drained == 1);
    close_tunnel(l, e, 1);
    live_until(l, generation_worker_count(l->generation) == 1);
    close_world(&w);
}

/* ---- drain_timeout ----------------------------------------------------------------------------------------------- */

static void keeps_its_tunnel(struct live *l, struct endpoint *e) {
    (void)l;
    assert_int_equal(e->state, ENDPOINT_RETIRED);
    assert_int_equal(e->worker->state, WORKER_DRAINING);
}
static void ends_its_tunnel(struct live *l, struct endpoint *e) {
    close_tunnel(l, e, 1);
}

static void tunnels_are_ended_at_drain_timeout(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    (void)state;

    for (int polite = 0; polite < 2; polite++) {
        open_world(&w);
        l->config.drain_timeout = 300 * DUR_MS;
        boot_app(l, serving);
        struct endpoint *e = worker_numbered(l->generation, 1)->endpoint;
        pid_t pid = worker_numbered(l->generation, 1)->pid;
        open_tunnel(l, e, 1);
        l->at_drained = polite ? ends_its_tunnel : keeps_its_tunnel;
        mono_t began = mono_now();
        roll(l);
        live_until(l, l->drained == 1);
        assert_true(mono_since(began, mono_now()) >= 300 * DUR_MS);
        assert_true(is_alive(pid));
        mono_t told = mono_now();
        ask(l, &a, client_number(1)); /* he comes back: to the new one */
        assert_ptr_equal(a.lease.endpoint->generation, l->generation);
        lease_release(&a.lease);
        live_until(l, !is_alive(pid));
        if (polite) {
            assert_true(mono_since(told, mono_now()) >= 150 * DUR_MS); /* it sees the end of its session */
            assert_true(mono_since(told, mono_now()) < 800 * DUR_MS);
        } else {
            assert_true(mono_since(told, mono_now()) >= 900 * DUR_MS);
            close_tunnel(l, e, 1);
        }
        live_until(l, app_generation_count(l->app) == 1);
        assert_int_equal(l->drained, 1);
        close_world(&w);
    }
}

static void running_requests_have_request_timeout(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    (void)state;

    open_world(&w);
    l->config.drain_timeout = 0;
    l->config.request_timeout = 1500 * DUR_MS;
    for (int patient = 0; patient < 2; patient++) {
        boot_app(l, serving);
        pid_t pid = worker_numbered(l->generation, 1)->pid;
        ask_as_nobody(l, &a);
        mono_t began = mono_now();
        app_remove(l->app);
        if (patient) {
            live_until(l, !is_alive(pid));
            assert_true(mono_since(began, mono_now()) >= 1400 * DUR_MS);
            lease_release(&a.lease);
        } else {
            mono_t until = mono_add(mono_now(), 300 * DUR_MS);
            while (mono_now().us < until.us)
                live_once(l);
            assert_true(is_alive(pid));
            lease_release(&a.lease);
            live_until(l, !is_alive(pid));
            assert_true(mono_since(began, mono_now()) < 1400 * DUR_MS);
        }
        live_until(l, list_empty(&l->apps->list));
    }
    assert_int_equal(l->drained, 0);
    close_world(&w);
}

/* ---- removal ----------------------------------------------------------------------------------------------------- */

static void a_removed_app_serves_pinned_clients_only(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0}, pinned = {0}, others[2] = {0};
    (void)state;

    open_world(&w);
    l->config.workers = 2;
    l->config.strategy = STRATEGY_COOKIE_HASH;
    boot_app(l, serving);
    struct endpoint *e = worker_numbered(l->generation, 1)->endpoint;
    pid_t second = worker_numbered(l->generation, 2)->pid;
    open_tunnel(l, e, 1);
    ask(l, &a, client_number(1));
    ask(l, &pinned, client_number(1));
    for (unsigned n = 2, found = 0; found < 2; n++) { /* clients whose hash leads to the same worker */
        ask(l, &others[found], client_number(n));
        if (others[found].lease.state == LEASE_QUEUED)
            found++;
        else
            lease_release(&others[found].lease);
    }
    struct app *removed = l->app;
    app_remove(removed);
    assert_null(app_find(l->apps, "sales"));
    assert_int_equal(apps_count(l->apps), 0);
    live_turn(l);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(others[i].refused, 1);
        assert_int_equal(others[i].why, LEASE_APP_GONE);
    }
    assert_int_equal(pinned.refused + pinned.granted, 0); /* goes on waiting */
    live_until(l, !is_alive(second));
    assert_int_equal(l->state, APP_STATE_DRAINING);
    assert_int_equal(ask_as_nobody(l, &others[0]), LEASE_APP_GONE);
    assert_int_equal(ask(l, &others[0], client_number(99)), LEASE_APP_GONE);
    lease_release(&a.lease); /* what was in flight ended */
    live_turn(l);
    assert_int_equal(pinned.granted, 1);
    lease_release(&pinned.lease);
    assert_int_equal(ask(l, &a, client_number(1)), LEASE_OK);
    assert_ptr_equal(a.lease.endpoint, e);
    lease_release(&a.lease);

    /* added again: another app beside it */
    l->app = NULL;
    roll(l);
    assert_ptr_not_equal(l->app, removed);
    assert_ptr_equal(app_find(l->apps, "sales"), l->app);
    assert_false(app_has_pin(l->app, &(struct client_key){.kind = CLIENT_COOKIE, .b = {1}}));
    assert_true(app_has_pin(removed, &(struct client_key){.kind = CLIENT_COOKIE, .b = {1}}));
    assert_int_equal(l->gone, 0);
    close_tunnel(l, e, 1);
    assert_int_equal(l->gone, 0); /* told from a fresh stack */
    live_until(l, l->gone == 1);
    assert_ptr_equal(app_find(l->apps, "sales"), l->app);
    assert_int_equal(l->apps->list.length, 1);
    close_world(&w);
}

static void what_is_in_flight_goes_on_after_removal(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0}, waiting = {0};
    (void)state;

    for (int late = 0; late < 2; late++) {
        open_world(&w);
        l->config.drain_timeout = late ? 200 * DUR_MS : 30 * DUR_S;
        boot_app(l, serving);
        pid_t pid = worker_numbered(l->generation, 1)->pid;
        for (int i = 0; i < 2; i++) /* two exchanges were routed to it, one reads its body still */
            app_hold(l->app);
        ask_as_nobody(l, &a);
        ask_as_nobody(l, &waiting);
        app_remove(l->app);
        assert_null(app_find(l->apps, "sales"));
        live_turn(l);
        assert_int_equal(waiting.refused, 0);
        if (late) { /* drain_timeout at most */
            live_until(l, waiting.refused);
            assert_int_equal(waiting.why, LEASE_APP_GONE);
            lease_release(&a.lease);
            assert_int_equal(ask_as_nobody(l, &a), LEASE_APP_GONE);
        } else {
            lease_release(&a.lease);
            live_turn(l);
            assert_int_equal(waiting.granted, 1);
            lease_release(&waiting.lease);
            app_release(l->app);
            live_turn(l);
            assert_int_equal(ask_as_nobody(l, &a), LEASE_OK);
            assert_true(is_alive(pid));
            lease_release(&a.lease);
            app_release(l->app);
            assert_int_equal(l->gone, 0);
            live_until(l, l->gone == 1);
            close_world(&w);
            continue;
        }
        live_until(l, app_generation_count(l->app) == 0);
        live_turn(l);
        assert_int_equal(l->gone, 0); /* its exchanges know it still */
        app_release(l->app);
        app_release(l->app);
        live_until(l, l->gone == 1);
        close_world(&w);
    }
}

static void removal_ends_every_generation(void **state) {
    struct live l;
    struct asker a = {0}, b = {0};
    struct str addresses[] = {STR("127.0.0.1:9")};
    (void)state;

    live_open(&l, NULL, NULL);
    l.config.type = APP_UPSTREAM;
    l.config.concurrency = COUNT_IS_UNLIMITED;
    l.config.upstream = (struct address_list){1, addresses};
    roll(&l);
    ask(&l, &a, client_number(1));
    struct endpoint *e = a.lease.endpoint;
    open_tunnel(&l, e, 1);
    lease_release(&a.lease);
    roll(&l);
    app_remove(l.app);
    live_turn(&l);
    assert_int_equal(app_generation_count(l.app), 1);
    assert_int_equal(e->state, ENDPOINT_DRAINING); /* draining twice is draining */
    ask(&l, &b, client_number(1));
    assert_ptr_equal(b.lease.endpoint, e);
    close_tunnel(&l, e, 1);
    live_turn(&l);
    assert_int_equal(l.gone, 0);
    lease_release(&b.lease);
    live_until(&l, l.gone == 1);
    live_close(&l);
}

static void who_is_told_still_finds_the_app(void **state) {
    struct live l;
    struct asker a[3] = {0};
    struct str addresses[] = {STR("127.0.0.1:9")};
    (void)state;

    live_open(&l, NULL, NULL);
    l.config.type = APP_UPSTREAM;
    l.config.upstream = (struct address_list){1, addresses};
    roll(&l);
    for (int i = 0; i < 3; i++)
        ask_as_nobody(&l, &a[i]);
    app_remove(l.app);
    lease_release(&a[0].lease); /* free, and two are about to be told */
    assert_int_equal(a[1].refused + l.gone, 0);
    live_until(&l, l.gone == 1);
    assert_int_equal(a[1].refused + a[2].refused, 2);
    live_close(&l);
}

static void apps_that_were_removed_do_not_hinder_a_stop(void **state) {
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    struct endpoint *e = worker_numbered(l->generation, 1)->endpoint;
    open_tunnel(l, e, 1);
    app_remove(l->app);
    apps_stop(l->apps, false);
    live_turn(l);
    assert_false(l->stopped);
    close_tunnel(l, e, 1);
    live_until(l, l->stopped);
    close_world(&w);
}

/* ---- the rest ---------------------------------------------------------------------------------------------------- */

static void a_restarted_worker_gets_the_newest_settings(void **state) {
    static const char *command[] = {
        PYTHON, "-c",
        SERVER "print('version', os.environ['FAUCET_TELEMETRY_VERSION'], 'secret', os.environ.get('TOKEN', 'none'));\n"
               "sys.stdout.flush(); serve(listen())",
        "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    l->config.telemetry.namespace = "sales";
    l->config.telemetry.version = "1";
    boot_app(l, command);
    assert_logged(&w, "version 1 secret none");
    l->config.telemetry.version = "2";
    use(l);
    assert_int_equal(kill(worker_numbered(l->generation, 1)->pid, SIGKILL), 0);
    assert_logged(&w, "version 2 secret none");
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unchanged_app_keeps_everything),
        cmocka_unit_test(more_room_serves_who_waits_at_once),
        cmocka_unit_test(the_strategy_changes_in_place),
        cmocka_unit_test(workers_grow_and_drain_from_the_end),
        cmocka_unit_test(timeouts_move_in_place),
        cmocka_unit_test(tunnels_are_ended_at_drain_timeout),
        cmocka_unit_test(running_requests_have_request_timeout),
        cmocka_unit_test(a_removed_app_serves_pinned_clients_only),
        cmocka_unit_test(what_is_in_flight_goes_on_after_removal),
        cmocka_unit_test(removal_ends_every_generation),
        cmocka_unit_test(who_is_told_still_finds_the_app),
        cmocka_unit_test(apps_that_were_removed_do_not_hinder_a_stop),
        cmocka_unit_test(a_restarted_worker_gets_the_newest_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
