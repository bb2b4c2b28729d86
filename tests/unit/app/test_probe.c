/* One HTTP question to a Unix socket that the test answers by hand. */
#include "live_fixture.h"

#include <errno.h>
#include <sys/socket.h>

#include "app/probe.h"

static struct {
    unsigned calls;
    bool answered;
    int error;
    char why[128];
} seen;

static void done(struct probe *p, bool answered, int error, const char *why) {
    (void)p;
    seen.calls++;
    seen.answered = answered;
    seen.error = error;
    (void)snprintf(seen.why, sizeof seen.why, "%s", why != NULL ? why : "");
}

struct world {
    struct live live;
    struct probe probe;
    struct address address;
    int listening, peer;
};

static void begin(struct world *w) {
    live_open(&w->live, NULL, NULL);
    memset(&seen, 0, sizeof seen);
    probe_init(&w->probe, w->live.loop, done);
    w->address = (struct address){.length = sizeof w->address.un};
    w->address.un.sun_family = AF_UNIX;
    (void)snprintf(w->address.un.sun_path, sizeof w->address.un.sun_path, "%s/p.sock", w->live.directory);
    w->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    w->peer = -1;
    assert_int_equal(bind(w->listening, &w->address.any, w->address.length), 0);
    assert_int_equal(listen(w->listening, 5), 0);
}

static void begin_and_ask(struct world *w, dur_t timeout) {
    char request[512];

    begin(w);
    assert_int_equal(probe_start(&w->probe, &w->address, timeout, 16384), 0);
    live_turn(&w->live);
    w->peer = accept(w->listening, NULL, NULL);
    ssize_t n = recv(w->peer, request, sizeof request - 1, 0);
    assert_true(n > 0);
    request[n] = '\0';
    assert_ptr_equal(strstr(request, "GET / HTTP/1.1\r\nHost: localhost\r\n"), request);
    assert_string_equal(request + n - 4, "\r\n\r\n");
}

static void finish(struct world *w) {
    probe_cancel(&w->probe);
    if (w->peer >= 0)
        (void)close(w->peer);
    (void)close(w->listening);
    (void)unlink(w->address.un.sun_path);
    live_close(&w->live);
}

static void answer(struct world *w, const char *text) {
    assert_int_equal(write(w->peer, text, strlen(text)), strlen(text));
}

static void any_status_is_an_answer(void **state) {
    struct world w;
    (void)state;

    begin_and_ask(&w, 5 * DUR_S);
    answer(&w, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Oh");
    live_turn(&w.live);
    assert_int_equal(seen.calls, 0);
    answer(&w, " no\r\nContent-Length: 1000\r\n\r\n");
    live_until(&w.live, seen.calls == 1);
    assert_true(seen.answered);
    finish(&w);
}

static void not_http(void **state) {
    struct world w;
    (void)state;

    begin_and_ask(&w, 5 * DUR_S);
    answer(&w, "SSH-2.0-hello\r\n");
    live_until(&w.live, seen.calls == 1);
    assert_false(seen.answered);
    assert_non_null(strstr(seen.why, "not HTTP"));
    finish(&w);
}

static void silence(void **state) {
    struct world w;
    (void)state;

    begin_and_ask(&w, 50 * DUR_MS);
    live_until(&w.live, seen.calls == 1);
    assert_false(seen.answered);
    assert_non_null(strstr(seen.why, "did not answer in time"));
    finish(&w);
}

static void hung_up(void **state) {
    struct world w;
    (void)state;

    begin_and_ask(&w, 5 * DUR_S);
    (void)close(w.peer);
    w.peer = -1;
    live_until(&w.live, seen.calls == 1);
    assert_false(seen.answered);
    assert_non_null(strstr(seen.why, "without an answer"));
    /* and it can be used again */
    assert_int_equal(probe_start(&w.probe, &w.address, DUR_S, 16384), 0);
    live_turn(&w.live);
    w.peer = accept(w.listening, NULL, NULL);
    answer(&w, "HTTP/1.0 404 Not Found\r\n\r\n");
    live_until(&w.live, seen.calls == 2);
    assert_true(seen.answered);
    finish(&w);
}

static void nobody_there(void **state) {
    struct world w;
    (void)state;

    begin(&w);
    (void)unlink(w.address.un.sun_path);
    assert_int_equal(probe_start(&w.probe, &w.address, DUR_S, 16384), ENOENT);
    live_turn(&w.live);
    assert_int_equal(seen.calls, 0);
    finish(&w);
}

static void cancelled(void **state) {
    struct world w;
    (void)state;

    begin_and_ask(&w, 5 * DUR_S);
    probe_cancel(&w.probe);
    char c;
    assert_int_equal(recv(w.peer, &c, 1, 0), 0);
    live_turn(&w.live);
    assert_int_equal(seen.calls, 0);
    finish(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_status_is_an_answer),
        cmocka_unit_test(not_http),
        cmocka_unit_test(silence),
        cmocka_unit_test(hung_up),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
