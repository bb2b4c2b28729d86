/* The directory of the workers' sockets. */
#include "live_fixture.h"

#include <sys/stat.h>

#include "app/socket_place.h"

static void private_fresh_and_gone(void **state) {
    char runtime[] = "/tmp/faucet-unit-XXXXXX", path[108], other[108], left[64], *error = NULL;
    struct stat st;
    (void)state;

    assert_non_null(mkdtemp(runtime));
    (void)snprintf(left, sizeof left, "%s/w", runtime);
    assert_int_equal(mkdir(left, 0755), 0);
    (void)snprintf(left, sizeof left, "%s/w/9.sock", runtime);
    FILE *f = fopen(left, "w");
    assert_non_null(f);
    (void)fclose(f);

    struct socket_place *p = socket_place_new(runtime, &error);
    assert_non_null(p);
    assert_false(socket_place_is_elsewhere(p));
    assert_int_equal(stat(socket_place_directory(p), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(access(left, F_OK), -1);
    socket_place_next(p, path);
    socket_place_next(p, other);
    assert_string_not_equal(path, other);
    assert_ptr_equal(strstr(path, runtime), path);
    socket_place_free(p);
    assert_int_equal(rmdir(runtime), 0);
}

static void too_long_a_path_moves_to_tmp(void **state) {
    char runtime[200], path[108], *error = NULL;
    (void)state;

    memset(runtime, 'x', sizeof runtime);
    runtime[0] = '/';
    runtime[sizeof runtime - 1] = '\0';
    struct socket_place *p = socket_place_new(runtime, &error);
    assert_non_null(p);
    assert_true(socket_place_is_elsewhere(p));
    socket_place_next(p, path);
    assert_ptr_equal(strstr(path, "/tmp/faucet-"), path);
    assert_int_equal(access(socket_place_directory(p), F_OK), 0);
    socket_place_free(p);
}

static void says_what_is_wrong(void **state) {
    char *error = NULL;
    (void)state;

    assert_null(socket_place_new("/proc/nowhere", &error));
    assert_non_null(strstr(error, "/proc/nowhere/w"));
    free(error);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_fresh_and_gone),
        cmocka_unit_test(too_long_a_path_moves_to_tmp),
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
