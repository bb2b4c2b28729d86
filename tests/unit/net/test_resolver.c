/* Names: numeric ones, /etc/hosts, a name server of the test's own on loopback that answers or stays silent; cancelling
 * and freeing at every moment. */
#include "net_test.h"

#include "net/resolver.h"

struct fixture {
    struct loop *loop;
    struct resolver *resolver;
    ev_io server;
    int server_fd;
    bool silent;
    int questions;
    /* what came */
    int calls;
    size_t n;
    struct address addresses[8];
    char why[128];
    bool done;
    /* what to do in the callback */
    struct lookup *cancel_in_done;
    bool free_in_done, look_up_in_done;
};

/* ---- a name server: one question in, one answer out (RFC 1035 4.1) ------------------ */

enum { TYPE_A = 1, TYPE_AAAA = 28, RCODE_NXDOMAIN = 3 };

static size_t question_length(const uint8_t *p, size_t n) {
    size_t at = 12;

    while (at < n && p[at] != 0)
        at += (size_t)p[at] + 1;
    return at + 5 - 12; /* the root label, type, class */
}

static size_t add_record(uint8_t *p, size_t at, int type, const void *data, size_t n) {
    const uint8_t head[] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 60, 0, (uint8_t)n};

    memcpy(p + at, head, sizeof head);
    memcpy(p + at + sizeof head, data, n);
    p[7]++;
    return at + sizeof head + n;
}

static void on_question(struct ev_loop *ev, ev_io *w, int events) {
    struct fixture *f = CONTAINER_OF(w, struct fixture, server);
    static const uint8_t v4[2][4] = {{192, 0, 2, 1}, {192, 0, 2, 2}};
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7};
    uint8_t p[1024];
    struct sockaddr_in from;
    socklen_t length = sizeof from;

    (void)ev;
    (void)events;
    ssize_t n = recvfrom(w->fd, p, 512, 0, (struct sockaddr *)&from, &length);
    assert_true(n > 12);
    f->questions++;
    if (f->silent)
        return;
    size_t end = 12 + question_length(p, (size_t)n);
    assert_true(end <= (size_t)n);
    int type = p[end - 3];
    p[2] = 0x84; /* an authoritative reply */
    p[3] = 0;
    p[6] = p[7] = p[8] = p[9] = p[10] = p[11] = 0;
    if (memcmp(p + 12, "\7missing", 8) == 0) {
        p[3] = RCODE_NXDOMAIN;
    } else if (type == TYPE_A) {
        end = add_record(p, end, TYPE_A, v4[0], 4);
        end = add_record(p, end, TYPE_A, v4[1], 4);
        end = add_record(p, end, TYPE_A, v4[0], 4); /* twice */
    } else if (type == TYPE_AAAA && memcmp(p + 12, "\4both", 5) == 0) {
        end = add_record(p, end, TYPE_AAAA, v6, 16);
    }
    assert_int_equal(sendto(w->fd, p, end, 0, (struct sockaddr *)&from, length), (ssize_t)end);
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    struct address a = parsed("127.0.0.1:0");
    char servers[ADDRESS_TEXT_MAX];

    f->loop = loop_new();
    f->server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f->server_fd, &a.any, a.length), 0);
    assert_int_equal(getsockname(f->server_fd, &a.any, &a.length), 0);
    ev_io_init(&f->server, on_question, f->server_fd, EV_READ);
    ev_io_start(f->loop->ev, &f->server);
    f->resolver = resolver_new(f->loop);
    assert_non_null(f->resolver);
    address_format(&a, servers, sizeof servers);
    assert_true(resolver_set_servers(f->resolver, servers));
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    if (f->resolver != NULL)
        resolver_free(f->resolver);
    ev_io_stop(f->loop->ev, &f->server);
    close(f->server_fd);
    loop_free(f->loop);
    free(f);
    return 0;
}

