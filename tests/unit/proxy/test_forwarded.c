/*
 * Who the client is: what a stranger says of himself counts for nothing, lists are read from the right up to the first
 * address that is not a trusted proxy's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>

#include "proxy/forwarded.h"

#define FIELDS_MAX 256

struct fixture {
    struct exchange x;
    struct client client;
    struct snapshot snapshot;
    struct http_head head;
    struct http_field fields[FIELDS_MAX];
    struct network trusted[2];
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->x.arena = arena_new(4096);
    f->x.client = &f->client;
    f->x.snapshot = &f->snapshot;
    f->x.request = &f->head;
    f->head.fields = f->fields;
    f->head.host = STR("shop.example:8080");
    f->snapshot.daemon.ip_from = IP_FROM_X_FORWARDED_FOR;
    assert_true(ip_parse(STR("10.0.0.1"), &f->client.peer));
    f->x.uuid = (struct uuid){.b = {0x01, 0x9a, 0xff}};
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    arena_free(f->x.arena);
    free(f);
    return 0;
}

static void field(struct fixture *f, const char *name, const char *value) {
    assert_true(f->head.field_count < FIELDS_MAX);
    f->fields[f->head.field_count++] = (struct http_field){str_of(name), str_of(value)};
}

/* 10.0.0.0/8 and 2001:db8::/32 */
static void trust(struct fixture *f) {
    f->trusted[0] = (struct network){.address = {[10] = 0xff, [11] = 0xff, [12] = 10}, .prefix = 96 + 8};
    f->trusted[1] = (struct network){.address = {0x20, 0x01, 0x0d, 0xb8}, .prefix = 32};
    f->snapshot.daemon.trusted_proxies = (struct network_list){.n = 2, .v = f->trusted};
}

static void expect(struct str s, const char *text) {
    char got[256];
    assert_true(s.n < sizeof got);
    memcpy(got, s.n > 0 ? s.p : "", s.n);
    got[s.n] = '\0';
    assert_string_equal(got, text);
}

static void expect_client(struct fixture *f, const char *text) {
    char got[IP_TEXT_MAX];
    forwarded_client(&f->x);
    if (f->x.client_ip.family == AF_UNSPEC) {
        assert_string_equal(text, "nobody");
        return;
    }
    expect(str_make(got, ip_format(&f->x.client_ip, got, sizeof got)), text);
}

static void all_that_a_proxy_says(struct fixture *f) {
    field(f, "X-Forwarded-For", "6.6.6.6, 203.0.113.9");
    field(f, "X-Forwarded-Proto", "https");
    field(f, "X-Forwarded-Host", "public.example");
    field(f, "X-Real-IP", "198.51.100.7");
    field(f, "X-Forwarded-Prefix", "/outer/");
}

static void a_stranger_is_not_believed(void **state) {
    struct fixture *f = *state;
    all_that_a_proxy_says(f);
    expect_client(f, "10.0.0.1");
    expect(f->x.forwarded_for, "10.0.0.1");
    expect(f->x.forwarded_proto, "http");
    expect(f->x.forwarded_host, "shop.example:8080");
    f->x.prefix = STR("/sales/");
    forwarded_prefix(&f->x);
    expect(f->x.forwarded_prefix, "/sales");
}

static void a_trusted_proxy_is(void **state) {
    struct fixture *f = *state;
    trust(f);
    all_that_a_proxy_says(f);
    expect_client(f, "203.0.113.9");
    expect(f->x.forwarded_for, "6.6.6.6, 203.0.113.9, 10.0.0.1");
    expect(f->x.forwarded_proto, "https");
    expect(f->x.forwarded_host, "public.example");
    f->x.prefix = STR("/sales/");
    forwarded_prefix(&f->x);
    expect(f->x.forwarded_prefix, "/outer/sales");
    f->x.prefix = STR("/");
    forwarded_prefix(&f->x);
    expect(f->x.forwarded_prefix, "/outer");
}

