/* Records: what goes in comes out, what PostgreSQL cannot hold does not go in, and damaged bytes are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "telemetry/columns.h"

static struct str field(const struct buf *b, unsigned column) {
    struct str s = STR_NONE;

    if (!record_find(buf_str(b), column, &s))
        return STR_NONE;
    return s;
}

#define assert_text(b, column, text) assert_true(str_eq(field(b, column), STR(text)))

static void test_every_type(void **state) {
    struct buf b = {0};
    struct uuid u = uuid_v4();
    struct ip ip;
    unsigned seconds = COLUMN_OF_SESSION_seconds;

    (void)state;
    record_begin(&b, RECORD_HTTP);
    record_time(&b, COLUMN_OF_HTTP_time, (wall_t){-5});
    record_uuid(&b, COLUMN_OF_HTTP_request_uuid, &u);
    record_text(&b, COLUMN_OF_HTTP_path, STR("/a/b"));
    record_text(&b, COLUMN_OF_HTTP_method, STR_NONE);
    record_text(&b, COLUMN_OF_HTTP_host, STR(""));
    record_integer(&b, COLUMN_OF_HTTP_elapsed, -1234567890123);
    assert_true(ip_parse(STR("10.1.2.3"), &ip));
    record_ip(&b, COLUMN_OF_HTTP_ip_addr, &ip);
    record_end(&b);
    assert_true(str_eq(field(&b, COLUMN_OF_HTTP_request_uuid), str_make((char *)u.b, 16)));
    assert_text(&b, COLUMN_OF_HTTP_path, "/a/b");
    assert_null(field(&b, COLUMN_OF_HTTP_method).p);
    assert_non_null(field(&b, COLUMN_OF_HTTP_host).p);
    assert_int_equal(field(&b, COLUMN_OF_HTTP_host).n, 0);
    assert_int_equal(record_get_integer(field(&b, COLUMN_OF_HTTP_elapsed)), -1234567890123);
    assert_int_equal(record_get_integer(field(&b, COLUMN_OF_HTTP_time)), -5);
    assert_text(&b, COLUMN_OF_HTTP_ip_addr, "\x04\x0a\x01\x02\x03");
    assert_true(ip_parse(STR("2001:db8::1"), &ip));
    record_begin(&b, RECORD_SESSION); /* the buffer again: nothing of before is left */
    record_ip(&b, COLUMN_OF_SESSION_ip_addr, &ip);
    record_real(&b, seconds, 1.25);
    record_end(&b);
    assert_int_equal(field(&b, COLUMN_OF_SESSION_ip_addr).n, 17);
    assert_int_equal(field(&b, COLUMN_OF_SESSION_ip_addr).p[0], 6);
    assert_true(record_get_real(field(&b, seconds)) > 1.2 && record_get_real(field(&b, seconds)) < 1.3);
    ip.family = AF_UNSPEC;
    record_begin(&b, RECORD_SESSION);
    record_ip(&b, COLUMN_OF_SESSION_ip_addr, &ip);
    record_end(&b);
    assert_int_equal(buf_length(&b), 2);
    buf_free(&b);
}

static void test_integers_are_clamped(void **state) {
    static const struct {
        unsigned column;
        int64_t in, out;
    } rows[] = {
        {COLUMN_OF_HTTP_status, 40000, INT16_MAX},
        {COLUMN_OF_HTTP_status, -40000, INT16_MIN},
        {COLUMN_OF_HTTP_status, 499, 499},
        {COLUMN_OF_HTTP_worker_id, INT64_MAX, INT32_MAX},
        {COLUMN_OF_HTTP_worker_id, INT64_MIN, INT32_MIN},
        {COLUMN_OF_HTTP_request_bytes, INT64_MAX, INT64_MAX},
        {COLUMN_OF_HTTP_request_bytes, INT64_MIN, INT64_MIN},
    };
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        record_begin(&b, RECORD_HTTP);
        record_integer(&b, rows[i].column, rows[i].in);
        record_end(&b);
        assert_int_equal(record_get_integer(field(&b, rows[i].column)), rows[i].out);
    }
    buf_free(&b);
}

