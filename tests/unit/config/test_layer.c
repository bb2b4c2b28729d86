/* Environment and flags: names that match, that nearly do, that mean two things; includes; the original's names. */
#include "fixture.h"

#define FILE_AB "apps: { sales: { dir: . }, api: { dir: . } }\n"

static void variables_that_match_nothing(void **state) {
    static const struct {
        const char *name, *said;
    } cases[] = {
        {"FAUCET_LISTN", "environment FAUCET_LISTN: no setting has this variable; did you mean FAUCET_LISTEN?"},
        {"FAUCET_APPS_SALES_WORKRES", "did you mean FAUCET_APPS_SALES_WORKERS?"},
        {"FAUCET_WORKERS", "only faucet start reads it"},
        {"FAUCET_TELEMETRY_NAMESPACE_FILE", "no setting has this variable"},
        {"FAUCET_MAX_MESSAGE_SIZE", "environment FAUCET_MAX_MESSAGE_SIZE: has no effect"},
    };
    static const char *const silent[] = {"FAUCET_APP", "FAUCET_WORKER_ID", "FAUCET_SOCKET", "FAUCET_ROUTER_CONF",
                                         "OTHER"};
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        fixture_variable(f, cases[i].name, "1");
        fixture_warned(f, FILE_AB, cases[i].said);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(silent); i++)
        fixture_variable(f, silent[i], "x");
    snapshot_unref(fixture_load(f, FILE_AB));
    assert_int_equal(f->problems.warnings, 0);
}

static void apps_are_not_made(void **state) {
    struct fixture *f = *state;
    fixture_variable(f, "FAUCET_APPS_SALSE_WORKERS", "2");
    fixture_refused(f, FILE_AB,
                    "environment FAUCET_APPS_SALSE_WORKERS: there is no app salse, and the environment cannot "
                    "make one; the apps are sales, api; did you mean sales?");
    fixture_flag(f, "--set", "apps.apu.workers", "2");
    fixture_refused(f, FILE_AB,
                    "flag --set: apps.apu.workers: there is no app apu, and a flag cannot make one; the apps are "
                    "sales, api; did you mean api?");
    fixture_flag(f, "--set", "lisen", "2");
    fixture_refused(f, FILE_AB, "flag --set: lisen: no such key; did you mean listen?");
    fixture_flag(f, "--set", "workers", "2");
    fixture_refused(f, FILE_AB, "it belongs to apps: apps.NAME.workers");
    fixture_flag(f, "--set", "apps.sales.worker", "2");
    fixture_refused(f, FILE_AB, "did you mean apps.sales.workers?");
}

static void two_meanings(void **state) {
    struct fixture *f = *state;
    fixture_variable(f, "FAUCET_APPS_A_APP_DIR", "x");
    fixture_refused(f, "apps: { a: { dir: . }, a-app: { dir: . } }\n", "may mean apps.a.app_dir or apps.a-app.dir");
}

static void flow_text(void **state) {
    struct fixture *f = *state;
    fixture_variable(f, "FAUCET_LISTEN", "[::1]:80");
    fixture_variable(f, "FAUCET_APPS_SALES_ROUTE", "[/a, /b]");
    fixture_flag(f, "--set", "apps.sales.queue", "{ size: 5, timeout: 1s }");
    fixture_flag(f, "--set", "apps.api.env.A.B", "1");
    struct snapshot *s = fixture_load(f, FILE_AB);
    assert_string_equal(s->daemon.listen.v[0].p, "[::1]:80");
    assert_int_equal(s->apps[0]->route.n, 2);
    assert_int_equal(s->apps[0]->queue_size, 5);
    assert_int_equal(s->apps[0]->queue_timeout, DUR_S);
    assert_string_equal(s->apps[1]->env.v[0].key, "A.B");
    snapshot_unref(s);
    fixture_reset(f);
    fixture_variable(f, "FAUCET_APPS_SALES_ROUTE", "[/a, {]");
    assert_null(fixture_try(f, NULL));
    fixture_expect(f, PROBLEM_ERROR, "environment FAUCET_APPS_SALES_ROUTE");
    fixture_reset(f);
    fixture_flag(f, "--set", "apps.sales.queue", "5");
    fixture_refused(f, NULL, "flag --set: apps.sales.queue: must be a map");
}

