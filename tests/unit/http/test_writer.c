/* The writer's canonical form, byte by byte; and what it writes, the reader reads as the same message. */
#include "expect.h"

#include "http/writer.h"

static struct arena *arena;

static const struct http_head *parse_request(struct str bytes) {
    struct http_limits limits = {8192, 0};
    struct http_reader *r = http_request_reader(arena, &limits);
    struct str body;
    assert_int_equal(http_reader_next(r, &bytes, &body), HTTP_HEAD);
    return http_reader_head(r);
}

static const struct http_head *parse_reply(struct str bytes, bool head_method) {
    struct http_limits limits = {8192, 0};
    struct http_reader *r = http_reply_reader(arena, &limits, head_method, true);
    struct str body;
    enum http_event event = http_reader_next(r, &bytes, &body);
    assert_true(event == HTTP_HEAD || event == HTTP_UPGRADED || event == HTTP_INFORMATIONAL);
    return http_reader_head(r);
}

static void expect_request(const struct http_request_out *out, const char *text) {
    struct buf b = {0};
    http_write_request(&b, out);
    buf_append_char(&b, '\0');
    assert_string_equal(b.data, text);
    buf_free(&b);
}

static void expect_reply(const struct http_reply_out *out, const char *text) {
    struct buf b = {0};
    http_write_reply(&b, out);
    buf_append_char(&b, '\0');
    assert_string_equal(b.data, text);
    buf_free(&b);
}

static void request_is_canonical(void **state) {
    (void)state;
    const struct http_head *h =
        parse_request(STR("POST http://x/a?b HTTP/1.0\r\nHost: other\r\ncontent-length:  3 \r\n"
                          "Accept: */*\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n"
                          "x.forwarded.proto: https\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n"
                          "Proxy-Connection: close\r\nExpect: 100-continue\r\nTrailer: X\r\n"
                          "content_length: 9\r\nTransfer_Encoding: chunked\r\n"
                          "Faucet-Request-Uuid: forged\r\ntraceparent: forged\r\nX-Other: kept\r\n\r\n"));
    struct http_request_out out = {.head = h,
                                   .path = STR("/a"),
                                   .query = STR("b"),
                                   .host = STR("x"),
                                   .framing = HTTP_LENGTH,
                                   .content_length = 3,
                                   .keep_alive = true,
                                   .forwarded_for = STR("127.0.0.1"),
                                   .forwarded_proto = STR("http"),
                                   .forwarded_host = STR("x"),
                                   .forwarded_prefix = STR("/p"),
                                   .request_uuid = STR("0190"),
                                   .traceparent = STR("00-1-2-01")};
    expect_request(&out, "POST /a?b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nX-Other: kept\r\n"
                         "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: x\r\n"
                         "X-Forwarded-Prefix: /p\r\nFaucet-Request-Uuid: 0190\r\ntraceparent: 00-1-2-01\r\n"
                         "Content-Length: 3\r\n\r\n");
    out = (struct http_request_out){.head = h, .path = STR("/"), .host = STR("x"), .framing = HTTP_CHUNKED};
    expect_request(&out, "POST / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nX-Other: kept\r\nConnection: close\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n");
    out.framing = HTTP_NO_BODY;
    out.query = str_make("", 0);
    expect_request(&out, "POST /? HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nX-Other: kept\r\nConnection: close\r\n\r\n");
}

static void request_upgrade(void **state) {
    (void)state;
    const struct http_head *h = parse_request(STR("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                                                  "Upgrade: h2c, websocket\r\nHTTP2-Settings: AAM\r\n"
                                                  "Sec-WebSocket-Key: k\r\n\r\n"));
    struct http_request_out out = {.head = h, .path = STR("/"), .host = STR("x"), .upgrade = STR("websocket")};
    expect_request(&out, "GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: k\r\nUpgrade: websocket\r\n"
                         "Connection: Upgrade\r\n\r\n");
    out.upgrade = STR_NONE;
    out.keep_alive = true;
    expect_request(&out, "GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key: k\r\n\r\n");
}

static void connection_drops_what_it_names_but_no_essentials(void **state) {
    (void)state;
    const struct http_head *h =
        parse_request(STR("GET / HTTP/1.1\r\nHost: x\r\nConnection: X-Secret, Authorization\r\nX-Secret: a\r\n"
                          "Authorization: Basic Zm9v\r\nconnection: x-more, cookie\r\nX-More: b\r\nCookie: c=d\r\n"
                          "X-Real-Ip: 1.2.3.4\r\n\r\n"));
    struct http_request_out out = {.head = h, .path = STR("/"), .host = STR("x"), .keep_alive = true};
    expect_request(&out, "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Basic Zm9v\r\nCookie: c=d\r\n"
                         "X-Real-Ip: 1.2.3.4\r\n\r\n");
}

#define DATE "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"

