/* Replies from workers and upstreams: what is read, and what becomes a 502. Every message is fed in every cut. */
#include "expect.h"

static const struct feed plain = {0}, to_head = {.head_method = true}, asked = {.upgrade_sent = true},
                         closed = {.eof = true};

#define OK(how, bytes, text) expect_text(&(how), STR(bytes), text)
#define BAD(bytes, why)      expect_bad(&plain, STR(bytes), 502, why)
#define REPLY(fields)        "HTTP/1.1 200 OK\r\n" fields "\r\n"

static void length_reply(void **state) {
    (void)state;
    OK(plain, REPLY("Content-Length: 2\r\n") "hiHTTP",
       "head 200 OK 1.1 length 2 keep\nfield Content-Length: 2\nbody hi\n"
       "over, 4 left\n");
}

/* As httpuv 1.6.9 writes them (Plumber, Shiny). */
static void httpuv_replies(void **state) {
    (void)state;
    OK(plain,
       "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: "
       "13\r\n\r\n[\"something\"]",
       "head 200 OK 1.1 length 13 keep\nfield Date: Thu, 01 Jan 2026 00:00:00 GMT\nfield Content-Type: "
       "application/json\n"
       "field Content-Length: 13\nbody [\"something\"]\nover, 0 left\n");
    OK(asked,
       "HTTP/1.1 101 Switching Protocols\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nconnection: Upgrade\r\n"
       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket\r\n\r\n\x81\x02ok",
       "upgraded 101 Switching Protocols 1.1 none 0 keep upgrade\nfield Date: Thu, 01 Jan 2026 00:00:00 GMT\n"
       "field connection: Upgrade\nfield Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\nfield Upgrade: websocket\n"
       "over, 4 left\n");
    OK(plain,
       "HTTP/1.1 100 Continue\r\nDate: Mon, 23 Nov 2026 02:00:49 GMT\r\n\r\nHTTP/1.1 405 Method Not Allowed\r\n"
       "Allow: \r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
       "informational 100 Continue 1.1 none 0 keep\nfield Date: Mon, 23 Nov 2026 02:00:49 GMT\n"
       "head 405 Method Not Allowed 1.1 length 0\nfield Allow: \nfield Connection: close\nfield Content-Length: 0\n"
       "over, 0 left\n");
    OK(plain, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
       "head 204 No Content 1.1 none 0 keep\nfield Content-Length: 0\nover, 0 left\n");
}

/* As uvicorn writes them (FastAPI), h11 and httptools. */
static void uvicorn_replies(void **state) {
    (void)state;
    OK(plain,
       "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: "
       "2\r\ncontent-type: "
       "application/json\r\n\r\n{}",
       "head 200 OK 1.1 length 2 keep\nfield date: Thu, 01 Jan 2026 00:00:00 GMT\nfield server: uvicorn\n"
       "field content-length: 2\nfield content-type: application/json\nbody {}\nover, 0 left\n");
    OK(plain, "HTTP/1.1 200 OK\r\nserver: uvicorn\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
       "head 200 OK 1.1 chunked 0 keep\nfield server: uvicorn\nfield Transfer-Encoding: chunked\nbody hello\n"
       "over, 0 left\n");
    OK(asked,
       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
       "x=\r\n\r\n",
       "upgraded 101 Switching Protocols 1.1 none 0 keep upgrade\nfield Upgrade: websocket\nfield Connection: Upgrade\n"
       "field Sec-WebSocket-Accept: x=\nover, 0 left\n");
}

static void until_close(void **state) {
    (void)state;
    OK(closed, REPLY("X: y\r\n") "some bytes",
       "head 200 OK 1.1 close 0\nfield X: y\nbody some bytes\neof done\n"
       "over, 0 left\n");
    OK(closed, "HTTP/1.0 200 OK\r\n\r\n", "head 200 OK 1.0 close 0\neof done\nover, 0 left\n");
}

static void cut_replies(void **state) {
    (void)state;
    OK(closed, "", "eof nothing\n");
    OK(closed, "HTTP/1.1 200", "eof bad\n");
    OK(closed, REPLY("Content-Length: 3\r\n") "ab",
       "head 200 OK 1.1 length 3 keep\nfield Content-Length: 3\nbody ab\neof bad\n");
    OK(closed, REPLY("Transfer-Encoding: chunked\r\n") "1\r\na\r\n",
       "head 200 OK 1.1 chunked 0 keep\nfield Transfer-Encoding: chunked\nbody a\neof bad\n");
    OK(closed, "HTTP/1.1 100 Continue\r\n\r\n", "informational 100 Continue 1.1 none 0 keep\neof bad\n");
}

