/* Our own replies: who gets HTML, what stands in it, and that nothing from outside can break out of it. */
#include "expect.h"

#include "http/canned.h"

static struct http_head request_with(struct http_field *accept) {
    return (struct http_head){.request = true, .fields = accept, .field_count = 1};
}

/* NUL-terminated; caller frees. */
static struct buf canned(const struct http_canned *c, size_t *body) {
    struct buf b = {0};
    *body = http_write_canned(&b, c);
    buf_append_char(&b, '\0');
    return b;
}

static void problem_json(void **state) {
    (void)state;
    size_t body;
    struct http_canned c = {.status = 502,
                            .detail = STR("The app \"sales\" did not answer."),
                            .request_uuid = STR("01900000-0000-7000-8000-000000000000"),
                            .keep_alive = true,
                            .client_minor = 1};
    struct buf b = canned(&c, &body);
    const char *end = strstr(b.data, "\r\n\r\n");
    assert_non_null(strstr(b.data, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: application/problem+json\r\n"));
    assert_non_null(strstr(b.data, "\r\nCache-Control: no-store\r\n"));
    assert_non_null(strstr(b.data, "\r\nFaucet-Request-Uuid: 01900000-0000-7000-8000-000000000000\r\n"));
    assert_string_equal(
        end + 4, "{\"type\":\"about:blank\",\"title\":\"Bad Gateway\",\"status\":502,\"detail\":\"The app "
                 "\\\"sales\\\" did not answer.\",\"instance\":\"urn:uuid:01900000-0000-7000-8000-000000000000\"}\n");
    assert_int_equal(strlen(end + 4), body);
    buf_free(&b);
}

static void html_when_accept_names_it(void **state) {
    (void)state;
    static const struct {
        struct str accept;
        bool html;
    } cases[] = {{{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 63}, true},
                 {{"application/json, TEXT/HTML;q=0.5", 33}, true},
                 {{"text/html;q=0", 13}, false},
                 {{"text/html;level=1;q=0.000", 25}, false},
                 {{"*/*", 3}, false},
                 {{"text/htmlx", 10}, false},
                 {{"", 0}, false}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct http_field accept = {STR("accept"), cases[i].accept};
        struct http_head request = request_with(&accept);
        struct http_canned c = {.status = 404, .request = &request, .client_minor = 1};
        size_t body;
        struct buf b = canned(&c, &body);
        assert_true((strstr(b.data, "Content-Type: text/html; charset=utf-8\r\n") != NULL) == cases[i].html);
        assert_true((strstr(b.data, "<!DOCTYPE html>") != NULL) == cases[i].html);
        assert_int_equal(strlen(strstr(b.data, "\r\n\r\n") + 4), body);
        buf_free(&b);
    }
}

static void nothing_breaks_out(void **state) {
    (void)state;
    struct http_field accept = {STR("Accept"), STR("text/html")};
    struct http_head request = request_with(&accept);
    struct http_canned c = {.status = 308,
                            .detail = STR("<script>alert('&')</script>"),
                            .location = STR("/a\r\nX: y\"><b>\\"),
                            .request = &request,
                            .client_minor = 1};
    size_t body;
    struct buf b = canned(&c, &body);
    assert_non_null(strstr(b.data, "\r\nLocation: /a%0D%0AX:%20y%22%3E%3Cb%3E%5C\r\n"));
    assert_null(strstr(b.data, "<script"));
    assert_null(strstr(b.data, "<b>"));
    assert_non_null(strstr(b.data, "&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"));
    buf_free(&b);
}

static void starting_app_page_tries_again(void **state) {
    (void)state;
    struct http_field accept = {STR("Accept"), STR("text/html")};
    struct http_head request = request_with(&accept);
    struct http_canned c = {.status = 503, .retry_after = 2, .request = &request, .client_minor = 1};
    size_t body;
    struct buf b = canned(&c, &body);
    assert_non_null(strstr(b.data, "\r\nRetry-After: 2\r\n"));
    assert_non_null(strstr(b.data, "<meta http-equiv=\"refresh\" content=\"2\">"));
    buf_free(&b);
    c.request = NULL;
    b = canned(&c, &body);
    assert_non_null(strstr(b.data, "\r\nRetry-After: 2\r\n"));
    assert_null(strstr(b.data, "<meta"));
    buf_free(&b);
}

static void head_gets_the_same_fields_without_body(void **state) {
    (void)state;
    struct http_canned c = {.status = 405, .allow = STR("GET, HEAD"), .client_minor = 1, .keep_alive = true};
    size_t body, none;
    struct buf whole = canned(&c, &body);
    c.head_method = true;
    struct buf head = canned(&c, &none);
    assert_int_equal(none, 0);
    assert_non_null(strstr(head.data, "\r\nAllow: GET, HEAD\r\n"));
    const char *a = strstr(whole.data, "Content-Length:"), *b = strstr(head.data, "Content-Length:");
    assert_int_equal(strncmp(a, b, 20), 0);
    assert_int_equal(strlen(strstr(head.data, "\r\n\r\n")), 4);
    buf_free(&whole);
    buf_free(&head);
}

static void connection_for_each_version(void **state) {
    (void)state;
    static const struct {
        unsigned minor;
        bool keep;
        const char *field;
    } cases[] = {{1, true, NULL},
                 {1, false, "\r\nConnection: close\r\n"},
                 {0, true, "\r\nConnection: keep-alive\r\n"},
                 {0, false, "\r\nConnection: close\r\n"}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct http_canned c = {.status = 400, .client_minor = cases[i].minor, .keep_alive = cases[i].keep};
        size_t body;
        struct buf b = canned(&c, &body);
        const char *found = strstr(b.data, "\r\nConnection:");
        assert_true((found == NULL) == (cases[i].field == NULL));
        if (found != NULL)
            assert_int_equal(strncmp(found, cases[i].field, strlen(cases[i].field)), 0);
        buf_free(&b);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problem_json),
        cmocka_unit_test(html_when_accept_names_it),
        cmocka_unit_test(nothing_breaks_out),
        cmocka_unit_test(starting_app_page_tries_again),
        cmocka_unit_test(head_gets_the_same_fields_without_body),
        cmocka_unit_test(connection_for_each_version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