static void reply_is_canonical(void **state) {
    (void)state;
    const struct http_head *h = parse_reply(
        STR("HTTP/1.0 200 Fine\r\n" DATE "Set-Cookie: b=2\r\nSet-Cookie: a=1\r\nconnection: keep-alive, X-Hop\r\n"
            "X-Hop: 1\r\nKeep-Alive: timeout=1\r\nUpgrade: x\r\nContent-Length: 7\r\nLocation: /a\r\n"
            "Faucet-Request-Uuid: forged\r\nServer: s\r\n\r\n"),
        false);
    struct http_reply_out out = {.head = h,
                                 .client_minor = 1,
                                 .framing = HTTP_LENGTH,
                                 .framing_fields = true,
                                 .content_length = 7,
                                 .keep_alive = true,
                                 .location = STR("/p/a"),
                                 .request_uuid = STR("0190"),
                                 .set_cookie = STR("LB=x; Path=/")};
    expect_reply(&out,
                 "HTTP/1.1 200 Fine\r\n" DATE "Set-Cookie: b=2\r\nSet-Cookie: a=1\r\nLocation: /p/a\r\nServer: s\r\n"
                 "Faucet-Request-Uuid: 0190\r\nSet-Cookie: LB=x; Path=/\r\nContent-Length: 7\r\n\r\n");
    out = (struct http_reply_out){.head = h, .framing = HTTP_UNTIL_CLOSE, .framing_fields = true};
    expect_reply(&out,
                 "HTTP/1.1 200 Fine\r\n" DATE "Set-Cookie: b=2\r\nSet-Cookie: a=1\r\nLocation: /a\r\nServer: s\r\n"
                 "Connection: close\r\n\r\n");
    out = (struct http_reply_out){
        .head = h, .framing = HTTP_LENGTH, .framing_fields = true, .content_length = 7, .keep_alive = true};
    expect_reply(&out,
                 "HTTP/1.1 200 Fine\r\n" DATE "Set-Cookie: b=2\r\nSet-Cookie: a=1\r\nLocation: /a\r\nServer: s\r\n"
                 "Connection: keep-alive\r\nContent-Length: 7\r\n\r\n");
    out = (struct http_reply_out){
        .head = h, .client_minor = 1, .framing = HTTP_CHUNKED, .framing_fields = true, .keep_alive = true};
    expect_reply(&out,
                 "HTTP/1.1 200 Fine\r\n" DATE "Set-Cookie: b=2\r\nSet-Cookie: a=1\r\nLocation: /a\r\nServer: s\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n");
}

static void reply_without_body_keeps_its_length(void **state) {
    (void)state;
    const struct http_head *h = parse_reply(STR("HTTP/1.1 200\r\n" DATE "Content-Length: 7\r\n\r\n"), true);
    struct http_reply_out out = {
        .head = h, .client_minor = 1, .framing = HTTP_NO_BODY, .framing_fields = true, .keep_alive = true};
    expect_reply(&out, "HTTP/1.1 200 OK\r\n" DATE "Content-Length: 7\r\n\r\n");
    h = parse_reply(STR("HTTP/1.1 304 Not Modified\r\n" DATE "Content-Length: 7\r\n\r\n"), false);
    out.head = h;
    out.framing_fields = false;
    expect_reply(&out, "HTTP/1.1 304 Not Modified\r\n" DATE "Content-Length: 7\r\n\r\n");
    h = parse_reply(STR("HTTP/1.1 204 No Content\r\n" DATE "Content-Length: 7\r\n\r\n"), false);
    out.head = h;
    out.framing_fields = true;
    expect_reply(&out, "HTTP/1.1 204 No Content\r\n" DATE "\r\n");
}

static void informational_and_upgrade(void **state) {
    (void)state;
    const struct http_head *h =
        parse_reply(STR("HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close\r\n\r\n"), false);
    struct http_reply_out out = {.head = h, .client_minor = 1};
    expect_reply(&out, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    h = parse_reply(STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n"
                        "Sec-WebSocket-Accept: y\r\n\r\n"),
                    false);
    out = (struct http_reply_out){.head = h, .client_minor = 1, .upgrade = STR("websocket")};
    expect_reply(&out, "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\n\r\n");
}

static void date_is_added(void **state) {
    (void)state;
    struct http_head h = {.status = 418};
    struct buf b = {0};
    http_write_reply(&b, &(struct http_reply_out){.head = &h, .client_minor = 1, .keep_alive = true});
    buf_append_char(&b, '\0');
    const char *date = strstr(b.data, "\r\nDate: ");
    assert_non_null(date);
    assert_int_equal(strlen(date), sizeof "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n" - 1);
    assert_int_equal(strncmp(b.data, "HTTP/1.1 418 \r\n", 15), 0);
    buf_free(&b);
}

static void chunk_heads(void **state) {
    (void)state;
    struct buf b = {0};
    const struct http_field trailers[] = {{STR("A"), STR("b")}, {STR("C"), STR("")}};
    http_write_chunk_head(&b, 1);
    http_write_chunk_head(&b, 0x1f);
    http_write_chunk_head(&b, (size_t)0x123456789abcdef0);
    http_write_last_chunk(&b, trailers, 2);
    http_write_last_chunk(&b, NULL, 0);
    assert_true(str_eq(buf_str(&b), STR("1\r\n1f\r\n123456789abcdef0\r\n0\r\nA: b\r\nC: \r\n\r\n0\r\n\r\n")));
    buf_free(&b);
}

static void numbers(void **state) {
    (void)state;
    struct http_head h = {.request = true, .method = STR("PUT")};
    struct http_request_out out = {.head = &h,
                                   .path = STR("/"),
                                   .host = STR("x"),
                                   .keep_alive = true,
                                   .framing = HTTP_LENGTH,
                                   .content_length = UINT64_MAX};
    expect_request(&out, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n");
    out.content_length = 0;
    expect_request(&out, "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
}

static int setup(void **state) {
    (void)state;
    arena = arena_new(4096);
    http_reader_setup();
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_is_canonical),
        cmocka_unit_test(request_upgrade),
        cmocka_unit_test(connection_drops_what_it_names_but_no_essentials),
        cmocka_unit_test(reply_is_canonical),
        cmocka_unit_test(reply_without_body_keeps_its_length),
        cmocka_unit_test(informational_and_upgrade),
        cmocka_unit_test(date_is_added),
        cmocka_unit_test(chunk_heads),
        cmocka_unit_test(numbers),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
