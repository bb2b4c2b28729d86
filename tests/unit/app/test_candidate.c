/* Candidates: unseen until commit, gone without a trace when they fail, with real processes through the real keeper. */
#include "reload_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>

static const char *serving[] = {PYTHON, "-c", SERVE, "{socket}", NULL};

static void a_new_app_is_hidden_until_commit(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    struct asker a = {0};
    (void)state;

    open_world(&w);
    l->config.workers = 2;
    set_command(l, serving);
    struct candidate *c = prepare(l, NULL, &o);
    assert_int_equal(candidate_wanted(c), 2);
    assert_int_equal(candidate_ready(c), 0);
    live_until(l, o.told);
    assert_true(o.ready);
    assert_ptr_equal(o.candidate, c);
    assert_int_equal(candidate_ready(c), 2);
    assert_null(app_find(l->apps, "sales"));
    assert_int_equal(apps_count(l->apps), 0);
    assert_int_equal(l->announced, 0);
    l->app = candidate_commit(c);
    assert_ptr_equal(app_find(l->apps, "sales"), l->app);
    assert_int_equal(apps_count(l->apps), 1);
    assert_int_equal(ask_as_nobody(l, &a), LEASE_OK); /* in this very turn */
    lease_release(&a.lease);
    live_turn(l);
    assert_int_equal(l->state, APP_STATE_READY);
    assert_int_equal(l->announced, 1);
    assert_int_equal(o.told, 1);
    close_world(&w);
}

static void traffic_moves_at_commit(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    struct asker a[2] = {0}, b = {0};
    (void)state;

    open_world(&w);
    l->config.workers = 2;
    boot_app(l, serving);
    struct generation *old = l->generation;
    pid_t pids[2] = {worker_numbered(old, 1)->pid, worker_numbered(old, 2)->pid};
    size_t announced = l->announced;
    l->config.strategy = STRATEGY_LEAST_BUSY;
    struct candidate *c = prepare(l, l->app, &o);
    live_until(l, o.told);
    for (int i = 0; i < 2; i++) { /* ready, and yet nobody gets there */
        assert_int_equal(ask_as_nobody(l, &a[i]), LEASE_OK);
        assert_ptr_equal(a[i].lease.endpoint->generation, old);
    }
    assert_int_equal(ask_as_nobody(l, &b), LEASE_OK);
    assert_int_equal(b.lease.state, LEASE_QUEUED);
    assert_int_equal(app_config(l->app)->strategy, STRATEGY_ROUND_ROBIN);
    assert_int_equal(app_generation_count(l->app), 2);
    assert_int_equal(app_generation_number(l->app), 1);
    assert_ptr_equal(candidate_commit(c), l->app);
    struct generation *new = l->app->current;
    assert_ptr_not_equal(new, old);
    assert_int_equal(worker_numbered(new, 1)->state, WORKER_READY);
    assert_int_equal(worker_numbered(new, 2)->state, WORKER_READY);
    assert_string_equal(worker_numbered(new, 1)->endpoint->source, "Worker::sales::1");
    assert_int_equal(app_generation_number(l->app), 2);
    assert_int_equal(app_config(l->app)->strategy, STRATEGY_LEAST_BUSY);
    live_turn(l); /* who waited goes along */
    assert_int_equal(b.granted, 1);
    assert_ptr_equal(b.lease.endpoint->generation, new);
    lease_release(&b.lease);
    lease_release(&a[0].lease); /* what ran goes on where it is; a worker goes when it is free */
    live_until(l, generation_worker_count(old) == 1);
    lease_release(&a[1].lease);
    live_until(l, app_generation_count(l->app) == 1);
    assert_false(is_alive(pids[0]));
    assert_false(is_alive(pids[1]));
    assert_int_equal(l->announced, announced); /* READY all the time */
    close_world(&w);
}

