/* Log lines as they are written: both formats, and that nothing from outside does harm in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "base/log_line.h"

#define MOMENT ((wall_t){1767225600000042})

static struct buf line_of(enum log_format format, struct log_line line) {
    struct log_stamp stamp = {0};
    struct buf b = {0};

    line.time = MOMENT;
    log_line_append(&b, &stamp, format, &line);
    return b;
}

static void assert_line(enum log_format format, struct log_line line, struct str expected) {
    struct buf b = line_of(format, line);

    assert_int_equal(buf_length(&b), expected.n);
    assert_memory_equal(buf_str(&b).p, expected.p, expected.n);
    buf_free(&b);
}

static void test_text(void **state) {
    (void)state;
    assert_line(LOG_TEXT, (struct log_line){.level = LOG_INFO, .source = STR("Worker::1"), .message = STR("hello")},
                STR("[2026-01-01T00:00:00Z INFO  Worker::1] hello\n"));
    assert_line(LOG_TEXT, (struct log_line){.level = LOG_ERROR, .source = STR("faucet"), .message = STR("")},
                STR("[2026-01-01T00:00:00Z ERROR faucet] \n"));
    assert_line(LOG_TEXT, (struct log_line){.level = LOG_WARN, .source = STR("faucet"), .message = STR("ñ €")},
                STR("[2026-01-01T00:00:00Z WARN  faucet] ñ €\n"));
    assert_string_equal(log_level_name(LOG_TRACE), "trace");
}

static void test_text_is_harmless(void **state) {
    (void)state;
    assert_line(
        LOG_TEXT,
        (struct log_line){.level = LOG_DEBUG,
                          .source = STR("a\nb"),
                          .message = STR("x\r\n[2026 INFO  faucet] forged\x1b[2J\x7f\0 \x9b \xc2\x9b \xed\xa0\x80\t")},
        STR("[2026-01-01T00:00:00Z DEBUG a\\x0ab] x\\x0d\\x0a[2026 INFO  faucet] forged\\x1b[2J\\x7f\\x00 "
            "\\x9b \\xc2\\x9b \\xed\\xa0\\x80\\x09\n"));
}

static void test_json(void **state) {
    const struct log_field fields[] = {
        LOG_STR("method", STR("GET")),
        LOG_INT("status", 200),
        LOG_INT("least", INT64_MIN),
        {.name = "user", .type = LOG_FIELD_NULL},
    };

    (void)state;
    assert_line(LOG_JSON,
                (struct log_line){.level = LOG_INFO,
                                  .source = STR("Worker::1"),
                                  .message = STR("say \"hi\"\n"),
                                  .fields = fields,
                                  .field_count = 4},
                STR("{\"time\":\"2026-01-01T00:00:00.000042Z\",\"level\":\"info\",\"source\":\"Worker::1\",\"message\":"
                    "\"say \\\"hi\\\"\\n\",\"method\":\"GET\",\"status\":200,\"least\":-9223372036854775808,\"user\":"
                    "null}\n"));
}

static void test_json_of_any_bytes_is_valid(void **state) {
    char bytes[512];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof bytes; n++) {
        struct log_field field = LOG_STR("field", str_make(bytes, n));
        struct buf b = line_of(LOG_JSON, (struct log_line){.level = LOG_WARN,
                                                           .source = str_make(bytes, n),
                                                           .message = str_make(bytes, n),
                                                           .fields = &field,
                                                           .field_count = 1});
        json_t *json = json_loadb(buf_str(&b).p, buf_length(&b), JSON_ALLOW_NUL, NULL);

        assert_non_null(json);
        assert_int_equal(json_object_size(json), 5);
        assert_ptr_equal(memchr(buf_str(&b).p, '\n', buf_length(&b)), buf_str(&b).p + buf_length(&b) - 1);
        json_decref(json);
        buf_free(&b);
    }
}

static void test_long_ones_are_cut(void **state) {
    static char message[LOG_MESSAGE_MAX + 100];
    struct buf b;

    (void)state;
    memset(message, 'm', sizeof message);
    b = line_of(LOG_TEXT, (struct log_line){.source = STR("s"), .message = str_make(message, LOG_MESSAGE_MAX)});
    assert_true(str_ends(buf_str(&b), STR("m\n")));
    buf_free(&b);
    memcpy(message + LOG_MESSAGE_MAX - 1, "€", 3); /* it would be cut in two */
    b = line_of(LOG_TEXT, (struct log_line){.source = STR("s"), .message = str_make(message, sizeof message)});
    assert_true(str_ends(buf_str(&b), STR("m…\n")));
    assert_in_range(buf_length(&b), LOG_MESSAGE_MAX, LOG_MESSAGE_MAX + 64);
    buf_free(&b);
    b = line_of(LOG_JSON, (struct log_line){.source = STR("s"), .message = str_make(message, sizeof message)});
    assert_true(str_ends(buf_str(&b), STR("m…\"}\n")));
    buf_free(&b);
    memset(message, 0x80, sizeof message);
    b = line_of(LOG_TEXT, (struct log_line){.source = STR("s"), .message = str_make(message, sizeof message)});
    assert_true(str_ends(buf_str(&b), STR("\\x80…\n")));
    buf_free(&b);
}

static void test_stamp_follows_the_second(void **state) {
    struct log_stamp stamp = {0};
    struct buf b = {0};

    (void)state;
    for (int64_t half = 0; half < 4; half++) {
        struct log_line line = {.time = {half * DUR_S / 2}, .source = STR("s"), .message = STR("m")};

        log_line_append(&b, &stamp, LOG_TEXT, &line);
        assert_int_equal(buf_str(&b).p[19], half < 2 ? '0' : '1');
        buf_consume(&b, buf_length(&b));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_is_harmless),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_of_any_bytes_is_valid),
        cmocka_unit_test(test_long_ones_are_cut),
        cmocka_unit_test(test_stamp_follows_the_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
