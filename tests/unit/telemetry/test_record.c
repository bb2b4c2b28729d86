/* Records: what goes in comes out, what PostgreSQL cannot hold does not go in, and damaged bytes are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "telemetry/columns.h"

static struct str field(const struct record_draft *b, unsigned column) {
    struct str s = STR_NONE;

    if (!record_find(record_str(b), column, &s))
        return STR_NONE;
    return s;
}

#define assert_text(b, column, text) assert_true(str_eq(field(b, column), STR(text)))

static void test_every_type(void **state) {
    struct record_draft b = {0};
    struct uuid u = uuid_v4();
    struct ip ip;
    unsigned seconds = COLUMN_OF_SESSION_seconds;

    (void)state;
    record_begin(&b, RECORD_HTTP);
    record_uuid(&b, COLUMN_OF_HTTP_request_uuid, &u);
    assert_true(ip_parse(STR("10.1.2.3"), &ip));
    record_ip(&b, COLUMN_OF_HTTP_ip_addr, &ip);
    record_text(&b, COLUMN_OF_HTTP_method, STR_NONE);
    record_text(&b, COLUMN_OF_HTTP_path, STR("/a/b"));
    record_time(&b, COLUMN_OF_HTTP_time, (wall_t){-5});
    record_text(&b, COLUMN_OF_HTTP_host, STR(""));
    record_integer(&b, COLUMN_OF_HTTP_elapsed, -1234567890123);
    record_end(&b);
    assert_true(str_eq(field(&b, COLUMN_OF_HTTP_request_uuid), str_make((char *)u.b, 16)));
    assert_text(&b, COLUMN_OF_HTTP_path, "/a/b");
    assert_null(field(&b, COLUMN_OF_HTTP_method).p);
    assert_non_null(field(&b, COLUMN_OF_HTTP_host).p);
    assert_int_equal(field(&b, COLUMN_OF_HTTP_host).n, 0);
    assert_int_equal(record_get_integer(field(&b, COLUMN_OF_HTTP_elapsed)), -1234567890123);
    assert_int_equal(record_get_time(field(&b, COLUMN_OF_HTTP_time)).us, -5);
    assert_int_equal(record_get_time(STR_NONE).us, 0);
    assert_text(&b, COLUMN_OF_HTTP_ip_addr, "\x02\x20\x00\x04\x0a\x01\x02\x03");
    struct ip back = record_get_ip(field(&b, COLUMN_OF_HTTP_ip_addr));
    assert_memory_equal(&back, &ip, sizeof ip);
    assert_true(ip_parse(STR("2001:db8::1"), &ip));
    record_begin(&b, RECORD_SESSION); /* the draft again: nothing of before is left */
    record_ip(&b, COLUMN_OF_SESSION_ip_addr, &ip);
    record_real(&b, seconds, 1.25);
    record_end(&b);
    back = record_get_ip(field(&b, COLUMN_OF_SESSION_ip_addr));
    assert_memory_equal(&back, &ip, sizeof ip);
    assert_int_equal(record_get_ip(STR("\x03\x80\x00\x04")).family, AF_UNSPEC);
    assert_true(record_get_real(field(&b, seconds)) > 1.2 && record_get_real(field(&b, seconds)) < 1.3);
    ip.family = AF_UNSPEC;
    record_begin(&b, RECORD_SESSION);
    record_ip(&b, COLUMN_OF_SESSION_ip_addr, &ip);
    record_end(&b);
    assert_int_equal(record_str(&b).n, RECORD_HEAD + 4 * (size_t)COLUMNS_OF_SESSION);
    record_free(&b);
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
        {COLUMN_OF_HTTP_attempts, -1, -1},
    };
    struct record_draft b = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        record_begin(&b, RECORD_HTTP);
        record_integer(&b, rows[i].column, rows[i].in);
        record_end(&b);
        assert_int_equal(record_get_integer(field(&b, rows[i].column)), rows[i].out);
    }
    record_free(&b);
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
    struct record_draft b = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        record_begin(&b, RECORD_HTTP);
        record_text(&b, COLUMN_OF_HTTP_user_agent, rows[i].in);
        record_end(&b);
        assert_true(str_eq(field(&b, COLUMN_OF_HTTP_user_agent), rows[i].out));
    }
    record_free(&b);
}

/* Whatever bytes come: what is stored is valid UTF-8 without NUL, and valid text is stored as it is. */
static void test_any_text(void **state) {
    struct record_draft b = {0};
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
    record_free(&b);
}

static void test_long_text_is_cut_between_characters(void **state) {
    size_t n = 3 * RECORD_FIELD_MAX;
    char *text = malloc(n);
    struct record_draft b = {0};

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
    record_free(&b);
    free(text);
}

static void test_json(void **state) {
    struct record_draft b = {0};
    char *large = malloc(RECORD_FIELD_MAX + 1);

    (void)state;
    record_begin(&b, RECORD_LOG);
    record_json(&b, COLUMN_OF_LOG_body, STR("{\"a\\u0000\":\"\\\\u0000 \\\\\\u0000 \\u00001\"}"));
    record_end(&b);
    assert_text(&b, COLUMN_OF_LOG_body, "\1{\"a\\ufffd\":\"\\\\u0000 \\\\\\ufffd \\ufffd1\"}");
    assert_true(str_eq(record_get_json(field(&b, COLUMN_OF_LOG_body)), str_from(field(&b, COLUMN_OF_LOG_body), 1)));
    memset(large, ' ', RECORD_FIELD_MAX + 1);
    record_begin(&b, RECORD_LOG);
    record_json(&b, COLUMN_OF_LOG_body, str_make(large, RECORD_FIELD_MAX + 1)); /* cut JSON is none */
    record_end(&b);
    assert_null(field(&b, COLUMN_OF_LOG_body).p);
    record_free(&b);
    free(large);
}

