/* Addresses as people write them: what is taken, what is refused and with which words, how they are shown. */
#include "net_test.h"

static void assert_shown(const char *text, const char *expected) {
    struct address a = parsed(text);
    char out[ADDRESS_TEXT_MAX];

    assert_int_equal(address_format(&a, out, sizeof out), strlen(expected));
    assert_string_equal(out, expected);
}

static void test_parse_and_format(void **state) {
    (void)state;
    assert_shown("127.0.0.1:80", "127.0.0.1:80");
    assert_shown("0.0.0.0:65535", "0.0.0.0:65535");
    assert_shown("127.0.0.1:0", "127.0.0.1:0");
    assert_shown("[::1]:80", "[::1]:80");
    assert_shown("[::]:1", "[::]:1");
    assert_shown("[2001:DB8:0:0::7]:80", "[2001:db8::7]:80");
    assert_shown("[::ffff:10.0.0.7]:80", "10.0.0.7:80");
    assert_shown("unix:/run/x.sock", "unix:/run/x.sock");
    assert_int_equal(parsed("[::ffff:10.0.0.7]:80").any.sa_family, AF_INET);
    assert_int_equal(ntohs(parsed("[::1]:3838").in6.sin6_port), 3838);
}

static void test_refused(void **state) {
    static const struct {
        const char *text, *word; /* a word that the reason holds */
    } cases[] = {
        {"", "host"},
        {":80", "host is missing"},
        {"127.0.0.1", "port is missing"},
        {"127.0.0.1:", "port is missing"},
        {"127.0.0.1:65536", "1 to 65535"},
        {"127.0.0.1:99999999999999999999", "1 to 65535"},
        {"127.0.0.1:-1", "1 to 65535"},
        {"127.0.0.1:+80", "1 to 65535"},
        {"127.0.0.1: 80", "1 to 65535"},
        {"127.0.0.1:80 ", "1 to 65535"},
        {"127.0.0.1:080", "1 to 65535"},
        {"127.0.0.1:http", "1 to 65535"},
        {" 127.0.0.1:80", "letters"},
        {"127.0.0.256:80", "not a valid IPv4"},
        {"127.1:80", "not a valid IPv4"},
        {"127.0.0.01:80", "not a valid IPv4"},
        {"127.0.0.1.:80", "not a valid IPv4"},
        {"localhost:80", "not a name"},
        {"::1:80", "brackets"},
        {"::1", "brackets"},
        {"[::1]", "port is missing"},
        {"[::1]80", "colon"},
        {"[::1", "']'"},
        {"[127.0.0.1]:80", "IPv6"},
        {"[]:80", "IPv6"},
        {"[fe80::1%lo]:80", "zone"},
        {"[::1]x:80", "colon"},
        {"unix:", "begin with '/'"},
        {"unix:x.sock", "begin with '/'"},
        {"http://x:80", "brackets"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct address a;
        const char *why = "";

        if (address_parse(str_of(cases[i].text), &a, &why) || strstr(why, cases[i].word) == NULL)
            fail_msg("\"%s\": %s", cases[i].text, why);
    }
}

static void test_refuses_nul(void **state) {
    struct address a;
    const char *why;

    (void)state;
    assert_false(address_parse(STR("127.0.0.1\0:80"), &a, &why));
    assert_false(address_parse(STR("127.0.0.1:8\0"), &a, &why));
    assert_false(address_parse(STR("unix:/run/a\0b"), &a, &why));
    assert_non_null(strstr(why, "NUL"));
}

static void test_unix_path_length(void **state) {
    char text[5 + 108 + 1] = "unix:/";
    struct address a;
    const char *why = "";

    (void)state;
    memset(text + 6, 'x', 107);
    assert_false(address_parse(str_make(text, 5 + 108), &a, &why));
    assert_non_null(strstr(why, "107"));
    assert_true(address_parse(str_make(text, 5 + 107), &a, &why));
    assert_int_equal(strlen(a.un.sun_path), 107);

    char out[ADDRESS_TEXT_MAX];
    assert_int_equal(address_format(&a, out, sizeof out), 5 + 107);
    assert_memory_equal(out, text, 5 + 107);
}

static void test_format_fits_in_what_it_gets(void **state) {
    struct address a = parsed("127.0.0.1:80"), none = {0};
    char out[6] = "xxxxx";

    (void)state;
    assert_int_equal(address_format(&a, out, sizeof out), 5);
    assert_string_equal(out, "127.0");
    assert_int_equal(address_format(&none, out, sizeof out), 0);
    assert_string_equal(out, "");
}

static void test_unnamed_and_abstract_unix(void **state) {
    struct address a = {.length = offsetof(struct sockaddr_un, sun_path)};
    char out[ADDRESS_TEXT_MAX];

    (void)state;
    a.un.sun_family = AF_UNIX;
    address_format(&a, out, sizeof out);
    assert_string_equal(out, "unix:");
    memcpy(a.un.sun_path, "\0bus", 4);
    a.length += 4;
    address_format(&a, out, sizeof out);
    assert_string_equal(out, "unix:@bus");
    assert_int_equal(address_ip(&a).family, AF_UNSPEC);
    assert_false(address_is_tcp(&a));
}

static void test_split(void **state) {
    struct str host;
    uint16_t port;
    const char *why;

    (void)state;
    assert_true(address_split(STR("db.example.org:5432"), &host, &port, &why));
    assert_true(str_eq(host, STR("db.example.org")));
    assert_int_equal(port, 5432);
    assert_true(address_split(STR("[2001:db8::1]:80"), &host, &port, &why));
    assert_true(str_eq(host, STR("2001:db8::1")));
    assert_true(address_split(STR("my_host:1"), &host, &port, &why));
    assert_false(address_split(STR("unix:/x"), &host, &port, &why));
    assert_false(address_split(STR("a b:1"), &host, &port, &why));
    assert_false(address_split(STR("host"), &host, &port, &why));

    char text[260];
    memset(text, 'a', sizeof text);
    memcpy(text + 254, ":80", 3);
    assert_false(address_split(str_make(text, 257), &host, &port, &why));
    assert_true(address_split(str_make(text + 1, 256), &host, &port, &why));
}

static void assert_ip(const char *text, int family, const char *shown) {
    struct ip ip;
    char out[IP_TEXT_MAX];

    assert_true(ip_parse(str_of(text), &ip));
    assert_int_equal(ip.family, family);
    assert_int_equal(ip_format(&ip, out, sizeof out), strlen(shown));
    assert_string_equal(out, shown);
}

static void test_ip(void **state) {
    static const char *const bad[] = {"",       "1.2.3",      "1.2.3.4.5", "01.2.3.4", "[1.2.3.4]", "[::1", "::1]",
                                      "::1%lo", "1.2.3.4:80", "[::1]:80",  "x",        " ::1",      ":::",  "12345::"};
    struct ip ip;

    (void)state;
    assert_ip("10.1.2.3", AF_INET, "10.1.2.3");
    for (unsigned i = 0; i < 256; i++) { /* each number in each place, as the library writes it */
        unsigned char b[4] = {(unsigned char)i, (unsigned char)(255 - i), (unsigned char)(i * 7), (unsigned char)~i};
        char text[INET_ADDRSTRLEN];
        assert_non_null(inet_ntop(AF_INET, b, text, sizeof text));
        assert_ip(text, AF_INET, text);
    }
    assert_ip("::1", AF_INET6, "::1");
    assert_ip("[::1]", AF_INET6, "::1");
    assert_ip("::", AF_INET6, "::");
    assert_ip("::ffff:10.1.2.3", AF_INET, "10.1.2.3");
    assert_ip("::FFFF:0a01:0203", AF_INET, "10.1.2.3");
    assert_ip("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", AF_INET6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++)
        if (ip_parse(str_of(bad[i]), &ip))
            fail_msg("\"%s\" was taken", bad[i]);
    assert_false(ip_parse(STR("10.1.2.3\0"), &ip));
}

static void test_address_ip_unmaps(void **state) {
    struct address a = {.length = sizeof a.in6};
    char out[ADDRESS_TEXT_MAX];

    (void)state;
    a.in6.sin6_family = AF_INET6;
    a.in6.sin6_port = htons(80);
    assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &a.in6.sin6_addr), 1);
    assert_int_equal(address_ip(&a).family, AF_INET);
    address_format(&a, out, sizeof out);
    assert_string_equal(out, "192.0.2.1:80");
}

