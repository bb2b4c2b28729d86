/* What limits.connections asks for, against this process's own limit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "base/check.h"
#include "config/snapshot.h"
#include "control/descriptor_limit.h"
#include "proxy/proxy.h"

struct fixture {
    struct rlimit before;
    struct app_config app;
    struct app_config *apps[1];
    struct snapshot snapshot;
};

static int setup(void **state) {
    static struct fixture f;
    f = (struct fixture){.app = {.workers = 4}};
    f.apps[0] = &f.app;
    f.snapshot = (struct snapshot){.file = "/etc/faucet.yaml", .apps = f.apps, .app_count = 1};
    *state = &f;
    return getrlimit(RLIMIT_NOFILE, &f.before);
}

static int teardown(void **state) {
    struct fixture *f = *state;
    return setrlimit(RLIMIT_NOFILE, &f->before);
}

static void limit_files(struct fixture *f, int64_t n) {
    struct rlimit r = {.rlim_cur = (rlim_t)n, .rlim_max = f->before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

/* What is said, into the buffer; the number of problems. */
static size_t said(struct fixture *f, int64_t connections, struct buf *text) {
    struct problems problems;
    problems_init(&problems);
    f->snapshot.daemon.limit_connections = connections;
    descriptor_limit_check(&f->snapshot, &problems);
    assert_int_equal(problems.errors, 0);
    LIST_FOREACH (&problems.list, struct problem, p, node)
        problem_format(p, text);
    size_t n = problems.warnings;
    problems_free(&problems);
    return n;
}

static void the_last_that_fits(void **state) {
    struct fixture *f = *state;
    struct buf text = {0};
    int64_t needed = proxy_descriptors_needed(&f->snapshot, 100);
    assert_int_equal(needed, proxy_descriptors_needed(&f->snapshot, 0) + 200);
    limit_files(f, needed);
    assert_int_equal(said(f, 100, &text), 0);
    assert_int_equal(said(f, 1, &text), 0);
    assert_int_equal(said(f, 101, &text), 1);
    buf_free(&text);
}

static void auto_is_never_too_much(void **state) {
    struct fixture *f = *state;
    struct buf text = {0};
    limit_files(f, 20);
    assert_int_equal(said(f, COUNT_IS_AUTO, &text), 0);
    buf_free(&text);
}

static void the_warning(void **state) {
    struct fixture *f = *state;
    struct buf text = {0};
    limit_files(f, 280); /* 80 are kept: 64, and four for each worker */
    assert_int_equal(said(f, 1000, &text), 1);
    buf_append_char(&text, '\0');
    assert_string_equal(
        buf_str(&text).p,
        "/etc/faucet.yaml: limits.connections: 1000 connections may need 2080 open files (two each, and "
        "80 for workers, files and logs), but the limit is 280, enough for 100 connections; raise it to "
        "2080 (LimitNOFILE= under systemd, else ulimit -n), or ask for less");
    buf_free(&text);
    limit_files(f, 30);
    text = (struct buf){0};
    assert_int_equal(said(f, 1, &text), 1);
    buf_append_char(&text, '\0');
    assert_non_null(strstr(buf_str(&text).p, "is 30, enough for 0 connections; raise it to 82 "));
    buf_free(&text);
}

static void raised_to_the_hard_limit(void **state) {
    struct fixture *f = *state;
    struct rlimit r;
    limit_files(f, 64);
    descriptor_limit_raise();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
    assert_true(r.rlim_cur == f->before.rlim_max && r.rlim_max == f->before.rlim_max);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_that_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(auto_is_never_too_much, setup, teardown),
        cmocka_unit_test_setup_teardown(the_warning, setup, teardown),
        cmocka_unit_test_setup_teardown(raised_to_the_hard_limit, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
