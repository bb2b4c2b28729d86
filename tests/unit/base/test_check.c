/* A failed assertion says where and ends the process with SIGABRT. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"

static void test_failure_aborts_and_says_where(void **state) {
    int ends[2], status;
    char said[1024] = "";
    size_t n = 0;
    ssize_t got;
    pid_t child;

    (void)state;
    AZ(pipe(ends));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit none = {0, 0};

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(ends[1], STDERR_FILENO);
        errno = ENOSPC;
        XXXASSERT(1 + 1 == 3);
        _exit(0);
    }
    close(ends[1]);
    while (n < sizeof said - 1 && (got = read(ends[0], said + n, sizeof said - 1 - n)) > 0)
        n += (size_t)got;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(said, "denied: 1 + 1 == 3 at "));
    assert_non_null(strstr(said, "test_check.c:"));
    assert_non_null(strstr(said, "test_failure_aborts_and_says_where()"));
    assert_non_null(strstr(said, "No space left on device"));
    assert_int_equal(said[n - 1], '\n');
}

static void test_success_evaluates_once(void **state) {
    int calls = 0;

    (void)state;
    ASSERT(++calls == 1);
    AN(++calls);
    AZ(++calls - 3);
    assert_int_equal(calls, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure_aborts_and_says_where),
        cmocka_unit_test(test_success_evaluates_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