/* "10.0.0.0/8" in the form a snapshot keeps. */
static struct network network(const char *text) {
    struct network n;
    struct ip ip;
    size_t slash = str_chr(str_of(text), '/');
    uint64_t prefix;

    assert_true(ip_parse(str_make(text, slash), &ip));
    assert_true(str_to_u64(str_from(str_of(text), slash + 1), &prefix));
    memcpy(n.address, ip.b, 16);
    n.prefix = (unsigned)prefix + (ip.family == AF_INET ? 96 : 0);
    return n;
}

static bool inside(const char *net, const char *address) {
    struct network n = network(net);
    struct ip ip;

    assert_true(ip_parse(str_of(address), &ip));
    return network_contains(&n, &ip);
}

static void test_networks(void **state) {
    (void)state;
    assert_true(inside("10.0.0.0/8", "10.255.0.1"));
    assert_false(inside("10.0.0.0/8", "11.0.0.1"));
    assert_true(inside("172.16.0.0/12", "172.31.255.255"));
    assert_false(inside("172.16.0.0/12", "172.32.0.0"));
    assert_true(inside("192.0.2.1/32", "192.0.2.1"));
    assert_false(inside("192.0.2.1/32", "192.0.2.0"));
    assert_true(inside("10.0.0.0/8", "::ffff:10.0.0.1"));
    assert_true(inside("0.0.0.0/0", "203.0.113.9"));
    assert_false(inside("0.0.0.0/0", "2001:db8::1"));
    assert_true(inside("fc00::/7", "fdff::1"));
    assert_false(inside("fc00::/7", "fe00::1"));
    assert_true(inside("::1/128", "::1"));
    assert_false(inside("::1/128", "::2"));
    assert_true(inside("::/0", "2001:db8::1"));
    assert_false(inside("::/0", "127.0.0.1"));
}

static void test_list_of_networks(void **state) {
    struct network v[] = {network("10.0.0.0/8"), network("fc00::/7")};
    struct network_list l = {ARRAY_LENGTH(v), v}, empty = {0, NULL};
    struct ip ip, none = {{0}, AF_UNSPEC};

    (void)state;
    assert_true(ip_parse(STR("fd00::1"), &ip));
    assert_true(networks_contain(&l, &ip));
    assert_false(networks_contain(&empty, &ip));
    assert_true(ip_parse(STR("11.0.0.1"), &ip));
    assert_false(networks_contain(&l, &ip));

    struct network all = network("::/0");
    struct network_list everything = {1, &all};
    assert_false(networks_contain(&everything, &none));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_and_format),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refuses_nul),
        cmocka_unit_test(test_unix_path_length),
        cmocka_unit_test(test_format_fits_in_what_it_gets),
        cmocka_unit_test(test_unnamed_and_abstract_unix),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_ip),
        cmocka_unit_test(test_address_ip_unmaps),
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_list_of_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