static void another_source(void **state) {
    struct fixture *f = *state;
    trust(f);
    all_that_a_proxy_says(f);
    f->snapshot.daemon.ip_from = IP_FROM_X_REAL_IP;
    expect_client(f, "198.51.100.7");
    f->snapshot.daemon.ip_from = IP_FROM_CLIENT;
    expect_client(f, "10.0.0.1");
}

static void lists(void **state) {
    static const struct {
        const char *list, *client;
    } rows[] = {
        {"203.0.113.9", "203.0.113.9"},
        {"6.6.6.6,203.0.113.9 , 10.2.3.4,10.0.0.9", "203.0.113.9"},
        {"203.0.113.9, 2001:db8::7", "203.0.113.9"},
        {"10.2.3.4, 10.0.0.9", "10.2.3.4"}, /* all are ours: the farthest */
        {"6.6.6.6, garbage", "10.0.0.1"},   /* nothing to the left of it can be believed */
        {"6.6.6.6, garbage, 10.0.0.9", "10.0.0.9"},
        {"6.6.6.6, , 10.0.0.9", "10.0.0.9"},
        {"6.6.6.6:80", "10.0.0.1"},
        {",", "10.0.0.1"},
        {"2001:db9::1", "2001:db9::1"},
        {"::ffff:203.0.113.9", "203.0.113.9"},
    };
    struct fixture *f = *state;
    trust(f);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        f->head.field_count = 0;
        field(f, "x-forwarded-FOR", rows[i].list);
        expect_client(f, rows[i].client);
    }
}

static void several_fields_are_one_list(void **state) {
    struct fixture *f = *state;
    trust(f);
    field(f, "X-Forwarded-For", "6.6.6.6");
    field(f, "X-Forwarded-For", "");
    field(f, "Other", "7.7.7.7");
    field(f, "x-forwarded-for", "203.0.113.9");
    field(f, "X-Forwarded-For", "10.0.0.9");
    expect_client(f, "203.0.113.9");
    expect(f->x.forwarded_for, "6.6.6.6, 203.0.113.9, 10.0.0.9, 10.0.0.1");
}

static void many_fields_cost_little(void **state) {
    struct fixture *f = *state;
    char value[121];
    memset(value, '1', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    trust(f);
    for (size_t i = 0; i < FIELDS_MAX; i++)
        field(f, "X-Forwarded-For", value);
    forwarded_client(&f->x);
    assert_int_equal(f->x.forwarded_for.n, FIELDS_MAX * (sizeof value - 1 + 2) + strlen("10.0.0.1"));
    assert_true(arena_size(f->x.arena) < (size_t)256 * 1024);
}

static void unix_clients(void **state) {
    struct fixture *f = *state;
    f->client.peer_unix = true;
    f->client.peer = (struct ip){.family = AF_UNSPEC};
    all_that_a_proxy_says(f);
    expect_client(f, "nobody"); /* no proxies are expected */
    expect(f->x.forwarded_for, "");
    trust(f);
    expect_client(f, "203.0.113.9");
    expect(f->x.forwarded_for, "6.6.6.6, 203.0.113.9");
}

static void trace_context(void **state) {
    static const char good[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    static const char *const bad[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    };
    struct fixture *f = *state;
    field(f, "Traceparent", good);
    forwarded_trace(&f->x);
    expect(f->x.traceparent, good);
    expect(f->x.trace_id, "0af7651916cd43dd8448eb211c80319c");
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        f->head.field_count = 0;
        field(f, "traceparent", bad[i]);
        forwarded_trace(&f->x);
        expect(f->x.trace_id, "019aff00000000000000000000000000");
        assert_int_equal(f->x.traceparent.n, 55);
        assert_true(str_starts(f->x.traceparent, STR("00-019aff00000000000000000000000000-")));
        assert_true(str_ends(f->x.traceparent, STR("-00")));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_stranger_is_not_believed),  TEST(a_trusted_proxy_is),      TEST(another_source), TEST(lists),
        TEST(several_fields_are_one_list), TEST(many_fields_cost_little), TEST(unix_clients),   TEST(trace_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
