/* Where a daemon's socket is by default. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "control/control_place.h"
#include "control/control_socket.h"

static struct arena *arena;

static void same(const char *a, const char *b) {
    assert_string_equal(control_place_instance(arena, a), control_place_instance(arena, b));
}
static void differ(const char *a, const char *b) {
    assert_string_not_equal(control_place_instance(arena, a), control_place_instance(arena, b));
}

static void test_the_name_tells_the_file(void **state) {
    (void)state;
    const char *name = control_place_instance(arena, "/srv/app/sales.yaml");
    assert_int_equal(strlen(name), strlen("sales-01234567"));
    assert_memory_equal(name, "sales-", 6);
    assert_int_equal(strspn(name + 6, "0123456789abcdef"), 8);
}

static void test_one_file_one_name(void **state) {
    (void)state;
    same("/srv/app/faucet.yaml", "/srv/app/./faucet.yaml");
    same("/srv/app/faucet.yaml", "/srv//app///faucet.yaml");
    same("/srv/app/sales", "/srv/app/sales/");
    differ("/srv/app/faucet.yaml", "/srv/other/faucet.yaml");
    differ("/srv/app/faucet.yaml", "/srv/app/faucet.yml");
    differ("/srv/app/../faucet.yaml", "/srv/faucet.yaml"); /* app may be a symlink */
}

static void test_names_are_short_and_plain(void **state) {
    (void)state;
    const char *name = control_place_instance(arena, "/srv/Zahlen für 2026 \x1b und noch viel mehr als das.yaml");
    assert_int_equal(strlen(name), 32 + 9);
    for (const char *c = name; *c != '\0'; c++)
        assert_true((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || *c == 'Z' || *c == '-');
    assert_non_null(strchr(control_place_instance(arena, "/"), '-'));
}

static void test_the_directory_comes_from_the_environment(void **state) {
    char runtime[] = "RUNTIME_DIRECTORY=/run/one:/run/two", xdg[] = "XDG_RUNTIME_DIR=/run/user/7";
    char *systemd[] = {xdg, runtime, NULL}, *user[] = {xdg, NULL};
    (void)state;
    char *path = control_socket_default(systemd, "/srv/faucet.yaml");
    assert_string_equal(path, "/run/one/control.sock");
    free(path);
    path = control_socket_default(user, "/srv/faucet.yaml");
    const char *instance = control_place_instance(arena, "/srv/faucet.yaml");
    assert_string_equal(path, arena_printf(arena, "/run/user/7/faucet/%s.sock", instance).p);
    free(path);
}

static int setup(void **state) {
    (void)state;
    arena = arena_new(1024);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    arena_free(arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_name_tells_the_file),
        cmocka_unit_test(test_one_file_one_name),
        cmocka_unit_test(test_names_are_short_and_plain),
        cmocka_unit_test(test_the_directory_comes_from_the_environment),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
