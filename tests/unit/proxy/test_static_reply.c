/* Conditions, ranges and fields of static replies, after RFC 9110 13 and 14. No file is touched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proxy/static_file.h"

#define MODIFIED    784111777 /* Sun, 06 Nov 1994 08:49:37 GMT */
#define ETAG        "\"7b-3e8-ae1b981bc490a05\""
#define DATE        "Sun, 06 Nov 1994 08:49:37 GMT"
#define DATE_BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define DATE_AFTER  "Sun, 06 Nov 1994 08:49:38 GMT"

struct fixture {
    struct arena *arena;
    struct static_lookup found;
    struct http_head request;
    struct http_field fields[8];
    struct static_reply reply;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    f->arena = arena_new(4096);
    f->found = (struct static_lookup){
        .fd = -1, .status = 200, .size = 1000, .mtime_s = MODIFIED, .mtime_ns = 5, .inode = 123, .name = "data.csv"};
    f->request = (struct http_head){.request = true, .minor = 1, .method = STR("GET"), .fields = f->fields};
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    arena_free(f->arena);
    free(f);
    return 0;
}

static void with(struct fixture *f, const char *name, const char *value) {
    f->fields[f->request.field_count++] = (struct http_field){str_of(name), str_of(value)};
}

/* Decides, and forgets the request's fields. */
static unsigned decide(struct fixture *f) {
    static_reply_decide(&f->reply, &f->found, &f->request, f->arena);
    assert_int_equal(f->reply.status, f->reply.head.status);
    assert_true(str_eq(f->reply.head.reason, str_of(http_reason(f->reply.status))));
    f->request.field_count = 0;
    return f->reply.status;
}

static unsigned decide_with(struct fixture *f, const char *name, const char *value) {
    with(f, name, value);
    return decide(f);
}

static const char *field(struct fixture *f, const char *name) {
    struct str value = http_value(&f->reply.head, str_of(name));

    return value.p == NULL ? "(none)" : arena_str(f->arena, value).p;
}