static void original_names(void **state) {
    struct fixture *f = *state;
    fixture_variable(f, "FAUCET_HOST", "0.0.0.0:80");
    fixture_variable(f, "FAUCET_LOG", "DEBUG");
    fixture_variable(f, "FAUCET_LOG_FILE", "/x.log");
    fixture_variable(f, "FAUCET_MAX_LOG_FILE_SIZE", "10M");
    fixture_variable(f, "FAUCET_SHUTDOWN", "immediate");
    fixture_variable(f, "FAUCET_IP_FROM", "client");
    fixture_variable(f, "FAUCET_RSCRIPT", "/opt/Rscript");
    fixture_variable(f, "FAUCET_TELEMETRY_POSTGRES_SSLMODE", "require");
    fixture_variable(f, "FAUCET_TELEMETRY_POSTGRES_SSLCERT", "ca.pem");
    fixture_variable(f, "FAUCET_TELEMETRY_POSTGRES_STRING", "host=x");
    struct snapshot *s = fixture_load(f, FILE_AB);
    assert_string_equal(s->daemon.listen.v[0].p, "0.0.0.0:80");
    assert_int_equal(s->daemon.log_level, 3);
    assert_int_equal(s->daemon.log_max_size, 10000000);
    assert_int_equal(s->daemon.shutdown_mode, SHUTDOWN_IMMEDIATE);
    assert_string_equal(s->daemon.rscript, "/opt/Rscript");
    assert_int_equal(s->daemon.telemetry.sslmode, 3);
    assert_string_equal(s->daemon.telemetry.sslcert, "/start/ca.pem");
    assert_int_equal(f->problems.warnings, 0);
    snapshot_unref(s);
    fixture_variable(f, "FAUCET_LISTEN", "0.0.0.0:81"); /* ours beats the alias, whatever the order */
    s = fixture_load(f, NULL);
    assert_string_equal(s->daemon.listen.v[0].p, "0.0.0.0:81");
    snapshot_unref(s);
}

static void start_without_a_file(void **state) {
    struct fixture *f = *state;
    f->sources.file = NULL;
    f->sources.app_name = "dash";
    fixture_variable(f, "FAUCET_TYPE", "shiny");
    fixture_variable(f, "FAUCET_WORKERS", "3");
    fixture_variable(f, "FAUCET_HOST", "127.0.0.1:99");
    fixture_flag(f, "--dir", "apps.*.dir", "apps/dash");
    struct snapshot *s = fixture_load(f, NULL);
    assert_int_equal(s->app_count, 1);
    assert_string_equal(s->apps[0]->name, "dash");
    assert_string_equal(s->apps[0]->route.v[0], "/");
    assert_string_equal(s->apps[0]->dir, "/start/apps/dash");
    assert_int_equal(s->apps[0]->type, APP_SHINY);
    assert_int_equal(s->apps[0]->workers, 3);
    assert_int_equal(s->apps[0]->host.n, 0);
    assert_string_equal(s->daemon.listen.v[0].p, "127.0.0.1:99");
    assert_null(s->file);
    snapshot_unref(s);
}

static void includes(void **state) {
    struct fixture *f = *state;
    fixture_write(f, "more.yaml", "x-a: 1\napps: { b: { dir: sub, env: { A: '${HERE}' } } }\n");
    fixture_variable(f, "HERE", "yes");
    struct snapshot *s = fixture_load(f, "include: more.yaml\ndefaults: { workers: 4 }\napps: { a: { dir: . } }\n");
    assert_int_equal(s->app_count, 2);
    assert_string_equal(s->apps[1]->name, "b");
    assert_int_equal(s->apps[1]->workers, 4);
    assert_string_equal(s->apps[1]->env.v[0].value, "yes");
    assert_non_null(strstr(s->apps[1]->where, "more.yaml:2:"));
    snapshot_unref(s);
    fixture_refused(f, "include: more.yaml\napps: { b: { dir: . } }\n", "this app is declared twice; first at ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(variables_that_match_nothing),
        FIXTURE_TEST(apps_are_not_made),
        FIXTURE_TEST(two_meanings),
        FIXTURE_TEST(flow_text),
        FIXTURE_TEST(original_names),
        FIXTURE_TEST(start_without_a_file),
        FIXTURE_TEST(includes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
