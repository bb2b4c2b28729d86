/* Requests that are read, and what is said of them. Every message is fed in every cut (expect.h). */
#include "expect.h"

static const struct feed request = {.request = true};

#define OK(bytes, text)         expect_text(&request, STR(bytes), text)
#define BAD(bytes, status, why) expect_bad(&request, STR(bytes), status, why)
#define HOST                    "Host: a.example\r\n"
#define GET(fields)             "GET / HTTP/1.1\r\n" HOST fields "\r\n"
#define POST(fields, body)      "POST / HTTP/1.1\r\n" HOST fields "\r\n" body
#define CHUNKED(body)           POST("Transfer-Encoding: chunked\r\n", body)

static void plain_get(void **state) {
    (void)state;
    OK("GET /a/b?c=d&e HTTP/1.1\r\nHost: a.example:80\r\nAccept: */*\r\n\r\nGET /next",
       "head GET /a/b?c=d&e host=a.example:80 safe idempotent 1.1 none 0 keep\n"
       "field Host: a.example:80\nfield Accept: */*\nover, 9 left\n");
}

static void no_field_in_1_0(void **state) {
    (void)state;
    OK("HEAD / HTTP/1.0\r\n\r\n", "head HEAD / host= head safe idempotent 1.0 none 0\nover, 0 left\n");
}

static void values_are_trimmed_and_may_be_empty(void **state) {
    (void)state;
    OK("GET /? HTTP/1.1\r\nHost:a\r\nX: \t y z\t \r\nE:\r\nF:  \r\nG: \x80\xff\r\n\r\n",
       "head GET /? host=a safe idempotent 1.1 none 0 keep\n"
       "field Host: a\nfield X: y z\nfield E: \nfield F: \nfield G: \x80\xff\nover, 0 left\n");
}

static void keep_alive_by_version_and_connection(void **state) {
    (void)state;
    OK("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
       "head GET / host= safe idempotent 1.0 none 0 keep\nfield Connection: Keep-Alive\nover, 0 left\n");
    OK("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE\r\n\r\n",
       "head GET / host=a safe idempotent 1.1 none 0\nfield Host: a\nfield Connection: keep-alive, CLOSE\nover, 0 "
       "left\n");
}

static void length_body(void **state) {
    (void)state;
    OK(POST("Content-Length: 5\r\n", "helloGET"),
       "head POST / host=a.example 1.1 length 5 keep\nfield Host: a.example\nfield Content-Length: 5\nbody hello\n"
       "over, 3 left\n");
    OK(POST("Content-Length: 0\r\n", ""), "head POST / host=a.example 1.1 length 0 keep\nfield Host: a.example\n"
                                          "field Content-Length: 0\nover, 0 left\n");
}

static void expect_continue_needs_a_body(void **state) {
    (void)state;
    OK(POST("Content-Length: 1\r\nExpect: 100-Continue\r\n", "x"),
       "head POST / host=a.example expect 1.1 length 1 keep\nfield Host: a.example\nfield Content-Length: 1\n"
       "field Expect: 100-Continue\nbody x\nover, 0 left\n");
    OK(GET("Expect: 100-continue\r\n"), "head GET / host=a.example safe idempotent 1.1 none 0 keep\n"
                                        "field Host: a.example\nfield Expect: 100-continue\nover, 0 left\n");
    BAD(GET("Expect: tea\r\n"), 417, "Expect is not 100-continue");
    BAD(GET("Expect: 100-continue\r\nExpect: 100-continue\r\n"), 417, "Expect is not 100-continue");
}

#define CHUNKED_HEAD                                                                                                   \
    "head POST / host=a.example 1.1 chunked 0 keep\nfield Host: a.example\nfield Transfer-Encoding: chunked\n"

static void chunked_body(void **state) {
    (void)state;
    OK(CHUNKED("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\nGET"), CHUNKED_HEAD "body abc0123456789\nover, 3 left\n");
    OK(CHUNKED("0\r\n\r\n"), CHUNKED_HEAD "over, 0 left\n");
    OK(CHUNKED("0003\r\nabc\r\n0000000000000000\r\n\r\n"), CHUNKED_HEAD "body abc\nover, 0 left\n");
}

static void chunk_extensions_are_dropped(void **state) {
    (void)state;
    OK(CHUNKED("3;a\r\nabc\r\n3;b=c;d=\"e;\\\"\t \"\r\ndef\r\n0;last\r\n\r\n"),
       CHUNKED_HEAD "body abcdef\nover, 0 left\n");
}

static void trailers_are_read(void **state) {
    (void)state;
    OK(CHUNKED("1\r\na\r\n0\r\nDigest: x\r\nX-Y:  z \r\n\r\nGET"),
       CHUNKED_HEAD "body a\ntrailer Digest: x\ntrailer X-Y: z\nover, 3 left\n");
}

static void absolute_form(void **state) {
    (void)state;
    OK("GET http://b.example:81?q HTTP/1.1\r\nHost: a\r\n\r\n",
       "head GET /?q host=b.example:81 safe idempotent 1.1 none 0 keep\nfield Host: a\nover, 0 left\n");
    OK("GET HTTPS://[::1]/p HTTP/1.1\r\nHost: a\r\n\r\n",
       "head GET /p host=[::1] safe idempotent 1.1 none 0 keep\nfield Host: a\nover, 0 left\n");
}