#define R "\xef\xbf\xbd"

static void test_text_is_mended(void **state) {
    static const struct {
        struct str in, out;
    } rows[] = {
        {{"a\0b", 3}, {"a" R "b", 5}},
        {{"12345678\0", 9}, {"12345678" R, 11}},
        {{"\0\0", 2}, {R R, 6}},
        {{"\xff", 1}, {R, 3}},
        {{"abcdefgh\xc3", 9}, {"abcdefgh" R, 11}}, /* cut in the middle of a character */
        {{"\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80", 10}, {"\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80", 10}},
        {{"\xed\xa0\x80", 3}, {R R R, 9}}, /* a surrogate */
        {{"\xc0\xaf", 2}, {R R, 6}},       /* overlong */
        {{"abcdefghijklmnop\x80qrstuvwxyz012345", 33}, {"abcdefghijklmnop" R "qrstuvwxyz012345", 35}},
        {{"\x01\x7f", 2}, {"\x01\x7f", 2}},
    };
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        record_begin(&b, RECORD_HTTP);
        record_text(&b, COLUMN_OF_HTTP_user_agent, rows[i].in);
        record_end(&b);
        assert_true(str_eq(field(&b, COLUMN_OF_HTTP_user_agent), rows[i].out));
    }
    buf_free(&b);
}

/* Whatever bytes come: what is stored is valid UTF-8 without NUL, and valid text is stored as it is. */
static void test_any_text(void **state) {
    struct buf b = {0};
    char in[64];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)random_u64() % sizeof in;
        random_bytes(in, n);
        for (size_t k = 0; k < n && i % 2 == 0; k++)
            in[k] = (char)(in[k] & 0x7f);
        record_begin(&b, RECORD_HTTP);
        record_text(&b, COLUMN_OF_HTTP_path, str_make(in, n));
        record_end(&b);
        struct str out = field(&b, COLUMN_OF_HTTP_path);
        bool same = str_eq(out, str_make(in, n)), valid = memchr(in, 0, n) == NULL;
        for (struct str s = str_make(in, n); s.n > 0 && valid; s = str_from(s, str_utf8(s)))
            valid = str_utf8(s) > 0;
        assert_true(same == valid);
        assert_null(out.n > 0 ? memchr(out.p, 0, out.n) : NULL);
        for (; out.n > 0; out = str_from(out, str_utf8(out)))
            assert_true(str_utf8(out) > 0);
    }
    buf_free(&b);
}

static void test_long_text_is_cut_between_characters(void **state) {
    size_t n = 3 * RECORD_FIELD_MAX;
    char *text = malloc(n);
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < n; i += 3)
        memcpy(text + i, "\xe2\x82\xac", 3);
    for (size_t shift = 0; shift < 3; shift++) {
        record_begin(&b, RECORD_HTTP);
        record_text(&b, COLUMN_OF_HTTP_path, str_make(text + shift, n - shift));
        record_text(&b, COLUMN_OF_HTTP_host, STR("behind"));
        record_end(&b);
        struct str out = field(&b, COLUMN_OF_HTTP_path);
        assert_in_range(out.n, RECORD_FIELD_MAX - 3, RECORD_FIELD_MAX);
        for (; out.n > 0; out = str_from(out, str_utf8(out)))
            assert_true(str_utf8(out) > 0);
        assert_text(&b, COLUMN_OF_HTTP_host, "behind");
    }
    buf_free(&b);
    free(text);
}

static void test_json(void **state) {
    struct buf b = {0};
    char *large = malloc(RECORD_FIELD_MAX + 1);

    (void)state;
    record_begin(&b, RECORD_LOG);
    record_json(&b, COLUMN_OF_LOG_body, STR("{\"a\\u0000\":\"\\\\u0000 \\\\\\u0000 \\u00001\"}"));
    record_end(&b);
    assert_text(&b, COLUMN_OF_LOG_body, "{\"a\\ufffd\":\"\\\\u0000 \\\\\\ufffd \\ufffd1\"}");
    memset(large, ' ', RECORD_FIELD_MAX + 1);
    record_begin(&b, RECORD_LOG);
    record_json(&b, COLUMN_OF_LOG_body, str_make(large, RECORD_FIELD_MAX + 1)); /* cut JSON is none */
    record_end(&b);
    assert_null(field(&b, COLUMN_OF_LOG_body).p);
    buf_free(&b);
    free(large);
}

