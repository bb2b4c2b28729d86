/* Upstream addresses: up at once, down when they refuse, up again when they answer; names. */
#include "live_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

static int listen_at(unsigned *port) {
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)*port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 5), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &length), 0);
    *port = ntohs(in.sin_port);
    return fd;
}

static void open_upstream(struct live *l, struct str *addresses, size_t n) {
    live_open(l, NULL, NULL);
    l->config.type = APP_UPSTREAM;
    l->config.concurrency = COUNT_IS_UNLIMITED;
    l->config.upstream = (struct address_list){n, addresses};
    l->app = app_start(l->apps, l->snapshot, &l->config);
    l->generation = l->app->current;
}

static void down_and_up_again(void **state) {
    struct live l;
    struct asker a = {0};
    unsigned port[2] = {0, 0};
    char text[2][32];
    int fd[2];
    struct str addresses[2];
    (void)state;

    for (int i = 0; i < 2; i++) {
        fd[i] = listen_at(&port[i]);
        addresses[i] = str_make(text[i], (size_t)snprintf(text[i], sizeof text[i], "127.0.0.1:%u", port[i]));
    }
    open_upstream(&l, addresses, 2);
    assert_int_equal(app_ready_count(l.app), 2); /* without asking */
    live_turn(&l);
    assert_int_equal(l.state, APP_STATE_READY);
    assert_int_equal(ask_as_nobody(&l, &a), LEASE_OK);
    assert_int_equal(a.lease.endpoint->worker_id, 1);
    assert_string_equal(a.lease.endpoint->source, "Worker::sales::1");

    (void)close(fd[0]);
    lease_connect_failed(&a.lease, ECONNREFUSED);
    live_turn(&l);
    assert_int_equal(l.state, APP_STATE_DEGRADED);
    for (int i = 0; i < 4; i++) {
        ask_as_nobody(&l, &a);
        assert_int_equal(a.lease.endpoint->worker_id, 2);
        lease_release(&a.lease);
    }
    (void)close(fd[1]);
    ask_as_nobody(&l, &a);
    lease_connect_failed(&a.lease, ECONNREFUSED);
    assert_int_equal(ask_as_nobody(&l, &a), LEASE_NO_UPSTREAM);
    live_turn(&l);
    assert_int_equal(l.state, APP_STATE_BACKOFF);
    assert_non_null(strstr(l.reason, "is down: Connection refused"));

    fd[1] = listen_at(&port[1]);
    live_until(&l, app_ready_count(l.app) == 1);
    assert_int_equal(ask_as_nobody(&l, &a), LEASE_OK);
    assert_int_equal(a.lease.endpoint->worker_id, 2);
    lease_release(&a.lease);
    (void)close(fd[1]);
    apps_stop(l.apps, false);
    live_until(&l, l.stopped);
    live_close(&l);
}

static void our_own_shortage_is_not_its_fault(void **state) {
    struct live l;
    struct asker a = {0};
    struct str addresses[] = {STR("127.0.0.1:9"), STR("unix:/tmp/faucet-unit-nobody.sock")};
    (void)state;

    open_upstream(&l, addresses, 2);
    ask_as_nobody(&l, &a);
    lease_connect_failed(&a.lease, EMFILE);
    assert_int_equal(app_ready_count(l.app), 2);
    live_close(&l);
}

static void names_are_resolved(void **state) {
    struct live l;
    unsigned port = 0;
    int fd = listen_at(&port);
    char text[32];
    struct str addresses[1];
    struct asker a = {0};
    (void)state;

    addresses[0] = str_make(text, (size_t)snprintf(text, sizeof text, "localhost:%u", port));
    open_upstream(&l, addresses, 1);
    live_until(&l, app_ready_count(l.app) == 1);
    live_until(&l, ask_as_nobody(&l, &a) == LEASE_OK);
    assert_int_equal(a.lease.endpoint->worker_id, 1);
    lease_release(&a.lease);
    (void)close(fd);
    live_close(&l);
}

static void an_unknown_name_is_no_upstream(void **state) {
    struct live l;
    struct asker a = {0};
    struct str addresses[] = {STR("no-such-host.invalid:80")};
    (void)state;

    open_upstream(&l, addresses, 1);
    assert_int_equal(ask_as_nobody(&l, &a), LEASE_NO_UPSTREAM);
    assert_int_equal(app_state(l.app), APP_STATE_STARTING);
    apps_stop(l.apps, true); /* with the lookup under way, perhaps */
    live_until(&l, l.stopped);
    live_close(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(down_and_up_again),
        cmocka_unit_test(our_own_shortage_is_not_its_fault),
        cmocka_unit_test(names_are_resolved),
        cmocka_unit_test(an_unknown_name_is_no_upstream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