static void test_died(void **state) {
    struct record_draft b = {0}, died = {0};
    struct record_reader r;
    struct buf both = {0};

    (void)state;
    record_begin(&b, RECORD_HTTP);
    record_text(&b, COLUMN_OF_HTTP_path, STR("/x"));
    record_skip_to(&b, COLUMN_OF_HTTP_status);
    assert_true(record_died(&died, record_str(&b)));
    buf_append(&both, record_str(&b));
    buf_append(&both, record_str(&died));
    struct str error, path, elapsed;
    assert_true(record_find(buf_str(&both), COLUMN_OF_HTTP_error, &error) && str_eq(error, STR("daemon_died")));
    assert_true(record_find(buf_str(&both), COLUMN_OF_HTTP_path, &path) && str_eq(path, STR("/x")));
    assert_false(record_find(buf_str(&both), COLUMN_OF_HTTP_elapsed, &elapsed));
    assert_true(record_open(buf_str(&both), &r) && r.complete);
    assert_false(record_died(&died, buf_str(&both))); /* that is known already */
    record_begin(&b, RECORD_LOG);
    record_text(&b, COLUMN_OF_LOG_message, STR("m"));
    assert_false(record_died(&died, record_str(&b))); /* has no such column */
    record_begin(&b, RECORD_HTTP);
    assert_true(record_died(&died, record_str(&b)));
    assert_false(record_died(&died, STR("junk")));
    record_free(&b);
    record_free(&died);
    buf_free(&both);
}

static void test_as_many_fields_as_fit(void **state) {
    struct record_draft b = {0};
    struct record_reader r;

    (void)state;
    record_continue(&b, RECORD_HTTP, COLUMN_OF_HTTP_status);
    record_integer(&b, COLUMN_OF_HTTP_status, 200); /* 6 bytes */
    record_integer(&b, COLUMN_OF_HTTP_elapsed, 5);  /* 12 */
    record_end(&b);                                 /* 4 each */
    struct str all = record_str(&b);
    const struct {
        size_t max, n;
    } rows[] = {{0, 0}, {5, 0}, {6, 6}, {17, 6}, {18, 18}, {23, 22}, {all.n - 1, all.n - 4}, {all.n, all.n}};
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(record_fit(all, rows[i].max).n, rows[i].n);
        assert_ptr_equal(record_fit(all, rows[i].max).p, all.p);
    }
    assert_false(record_open(all, &r)); /* it has no head */
    record_free(&b);
}

static void test_damaged_bytes(void **state) {
    struct record_draft b = {0};
    struct record_reader r;
    struct record_field f;

    (void)state;
    record_begin(&b, RECORD_HTTP);
    record_text(&b, COLUMN_OF_HTTP_path, STR("/abc"));
    record_integer(&b, COLUMN_OF_HTTP_status, 200);
    record_end(&b);
    size_t n = record_str(&b).n, opened = 0;
    for (size_t cut = 0; cut <= n; cut++) {
        char *exact = malloc(cut + 1); /* so that AddressSanitizer sees a byte too many */
        memcpy(exact + 1, record_str(&b).p, cut);
        opened += record_open(str_make(exact + 1, cut), &r);
        assert_true(record_fit(str_from(str_make(exact + 1, cut), RECORD_HEAD), cut / 2).n <= cut / 2);
        free(exact);
    }
    assert_int_equal(opened, COLUMNS_OF_HTTP + 1); /* between fields */
    for (int i = 0; i < 20000; i++) {
        char bytes[60];
        size_t length = (size_t)random_u64() % sizeof bytes;
        random_bytes(bytes, length);
        if (length > 1) {
            bytes[0] = RECORD_FORMAT;
            bytes[1] = (char)(bytes[1] & 7);
        }
        for (size_t k = 2; k < length; k++)
            bytes[k] = (char)(bytes[k] & (k % 4 == 3 ? 0x07 : 0));
        if (record_open(str_make(bytes, length), &r))
            while (record_next(&r, &f))
                assert_true(f.bytes.p + f.bytes.n <= bytes + length && f.column < r.n);
    }
    assert_false(record_open(STR("\2\6\0\0"), &r)); /* no such kind */
    assert_false(record_open(STR("\1\0\0\0"), &r)); /* another format */
    assert_false(record_open(STR("\2\0\0"), &r));
    assert_true(record_open(STR("\2\0\0\0"), &r));
    assert_false(record_open(STR("\2\0\0\1\0\0\0\0\0\0\0\0"), &r)); /* more fields than it says */
    assert_true(record_open(STR("\2\0\0\2\xff\xff\xff\xff\0\0\0\1x"), &r) && r.complete);
    assert_true(record_next(&r, &f) && f.column == 1 && str_eq(f.bytes, STR("x")));
    assert_false(record_next(&r, &f));
    record_free(&b);
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
        cmocka_unit_test(test_as_many_fields_as_fit),
        cmocka_unit_test(test_damaged_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