static void test_died(void **state) {
    struct buf b = {0}, died = {0};

    (void)state;
    record_begin(&b, RECORD_HTTP);
    record_integer(&b, COLUMN_OF_HTTP_elapsed, 5);
    record_text(&b, COLUMN_OF_HTTP_path, STR("/x"));
    record_integer(&b, COLUMN_OF_HTTP_total_us, 5);
    record_integer(&b, COLUMN_OF_HTTP_status, 200);
    record_end(&b);
    record_died(&died, buf_str(&b));
    assert_text(&died, COLUMN_OF_HTTP_error, "daemon_died");
    assert_text(&died, COLUMN_OF_HTTP_path, "/x");
    assert_null(field(&died, COLUMN_OF_HTTP_elapsed).p);
    assert_null(field(&died, COLUMN_OF_HTTP_total_us).p);
    assert_int_equal(record_get_integer(field(&died, COLUMN_OF_HTTP_status)), 200);
    record_text(&b, COLUMN_OF_HTTP_error, STR("queue_full"));
    record_died(&died, buf_str(&b));
    assert_text(&died, COLUMN_OF_HTTP_error, "daemon_died");
    record_begin(&b, RECORD_LOG);
    record_text(&b, COLUMN_OF_LOG_message, STR("m"));
    record_died(&died, buf_str(&b)); /* has no such column */
    assert_true(str_eq(buf_str(&died), buf_str(&b)));
    record_begin(&b, RECORD_HTTP);
    record_died(&died, buf_str(&b));
    assert_true(buf_length(&died) <= buf_length(&b) + RECORD_DIED_ROOM);
    record_died(&died, STR("junk"));
    assert_int_equal(buf_length(&died), 0);
    buf_free(&b);
    buf_free(&died);
}

static void test_damaged_bytes(void **state) {
    struct buf b = {0};
    struct record_reader r;
    struct record_field f;

    (void)state;
    record_begin(&b, RECORD_HTTP);
    record_text(&b, COLUMN_OF_HTTP_path, STR("/abc"));
    record_integer(&b, COLUMN_OF_HTTP_status, 200);
    record_end(&b);
    size_t n = buf_length(&b), opened = 0;
    for (size_t cut = 0; cut <= n; cut++) {
        char *exact = malloc(cut + 1); /* so that AddressSanitizer sees a byte too many */
        memcpy(exact + 1, buf_str(&b).p, cut);
        opened += record_open(str_make(exact + 1, cut), &r);
        assert_true(record_cut(buf_str(&b), cut).n <= cut);
        free(exact);
    }
    assert_int_equal(opened, 3); /* between fields */
    for (int i = 0; i < 20000; i++) {
        char bytes[40];
        size_t length = (size_t)random_u64() % sizeof bytes;
        random_bytes(bytes, length);
        if (length > 1) {
            bytes[0] = 1;
            bytes[1] = (char)(bytes[1] & 7);
        }
        for (size_t k = 3; k < length; k++)
            bytes[k] = (char)(bytes[k] & (k % 3 == 0 ? 0x0f : 0));
        if (record_open(str_make(bytes, length), &r))
            while (record_next(&r, &f))
                assert_true(f.bytes.p + f.bytes.n <= bytes + length);
    }
    assert_false(record_open(STR("\1\6"), &r)); /* no such kind */
    assert_false(record_open(STR("\2\0"), &r)); /* a newer format */
    assert_true(record_open(str_make("\1\0", 2), &r));
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_integers_are_clamped),
        cmocka_unit_test(test_text_is_mended),
        cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_long_text_is_cut_between_characters),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_died),
        cmocka_unit_test(test_damaged_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
