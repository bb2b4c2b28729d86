/* Requests that are refused or put right: one test for each item of the table in docs/http.md. Every message is fed in
 * every cut, alone and with another request behind it (expect.h). */
#include "expect.h"

static const struct feed request = {.request = true};

#define OK(bytes, text)         expect_text(&request, STR(bytes), text)
#define BAD(bytes, status, why) expect_bad(&request, STR(bytes), status, why)
#define HOST                    "Host: a.example\r\n"
#define GET(fields)             "GET / HTTP/1.1\r\n" HOST fields "\r\n"
#define POST(fields, body)      "POST / HTTP/1.1\r\n" HOST fields "\r\n" body
#define CHUNKED(body)           POST("Transfer-Encoding: chunked\r\n", body)

#define CHUNKED_HEAD                                                                                                   \
    "head POST / host=a.example 1.1 chunked 0 keep\nfield Host: a.example\nfield Transfer-Encoding: chunked\n"

static void obs_fold(void **state) {
    (void)state;
    BAD(GET("X: a\r\n b\r\n"), 400, "folded field line (obs-fold)");
    BAD(GET("X: a\r\n\tb\r\n"), 400, "folded field line (obs-fold)");
}
static void obs_fold_on_content_length(void **state) {
    (void)state;
    BAD(POST("Content-Length: 1\r\n 0\r\n", "x"), 400, "folded field line (obs-fold)");
    BAD(POST("Content-Length:\r\n 1\r\n", "x"), 400, "folded field line (obs-fold)");
}
static void obs_fold_on_transfer_encoding(void **state) {
    (void)state;
    BAD(POST("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400, "folded field line (obs-fold)");
}
static void bare_line_feed(void **state) {
    (void)state;
    BAD("GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "bare line feed");
    BAD("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "bare line feed");
    BAD("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "bare line feed");
    BAD("GET / HTTP/1.1\r\nHost: a\r\nX\n: b\r\n\r\n", 400, "field line without colon");
    BAD("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "bare line end");
}
static void carriage_return_without_line_feed(void **state) {
    (void)state;
    BAD("GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "carriage return without line feed");
    BAD(GET("X: a\rb\r\n"), 400, "carriage return without line feed");
    BAD("\rGET / HTTP/1.0\r\n\r\n", 400, "bare line end");
}
static void space_before_colon(void **state) {
    (void)state;
    BAD(GET("X : a\r\n"), 400, "space in a field name or before its colon");
    BAD(GET("X\t: a\r\n"), 400, "space in a field name or before its colon");
    BAD(POST("Content-Length : 1\r\n", "x"), 400, "space in a field name or before its colon");
    BAD(POST("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400, "space in a field name or before its colon");
}
static void white_space_before_first_field(void **state) {
    (void)state;
    BAD("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "white space before the first field");
    BAD("GET / HTTP/1.1\r\n\r\t\r\n", 400, "carriage return without line feed");
}
static void space_in_name(void **state) {
    (void)state;
    BAD(GET("X Y: a\r\n"), 400, "space in a field name or before its colon");
    BAD(POST("Content Length: 1\r\n", "x"), 400, "space in a field name or before its colon");
}
static void other_bytes_in_names_and_values(void **state) {
    (void)state;
    BAD(GET(": a\r\n"), 400, "empty field name");
    BAD(GET("X(: a\r\n"), 400, "byte not allowed in a field name");
    BAD(GET("X\x80: a\r\n"), 400, "byte not allowed in a field name");
    BAD(GET("X: a\0b\r\n"), 400, "control character in a field value");
    BAD(GET("X: a\x7f\r\n"), 400, "control character in a field value");
    BAD(GET("X: a\x0b\r\n"), 400, "control character in a field value");
}
static void content_length_space_after_is_put_right(void **state) {
    (void)state;
    OK(POST("Content-Length: 3 \r\n", "abc"), "head POST / host=a.example 1.1 length 3 keep\nfield Host: a.example\n"
                                              "field Content-Length: 3\nbody abc\nover, 0 left\n");
}
static void content_length_leading_zeros(void **state) {
    (void)state;
    BAD(POST("Content-Length: 0003\r\n", "abc"), 400, "leading zeros in Content-Length");
    BAD(POST("Content-Length: 00\r\n", ""), 400, "leading zeros in Content-Length");
}
static void content_length_not_a_number(void **state) {
    (void)state;
    static const char *const values[] = {"+3",
                                         "-3",
                                         "3,3",
                                         "3 3",
                                         "0x3",
                                         "3a",
                                         "",
                                         " ",
                                         "18446744073709551616",
                                         "9223372036854775808",
                                         "18446744073709551615",
                                         "3;",
                                         "\"3\"",
                                         "3\t3"};
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        struct buf b = {0};
        buf_printf(&b, POST("Content-Length: %s\r\n", "abc"), values[i]);
        expect_bad(&request, buf_str(&b), 400, "Content-Length is not a number");
        buf_free(&b);
    }
}
static void content_length_repeated(void **state) {
    (void)state;
    const char *why = "repeated Content-Length, or one beside Transfer-Encoding";
    BAD(POST("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"), 400, why);
    BAD(POST("Content-Length: 3\r\ncontent-length: 4\r\n", "abc"), 400, why);
}
static void content_length_and_transfer_encoding(void **state) {
    (void)state;
    const char *why = "repeated Content-Length, or one beside Transfer-Encoding";
    BAD(POST("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, why);
    BAD(POST("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n"), 400, why);
    BAD(POST("Transfer-Encoding: gzip\r\nContent-Length: 3\r\n", "abc"), 400, why);
}
static void transfer_encoding_twice(void **state) {
    (void)state;
    BAD(POST("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400,
        "Transfer-Encoding is not exactly \"chunked\"");
    BAD(POST("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400,
        "Transfer-Encoding is not exactly \"chunked\"");
}
static void transfer_encoding_identity_then_chunked(void **state) {
    (void)state;
    BAD(POST("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 501,
        "transfer coding other than chunked");
}
static void transfer_encoding_gzip_chunked(void **state) {
    (void)state;
    BAD(POST("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501, "transfer coding other than chunked");
    BAD(POST("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 501, "transfer coding other than chunked");
}
static void transfer_encoding_unknown(void **state) {
    (void)state;
    BAD(POST("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501, "transfer coding other than chunked");
    BAD(POST("Transfer-Encoding: identity\r\n", "0\r\n\r\n"), 501, "transfer coding other than chunked");
    BAD(POST("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), 400, "Transfer-Encoding is not exactly \"chunked\"");
    BAD(POST("Transfer-Encoding:\r\n", "0\r\n\r\n"), 400, "Transfer-Encoding is not exactly \"chunked\"");
    BAD(POST("Transfer-Encoding: ,chunked\r\n", "0\r\n\r\n"), 400, "Transfer-Encoding is not exactly \"chunked\"");
    BAD(POST("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400, "Transfer-Encoding is not exactly \"chunked\"");
    BAD(POST("Transfer-Encoding: chunked\x0b\r\n", "0\r\n\r\n"), 400, "control character in a field value");
}
static void transfer_encoding_as_beginning_of_a_name(void **state) {
    (void)state;
    BAD(GET("Transfer-Encoding-X: a\r\n"), 400, "field name that begins with Transfer-Encoding");
    BAD(GET("transfer-encoding&: a\r\nConnection: upgrade\r\nUpgrade: x\r\n"), 400,
        "field name that begins with Transfer-Encoding");
}
static void transfer_encoding_after_tab_is_put_right(void **state) {
    (void)state;
    OK(POST("Transfer-Encoding:\tChunked\r\n", "0\r\n\r\n"),
       "head POST / host=a.example 1.1 chunked 0 keep\nfield Host: a.example\nfield Transfer-Encoding: Chunked\n"
       "over, 0 left\n");
}
static void transfer_encoding_in_1_0(void **state) {
    (void)state;
    BAD("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "Transfer-Encoding in HTTP/1.0");
}
static void chunk_size_of_64_zeros(void **state) {
    (void)state;
    BAD(CHUNKED("0000000000000000000000000000000000000000000000000000000000000000\r\n\r\n"), 400,
        "more than 16 digits in a chunk size");
    BAD(CHUNKED("00000000000000003\r\nabc\r\n0\r\n\r\n"), 400, "more than 16 digits in a chunk size");
}
static void chunk_size_with_junk(void **state) {
    (void)state;
    BAD(CHUNKED("1 junk\r\na\r\n0\r\n\r\n"), 400, "more than digits in a chunk size");
    BAD(CHUNKED("1 \r\na\r\n0\r\n\r\n"), 400, "more than digits in a chunk size");
    BAD(CHUNKED("1x\r\na\r\n0\r\n\r\n"), 400, "more than digits in a chunk size");
}
static void chunk_size_not_hexadecimal(void **state) {
    (void)state;
    BAD(CHUNKED("\r\na\r\n0\r\n\r\n"), 400, "chunk size is not hexadecimal");
    BAD(CHUNKED("-1\r\na\r\n0\r\n\r\n"), 400, "chunk size is not hexadecimal");
    BAD(CHUNKED("0x1\r\na\r\n0\r\n\r\n"), 400, "more than digits in a chunk size");
    BAD(CHUNKED(" 1\r\na\r\n0\r\n\r\n"), 400, "chunk size is not hexadecimal");
}
static void chunk_size_too_large(void **state) {
    (void)state;
    BAD(CHUNKED("8000000000000000\r\na"), 400, "chunk size too large");
    BAD(CHUNKED("ffffffffffffffff\r\na"), 400, "chunk size too large");
    OK(CHUNKED("7fffffffffffffff\r\na"), CHUNKED_HEAD "body a\n");
}
static void chunk_data_without_crlf(void **state) {
    (void)state;
    BAD(CHUNKED("1\r\naXX0\r\n\r\n"), 400, "no CRLF after chunk data");
    BAD(CHUNKED("1\r\na\rX0\r\n\r\n"), 400, "no CRLF after chunk data");
    BAD(CHUNKED("1\r\na\n0\r\n\r\n"), 400, "no CRLF after chunk data");
    BAD(CHUNKED("1\r\nab\r\n0\r\n\r\n"), 400, "no CRLF after chunk data");
}
static void chunk_line_end(void **state) {
    (void)state;
    BAD(CHUNKED("1\rXa\r\n0\r\n\r\n"), 400, "chunk size line does not end with CRLF");
    BAD(CHUNKED("1\na\r\n0\r\n\r\n"), 400, "more than digits in a chunk size");
    BAD(CHUNKED("1;a\na\r\n0\r\n\r\n"), 400, "malformed chunk extension");
}
static void chunk_extension_bytes(void **state) {
    (void)state;
    static const char *const lines[] = {
        "1;\r\n",   "1;;a\r\n",   "1;a=\r\n",    "1;a\x01\r\n", "1;a=\"\x01\"\r\n", "1;a=\"b\r\n\"", "1;a=\"b\"c\r\n",
        "1; a\r\n", "1;a =b\r\n", "1;a\x80\r\n", "1;=b\r\n",    "1;a=b=c\r\n",      "1;a= b\r\n",    "1;a\nb\r\n"};
    for (size_t i = 0; i < ARRAY_LENGTH(lines); i++) {
        struct buf b = {0};
        buf_printf(&b, CHUNKED("%sa\r\n0\r\n\r\n"), lines[i]);
        expect_bad(&request, buf_str(&b), 400, "malformed chunk extension");
        buf_free(&b);
    }
}
static void chunk_extensions_many(void **state) {
    (void)state;
    struct buf b = {0};
    buf_append(&b, STR(CHUNKED("")));
    for (int i = 0; i < 300; i++)
        buf_append(&b, STR("1;name=value-value\r\na\r\n"));
    buf_append(&b, STR("0\r\n\r\n"));
    struct buf t = transcript(&request, buf_str(&b), SIZE_MAX);
    assert_non_null(strstr(t.data, "bad 400 too many chunk extensions\n"));
    buf_free(&t);
    buf_free(&b);
    buf_append(&b, STR(CHUNKED("1;")));
    for (int i = 0; i < 5000; i++)
        buf_append(&b, STR("x"));
    t = transcript(&request, buf_str(&b), SIZE_MAX);
    assert_non_null(strstr(t.data, "bad 400 too many chunk extensions\n"));
    buf_free(&t);
    buf_free(&b);
}
static void trailers_that_frame_or_route(void **state) {
    (void)state;
    static const char *const names[] = {
        "Content-Length",      "Transfer-Encoding", "Host",   "content_length", "Connection", "X-Forwarded-For",
        "x_forwarded_host",    "Authorization",     "Cookie", "Upgrade",        "Trailer",    "TE",
        "Faucet-Request-Uuid", "Content-Type",      "Expect"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct buf b = {0};
        buf_printf(&b, CHUNKED("0\r\nX: y\r\n%s: 1\r\n\r\n"), names[i]);
        struct buf t = same_in_all_cuts(&request, buf_str(&b));
        assert_non_null(strstr(t.data, "bad 400 "));
        buf_free(&t);
        buf_free(&b);
    }
}
static void trailers_are_checked_like_fields(void **state) {
    (void)state;
    BAD(CHUNKED("0\r\nX : y\r\n\r\n"), 400, "space in a field name or before its colon");
    BAD(CHUNKED("0\r\nX: y\n\r\n"), 400, "bare line feed");
    BAD(CHUNKED("0\r\n X: y\r\n\r\n"), 400, "white space before the first field");
    BAD(CHUNKED("0\r\nX: y\r\n z\r\n\r\n"), 400, "folded field line (obs-fold)");
    BAD(CHUNKED("0\r\n\rX\r\n\r\n"), 400, "carriage return without line feed");
    BAD(CHUNKED("0\r\n\n"), 400, "bare line feed");
}
static void http_0_9(void **state) {
    (void)state;
    BAD("GET /\r\n\r\n", 400, "no HTTP version in the request line (HTTP/0.9)");
    BAD("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505, "HTTP version is not 1.0 or 1.1");
}
static void http_versions(void **state) {
    (void)state;
    BAD("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "HTTP version is not 1.0 or 1.1");
    BAD("GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505, "HTTP version is not 1.0 or 1.1");
    BAD("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "HTTP version is not 1.0 or 1.1");
    BAD("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "more after the HTTP version");
    BAD("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "malformed HTTP version");
    BAD("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "HTTP version is not 1.0 or 1.1");
}
static void ice_version(void **state) {
    (void)state;
    BAD("SOURCE / ICE/1.0\r\nHost: a\r\n\r\n", 400, "malformed HTTP version");
}
static void no_host(void **state) {
    (void)state;
    BAD("GET / HTTP/1.1\r\nAccept: a\r\n\r\n", 400, "no Host");
    BAD("GET http://a/ HTTP/1.1\r\nAccept: a\r\n\r\n", 400, "no Host");
}
static void two_hosts(void **state) {
    (void)state;
    BAD("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "more than one Host");
    BAD("GET / HTTP/1.0\r\nHost: a\r\nhost: b\r\n\r\n", 400, "more than one Host");
}
static void bad_host(void **state) {
    (void)state;
    static const char *const hosts[] = {"a b", "a/b",    "a@b",  "a:b",    "a:80:80",    "a:65536", "a:123456", "[::1",
                                        "[a]", "[::1]x", "a\\b", "a\"b",   "a%4",        "a%zz",    "",         ":80",
                                        "[]",  "::1",    "a?b",  "[v1.a]", "[::1%25lo]", "a,b c"};
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        struct buf b = {0};
        buf_printf(&b, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
        expect_bad(&request, buf_str(&b), 400, "malformed Host");
        buf_free(&b);
    }
}
static void good_hosts(void **state) {
    (void)state;
    static const char *const hosts[] = {
        "a",  "A.Example.", "a_b:8080",        "127.0.0.1:0", "[::1]", "[2001:db8::1]:65535", "xn--bcher-kva.example",
        "a:", "a%2Db",      "[::ffff:1.2.3.4]"};
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        struct buf b = {0};
        buf_printf(&b, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", hosts[i]);
        struct buf t = same_in_all_cuts(&request, buf_str(&b));
        assert_non_null(strstr(t.data, "over, 0 left\n"));
        buf_free(&t);
        buf_free(&b);
    }
}
static void line_without_colon_ends_head(void **state) {
    (void)state;
    BAD(GET("foo\r\n"), 400, "field line without colon");
    BAD("GET / HTTP/1.1\r\nHost: a\r\n\rX", 400, "carriage return without line feed");
}
static void two_spaces_in_request_line(void **state) {
    (void)state;
    BAD("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "more than one space in the request line");
    BAD("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "more than one space in the start line");
    BAD("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "more after the HTTP version");
    BAD(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "byte not allowed in the method");
    BAD("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "byte not allowed in the method");
}
static void star_with_get(void **state) {
    (void)state;
    BAD("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "\"*\" is for OPTIONS only");
    BAD("OPTIONS *x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request target is neither a path nor an http URL");
}
static void bytes_in_target(void **state) {
    (void)state;
    BAD("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "fragment in the request target");
    for (unsigned c = 0; c < 256; c++) {
        char line[] = "GET /a?b HTTP/1.1\r\nHost: a\r\n\r\n";
        line[6] = (char)c;
        struct buf t = same_in_all_cuts(&request, str_make(line, sizeof line - 1));
        bool fine = c > ' ' && c < 0x7f && c != '#';
        assert_true(fine == (strstr(t.data, "over, 0 left") != NULL));
        buf_free(&t);
    }
}
static void absolute_form_userinfo_and_schemes(void **state) {
    (void)state;
    BAD("GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "user information in the request target");
    BAD("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request target is neither a path nor an http URL");
    BAD("GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed request target");
    BAD("GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed host in the request target");
    BAD("GET http://a:x/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed host in the request target");
    BAD("GET a.example HTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed request target");
}
static void upgrade_not_asked_properly_is_put_right(void **state) {
    (void)state;
    OK(GET("Upgrade: websocket\r\n") "x",
       "head GET / host=a.example safe idempotent 1.1 none 0 keep\nfield Host: a.example\nfield Upgrade: websocket\n"
       "over, 1 left\n");
    OK("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
       "head GET / host= safe idempotent 1.0 none 0\nfield Connection: upgrade\nfield Upgrade: websocket\nover, 0 "
       "left\n");
    OK(POST("Content-Length: 1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n", "xy"),
       "head POST / host=a.example 1.1 length 1 keep\nfield Host: a.example\nfield Content-Length: 1\n"
       "field Connection: Upgrade, HTTP2-Settings\nfield Upgrade: h2c\nbody x\nover, 1 left\n");
    OK(POST("Transfer-Encoding: chunked\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n", "1\r\nx\r\n0\r\n\r\ny"),
       "head POST / host=a.example 1.1 chunked 0 keep\nfield Host: a.example\nfield Transfer-Encoding: chunked\n"
       "field Connection: Upgrade\nfield Upgrade: h2c\nbody x\nover, 1 left\n");
}
static void upgrade_with_a_body(void **state) {
    (void)state;
    BAD(GET("Content-Length: 1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"), 400, "Upgrade with a body");
    BAD(GET("Transfer-Encoding: chunked\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"), 400, "Upgrade with a body");
}
static void request_after_close_is_told(void **state) {
    (void)state;
    OK(GET("Connection: close\r\n") "GET /smuggled HTTP/1.1\r\n",
       "head GET / host=a.example safe idempotent 1.1 none 0\nfield Host: a.example\nfield Connection: close\n"
       "over, 24 left\n");
}
static void connection_names_framing(void **state) {
    (void)state;
    BAD(POST("Content-Length: 1\r\nConnection: Content-Length\r\n", "x"), 400,
        "Connection names Host or a framing field");
    BAD(GET("Connection: close, host\r\n"), 400, "Connection names Host or a framing field");
    BAD(GET("Connection: close, transfer_encoding\r\n"), 400, "Connection names Host or a framing field");
    BAD(GET("Connection: clo se\r\n"), 400, "Connection is not a list of tokens");
    BAD(GET("Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z,1,2,3,4,5,6,7\r\n"), 400,
        "too many options in Connection");
}
static void methods(void **state) {
    (void)state;
    BAD("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "unknown method");
    BAD("get / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "unknown method");
    BAD("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "byte not allowed in the method");
    BAD("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 501, "CONNECT");
    BAD("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 501, "CONNECT");
    BAD("TRACE / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 400, "TRACE with a body");
}

static void fill(struct buf *b, size_t n, char c) {
    memset(buf_reserve(b, n), c, n);
    buf_commit(b, n);
}

static void head_of_79_kilobytes(void **state) {
    (void)state;
    struct feed small = {.request = true, .header_size = 128};
    expect_bad(
        &small,
        STR("GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789012345678901234567890123456789012345678901234567890123456789"
            "01234567890123456789012345678901234567890123456789\r\n\r\n"),
        431, "head too long");
    expect_bad(&small,
               STR("GET /0123456789012345678901234567890123456789012345678901234567890123456789"
                   "01234567890123456789012345678901234567890123456789012345678901234567890123456789 HTTP/1.1\r\n\r\n"),
               414, "request line too long");
    /* exactly the limit is fine */
    struct feed exact = {.request = true, .header_size = sizeof "GET / HTTP/1.1\r\nHost: a\r\n\r\n" - 1};
    expect_text(&exact, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
                "head GET / host=a safe idempotent 1.1 none 0 keep\nfield Host: a\nover, 0 left\n");
    exact.header_size--;
    expect_bad(&exact, STR("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 431, "head too long");
    struct buf b = {0};
    buf_append(&b, STR("GET / HTTP/1.1\r\nHost: a\r\nX: "));
    fill(&b, 79 * 1024, 'x');
    buf_append(&b, STR("\r\n\r\n"));
    struct buf t = transcript(&request, buf_str(&b), b.end);
    assert_string_equal(t.data, "bad 431 head too long\n");
    buf_free(&t);
    struct feed large = {.request = true, .header_size = 256 * 1024};
    t = transcript(&large, buf_str(&b), b.end);
    assert_non_null(strstr(t.data, "over, 0 left"));
    buf_free(&t);
    buf_free(&b);
}

static void ten_thousand_fields(void **state) {
    (void)state;
    struct feed large = {.request = true, .header_size = 1024 * 1024};
    struct buf b = {0};
    buf_append(&b, STR("GET / HTTP/1.1\r\nHost: a\r\n"));
    for (int i = 0; i < 255; i++)
        buf_append(&b, STR("a:b\r\n"));
    size_t before = b.end;
    buf_append(&b, STR("\r\n"));
    struct buf t = transcript(&large, buf_str(&b), b.end);
    assert_non_null(strstr(t.data, "over, 0 left"));
    buf_free(&t);
    b.end = before;
    buf_append(&b, STR("a:b\r\n\r\n"));
    t = transcript(&large, buf_str(&b), b.end);
    assert_string_equal(t.data, "bad 431 too many fields\n");
    buf_free(&t);
    buf_free(&b);
}

static void trailer_section_too_long(void **state) {
    (void)state;
    struct feed small = {.request = true, .header_size = 128};
    expect_bad(
        &small,
        STR("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: "
            "012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901"
            "23456789012345678901234567890123456789\r\n\r\n"),
        431, "trailer section too long");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(obs_fold),
        cmocka_unit_test(obs_fold_on_content_length),
        cmocka_unit_test(obs_fold_on_transfer_encoding),
        cmocka_unit_test(bare_line_feed),
        cmocka_unit_test(carriage_return_without_line_feed),
        cmocka_unit_test(space_before_colon),
        cmocka_unit_test(white_space_before_first_field),
        cmocka_unit_test(space_in_name),
        cmocka_unit_test(other_bytes_in_names_and_values),
        cmocka_unit_test(content_length_space_after_is_put_right),
        cmocka_unit_test(content_length_leading_zeros),
        cmocka_unit_test(content_length_not_a_number),
        cmocka_unit_test(content_length_repeated),
        cmocka_unit_test(content_length_and_transfer_encoding),
        cmocka_unit_test(transfer_encoding_twice),
        cmocka_unit_test(transfer_encoding_identity_then_chunked),
        cmocka_unit_test(transfer_encoding_gzip_chunked),
        cmocka_unit_test(transfer_encoding_unknown),
        cmocka_unit_test(transfer_encoding_as_beginning_of_a_name),
        cmocka_unit_test(transfer_encoding_after_tab_is_put_right),
        cmocka_unit_test(transfer_encoding_in_1_0),
        cmocka_unit_test(chunk_size_of_64_zeros),
        cmocka_unit_test(chunk_size_with_junk),
        cmocka_unit_test(chunk_size_not_hexadecimal),
        cmocka_unit_test(chunk_size_too_large),
        cmocka_unit_test(chunk_data_without_crlf),
        cmocka_unit_test(chunk_line_end),
        cmocka_unit_test(chunk_extension_bytes),
        cmocka_unit_test(chunk_extensions_many),
        cmocka_unit_test(trailers_that_frame_or_route),
        cmocka_unit_test(trailers_are_checked_like_fields),
        cmocka_unit_test(http_0_9),
        cmocka_unit_test(http_versions),
        cmocka_unit_test(ice_version),
        cmocka_unit_test(no_host),
        cmocka_unit_test(two_hosts),
        cmocka_unit_test(bad_host),
        cmocka_unit_test(good_hosts),
        cmocka_unit_test(line_without_colon_ends_head),
        cmocka_unit_test(two_spaces_in_request_line),
        cmocka_unit_test(star_with_get),
        cmocka_unit_test(bytes_in_target),
        cmocka_unit_test(absolute_form_userinfo_and_schemes),
        cmocka_unit_test(upgrade_not_asked_properly_is_put_right),
        cmocka_unit_test(upgrade_with_a_body),
        cmocka_unit_test(request_after_close_is_told),
        cmocka_unit_test(connection_names_framing),
        cmocka_unit_test(methods),
        cmocka_unit_test(head_of_79_kilobytes),
        cmocka_unit_test(ten_thousand_fields),
        cmocka_unit_test(trailer_section_too_long),
    };
    http_reader_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
