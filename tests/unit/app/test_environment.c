/* What a worker's environment holds, and what it never does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/environment.h"
#include "config/config.h"

static const char *get(const char *const *env, const char *name) {
    const char *value = NULL;
    for (size_t n = strlen(name); *env != NULL; env++)
        if (strncmp(*env, name, n) == 0 && (*env)[n] == '=') {
            assert_null(value); /* each name once */
            value = *env + n + 1;
        }
    return value;
}

static char *const start[] = {"PATH=/usr/bin",
                              "HOME=/root",
                              "FAUCET_LISTEN=x",
                              "FAUCET_TELEMETRY_POSTGRES_STRING=secret",
                              "LISTEN_FDS=1",
                              "LISTEN_PID=2",
                              "NOTIFY_SOCKET=/n",
                              "WATCHDOG_USEC=1",
                              "CREDENTIALS_DIRECTORY=/c",
                              "DATABASE_URL=secret",
                              "LISTENER=kept",
                              "A=start",
                              "B=start",
                              "C=start",
                              "no-equals-sign",
                              NULL};
static const char *secret_names[] = {"DATABASE_URL"};
static const struct strings secret = {1, secret_names}, none = {0, NULL};

static void test_order_and_removal(void **state) {
    (void)state;
    struct arena *a = arena_new(4096);
    struct string_map *dotenv = arena_alloc(a, sizeof *dotenv), *env = arena_alloc(a, sizeof *env);
    dotenv->n = 4;
    dotenv->v = arena_alloc(a, 4 * sizeof *dotenv->v);
    dotenv->v[0].key = "B", dotenv->v[0].value = "dotenv";
    dotenv->v[1].key = "C", dotenv->v[1].value = "dotenv";
    dotenv->v[2].key = "PATH", dotenv->v[2].value = "/opt:${PATH}";
    dotenv->v[3].key = "STOLEN", dotenv->v[3].value = "<${DATABASE_URL}${FAUCET_TELEMETRY_POSTGRES_STRING}>";
    env->n = 3;
    env->v = arena_alloc(a, 3 * sizeof *env->v);
    env->v[0].key = "C", env->v[0].value = "env ${A}"; /* expanded by config, not by us */
    env->v[1].key = "FAUCET_APP", env->v[1].value = "forged";
    env->v[2].key = "DATABASE_URL", env->v[2].value = "on purpose";
    struct app_config app = {.name = "sales", .type = APP_SHINY, .dotenv = *dotenv, .env = *env};
    app.telemetry.namespace = "ns";
    const struct kind_listen listen = {.socket = "/run/1.sock"};
    const char *const *e = environment_build(a, start, &secret, &app, 3, &listen);
    assert_string_equal(get(e, "A"), "start");
    assert_string_equal(get(e, "B"), "dotenv");
    assert_string_equal(get(e, "C"), "env ${A}");
    assert_string_equal(get(e, "PATH"), "/opt:/usr/bin");
    assert_string_equal(get(e, "STOLEN"), "<>");
    assert_string_equal(get(e, "LISTENER"), "kept");
    assert_string_equal(get(e, "DATABASE_URL"), "on purpose");
    assert_string_equal(get(e, "FAUCET_APP"), "sales");
    assert_string_equal(get(e, "FAUCET_WORKER_ID"), "3");
    assert_string_equal(get(e, "FAUCET_TELEMETRY_NAMESPACE"), "ns");
    assert_null(get(e, "FAUCET_TELEMETRY_VERSION"));
    assert_string_equal(get(e, "FAUCET_SOCKET"), "/run/1.sock");
    assert_null(get(e, "PORT"));
    assert_string_equal(get(e, "R_ENVIRON_USER"), "/dev/null");
    static const char *const gone[] = {"FAUCET_LISTEN",        "FAUCET_TELEMETRY_POSTGRES_STRING",
                                       "LISTEN_FDS",           "LISTEN_PID",
                                       "NOTIFY_SOCKET",        "WATCHDOG_USEC",
                                       "CREDENTIALS_DIRECTORY"};
    for (size_t i = 0; i < ARRAY_LENGTH(gone); i++)
        assert_null(get(e, gone[i]));
    arena_free(a);
}

static void test_port_and_tools(void **state) {
    (void)state;
    struct arena *a = arena_new(1024);
    struct app_config app = {.name = "api", .type = APP_FAST_API};
    const struct kind_listen listen = {.port = 4711};
    const char *const *e = environment_build(a, start, &secret, &app, 1, &listen);
    assert_string_equal(get(e, "PORT"), "4711");
    assert_null(get(e, "FAUCET_SOCKET"));
    assert_null(get(e, "DATABASE_URL"));
    assert_string_equal(get(e, "PYTHONUNBUFFERED"), "1");
    e = environment_build(a, start, &none, NULL, 0, NULL); /* a tool without an app */
    assert_string_equal(get(e, "DATABASE_URL"), "secret");
    assert_null(get(e, "FAUCET_APP"));
    assert_null(get(e, "FAUCET_WORKER_ID"));
    char *const empty[] = {NULL};
    assert_null(environment_build(a, empty, &none, NULL, 0, NULL)[0]);
    arena_free(a);
}

static void test_files(void **state) {
    (void)state;
    struct arena *a = arena_new(1024);
    struct problems problems;
    struct string_map map = {0, NULL};
    char directory[] = "/tmp/environment-test-XXXXXX";
    assert_non_null(mkdtemp(directory));
    problems_init(&problems);
    const char *env = arena_printf(a, "%s/.env", directory).p, *renviron = arena_printf(a, "%s/.Renviron", directory).p;
    environment_read_file(a, env, &map, &problems);
    environment_read_file(a, "/dev/null", &map, &problems);
    environment_read_file(a, "/etc/passwd/.env", &map, &problems);
    assert_int_equal(problems.errors + problems.warnings, 0);
    assert_int_equal(map.n, 0);
    FILE *f = fopen(renviron, "w");
    fputs("A=one #two\nB=renviron\n", f);
    fclose(f);
    f = fopen(env, "w");
    fputs("export B=env # comment\nbroken\n", f);
    fclose(f);
    environment_read_file(a, renviron, &map, &problems);
    environment_read_file(a, env, &map, &problems);
    assert_int_equal(map.n, 2);
    assert_string_equal(map.v[0].value, "one #two");
    assert_string_equal(map.v[1].value, "env");
    assert_int_equal(problems.warnings, 1);
    const struct problem *p = CONTAINER_OF(list_first(&problems.list), struct problem, node);
    assert_string_equal(p->where, arena_printf(a, "%s:2", env).p);
    environment_read_file(a, directory, &map, &problems); /* no file */
    assert_int_equal(problems.errors, 1);
    f = fopen(env, "w");
    for (int i = 0; i < 300000; i++)
        fputs("K=v\n", f);
    fclose(f);
    environment_read_file(a, env, &map, &problems);
    assert_int_equal(problems.errors, 2); /* larger than 1 MiB */
    unlink(env);
    unlink(renviron);
    rmdir(directory);
    problems_free(&problems);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_removal),
        cmocka_unit_test(test_port_and_tools),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
