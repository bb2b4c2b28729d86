/* Rows of COPY, byte by byte, in both formats. That PostgreSQL takes them is test_pool.c's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "telemetry/columns.h"
#include "telemetry/copy_row.h"

static const struct uuid id = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static struct copy_layout layout(enum record_kind kind, bool binary, size_t n, const uint8_t *columns) {
    struct copy_layout l = {.kind = kind, .binary = binary, .n = n};
    memcpy(l.columns, columns, n);
    return l;
}

static void assert_bytes(struct buf *b, struct str expected) {
    struct str got = buf_str(b);
    assert_int_equal(got.n, expected.n);
    assert_memory_equal(got.p, expected.p, expected.n);
    buf_free(b);
}

static void make_http(struct record_draft *r) {
    struct ip ip;
    assert_true(ip_parse(STR("10.1.2.3"), &ip));
    record_begin(r, RECORD_HTTP);
    record_uuid(r, COLUMN_OF_HTTP_request_uuid, &id);
    record_integer(r, COLUMN_OF_HTTP_worker_id, 0x01020304);
    record_ip(r, COLUMN_OF_HTTP_ip_addr, &ip);
    record_text(r, COLUMN_OF_HTTP_path, STR("a\tb\\c\nd\re"));
    record_text(r, COLUMN_OF_HTTP_query_params, STR(""));
    record_time(r, COLUMN_OF_HTTP_time, (wall_t){946684800000001}); /* 2000-01-01, and a microsecond */
    record_integer(r, COLUMN_OF_HTTP_status, -2);
    record_integer(r, COLUMN_OF_HTTP_elapsed, INT64_MIN);
    record_end(r);
}

static const uint8_t http_columns[] = {COLUMN_OF_HTTP_request_uuid, COLUMN_OF_HTTP_path,   COLUMN_OF_HTTP_query_params,
                                       COLUMN_OF_HTTP_user_agent,   COLUMN_OF_HTTP_status, COLUMN_OF_HTTP_worker_id,
                                       COLUMN_OF_HTTP_elapsed,      COLUMN_OF_HTTP_time,   COLUMN_OF_HTTP_ip_addr};

static void test_binary(void **state) {
    struct copy_layout l = layout(RECORD_HTTP, true, sizeof http_columns, http_columns);
    struct record_draft record = {0};
    struct buf out = {0};
    (void)state;
    make_http(&record);
    assert_true(copy_row(&out, &l, record_str(&record)));
    assert_bytes(&out, STR("\0\x09"
                           "\0\0\0\x10\0\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe\xf"
                           "\0\0\0\x9"
                           "a\tb\\c\nd\re"
                           "\0\0\0\0"
                           "\xff\xff\xff\xff"
                           "\0\0\0\2\xff\xfe"
                           "\0\0\0\4\1\2\3\4"
                           "\0\0\0\x8\x80\0\0\0\0\0\0\0"
                           "\0\0\0\x8\0\0\0\0\0\0\0\1"
                           "\0\0\0\x8\2\x20\0\4\xa\1\2\3"));
    record_free(&record);
}

static void test_text(void **state) {
    struct copy_layout l = layout(RECORD_HTTP, false, sizeof http_columns, http_columns);
    struct record_draft record = {0};
    struct buf out = {0};
    (void)state;
    make_http(&record);
    assert_true(copy_row(&out, &l, record_str(&record)));
    assert_bytes(&out, STR("00010203-0405-0607-0809-0a0b0c0d0e0f\ta\\tb\\\\c\\nd\\re\t\t\\N\t-2\t16909060\t"
                           "-9223372036854775808\t2000-01-01T00:00:00.000001Z\t10.1.2.3\n"));
    record_free(&record);
}

static void test_frame(void **state) {
    const uint8_t one[] = {0};
    struct copy_layout binary = layout(RECORD_GAP, true, 1, one), text = layout(RECORD_GAP, false, 1, one);
    struct buf out = {0};
    (void)state;
    copy_begin(&out, &binary);
    copy_end(&out, &binary);
    assert_bytes(&out, STR("PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0\377\377"));
    copy_begin(&out, &text);
    copy_end(&out, &text);
    assert_int_equal(buf_length(&out), 0);
}