static void test_whole(void **state) {
    struct fixture *f = *state;

    assert_int_equal(decide(f), 200);
    assert_int_equal(f->reply.offset, 0);
    assert_int_equal(f->reply.length, 1000);
    assert_true(f->reply.send_body);
    assert_int_equal(f->reply.head.framing, HTTP_LENGTH);
    assert_int_equal(f->reply.head.content_length, 1000);
    assert_false(f->reply.head.request);
    assert_string_equal(field(f, "Content-Type"), "text/csv; charset=utf-8");
    assert_string_equal(field(f, "Last-Modified"), DATE);
    assert_string_equal(field(f, "Accept-Ranges"), "bytes");
    assert_string_equal(field(f, "Cache-Control"), "no-cache");
    assert_string_equal(field(f, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(field(f, "ETag"), ETAG);
    assert_string_equal(field(f, "Content-Range"), "(none)");
    assert_string_equal(field(f, "Content-Length"), "(none)"); /* the writer's */
}

static void test_etag_tells_versions_apart(void **state) {
    struct fixture *f = *state;

    f->found.mtime_ns++;
    decide(f);
    assert_string_not_equal(field(f, "ETag"), ETAG);
    f->found.mtime_ns--;
    f->found.size++;
    decide(f);
    assert_string_not_equal(field(f, "ETag"), ETAG);
    f->found.size--;
    f->found.inode++;
    decide(f);
    assert_string_not_equal(field(f, "ETag"), ETAG);
}

static void test_head(void **state) {
    struct fixture *f = *state;

    f->request.method = STR("HEAD");
    f->request.head_method = true;
    with(f, "Range", "bytes=0-9"); /* not defined for HEAD */
    assert_int_equal(decide(f), 200);
    assert_false(f->reply.send_body);
    assert_int_equal(f->reply.length, 0);
    assert_int_equal(f->reply.head.content_length, 1000);
    assert_string_equal(field(f, "Content-Type"), "text/csv; charset=utf-8");
    assert_int_equal(decide_with(f, "If-None-Match", "*"), 304);
}

static void test_other_methods(void **state) {
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "get"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(methods); i++) {
        f->request.method = str_of(methods[i]);
        with(f, "If-None-Match", "*");
        assert_int_equal(decide(f), 405);
        assert_string_equal(field(f, "Allow"), "GET, HEAD");
        assert_false(f->reply.send_body);
        assert_int_equal(f->reply.length, 0);
        assert_int_equal(f->reply.head.content_length, 0);
    }
}

static void test_empty_file(void **state) {
    struct fixture *f = *state;

    f->found.size = 0;
    assert_int_equal(decide(f), 200);
    assert_false(f->reply.send_body);
    assert_int_equal(f->reply.head.content_length, 0);
    assert_int_equal(decide_with(f, "Range", "bytes=0-"), 416);
    assert_string_equal(field(f, "Content-Range"), "bytes */0");
    assert_int_equal(decide_with(f, "Range", "bytes=-5"), 200);
}

static void test_if_none_match(void **state) {
    struct fixture *f = *state;

    assert_int_equal(decide_with(f, "If-None-Match", ETAG), 304);
    assert_false(f->reply.send_body);
    assert_int_equal(f->reply.length, 0);
    assert_int_equal(f->reply.head.framing, HTTP_NO_BODY);
    assert_string_equal(field(f, "ETag"), ETAG);
    assert_string_equal(field(f, "Cache-Control"), "no-cache");
    assert_string_equal(field(f, "Content-Type"), "(none)");

    assert_int_equal(decide_with(f, "If-None-Match", "W/" ETAG), 304); /* compared weakly */
    assert_int_equal(decide_with(f, "If-None-Match", " * "), 304);
    assert_int_equal(decide_with(f, "if-none-match", "\"a\", " ETAG " ,\"b\""), 304);
    assert_int_equal(decide_with(f, "If-None-Match", "\"a,b\"," ETAG), 304); /* a comma inside a tag */
    assert_int_equal(decide_with(f, "If-None-Match", "\"a\""), 200);
    assert_int_equal(decide_with(f, "If-None-Match", ""), 200);
    assert_int_equal(decide_with(f, "If-None-Match", "\"" ETAG), 200);                /* malformed */
    assert_int_equal(decide_with(f, "If-None-Match", "7b-3e8-ae1b981bc490a05"), 200); /* without quotes */
    with(f, "If-None-Match", "\"a\"");
    with(f, "If-None-Match", ETAG); /* two lines are one list */
    assert_int_equal(decide(f), 304);
}

static void test_if_match(void **state) {
    struct fixture *f = *state;

    assert_int_equal(decide_with(f, "If-Match", ETAG), 200);
    assert_int_equal(decide_with(f, "If-Match", "*"), 200);
    assert_int_equal(decide_with(f, "If-Match", "\"a\", " ETAG), 200);
    assert_int_equal(decide_with(f, "If-Match", "W/" ETAG), 412); /* compared strongly */
    assert_int_equal(decide_with(f, "If-Match", "\"a\""), 412);
    assert_int_equal(f->reply.head.content_length, 0);
    assert_false(f->reply.send_body);
    assert_int_equal(decide_with(f, "If-Match", "nonsense"), 412);
}

static void test_dates(void **state) {
    struct fixture *f = *state;

    assert_int_equal(decide_with(f, "If-Modified-Since", DATE), 304);
    assert_int_equal(decide_with(f, "If-Modified-Since", DATE_AFTER), 304);
    assert_int_equal(decide_with(f, "If-Modified-Since", DATE_BEFORE), 200);
    assert_int_equal(decide_with(f, "If-Modified-Since", "Sunday, 06-Nov-94 08:49:37 GMT"), 304);
    assert_int_equal(decide_with(f, "If-Modified-Since", "Sun Nov  6 08:49:37 1994"), 304);
    assert_int_equal(decide_with(f, "If-Modified-Since", "yesterday"), 200);
    with(f, "If-Modified-Since", DATE);
    with(f, "If-Modified-Since", DATE); /* more than one: ignored */
    assert_int_equal(decide(f), 200);

    assert_int_equal(decide_with(f, "If-Unmodified-Since", DATE), 200);
    assert_int_equal(decide_with(f, "If-Unmodified-Since", DATE_AFTER), 200);
    assert_int_equal(decide_with(f, "If-Unmodified-Since", DATE_BEFORE), 412);
    assert_int_equal(decide_with(f, "If-Unmodified-Since", "yesterday"), 200);
}

/* RFC 9110 13.2.2: who is asked first, and who is not asked at all. */
static void test_precedence(void **state) {
    struct fixture *f = *state;

    with(f, "If-Match", ETAG); /* true: If-Unmodified-Since is not looked at */
    with(f, "If-Unmodified-Since", DATE_BEFORE);
    assert_int_equal(decide(f), 200);
    with(f, "If-Match", "\"a\"");
    with(f, "If-None-Match", ETAG);
    assert_int_equal(decide(f), 412);
    with(f, "If-Match", ETAG);
    with(f, "If-None-Match", ETAG);
    assert_int_equal(decide(f), 304);
    with(f, "If-Unmodified-Since", DATE_BEFORE);
    with(f, "If-None-Match", ETAG);
    assert_int_equal(decide(f), 412);
    with(f, "If-None-Match", "\"a\""); /* does not match: If-Modified-Since is not looked at */
    with(f, "If-Modified-Since", DATE);
    assert_int_equal(decide(f), 200);
    with(f, "If-None-Match", ETAG);
    with(f, "If-Modified-Since", DATE_BEFORE);
    assert_int_equal(decide(f), 304);
    with(f, "If-None-Match", ETAG); /* before Range */
    with(f, "Range", "bytes=0-9");
    assert_int_equal(decide(f), 304);
    with(f, "If-Match", "\"a\"");
    with(f, "Range", "bytes=5000-");
    assert_int_equal(decide(f), 412);
}

static void test_ranges(void **state) {
    static const struct {
        const char *value;
        unsigned status;
        uint64_t offset, length;
        const char *content_range;
    } cases[] = {
        {"bytes=0-0", 206, 0, 1, "bytes 0-0/1000"},
        {"bytes=0-999", 206, 0, 1000, "bytes 0-999/1000"},
        {"bytes=10-19", 206, 10, 10, "bytes 10-19/1000"},
        {"bytes=990-", 206, 990, 10, "bytes 990-999/1000"},
        {"bytes=0-", 206, 0, 1000, "bytes 0-999/1000"},
        {"bytes=990-5000", 206, 990, 10, "bytes 990-999/1000"},
        {"bytes=-1", 206, 999, 1, "bytes 999-999/1000"},
        {"bytes=-5000", 206, 0, 1000, "bytes 0-999/1000"},
        {"BYTES=10-19", 206, 10, 10, "bytes 10-19/1000"},
        {"bytes= 10-19 ", 206, 10, 10, "bytes 10-19/1000"},
        {"bytes=,10-19,", 206, 10, 10, "bytes 10-19/1000"},
        {"bytes=0-18446744073709551615", 206, 0, 1000, "bytes 0-999/1000"},
        {"bytes=0-99999999999999999999999", 206, 0, 1000, "bytes 0-999/1000"},
        {"bytes=1000-", 416, 0, 0, "bytes */1000"},
        {"bytes=1000-1001", 416, 0, 0, "bytes */1000"},
        {"bytes=99999999999999999999999-", 416, 0, 0, "bytes */1000"},
        {"bytes=-0", 416, 0, 0, "bytes */1000"},
        /* several, another unit, malformed: the whole */
        {"bytes=0-0,2-3", 200, 0, 1000, "(none)"},
        {"bytes=0-0,x", 200, 0, 1000, "(none)"},
        {"lines=0-9", 200, 0, 1000, "(none)"},
        {"bytes", 200, 0, 1000, "(none)"},
        {"bytes=", 200, 0, 1000, "(none)"},
        {"bytes=-", 200, 0, 1000, "(none)"},
        {"bytes=5", 200, 0, 1000, "(none)"},
        {"bytes=9-5", 200, 0, 1000, "(none)"},
        {"bytes=a-b", 200, 0, 1000, "(none)"},
        {"bytes=1-2-3", 200, 0, 1000, "(none)"},
        {"bytes=--1", 200, 0, 1000, "(none)"},
        {"bytes=+1-2", 200, 0, 1000, "(none)"},
        {"bytes =1-2", 200, 0, 1000, "(none)"},
        {"bytes=1 - 2", 200, 0, 1000, "(none)"},
        {"0-9", 200, 0, 1000, "(none)"},
        {"", 200, 0, 1000, "(none)"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        unsigned status = decide_with(f, "Range", cases[i].value);

        if (status != cases[i].status || f->reply.offset != cases[i].offset || f->reply.length != cases[i].length ||
            strcmp(field(f, "Content-Range"), cases[i].content_range) != 0)
            fail_msg("\"%s\": %u, %d+%d, %s", cases[i].value, status, (int)f->reply.offset, (int)f->reply.length,
                     field(f, "Content-Range"));
        assert_int_equal(f->reply.head.content_length, cases[i].length);
        assert_int_equal(f->reply.send_body, status != 416);
    }
    with(f, "Range", "bytes=0-1");
    with(f, "Range", "bytes=0-1");
    assert_int_equal(decide(f), 200);
}

static void test_if_range(void **state) {
    static const struct {
        const char *value;
        unsigned status;
    } cases[] = {
        {ETAG, 206},
        {"W/" ETAG, 200},
        {"\"a\"", 200},
        {DATE, 206},
        {DATE_BEFORE, 200},
        {DATE_AFTER, 200},
        {"nonsense", 200},
        {"", 200},
        {ETAG ", \"a\"", 200},
        {"*", 200},
        {"Sun Nov  6 08:49:37 1994", 206},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        with(f, "Range", "bytes=0-9");
        with(f, "If-Range", cases[i].value);
        unsigned status = decide(f);
        if (status != cases[i].status)
            fail_msg("\"%s\": %u", cases[i].value, status);
    }
    with(f, "If-Range", "\"a\""); /* not fulfilled: not even 416 */
    with(f, "Range", "bytes=5000-");
    assert_int_equal(decide(f), 200);
    assert_int_equal(decide_with(f, "If-Range", "\"a\""), 200); /* without Range: nothing */
}

/* Last-Modified is never later than now, and such a date proves nothing. */
static void test_file_from_the_future(void **state) {
    struct fixture *f = *state;
    char date[30];

    f->found.mtime_s = wall_now().us / DUR_S + 86400;
    assert_int_equal(decide(f), 200);
    (void)wall_http_date((wall_t){f->found.mtime_s * DUR_S}, date);
    assert_string_not_equal(field(f, "Last-Modified"), date);
    with(f, "Range", "bytes=0-9");
    with(f, "If-Range", field(f, "Last-Modified"));
    assert_int_equal(decide(f), 200);
}

static void test_content_types(void **state) {
    static const struct {
        const char *name, *type;
    } cases[] = {
        {"index.html", "text/html; charset=utf-8"},
        {"INDEX.HTML", "text/html; charset=utf-8"},
        {"a.css", "text/css; charset=utf-8"},
        {"a.js", "text/javascript; charset=utf-8"},
        {"a.min.mjs", "text/javascript; charset=utf-8"},
        {"a.json", "application/json"},
        {"a.js.map", "application/json"},
        {"a.geojson", "application/geo+json"},
        {"a.tsv", "text/tab-separated-values; charset=utf-8"},
        {"a.parquet", "application/vnd.apache.parquet"},
        {"a.svg", "image/svg+xml"},
        {"a.jpeg", "image/jpeg"},
        {"a.woff2", "font/woff2"},
        {"a.wasm", "application/wasm"},
        {"a.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
        {"a.ipynb", "application/x-ipynb+json"},
        {"a.rds", "application/octet-stream"},
        {"a.tar.gz", "application/gzip"},
        {"html", "application/octet-stream"},
        {"a.", "application/octet-stream"},
        {"", "application/octet-stream"},
        {"a.htmlx", "application/octet-stream"},
        {"a.ht", "application/octet-stream"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        assert_string_equal(static_content_type(str_of(cases[i].name)), cases[i].type);
}

/* Rows: lower case, each extension once, text with its charset. */
static void test_table_of_types(void **state) {
    static const char *const rows[][2] = {
#define TYPE(extension, type) {extension, type},
#include "proxy/content_types.def"
#undef TYPE
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (const char *c = rows[i][0]; *c != '\0'; c++)
            assert_int_equal(*c, ascii_lower(*c));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(rows[i][0], rows[j][0]);
        if (str_starts(str_of(rows[i][1]), STR("text/")))
            assert_true(str_ends(str_of(rows[i][1]), STR("; charset=utf-8")));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_whole),
        TEST(test_etag_tells_versions_apart),
        TEST(test_head),
        TEST(test_other_methods),
        TEST(test_empty_file),
        TEST(test_if_none_match),
        TEST(test_if_match),
        TEST(test_dates),
        TEST(test_precedence),
        TEST(test_ranges),
        TEST(test_if_range),
        TEST(test_file_from_the_future),
        cmocka_unit_test(test_content_types),
        cmocka_unit_test(test_table_of_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