static void pinned_clients_stay_for_http_too(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0}, b = {0}, waiting = {0}, other = {0};
    (void)state;

    open_world(&w);
    l->config.strategy = STRATEGY_COOKIE_HASH;
    boot_app(l, serving);
    struct generation *old = l->generation;
    struct endpoint *e = worker_numbered(old, 1)->endpoint;
    open_tunnel(l, e, 1);
    ask(l, &a, client_number(1)); /* he has the only place, and waits for the next */
    ask(l, &waiting, client_number(1));
    ask(l, &other, client_number(2));
    assert_int_equal(e->waiting.length, 2);
    roll(l);
    assert_int_equal(e->waiting.length, 1);
    live_turn(l);
    assert_ptr_equal(other.lease.endpoint->generation, l->generation);
    lease_release(&other.lease);
    assert_int_equal(waiting.granted, 0);
    lease_release(&a.lease);
    live_turn(l);
    assert_ptr_equal(waiting.lease.endpoint, e);
    lease_release(&waiting.lease);
    assert_int_equal(e->state, ENDPOINT_DRAINING);
    assert_true(app_has_pin(l->app, &(struct client_key){.kind = CLIENT_COOKIE, .b = {1}}));
    ask(l, &b, client_number(1));
    assert_ptr_equal(b.lease.endpoint, e);
    open_tunnel(l, e, 1); /* a further tunnel */
    lease_release(&b.lease);
    close_tunnel(l, e, 1);
    assert_int_equal(e->state, ENDPOINT_DRAINING);
    close_tunnel(l, e, 1); /* the last */
    assert_int_equal(e->state, ENDPOINT_RETIRED);
    live_until(l, app_generation_count(l->app) == 1);
    ask(l, &b, client_number(1));
    assert_ptr_equal(b.lease.endpoint->generation, l->generation);
    lease_release(&b.lease);
    close_world(&w);
}