static void test_other_types(void **state) {
    const uint8_t session[] = {COLUMN_OF_SESSION_seconds, COLUMN_OF_SESSION_ip_addr}, log[] = {COLUMN_OF_LOG_body};
    struct copy_layout b = layout(RECORD_SESSION, true, 2, session), t = layout(RECORD_SESSION, false, 2, session);
    struct copy_layout lb = layout(RECORD_LOG, true, 1, log), lt = layout(RECORD_LOG, false, 1, log);
    struct record_draft record = {0};
    struct buf out = {0};
    struct ip ip;
    (void)state;
    assert_true(ip_parse(STR("2001:db8::1"), &ip));
    record_begin(&record, RECORD_SESSION);
    record_ip(&record, COLUMN_OF_SESSION_ip_addr, &ip);
    record_real(&record, COLUMN_OF_SESSION_seconds, 1.5);
    record_end(&record);
    assert_true(copy_row(&out, &b, record_str(&record)));
    assert_bytes(&out, STR("\0\2\0\0\0\x8\x3f\xf8\0\0\0\0\0\0"
                           "\0\0\0\x14\3\x80\0\x10\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"));
    assert_true(copy_row(&out, &t, record_str(&record)));
    assert_bytes(&out, STR("1.5\t2001:db8::1\n"));
    assert_false(copy_row(&out, &lb, record_str(&record))); /* of another kind */
    record_begin(&record, RECORD_LOG);
    record_json(&record, COLUMN_OF_LOG_body, STR("{\"a\": \"b\\n\"}"));
    record_end(&record);
    assert_true(copy_row(&out, &lb, record_str(&record)));
    assert_bytes(&out, STR("\0\1\0\0\0\xd\1{\"a\": \"b\\n\"}"));
    assert_true(copy_row(&out, &lt, record_str(&record)));
    assert_bytes(&out, STR("{\"a\": \"b\\\\n\"}\n"));
    record_free(&record);
}

/* A complete record is what a layout of all columns makes of it. */
static void test_tuple(void **state) {
    struct record_draft record = {0};
    struct copy_layout l = {.kind = RECORD_HTTP, .binary = true, .n = COLUMNS_OF_HTTP};
    struct buf out = {0};
    (void)state;
    for (uint8_t i = 0; i < COLUMNS_OF_HTTP; i++)
        l.columns[i] = i;
    make_http(&record);
    assert_true(copy_row(&out, &l, record_str(&record)));
    assert_bytes(&out, record_tuple(record_str(&record)));
    assert_true(copy_is_tuple(&l));
    l.columns[3] = 4;
    assert_false(copy_is_tuple(&l));
    l.columns[3] = 3;
    l.binary = false;
    assert_false(copy_is_tuple(&l));
    l.binary = true;
    l.n--;
    assert_false(copy_is_tuple(&l));
    record_free(&record);
}

/* What a file was changed to by somebody else: never a row that PostgreSQL would refuse as a whole batch. */
static void test_damaged(void **state) {
    const uint8_t columns[] = {COLUMN_OF_HTTP_request_uuid, COLUMN_OF_HTTP_worker_id, COLUMN_OF_HTTP_ip_addr};
    struct copy_layout l = layout(RECORD_HTTP, true, 3, columns);
    struct buf out = {0};
    char wrong[] = "\2\0\0\x1c" /* 28 columns */
                   "\0\0\0\3abc"
                   "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                   "\0\0\0\2\1\1"
                   "\0\0\0\5\2\x20\0\4x";
    (void)state;
    assert_true(copy_row(&out, &l, str_make(wrong, sizeof wrong - 1)));
    assert_bytes(&out, STR("\0\3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_false(copy_row(&out, &l, str_make(wrong, sizeof wrong - 2)));
    assert_false(copy_row(&out, &l, STR("")));
    assert_int_equal(buf_length(&out), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binary),      cmocka_unit_test(test_text),  cmocka_unit_test(test_frame),
        cmocka_unit_test(test_other_types), cmocka_unit_test(test_tuple), cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
