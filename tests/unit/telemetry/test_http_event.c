/* A request as a record: what a row says, what privacy leaves out, where long text is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "telemetry/columns.h"
#include "telemetry/http_event.h"
#include "telemetry/queue.h"

static const struct http_event_rules open_rules = {{"host/x", 6}, QUERY_FULL, IP_FULL};

static struct request_event usual(void) {
    struct request_event e = {
        .request_uuid = {{1, 2, 3}},
        .namespace = STR("sales"),
        .version = STR("1.4"),
        .app = STR("sales"),
        .target = STR("Worker::sales::2"),
        .worker_route = STR("/sales/"),
        .worker_id = 2,
        .generation = 3,
        .method = STR("GET"),
        .path = STR("/x"),
        .query = STR("a=1&b=2"),
        .host = STR("h"),
        .http_minor = 1,
        .status = 200,
        .user_agent = STR("curl"),
        .began = {1000000},
        .total = 12345,
        .queued = 5,
        .first_byte = -1,
        .request_bytes = 7,
        .response_bytes = 9,
        .attempts = 1,
        .config = 4,
    };
    assert_true(ip_parse(STR("10.1.2.3"), &e.client));
    return e;
}

static bool field(const struct record_draft *d, unsigned column, struct str *out) {
    return record_find(record_str(d), column, out);
}
static void write_row(struct record_draft *d, const struct request_event *e, const struct http_event_rules *r) {
    http_event_begin(d, e, r);
    http_event_end(d, e);
}
#define text_is(b, column, text)                                                                                       \
    do {                                                                                                               \
        struct str s_;                                                                                                 \
        assert_true(field(b, column, &s_));                                                                            \
        assert_int_equal(s_.n, strlen(text));                                                                          \
        assert_memory_equal(s_.p, text, s_.n);                                                                         \
    } while (0)
#define number_is(b, column, v)                                                                                        \
    do {                                                                                                               \
        struct str s_;                                                                                                 \
        assert_true(field(b, column, &s_));                                                                            \
        assert_int_equal(record_get_integer(s_), v);                                                                   \
    } while (0)
#define absent(b, column)                                                                                              \
    do {                                                                                                               \
        struct str s_;                                                                                                 \
        assert_false(field(b, column, &s_));                                                                           \
    } while (0)

static void a_row_says_what_is_known(void **state) {
    struct request_event e = usual();
    struct record_draft b = {0};
    (void)state;

    write_row(&b, &e, &open_rules);
    text_is(&b, COLUMN_OF_HTTP_namespace, "sales");
    text_is(&b, COLUMN_OF_HTTP_target, "Worker::sales::2");
    text_is(&b, COLUMN_OF_HTTP_worker_route, "/sales/");
    text_is(&b, COLUMN_OF_HTTP_query_params, "a=1&b=2");
    text_is(&b, COLUMN_OF_HTTP_http_version, "HTTP/1.1");
    text_is(&b, COLUMN_OF_HTTP_instance, "host/x");
    struct str s;
    assert_true(field(&b, COLUMN_OF_HTTP_ip_addr, &s));
    struct ip ip = record_get_ip(s);
    assert_memory_equal(&ip, &e.client, sizeof ip);
    number_is(&b, COLUMN_OF_HTTP_elapsed, 12);
    number_is(&b, COLUMN_OF_HTTP_total_us, 12345);
    number_is(&b, COLUMN_OF_HTTP_status, 200);
    assert_true(field(&b, COLUMN_OF_HTTP_time, &s) && record_get_time(s).us == 1000000);
    number_is(&b, COLUMN_OF_HTTP_generation, 3);
    number_is(&b, COLUMN_OF_HTTP_queue_us, 5);
    absent(&b, COLUMN_OF_HTTP_first_byte_us);
    absent(&b, COLUMN_OF_HTTP_error);
    record_free(&b);
}

/* The two halves of a row are the row. */
static void reserved_then_ended(void **state) {
    struct request_event e = usual();
    struct record_draft reserved = {0}, rest = {0}, whole = {0};
    struct record_reader r;
    struct buf both = {0};
    (void)state;

    http_event_begin(&reserved, &e, &open_rules);
    absent(&reserved, COLUMN_OF_HTTP_elapsed);
    absent(&reserved, COLUMN_OF_HTTP_total_us);
    assert_true(record_open(record_str(&reserved), &r) && !r.complete);
    e.error = "no_longer_word_than_that_is_there";
    e.status = 499;
    e.first_byte = 3;
    record_continue(&rest, RECORD_HTTP, HTTP_EVENT_END);
    http_event_end(&rest, &e);
    assert_true(record_str(&rest).n <= EVENT_SLOT_ROOM);
    buf_append(&both, record_str(&reserved));
    buf_append(&both, record_str(&rest));
    write_row(&whole, &e, &open_rules);
    assert_true(str_eq(buf_str(&both), record_str(&whole)));
    assert_true(record_open(buf_str(&both), &r) && r.complete && r.n == COLUMNS_OF_HTTP);
    number_is(&whole, COLUMN_OF_HTTP_status, 499);
    record_free(&reserved);
    record_free(&rest);
    record_free(&whole);
    buf_free(&both);
}