static void bodiless_replies(void **state) {
    (void)state;
    OK(to_head, REPLY(""), "head 200 OK 1.1 none 0 keep\nover, 0 left\n");
    OK(to_head, REPLY("Content-Length: 0\r\n"), "head 200 OK 1.1 none 0 keep\nfield Content-Length: 0\nover, 0 left\n");
    OK(plain, "HTTP/1.1 304 Not Modified\r\n\r\n", "head 304 Not Modified 1.1 none 0 keep\nover, 0 left\n");
    OK(plain, "HTTP/1.1 204 No Content\r\n\r\n", "head 204 No Content 1.1 none 0 keep\nover, 0 left\n");
}

/* The connection is not used again: httpuv answers HEAD with a body, which may come later than the head. */
static void bodiless_replies_that_announce_a_body(void **state) {
    (void)state;
    OK(to_head, REPLY("Content-Length: 5\r\n") "HTTP",
       "head 200 OK 1.1 none 5\nfield Content-Length: 5\nover, 4 left\n");
    OK(to_head, REPLY("Transfer-Encoding: chunked\r\n"),
       "head 200 OK 1.1 none 0\nfield Transfer-Encoding: chunked\nover, 0 left\n");
    OK(plain, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
       "head 304 Not Modified 1.1 none 5\nfield Content-Length: 5\nover, 0 left\n");
    OK(plain, "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nnull",
       "head 204 No Content 1.1 none 4\nfield Content-Length: 4\nover, 4 left\n");
    OK(plain, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
       "head 204 No Content 1.1 none 0\nfield Transfer-Encoding: chunked\nover, 0 left\n");
}

