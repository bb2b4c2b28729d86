/* sd_notify against a real datagram socket. */
#include "notify_fixture.h"

#include <pthread.h>

#include "base/str.h"
#include "control/notify.h"

static void a_path(void **state) {
    struct fixture *f = *state;
    notify(f->environ_, "READY=1\nSTATUS=Serving %d apps", 3);
    assert_string_equal(fixture_receive(f, 0), "READY=1\nSTATUS=Serving 3 apps"); /* one datagram */
    assert_null(fixture_receive(f, 0));
}

static void an_abstract_name(void **state) {
    struct fixture *f = *state;
    char path[sizeof f->directory + 8], name[64];
    snprintf(path, sizeof path, "%s/s", f->directory);
    assert_int_equal(unlink(path), 0);
    snprintf(name, sizeof name, "@faucet-test-%d", (int)getpid());
    fixture_listen(f, name);
    notify(f->environ_, "STOPPING=1");
    assert_string_equal(fixture_receive(f, 0), "STOPPING=1");
}

static void the_longest_path(void **state) {
    struct fixture *f = *state;
    char name[108]; /* sun_path without a NUL would be 108 */
    memset(name, 'x', sizeof name);
    int n = snprintf(name, sizeof name, "@faucet-test-%d-", (int)getpid());
    name[n] = 'x';
    name[107] = '\0';
    fixture_listen(f, name);
    notify(f->environ_, "READY=1");
    assert_string_equal(fixture_receive(f, 0), "READY=1");
}

static void nobody_listens(void **state) {
    static const char *const names[] = {"",  "NOTIFY_SOCKET",       "NOTIFY_SOCKET=",   "NOTIFY_SOCKET=/",
                                        "x", "NOTIFY_SOCKET=vsock", "NOTIFY_SOCKET=@/", "NOTIFY_SOCKET=/nonexistent/x"};
    struct fixture *f = *state;
    char longest[200];
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        char *environ_[] = {(char *)(uintptr_t)names[i], NULL};
        notify(environ_, "READY=1"); /* says nothing, breaks nothing */
    }
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "NOTIFY_SOCKET=/", 15);
    longest[sizeof longest - 1] = '\0';
    notify((char *[]){longest, NULL}, "READY=1");
    notify((char *[]){NULL}, "READY=1");
    assert_null(fixture_receive(f, 0));
}

static void too_long(void **state) {
    struct fixture *f = *state;
    char text[2 * NOTIFY_MAX];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    notify(f->environ_, "%s", text);
    assert_int_equal(strlen(fixture_receive(f, 0)), NOTIFY_MAX);
    /* an é across the end goes as a whole, one before it stays */
    memcpy(text + NOTIFY_MAX - 1, "\xc3\xa9", 2);
    notify(f->environ_, "%s", text);
    assert_int_equal(strlen(fixture_receive(f, 0)), NOTIFY_MAX - 1);
    memcpy(text + NOTIFY_MAX - 2, "\xc3\xa9", 2);
    notify(f->environ_, "%s", text);
    assert_int_equal(strlen(fixture_receive(f, 0)), NOTIFY_MAX);
    memcpy(text + NOTIFY_MAX - 3, "\xf0\x9f\x9a\xb0", 4);
    notify(f->environ_, "%s", text);
    assert_int_equal(strlen(fixture_receive(f, 0)), NOTIFY_MAX - 3);
}

static void fill(struct fixture *f) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    strcpy(at.sun_path, f->variable + strlen("NOTIFY_SOCKET="));
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unsigned sent = 0;
    assert_true(fd >= 0);
    while (sendto(fd, "x", 1, 0, (const struct sockaddr *)&at, sizeof at) == 1)
        assert_true(++sent < 100000);
    assert_int_equal(errno, EAGAIN);
    close(fd);
}

struct slow_reader {
    struct fixture *fixture;
    unsigned seen;
};

static void *read_until_ready(void *reader) {
    struct slow_reader *r = reader;
    const char *text;
    while ((text = fixture_receive(r->fixture, 5000)) != NULL && strcmp(text, "READY=1") != 0)
        r->seen++;
    return text == NULL ? NULL : reader;
}

/* Full: a state is waited for, anything else is not. */
static void a_full_queue(void **state) {
    struct fixture *f = *state;
    struct slow_reader reader = {f, 0};
    pthread_t thread;
    void *came;
    fill(f);
    notify(f->environ_, "WATCHDOG=1"); /* would hang here for ever, with nobody reading */
    notify(f->environ_, "STATUS=x");
    assert_int_equal(pthread_create(&thread, NULL, read_until_ready, &reader), 0);
    notify(f->environ_, "READY=1");
    assert_int_equal(pthread_join(thread, &came), 0);
    assert_ptr_equal(came, &reader);
    assert_true(reader.seen > 0);
    fill(f);
    notify(f->environ_, "READY=1"); /* nobody reads: it gives up */
    while (fixture_receive(f, 0) != NULL)
        assert_string_equal(f->text, "x");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_path),         FIXTURE_TEST(an_abstract_name), FIXTURE_TEST(the_longest_path),
        FIXTURE_TEST(nobody_listens), FIXTURE_TEST(too_long),         FIXTURE_TEST(a_full_queue),
    };
    return cmocka_run_group_tests_name("control/notify", tests, NULL, NULL);
}
