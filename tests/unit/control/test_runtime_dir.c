/* What is swept and what never is: the lock tells, not the number; only sockets and directories go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/runtime_dir.h"

struct fixture {
    char base[64], variable[96];
    char *environment[2];
};

static int set_up(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    (void)snprintf(f->base, sizeof f->base, "/tmp/rtXXXXXX");
    assert_non_null(mkdtemp(f->base));
    (void)snprintf(f->variable, sizeof f->variable, "RUNTIME_DIRECTORY=%s", f->base);
    f->environment[0] = f->variable;
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    struct fixture *f = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", f->base);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static const char *below(const struct fixture *f, const char *name) {
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", f->base, name);
    return path;
}

static bool there(const struct fixture *f, const char *name) {
    struct stat st;
    return lstat(below(f, name), &st) == 0;
}

static void make_directory(const struct fixture *f, const char *name) {
    assert_int_equal(mkdir(below(f, name), 0700), 0);
}

static void make_socket(const struct fixture *f, const char *name) {
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    (void)snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", f->base, name);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof a), 0);
    close(s);
}

static void make_file(const struct fixture *f, const char *name) {
    int fd = open(below(f, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static struct runtime_dir *made(struct fixture *f) {
    char *error = NULL;
    struct runtime_dir *r = runtime_dir_make(f->environment, &error);
    if (r == NULL)
        fail_msg("%s", error);
    return r;
}

static void made_and_removed(void **state) {
    struct fixture *f = *state;
    struct runtime_dir *r = made(f);
    struct stat st;
    assert_int_equal(stat(r->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    runtime_dir_remove(r);
    assert_int_not_equal(stat(f->base, &st), 0); /* we were the last */
    assert_int_equal(mkdir(f->base, 0700), 0);
}

static void dead_ones_are_swept(void **state) {
    struct fixture *f = *state;
    make_directory(f, "12345");
    make_directory(f, "12345/w");
    make_socket(f, "12345/w/1.sock");
    make_directory(f, "1-3");
    struct runtime_dir *r = made(f);
    assert_false(there(f, "12345"));
    assert_false(there(f, "1-3"));
    runtime_dir_remove(r);
    assert_int_equal(mkdir(f->base, 0700), 0);
}

/* A process of another container: no such number here, or the very number that we have. */
static void living_ones_stay(void **state) {
    struct fixture *f = *state;
    char ours[32];
    (void)snprintf(ours, sizeof ours, "%d", (int)getpid());
    make_directory(f, ours);
    make_directory(f, "999999999");
    make_socket(f, "999999999/1.sock");
    int a = open(below(f, ours), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int b = open(below(f, "999999999"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(a, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(flock(b, LOCK_EX | LOCK_NB), 0);
    struct runtime_dir *r = made(f);
    assert_true(there(f, ours));
    assert_true(there(f, "999999999/1.sock"));
    assert_string_not_equal(r->path, below(f, ours));
    struct runtime_dir *second = made(f);
    assert_string_not_equal(second->path, r->path);
    struct stat st;
    assert_int_equal(stat(r->path, &st), 0);
    runtime_dir_remove(second);
    runtime_dir_remove(r);
    close(a);
    close(b);
}

static void nothing_else_is_touched(void **state) {
    struct fixture *f = *state;
    make_directory(f, "12345");
    make_file(f, "12345/precious");
    make_directory(f, "12-x");
    make_directory(f, "1x");
    make_directory(f, "-1");
    make_directory(f, "outside");
    make_socket(f, "outside/s");
    assert_int_equal(symlink("outside", below(f, "77")), 0);
    make_directory(f, "88");
    assert_int_equal(symlink("../outside", below(f, "88/link")), 0);
    struct runtime_dir *r = made(f);
    assert_true(there(f, "12345/precious"));
    assert_true(there(f, "12-x") && there(f, "1x") && there(f, "-1"));
    assert_true(there(f, "77") && there(f, "88/link") && there(f, "outside/s"));
    runtime_dir_remove(r);
}

static void a_base_that_others_can_write_is_refused(void **state) {
    struct fixture *f = *state;
    assert_int_equal(chmod(f->base, 0777), 0);
    char *error = NULL;
    assert_null(runtime_dir_make(f->environment, &error));
    assert_non_null(strstr(error, "only this user"));
    free(error);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(made_and_removed),
        TEST(dead_ones_are_swept),
        TEST(living_ones_stay),
        TEST(nothing_else_is_touched),
        TEST(a_base_that_others_can_write_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