static void on_done(void *owner, const struct address *addresses, size_t n, const char *why) {
    struct fixture *f = owner;

    f->calls++;
    f->done = true;
    f->n = n;
    assert_true((n == 0) == (why != NULL));
    assert_true(n <= ARRAY_LENGTH(f->addresses));
    if (n > 0)
        memcpy(f->addresses, addresses, n * sizeof *addresses);
    snprintf(f->why, sizeof f->why, "%s", why != NULL ? why : "");
    if (f->cancel_in_done != NULL) {
        lookup_cancel(f->cancel_in_done);
        f->cancel_in_done = NULL;
    }
    if (f->look_up_in_done) {
        f->look_up_in_done = false;
        f->done = false;
        (void)resolver_lookup(f->resolver, STR("both.faucet.test"), 1, on_done, f);
    }
    if (f->free_in_done) {
        resolver_free(f->resolver);
        f->resolver = NULL;
    }
}

static struct lookup *look_up(struct fixture *f, struct str name) {
    return resolver_lookup(f->resolver, name, 8080, on_done, f);
}

static bool answered_with(const struct fixture *f, const char *text) {
    char shown[ADDRESS_TEXT_MAX];

    for (size_t i = 0; i < f->n; i++) {
        address_format(&f->addresses[i], shown, sizeof shown);
        if (strcmp(shown, text) == 0)
            return true;
    }
    return false;
}

static void test_numeric(void **state) {
    struct fixture *f = *state;

    assert_null(look_up(f, STR("192.0.2.7")));
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->n, 1);
    assert_true(answered_with(f, "192.0.2.7:8080"));
    assert_null(look_up(f, STR("2001:db8::7")));
    assert_true(answered_with(f, "[2001:db8::7]:8080"));
    assert_null(look_up(f, STR("[::1]")));
    assert_true(answered_with(f, "[::1]:8080"));
    assert_int_equal(f->questions, 0);
}

static void test_not_a_name(void **state) {
    struct fixture *f = *state;
    char name[254];

    memset(name, 'a', sizeof name);
    assert_null(look_up(f, STR("")));
    assert_null(look_up(f, STR("a\0b")));
    assert_null(look_up(f, str_make(name, sizeof name)));
    assert_int_equal(f->calls, 3);
    assert_int_equal(f->n, 0);
    assert_string_equal(f->why, "the name is not a valid host name");
}

static void test_hosts_file(void **state) {
    struct fixture *f = *state;

    f->silent = true;
    (void)look_up(f, STR("localhost"));
    run_until(f->loop, &f->done);
    assert_true(answered_with(f, "127.0.0.1:8080"));
    assert_int_equal(f->calls, 1);
}

static void test_both_families(void **state) {
    struct fixture *f = *state;

    assert_non_null(look_up(f, STR("both.faucet.test")));
    assert_int_equal(f->calls, 0);
    run_until(f->loop, &f->done);
    assert_int_equal(f->calls, 1);
    assert_int_equal(f->n, 3); /* each once */
    assert_true(answered_with(f, "192.0.2.1:8080"));
    assert_true(answered_with(f, "192.0.2.2:8080"));
    assert_true(answered_with(f, "[2001:db8::7]:8080"));
}

static void test_one_family(void **state) {
    struct fixture *f = *state;

    assert_non_null(look_up(f, STR("four.faucet.test")));
    run_until(f->loop, &f->done);
    assert_int_equal(f->n, 2);
}

static void test_unknown(void **state) {
    struct fixture *f = *state;

    assert_non_null(look_up(f, STR("missing.faucet.test")));
    run_until(f->loop, &f->done);
    assert_int_equal(f->n, 0);
    assert_string_equal(f->why, "the name is not known");
}

/* The first try is lost; the second, after c-ares' own timeout, is answered. */
static void test_lost_question_is_asked_again(void **state) {
    struct fixture *f = *state;

    f->silent = true;
    assert_non_null(look_up(f, STR("four.faucet.test")));
    while (f->questions < 2) {
        bool never = false;
        (void)run_for(f->loop, &never, 5 * DUR_MS);
    }
    assert_int_equal(f->calls, 0);
    f->silent = false;
    run_until(f->loop, &f->done);
    assert_int_equal(f->n, 2);
}