static void informational_replies(void **state) {
    (void)state;
    OK(plain, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" REPLY("Content-Length: 0\r\n"),
       "informational 100 Continue 1.1 none 0 keep\ninformational 103 Early Hints 1.1 none 0 keep\nfield Link: x\n"
       "head 200 OK 1.1 length 0 keep\nfield Content-Length: 0\nover, 0 left\n");
    BAD("HTTP/1.1 103 Early Hints\r\nContent-Length: 1\r\n\r\nx", "body announced in a 1xx reply");
    BAD("HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\n\r\n", "body announced in a 1xx reply");
    struct buf many = {0};
    for (int i = 0; i < 17; i++)
        buf_append(&many, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    struct buf t = same_in_all_cuts(&plain, buf_str(&many));
    assert_non_null(strstr(t.data, "bad 502 too many 1xx replies\n"));
    buf_free(&t);
    buf_free(&many);
}

static void switching_protocols(void **state) {
    (void)state;
    BAD("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "101 that nobody asked for");
    expect_bad(&asked, STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), 502,
               "101 without Upgrade");
    expect_bad(&asked, STR("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n"), 502,
               "101 without Upgrade");
    expect_bad(&asked, STR("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx"),
               502, "body announced in a 1xx reply");
    /* the worker may say no */
    OK(asked, REPLY("Content-Length: 0\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"),
       "head 200 OK 1.1 length 0 keep upgrade\nfield Content-Length: 0\nfield Upgrade: websocket\n"
       "field Connection: upgrade\nover, 0 left\n");
    OK(asked,
       "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200",
       "informational 100 Continue 1.1 none 0 keep\nupgraded 101 X 1.1 none 0 keep upgrade\n"
       "field Connection: upgrade\nfield Upgrade: websocket\nover, 12 left\n");
}

static void odd_but_harmless(void **state) {
    (void)state;
    OK(plain, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
       "head 200  1.1 length 0 keep\nfield Content-Length: 0\nover, 0 left\n");
    OK(plain, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
       "head 200  1.1 length 0 keep\nfield Content-Length: 0\nover, 0 left\n");
    OK(plain, "HTTP/1.1 404 Pas trouv\xc3\xa9\r\nContent-Length: 0\r\n\r\n",
       "head 404 Pas trouv\xc3\xa9 1.1 length 0 keep\nfield Content-Length: 0\nover, 0 left\n");
    OK(plain, REPLY("Content-Length: 0\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n"),
       "head 200 OK 1.1 length 0 keep\nfield Content-Length: 0\nfield Set-Cookie: a=1\nfield Set-Cookie: b=2\n"
       "over, 0 left\n");
    OK(plain, REPLY("Content-Length: 0\r\nConnection: clo;se\r\n"),
       "head 200 OK 1.1 length 0\nfield Content-Length: 0\nfield Connection: clo;se\nover, 0 left\n");
    OK(plain, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
       "head 200 OK 1.0 length 0 keep\nfield Connection: keep-alive\nfield Content-Length: 0\nover, 0 left\n");
}

static void start_lines(void **state) {
    (void)state;
    BAD("\r\nHTTP/1.1 200 OK\r\n\r\n", "malformed HTTP version");
    BAD("HTTP/2.0 200 OK\r\n\r\n", "HTTP version is not 1.0 or 1.1");
    BAD("HTTP/1.2 200 OK\r\n\r\n", "HTTP version is not 1.0 or 1.1");
    BAD("HXXX/1.1 200 OK\r\n\r\n", "malformed HTTP version");
    BAD("ICE/1.0 200 OK\r\n\r\n", "malformed HTTP version");
    BAD("HTTP/1.1  200 OK\r\n\r\n", "malformed status code");
    BAD("HTTP/1.1 20 OK\r\n\r\n", "malformed status code");
    BAD("HTTP/1.1 2000 OK\r\n\r\n", "malformed status code");
    BAD("HTTP/1.1 099 OK\r\n\r\n", "status below 100");
    BAD("HTTP/1.1 200 OK\n\r\n", "bare line feed");
    BAD("HTTP/1.1 200\n\r\n", "bare line feed");
    BAD("HTTP/1.1 200 O\x01K\r\n\r\n", "byte not allowed in the reason phrase");
    BAD("HTTP/1.1 200 OK\rX\n\r\n", "carriage return without line feed");
}

static void field_lines(void **state) {
    (void)state;
    BAD(REPLY("X: a\r\n b\r\n"), "folded field line (obs-fold)");
    BAD(REPLY("X: a\n"), "bare line feed");
    BAD(REPLY("X : a\r\n"), "space in a field name or before its colon");
    BAD(REPLY(" X: a\r\n"), "white space before the first field");
    BAD(REPLY("X Y: a\r\n"), "space in a field name or before its colon");
    BAD(REPLY("nonsense\r\n"), "field line without colon");
    BAD("HTTP/1.1 200 OK\r\n\rX", "carriage return without line feed");
    BAD(REPLY("X: a\x01\r\n"), "control character in a field value");
}

static void framing(void **state) {
    (void)state;
    const char *both = "repeated Content-Length, or one beside Transfer-Encoding";
    BAD(REPLY("Content-Length: 1\r\nContent-Length: 1\r\n"), both);
    BAD(REPLY("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), both);
    BAD(REPLY("Content-Length: 01\r\n"), "leading zeros in Content-Length");
    BAD(REPLY("Content-Length: 1,1\r\n"), "Content-Length is not a number");
    BAD(REPLY("Content-Length: 1\r\n 0\r\n"), "folded field line (obs-fold)");
    BAD(REPLY("Transfer-Encoding: gzip, chunked\r\n"), "transfer coding other than chunked");
    BAD(REPLY("Transfer-Encoding: identity\r\n"), "transfer coding other than chunked");
    BAD(REPLY("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        "Transfer-Encoding is not exactly \"chunked\"");
    BAD("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Transfer-Encoding in HTTP/1.0");
    BAD(REPLY("Content-Length: 1\r\nConnection: content-length\r\n"), "Connection names Host or a framing field");
}

static void chunks(void **state) {
    (void)state;
#define CHUNKED(body) REPLY("Transfer-Encoding: chunked\r\n") body
    BAD(CHUNKED("1 junk\r\na\r\n0\r\n\r\n"), "more than digits in a chunk size");
    BAD(CHUNKED("1\r\naXX0\r\n\r\n"), "no CRLF after chunk data");
    BAD(CHUNKED("1\rXa\r\n0\r\n\r\n"), "chunk size line does not end with CRLF");
    BAD(CHUNKED("00000000000000000\r\n\r\n"), "more than 16 digits in a chunk size");
    BAD(CHUNKED("0\r\nContent-Length: 1\r\n\r\n"), "field not allowed in trailers");
    BAD(CHUNKED("0\r\nX: y\n\r\n"), "bare line feed");
    OK(plain, CHUNKED("1;x\r\na\r\n0\r\nServer-Timing: a\r\n\r\n"),
       "head 200 OK 1.1 chunked 0 keep\nfield Transfer-Encoding: chunked\nbody a\ntrailer Server-Timing: a\n"
       "over, 0 left\n");
}

static void head_too_long(void **state) {
    (void)state;
    struct feed small = {.header_size = 64};
    expect_bad(&small, STR(REPLY("X: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n")), 502,
               "head too long");
    struct feed few = {.fields = 1};
    expect_bad(&few, STR(REPLY("X: a\r\nX: b\r\n")), 502, "too many fields");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(length_reply),
        cmocka_unit_test(httpuv_replies),
        cmocka_unit_test(uvicorn_replies),
        cmocka_unit_test(until_close),
        cmocka_unit_test(cut_replies),
        cmocka_unit_test(bodiless_replies),
        cmocka_unit_test(bodiless_replies_that_announce_a_body),
        cmocka_unit_test(informational_replies),
        cmocka_unit_test(switching_protocols),
        cmocka_unit_test(odd_but_harmless),
        cmocka_unit_test(start_lines),
        cmocka_unit_test(field_lines),
        cmocka_unit_test(framing),
        cmocka_unit_test(chunks),
        cmocka_unit_test(head_too_long),
    };
    http_reader_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
