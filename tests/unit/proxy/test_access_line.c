/* The line as the original faucet wrote it, and the same in JSON with every field typed. It is read back from a file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/access_line.h"

static char text[16384];

/* What is in the log after this event, without the line's end. */
static const char *line_of(const struct request_event *e, enum log_format format) {
    char path[] = "/tmp/access-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    struct log *log = log_open_stderr();
    assert_true(log_start_thread(log));
    log_configure(log, LOG_INFO, format, path, 0);
    access_line(log, e);
    log_close(log);
    ssize_t n = read(fd, text, sizeof text - 1);
    assert_true(n > 1);
    assert_int_equal(text[n - 1], '\n');
    text[n - 1] = '\0';
    assert_null(strchr(text, '\n'));
    close(fd);
    unlink(path);
    return text;
}

static struct request_event usual(void) {
    struct request_event e = {
        .namespace = STR("shop"),
        .version = STR("1.10"),
        .app = STR("sales"),
        .target = STR("Worker::sales::2"),
        .worker_route = STR("/sales/"),
        .worker_id = 2,
        .method = STR("GET"),
        .path = STR("/x"),
        .query = STR("a=1"),
        .raw_path = STR("/sales/x"),
        .host = STR("localhost"),
        .http_minor = 1,
        .status = 200,
        .user_agent = STR("curl/8"),
        .total = 12 * DUR_MS + 345,
        .queued = 0,
        .first_byte = 11000,
        .response_bytes = 5000000000u,
        .attempts = 1,
        .trace_id = STR("0af7651916cd43dd8448eb211c80319c"),
        .config = 7,
    };
    assert_true(ip_parse(STR("127.0.0.1"), &e.client));
    return e;
}

/* "[time LEVEL target] message": the message and what stands before it but the time. */
static void expect_line(const struct request_event *e, const char *wanted) {
    const char *line = line_of(e, LOG_TEXT), *space = strchr(line, ' ');
    assert_int_equal(line[0], '[');
    assert_non_null(space);
    assert_string_equal(space + 1, wanted);
}

static void as_the_original(void **state) {
    (void)state;
    struct request_event e = usual();
    expect_line(&e, "INFO  Worker::sales::2] 127.0.0.1 \"GET /sales/x HTTP/1.1\" 200 \"curl/8\" 12");
    e.http_minor = 0;
    e.user_agent = STR_NONE;
    e.client = (struct ip){.family = AF_UNSPEC};
    expect_line(&e, "INFO  Worker::sales::2] - \"GET /sales/x HTTP/1.0\" 200 \"-\" 12");
}

static void unparsable(void **state) {
    (void)state;
    struct request_event e = {
        .target = STR("faucet"), .namespace = STR("faucet"), .status = 400, .queued = -1, .first_byte = -1};
    expect_line(&e, "INFO  faucet] - \"-\" 400 \"-\" 0");
}

static void quotes_do_not_end_a_field(void **state) {
    (void)state;
    struct request_event e = usual();
    e.user_agent = STR("a\" 500 \\");
    expect_line(&e, "INFO  Worker::sales::2] 127.0.0.1 \"GET /sales/x HTTP/1.1\" 200 \"a\\\" 500 \\\\\" 12");
}

static void long_ones_are_cut_and_the_rest_stands(void **state) {
    (void)state;
    static char quotes[9000], path[9000];
    memset(quotes, '"', sizeof quotes);
    memset(path, 'p', sizeof path);
    struct request_event e = usual();
    e.user_agent = str_make(quotes, sizeof quotes);
    const char *line = line_of(&e, LOG_TEXT);
    assert_true(strlen(line) < 4300);
    assert_true(str_ends(str_of(line), STR("\\\"\" 12")));
    e.user_agent = STR("curl/8");
    e.raw_path = str_make(path, sizeof path);
    line = line_of(&e, LOG_TEXT);
    assert_true(strlen(line) < 4300);
    assert_true(str_ends(str_of(line), STR("ppp HTTP/1.1\" 200 \"curl/8\" 12")));
    e.raw_path = str_make(quotes, sizeof quotes);
    line = line_of(&e, LOG_TEXT);
    assert_true(str_ends(str_of(line), STR("\" HTTP/1.1\" 200 \"curl/8\" 12")));
    e.user_agent = str_make(quotes, sizeof quotes);
    line = line_of(&e, LOG_TEXT);
    assert_true(str_ends(str_of(line), STR("\\\"\" 12")));
}

static void typed_in_json(void **state) {
    (void)state;
    struct request_event e = usual();
    json_error_t error;
    json_t *o = json_loads(line_of(&e, LOG_JSON), 0, &error);
    assert_non_null(o);
    static const struct {
        const char *name, *value;
    } strings[] = {
        {"ip", "127.0.0.1"},
        {"method", "GET"},
        {"path", "/sales/x"},
        {"query", "a=1"},
        {"route", "/sales/"},
        {"host", "localhost"},
        {"app", "sales"},
        {"namespace", "shop"},
        {"user_agent", "curl/8"},
        {"version", "1.10"},
        {"trace_id", "0af7651916cd43dd8448eb211c80319c"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(strings); i++) {
        json_t *v = json_object_get(o, strings[i].name);
        if (!json_is_string(v))
            fail_msg("%s is no string in %s", strings[i].name, text);
        assert_string_equal(json_string_value(v), strings[i].value);
    }
    static const struct {
        const char *name;
        json_int_t value;
    } numbers[] = {
        {"status", 200},
        {"elapsed_ms", 12},
        {"worker_id", 2},
        {"request_bytes", 0},
        {"response_bytes", 5000000000},
        {"queue_us", 0},
        {"attempts", 1},
        {"first_byte_us", 11000},
        {"total_us", 12345},
        {"config", 7},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(numbers); i++) {
        json_t *v = json_object_get(o, numbers[i].name);
        if (!json_is_integer(v))
            fail_msg("%s is no number in %s", numbers[i].name, text);
        assert_int_equal(json_integer_value(v), numbers[i].value);
    }
    assert_true(json_is_null(json_object_get(o, "error")));
    json_decref(o);
}

static void null_where_nothing_is_known(void **state) {
    (void)state;
    struct request_event e = {.target = STR("faucet"),
                              .namespace = STR("faucet"),
                              .status = 400,
                              .queued = -1,
                              .first_byte = -1,
                              .error = "bad_request"};
    json_error_t error;
    json_t *o = json_loads(line_of(&e, LOG_JSON), 0, &error);
    assert_non_null(o);
    static const char *const nulls[] = {"ip",       "method",        "path",    "query",     "route",
                                        "host",     "user_agent",    "app",     "worker_id", "version",
                                        "queue_us", "first_byte_us", "trace_id"};
    for (size_t i = 0; i < ARRAY_LENGTH(nulls); i++)
        if (!json_is_null(json_object_get(o, nulls[i])))
            fail_msg("%s is not null in %s", nulls[i], text);
    assert_string_equal(json_string_value(json_object_get(o, "error")), "bad_request");
    json_decref(o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_original),
        cmocka_unit_test(unparsable),
        cmocka_unit_test(quotes_do_not_end_a_field),
        cmocka_unit_test(long_ones_are_cut_and_the_rest_stands),
        cmocka_unit_test(typed_in_json),
        cmocka_unit_test(null_where_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