static void options_star(void **state) {
    (void)state;
    OK("OPTIONS * HTTP/1.1\r\n" HOST "\r\n",
       "head OPTIONS * host=a.example safe idempotent 1.1 none 0 keep\nfield Host: a.example\nover, 0 left\n");
    OK("OPTIONS http://a.example HTTP/1.1\r\n" HOST "\r\n",
       "head OPTIONS * host=a.example safe idempotent 1.1 none 0 keep\nfield Host: a.example\nover, 0 left\n");
}

static void what_browsers_send_in_targets(void **state) {
    (void)state;
    OK("GET /a|b{}[]^`\"<>\\?x=[1]|{2}^`\"' HTTP/1.1\r\nHost: a\r\n\r\n",
       "head GET /a|b{}[]^`\"<>\\?x=[1]|{2}^`\"' host=a safe idempotent 1.1 none 0 keep\nfield Host: a\nover, 0 "
       "left\n");
}

static void websocket_upgrade(void **state) {
    (void)state;
    OK(GET("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n") "frame",
       "head GET / host=a.example safe idempotent 1.1 none 0 keep upgrade\nfield Host: a.example\n"
       "field Connection: keep-alive, Upgrade\nfield Upgrade: websocket\nover, 5 left\n");
}

static void few_empty_lines_before(void **state) {
    (void)state;
    OK("\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", "head GET / host= safe idempotent 1.0 none 0\nover, 0 left\n");
    BAD("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n", 400, "too many empty lines before the request");
}

static void eof(void **state) {
    (void)state;
    struct feed closed = {.request = true, .eof = true};
    expect_text(&closed, STR(""), "eof nothing\n");
    expect_text(&closed, STR("\r\n"), "eof nothing\n");
    expect_text(&closed, STR("G"), "eof bad\n");
    expect_text(&closed, STR("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\na"),
                "head POST / host= 1.0 length 2\nfield Content-Length: 2\nbody a\neof bad\n");
    expect_text(&closed, STR(CHUNKED("1\r\na\r\n0\r\n")), CHUNKED_HEAD "body a\neof bad\n");
}

static void progress_counts_head_bytes(void **state) {
    (void)state;
    struct arena *a = arena_new(1024);
    struct http_limits limits = {4096, 0};
    struct http_reader *r = http_request_reader(a, &limits);
    struct str body, in = STR("\r\n");
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_MORE);
    assert_int_equal(in.n, 0);
    assert_int_equal(http_reader_progress(r), 0);
    in = STR("GET /");
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_MORE);
    assert_int_equal(in.n, 5);
    assert_int_equal(http_reader_progress(r), 5);
    in = STR("GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_HEAD);
    assert_int_equal(http_reader_progress(r), 18);
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_DONE);
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_DONE);
    arena_free(a);
}

static void no_bytes_are_no_harm(void **state) {
    (void)state;
    struct arena *a = arena_new(1024);
    struct http_limits limits = {4096, 0};
    struct http_reader *r = http_request_reader(a, &limits);
    struct str body, none = STR_NONE, in = STR(CHUNKED("1\r\na\r\n"));
    assert_int_equal(http_reader_next(r, &none, &body), HTTP_MORE);
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_HEAD);
    assert_int_equal(http_reader_next(r, &none, &body), HTTP_MORE);
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_BODY);
    assert_int_equal(http_reader_next(r, &none, &body), HTTP_MORE);
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_MORE);
    in = STR("0\r\n");
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_MORE);
    assert_int_equal(http_reader_next(r, &none, &body), HTTP_MORE);
    in = STR("\r\n");
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_DONE);
    arena_free(a);
}

static void error_says_where(void **state) {
    (void)state;
    struct arena *a = arena_new(1024);
    struct http_limits limits = {4096, 0};
    struct http_reader *r = http_request_reader(a, &limits);
    struct str body, in = STR("GET / HTTP/1.1\r\nHost : a\r\n\r\n");
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_BAD);
    assert_int_equal(http_reader_error(r)->offset, 20);
    assert_true(http_reader_progress(r) > 0);
    assert_int_equal(http_reader_next(r, &in, &body), HTTP_BAD);
    assert_int_equal(http_reader_eof(r, false), HTTP_BAD);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_get),
        cmocka_unit_test(no_field_in_1_0),
        cmocka_unit_test(values_are_trimmed_and_may_be_empty),
        cmocka_unit_test(keep_alive_by_version_and_connection),
        cmocka_unit_test(length_body),
        cmocka_unit_test(expect_continue_needs_a_body),
        cmocka_unit_test(chunked_body),
        cmocka_unit_test(chunk_extensions_are_dropped),
        cmocka_unit_test(trailers_are_read),
        cmocka_unit_test(absolute_form),
        cmocka_unit_test(options_star),
        cmocka_unit_test(what_browsers_send_in_targets),
        cmocka_unit_test(websocket_upgrade),
        cmocka_unit_test(few_empty_lines_before),
        cmocka_unit_test(eof),
        cmocka_unit_test(progress_counts_head_bytes),
        cmocka_unit_test(no_bytes_are_no_harm),
        cmocka_unit_test(error_says_where),
    };
    http_reader_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