static void test_nobody_there(void **state) {
    struct fixture *f = *state;

    ev_io_stop(f->loop->ev, &f->server);
    close(f->server_fd); /* the port is closed now: ECONNREFUSED by ICMP */
    f->server_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)look_up(f, STR("four.faucet.test"));
    run_until(f->loop, &f->done);
    assert_int_equal(f->n, 0);
    /* which of the two depends on when the ICMP message comes */
    assert_true(strcmp(f->why, "no name server could be reached") == 0 ||
                strcmp(f->why, "the name server did not answer in time") == 0);
}

static void test_cancel(void **state) {
    struct fixture *f = *state;
    struct lookup *q = look_up(f, STR("both.faucet.test"));

    assert_non_null(q);
    lookup_cancel(q);
    assert_false(run_for(f->loop, &f->done, 50 * DUR_MS)); /* the answer comes and is thrown away */
    assert_in_range(f->questions, 1, 2);
    assert_non_null(look_up(f, STR("four.faucet.test")));
    run_until(f->loop, &f->done);
    assert_int_equal(f->calls, 1);
}

static void test_cancel_another_inside_done(void **state) {
    struct fixture *f = *state;

    f->silent = true;
    f->cancel_in_done = look_up(f, STR("four.faucet.test"));
    while (f->questions < 2) {
        bool never = false;
        (void)run_for(f->loop, &never, DUR_MS);
    }
    f->silent = false;
    (void)look_up(f, STR("both.faucet.test"));
    run_until(f->loop, &f->done);
    assert_null(f->cancel_in_done);
    assert_int_equal(f->calls, 1);
}

static void test_look_up_inside_done(void **state) {
    struct fixture *f = *state;

    f->look_up_in_done = true;
    (void)look_up(f, STR("missing.faucet.test"));
    run_until(f->loop, &f->done);
    assert_int_equal(f->calls, 2);
    assert_int_equal(f->n, 3);
}

static void test_free_with_pending(void **state) {
    struct fixture *f = *state;
    struct lookup *q;

    f->silent = true;
    (void)look_up(f, STR("one.faucet.test"));
    q = look_up(f, STR("two.faucet.test"));
    lookup_cancel(q);
    bool never = false;
    (void)run_for(f->loop, &never, 20 * DUR_MS);
    resolver_free(f->resolver);
    f->resolver = NULL;
    (void)run_for(f->loop, &never, 20 * DUR_MS);
    assert_int_equal(f->calls, 0);
}

static void test_free_inside_done(void **state) {
    struct fixture *f = *state;

    f->free_in_done = true;
    (void)look_up(f, STR("both.faucet.test"));
    (void)look_up(f, STR("four.faucet.test")); /* dropped, or answered first: one call either way */
    run_until(f->loop, &f->done);
    f->done = false;
    assert_false(run_for(f->loop, &f->done, 20 * DUR_MS));
    assert_int_equal(f->calls, 1);
}

/* Answered from the hosts file, so from inside resolver_lookup. */
static void test_free_inside_done_inside_lookup(void **state) {
    struct fixture *f = *state;

    f->silent = true;
    (void)look_up(f, STR("pending.faucet.test"));
    f->free_in_done = true;
    assert_null(look_up(f, STR("localhost")));
    assert_int_equal(f->calls, 1);
    assert_null(f->resolver);
}

static void test_bad_servers(void **state) {
    struct fixture *f = *state;

    assert_false(resolver_set_servers(f->resolver, "nonsense"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_numeric),
        TEST(test_not_a_name),
        TEST(test_hosts_file),
        TEST(test_both_families),
        TEST(test_one_family),
        TEST(test_unknown),
        TEST(test_lost_question_is_asked_again),
        TEST(test_nobody_there),
        TEST(test_cancel),
        TEST(test_cancel_another_inside_done),
        TEST(test_look_up_inside_done),
        TEST(test_free_with_pending),
        TEST(test_free_inside_done),
        TEST(test_free_inside_done_inside_lookup),
        TEST(test_bad_servers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