static void the_first_worker_that_ends_fails_it(void **state) {
    static const char *second_fails[] = {PYTHON, "-c",
                                         SERVER "s = listen()\n"
                                                "if os.environ['FAUCET_WORKER_ID'] == '2':\n"
                                                "    print('one\\nboom', file=sys.stderr); sys.exit(3)\n"
                                                "serve(s)",
                                         "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    struct asker a = {0};
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    l->config.workers = 3;
    set_command(l, second_fails);
    struct candidate *c = prepare(l, l->app, &o);
    live_until(l, o.told);
    assert_false(o.ready);
    assert_non_null(strstr(o.why, "worker 2 of sales (pid "));
    assert_non_null(strstr(o.why, "exited with status 3"));
    assert_non_null(strstr(o.why, "it said: one | boom"));
    candidate_abandon(c);
    live_until(l, app_generation_count(l->app) == 1);
    assert_int_equal(o.told, 1);
    assert_int_equal(l->announced, 1); /* the app never left READY */
    assert_string_equal(l->app->reason, "");
    assert_int_equal(ask_as_nobody(l, &a), LEASE_OK);
    assert_ptr_equal(a.lease.endpoint->generation, l->generation);
    lease_release(&a.lease);
    assert_null(strstr(l->events, "backoff"));
    assert_null(strstr(read_log(&w), "restart in"));
    close_world(&w);
}

static void so_does_one_that_was_ready_already(void **state) {
    /* the second never listens */
    static const char *command[] = {PYTHON, "-c",
                                    SERVER "if os.environ['FAUCET_WORKER_ID'] == '2':\n"
                                           "    time.sleep(60)\n"
                                           "serve(listen())",
                                    "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    (void)state;

    open_world(&w);
    l->config.workers = 2;
    set_command(l, command);
    struct candidate *c = prepare(l, NULL, &o);
    live_until(l, candidate_ready(c) == 1);
    const struct app *hidden = CONTAINER_OF(list_first(&l->apps->list), struct app, node);
    const struct generation *g = CONTAINER_OF(list_first(&hidden->generations), struct generation, node);
    assert_int_equal(kill(worker_numbered(g, 1)->pid, SIGKILL), 0);
    live_until(l, o.told);
    assert_non_null(strstr(o.why, "worker 1 of sales"));
    assert_non_null(strstr(o.why, "was killed by signal 9"));
    candidate_abandon(c);
    live_until(l, list_empty(&l->apps->list));
    assert_int_equal(l->gone, 0); /* nobody ever saw it */
    close_world(&w);
}

static void so_does_start_timeout(void **state) {
    static const char *command[] = {PYTHON, "-c",
                                    SERVER "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                                           "print('loading', file=sys.stderr); time.sleep(60)",
                                    "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    l->config.start_timeout = 700 * DUR_MS;
    set_command(l, command);
    mono_t began = mono_now();
    struct candidate *c = prepare(l, l->app, &o);
    live_until(l, o.told);
    assert_true(mono_since(began, mono_now()) >= 700 * DUR_MS);
    assert_true(mono_since(began, mono_now()) < 1900 * DUR_MS); /* not only when the process is dead */
    assert_non_null(strstr(o.why, "did not answer within 700 ms: it does not listen: No such file or directory"));
    assert_non_null(strstr(o.why, "it said: loading"));
    candidate_abandon(c);
    live_until(l, app_generation_count(l->app) == 1);
    assert_logged(&w, "did not end when asked to: killing it");
    close_world(&w);
}

static void and_what_cannot_be_executed(void **state) {
    static const char *command[] = {"/nonexistent/program", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    (void)state;

    open_world(&w);
    set_command(l, command);
    struct candidate *c = prepare(l, NULL, &o);
    live_until(l, o.told);
    assert_non_null(strstr(o.why, "worker 1 of sales could not be started: exec: No such file or directory"));
    o.abandon[0] = NULL;
    candidate_abandon(c);
    live_until(l, list_empty(&l->apps->list));
    close_world(&w);
}

static void a_taken_port_is_tried_again(void **state) {
    static const char *command[] = {PYTHON, "-c", SERVER "time.sleep(0.3); serve(listen())", "{port}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    (void)state;

    open_world(&w);
    set_command(l, command);
    struct candidate *c = prepare(l, NULL, &o);
    const struct app *hidden = CONTAINER_OF(list_first(&l->apps->list), struct app, node);
    const struct generation *g = CONTAINER_OF(list_first(&hidden->generations), struct generation, node);
    const struct worker *worker = worker_numbered(g, 1);
    live_until(l, worker->pid != 0);
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)worker->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int thief = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(thief, (const struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(thief, 5), 0);
    live_until(l, o.told);
    (void)close(thief);
    assert_string_equal(o.why, "");
    assert_int_equal(worker->starts, 2);
    l->app = candidate_commit(c);
    close_world(&w);
}

/* Lets go of it at any moment of its life: nothing is left, nobody is told. */
static void abandoned_at_any_time(void **state) {
    static const char *slow[] = {PYTHON, "-c", SERVER "s = listen(); time.sleep(60)", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    l->config.workers = 3;
    l->snapshot->daemon.max_parallel_starts = 1;
    l->app->snapshot->daemon.timeout_stop = DUR_MIN; /* being asked once is enough, also between fork and exec */
    set_command(l, slow);
    for (int round = 0; round < 12; round++) {
        int moment = round < 8 ? 1 : round - 8;
        struct candidate *c = prepare(l, l->app, &o);
        struct generation *g = CONTAINER_OF(list_last(&l->app->generations), struct generation, node);
        if (moment == 1) /* spawned, not heard of yet */
            live_until(l, worker_numbered(g, 1)->process != NULL);
        if (moment == 2)
            live_until(l, worker_numbered(g, 1)->pid != 0);
        if (moment == 3) /* asked, and does not answer */
            live_until(l, access(worker_numbered(g, 1)->socket, F_OK) == 0 && worker_numbered(g, 1)->probe.conn.fd > 0);
        assert_null(worker_numbered(g, 2)->process); /* waits for its turn */
        candidate_abandon(c);
        live_until(l, app_generation_count(l->app) == 1);
        assert_int_equal(l->apps->pacer.under_way.length, 0);
        assert_int_equal(l->apps->pacer.waiting.length, 0);
        assert_int_equal(o.told, 0);
    }
    assert_int_equal(l->apps->pacer.limit, 4); /* of what serves */
    struct candidate *c = prepare(l, NULL, &o);
    candidate_abandon(c); /* before the loop turned once */
    live_until(l, l->apps->list.length == 1);
    /* ready, or failed, and not told yet */
    set_command(l, serving);
    l->config.workers = 1;
    c = prepare(l, l->app, &o);
    while (candidate_is_preparing(c))
        live_once(l);
    candidate_abandon(c);
    live_until(l, app_generation_count(l->app) == 1);
    close_world(&w);
}

static void done_may_abandon_all(void **state) {
    static const char *failing[] = {"/bin/sh", "-c", "exit 1", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o[2];
    struct candidate *c[2];
    (void)state;

    open_world(&w);
    set_command(l, serving);
    c[0] = prepare(l, NULL, &o[0]);
    l->config.name = "other";
    set_command(l, failing);
    c[1] = prepare(l, NULL, &o[1]);
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            o[i].abandon[j] = c[j];
    live_until(l, o[0].told + o[1].told > 0);
    live_until(l, list_empty(&l->apps->list));
    assert_int_equal(o[0].told + o[1].told, 1);
    close_world(&w);
}

/* One limit for what is prepared and what is started again beside it, that of the newest snapshot. */
static void starts_are_paced_across_generations(void **state) {
    static const char *slow[] = {PYTHON, "-c", SERVER "time.sleep(0.05); serve(listen())", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    (void)state;

    open_world(&w);
    l->config.workers = 4;
    boot_app(l, serving);
    set_command(l, slow);
    l->snapshot->daemon.max_parallel_starts = 2;
    struct candidate *c = prepare(l, l->app, &o);
    for (unsigned id = 1; id <= 4; id++)
        assert_int_equal(kill(worker_numbered(l->generation, id)->pid, SIGKILL), 0);
    size_t most = 0;
    mono_t give_up = mono_add(mono_now(), 20 * DUR_S);
    while (!o.told || app_ready_count(l->app) < 4) {
        most = l->apps->pacer.under_way.length > most ? l->apps->pacer.under_way.length : most;
        assert_true(mono_now().us < give_up.us);
        live_once(l);
    }
    assert_int_equal(most, 2);
    candidate_commit(c);
    live_until(l, app_generation_count(l->app) == 1);
    close_world(&w);
}

static void ten_rolls_do_not_pile_up(void **state) {
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    l->config.workers = 2;
    boot_app(l, serving);
    struct endpoint *e = worker_numbered(l->generation, 2)->endpoint;
    pid_t first = worker_numbered(l->generation, 2)->pid;
    open_tunnel(l, e, 1);
    for (int i = 0; i < 10; i++)
        roll(l);
    live_until(l, app_generation_count(l->app) == 2);
    assert_int_equal(app_generation_number(l->app), 11);
    assert_true(is_alive(first));
    struct generation *oldest = CONTAINER_OF(list_first(&l->app->generations), struct generation, node);
    assert_int_equal(generation_worker_count(oldest), 1); /* only the one in use */
    close_tunnel(l, e, 1);
    live_until(l, app_generation_count(l->app) == 1);
    assert_false(is_alive(first));
    close_world(&w);
}

static void a_drained_worker_that_crashes_stays_dead(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    struct generation *old = l->generation;
    struct endpoint *e = worker_numbered(old, 1)->endpoint;
    open_tunnel(l, e, 1);
    roll(l);
    assert_int_equal(kill(worker_numbered(old, 1)->pid, SIGKILL), 0);
    live_until(l, generation_worker_count(old) == 0);
    assert_int_equal(ask(l, &a, client_number(1)), LEASE_OK); /* the tunnel's end is not noticed yet */
    assert_ptr_equal(a.lease.endpoint->generation, l->generation);
    lease_release(&a.lease);
    mono_t until = mono_add(mono_now(), 1500 * DUR_MS); /* the janitor looks round every second */
    while (mono_now().us < until.us) {
        live_once(l);
        assert_int_equal(generation_worker_count(old), 0);
    }
    assert_int_equal(app_generation_count(l->app), 2);
    close_tunnel(l, e, 1);
    live_until(l, app_generation_count(l->app) == 1);
    assert_null(strstr(l->events, "backoff"));
    close_world(&w);
}

static void one_that_crashes_before_commit_comes_back(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    struct candidate *c = prepare(l, l->app, &o);
    live_until(l, o.told);
    struct generation *g = CONTAINER_OF(list_last(&l->app->generations), struct generation, node);
    assert_int_equal(kill(worker_numbered(g, 1)->pid, SIGKILL), 0);
    live_until(l, candidate_ready(c) == 0);
    live_until(l, candidate_ready(c) == 1);
    assert_int_equal(o.told, 1);
    assert_string_equal(l->app->reason, ""); /* what serves is fine */
    candidate_commit(c);
    live_until(l, app_generation_count(l->app) == 1);
    close_world(&w);
}

static void a_stop_fails_what_is_prepared(void **state) {
    static const char *slow[] = {PYTHON, "-c", SERVER "time.sleep(60)", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct outcome o;
    (void)state;

    open_world(&w);
    boot_app(l, serving);
    set_command(l, slow);
    struct candidate *c = prepare(l, l->app, &o);
    apps_stop(l->apps, false);
    live_until(l, o.told);
    assert_string_equal(o.why, "faucet is stopping");
    candidate_abandon(c);
    live_until(l, l->stopped);
    c = prepare(l, NULL, &o);
    live_until(l, o.told);
    assert_string_equal(o.why, "faucet is stopping");
    candidate_abandon(c);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_app_is_hidden_until_commit),
        cmocka_unit_test(traffic_moves_at_commit),
        cmocka_unit_test(pinned_clients_stay_for_http_too),
        cmocka_unit_test(the_first_worker_that_ends_fails_it),
        cmocka_unit_test(so_does_one_that_was_ready_already),
        cmocka_unit_test(so_does_start_timeout),
        cmocka_unit_test(and_what_cannot_be_executed),
        cmocka_unit_test(a_taken_port_is_tried_again),
        cmocka_unit_test(abandoned_at_any_time),
        cmocka_unit_test(done_may_abandon_all),
        cmocka_unit_test(starts_are_paced_across_generations),
        cmocka_unit_test(ten_rolls_do_not_pile_up),
        cmocka_unit_test(a_drained_worker_that_crashes_stays_dead),
        cmocka_unit_test(one_that_crashes_before_commit_comes_back),
        cmocka_unit_test(a_stop_fails_what_is_prepared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
