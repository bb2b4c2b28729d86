/* What status shows of an app: every worker and address, with what it does now. */
#include "reload_fixture.h"

static const char *serving[] = {PYTHON, "-c", SERVE, "{socket}", NULL};

struct seen {
    size_t n;
    struct worker_status v[16];
    char address[16][ADDRESS_TEXT_MAX];
};
static void see(void *owner, const struct worker_status *w) {
    struct seen *s = owner;
    assert_true(s->n < ARRAY_LENGTH(s->v));
    (void)snprintf(s->address[s->n], ADDRESS_TEXT_MAX, "%s", w->address);
    s->v[s->n++] = *w;
}

static void status_shows_every_generation(void **state) {
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    struct seen s = {0};
    (void)state;

    open_world(&w);
    l->config.workers = 3;
    boot_app(l, serving);
    struct worker *second = worker_numbered(l->generation, 2);
    pid_t pid = second->pid;
    struct endpoint *e = second->endpoint;
    open_tunnel(l, e, 1);
    for (int i = 0; i < 3; i++) {
        ask(l, &a, client_number(1));
        if (i < 2)
            lease_release(&a.lease);
    }
    app_each_worker(l->app, see, &s);
    assert_int_equal(s.n, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(s.v[i].id, i + 1);
        assert_string_equal(s.v[i].state, "ready");
        assert_int_equal(s.v[i].starts, 1);
        assert_int_equal(s.v[i].generation, 1);
        assert_false(s.v[i].draining);
        assert_true(s.v[i].uptime > 0);
    }
    assert_int_equal(s.v[1].pid, pid);
    assert_int_equal(s.v[1].requests, 3);
    assert_int_equal(s.v[1].busy, 1);
    assert_int_equal(s.v[1].tunnels, 1);
    assert_int_equal(strncmp(s.address[1], "unix:/", 6), 0);
    assert_non_null(strstr(s.address[1], second->socket));
    assert_int_equal(app_leases(l->app), 1);
    assert_int_equal(app_tunnels(l->app), 1);

    l->config.workers = 1;
    roll(l);
    live_until(l, generation_worker_count(second->generation) == 1);
    s.n = 0;
    app_each_worker(l->app, see, &s);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.v[0].generation, 2);
    assert_int_equal(s.v[1].generation, 1);
    assert_int_equal(s.v[1].pid, pid);
    assert_true(s.v[1].draining);
    assert_string_equal(s.v[1].state, "draining");
    lease_release(&a.lease);
    close_tunnel(l, e, 1);
    live_until(l, app_generation_count(l->app) == 1);

    /* another process: its own count, its own uptime; none: nothing of the last one */
    ask_as_nobody(l, &a);
    lease_release(&a.lease);
    assert_int_equal(kill(worker_numbered(l->generation, 1)->pid, SIGKILL), 0);
    live_until(l, worker_numbered(l->generation, 1)->state == WORKER_BACKOFF);
    s.n = 0;
    app_each_worker(l->app, see, &s);
    assert_int_equal(s.n, 1);
    assert_string_equal(s.v[0].state, "backoff");
    assert_int_equal(s.v[0].pid, 0);
    assert_int_equal(s.v[0].requests, 0);
    assert_int_equal(s.v[0].uptime, 0);
    live_until(l, worker_numbered(l->generation, 1)->state == WORKER_READY);
    ask_as_nobody(l, &a);
    s.n = 0;
    app_each_worker(l->app, see, &s);
    assert_int_equal(s.v[0].requests, 1);
    assert_int_equal(s.v[0].starts, 2);
    lease_release(&a.lease);
    close_world(&w);
}

static void status_shows_upstream_addresses(void **state) {
    struct live l;
    struct asker a = {0};
    struct seen s = {0};
    struct str addresses[] = {STR("127.0.0.1:9"), STR("unix:/tmp/faucet-unit-nobody.sock")};
    (void)state;

    live_open(&l, NULL, NULL);
    l.config.type = APP_UPSTREAM;
    l.config.upstream = (struct address_list){2, addresses};
    roll(&l);
    ask_as_nobody(&l, &a);
    assert_int_equal(a.lease.endpoint->worker_id, 1);
    lease_connect_failed(&a.lease, ECONNREFUSED);
    app_each_worker(l.app, see, &s);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.v[0].state, "down");
    assert_string_equal(s.v[1].state, "ready");
    assert_string_equal(s.address[0], "127.0.0.1:9");
    assert_string_equal(s.address[1], "unix:/tmp/faucet-unit-nobody.sock");
    assert_int_equal(s.v[0].pid, 0);
    assert_int_equal(s.v[0].requests, 1);
    live_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_shows_every_generation),
        cmocka_unit_test(status_shows_upstream_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