static void without_a_worker(void **state) {
    struct request_event e = usual();
    struct record_draft b = {0};
    (void)state;

    e.target = STR("faucet");
    e.worker_id = 0;
    e.worker_route = STR_NONE;
    e.version = STR_NONE;
    e.method = e.path = e.query = e.user_agent = STR_NONE;
    e.client.family = AF_UNSPEC;
    write_row(&b, &e, &open_rules);
    absent(&b, COLUMN_OF_HTTP_worker_id);
    absent(&b, COLUMN_OF_HTTP_worker_route);
    absent(&b, COLUMN_OF_HTTP_generation);
    absent(&b, COLUMN_OF_HTTP_version);
    absent(&b, COLUMN_OF_HTTP_method);
    absent(&b, COLUMN_OF_HTTP_path);
    absent(&b, COLUMN_OF_HTTP_query_params);
    absent(&b, COLUMN_OF_HTTP_http_version);
    absent(&b, COLUMN_OF_HTTP_ip_addr);
    record_free(&b);
}

static void query_privacy(void **state) {
    static const struct {
        struct str query, keys;
    } cases[] = {{{"a=1&b=2", 7}, {"a&b", 3}},
                 {{"a=1&a=2&c", 9}, {"a&a&c", 5}},
                 {{"secret", 6}, {"secret", 6}},
                 {{"=x&&y==z", 8}, {"&&y", 3}},
                 {{"a=1&", 4}, {"a&", 2}}};
    struct request_event e = usual();
    struct http_event_rules r = open_rules;
    struct record_draft b = {0};
    struct buf keys = {0};
    (void)state;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        query_keys(&keys, cases[i].query);
        assert_true(str_eq(buf_str(&keys), cases[i].keys));
        buf_free(&keys);
    }
    r.query = QUERY_KEYS;
    write_row(&b, &e, &r);
    text_is(&b, COLUMN_OF_HTTP_query_params, "a&b");
    e.query = STR("");
    write_row(&b, &e, &r);
    text_is(&b, COLUMN_OF_HTTP_query_params, "");
    r.query = QUERY_OFF;
    write_row(&b, &e, &r);
    absent(&b, COLUMN_OF_HTTP_query_params);
    record_free(&b);
}

static void ip_privacy(void **state) {
    struct ip v4, v6, out;
    char text[IP_TEXT_MAX];
    (void)state;

    assert_true(ip_parse(STR("192.0.2.77"), &v4));
    assert_true(ip_parse(STR("2001:db8:1:2:3:4:5:6"), &v6));
    out = ip_private(&v4, IP_TRUNCATED);
    (void)ip_format(&out, text, sizeof text);
    assert_string_equal(text, "192.0.2.0");
    out = ip_private(&v6, IP_TRUNCATED);
    (void)ip_format(&out, text, sizeof text);
    assert_string_equal(text, "2001:db8:1::");
    assert_int_equal(ip_private(&v4, IP_OFF).family, AF_UNSPEC);
    assert_memory_equal(ip_private(&v6, IP_FULL).b, v6.b, 16);
}

static void long_text_is_cut_between_characters(void **state) {
    struct request_event e = usual();
    struct record_draft b = {0};
    struct str s;
    static char path[10000], agent[10000];
    (void)state;

    memset(path, 'x', sizeof path);
    path[HTTP_EVENT_PATH_MAX - 1] = '\xc3'; /* an é across the cut */
    path[HTTP_EVENT_PATH_MAX] = '\xa9';
    memset(agent, '\x80', sizeof agent); /* no UTF-8 at all */
    e.path = str_make(path, sizeof path);
    e.user_agent = str_make(agent, sizeof agent);
    write_row(&b, &e, &open_rules);
    assert_true(field(&b, COLUMN_OF_HTTP_path, &s));
    assert_int_equal(s.n, HTTP_EVENT_PATH_MAX - 1);
    assert_true(field(&b, COLUMN_OF_HTTP_user_agent, &s));
    assert_int_equal(s.n, 3 * HTTP_EVENT_USER_AGENT_MAX); /* each byte is U+FFFD */
    assert_true(record_str(&b).n < EVENT_RECORD_MAX);
    record_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_says_what_is_known),
        cmocka_unit_test(reserved_then_ended),
        cmocka_unit_test(without_a_worker),
        cmocka_unit_test(query_privacy),
        cmocka_unit_test(ip_privacy),
        cmocka_unit_test(long_text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
