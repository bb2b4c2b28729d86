/* `faucet config`: value, origin, what it beat, nothing secret. */
#include "fixture.h"

#include <jansson.h>

static char *explain(struct fixture *f, const char *key, bool json) {
    struct buf out = {0};
    char *text = NULL;
    if (!config_explain(&f->sources, &fixture_kinds, key, json, &out, &f->problems)) {
        assert_int_equal(buf_length(&out), 0);
        return NULL;
    }
    buf_append_char(&out, '\0');
    text = strdup(buf_str(&out).p);
    buf_free(&out);
    return text;
}

static void holds(char *text, const char *wanted) {
    assert_non_null(text);
    if (strstr(text, wanted) == NULL)
        fail_msg("no \"%s\" in:\n%s", wanted, text);
    free(text);
}

static const char file[] = "defaults: { workers: 2 }\n"
                           "telemetry: { postgres_string: 'password=one' }\n"
                           "apps: { sales: { dir: ., workers: 4 }, api: { dir: ., env: { A: 'x y' } } }\n";

static void text(void **state) {
    struct fixture *f = *state;
    fixture_write(f, "faucet.yaml", file);
    holds(explain(f, "apps.sales.workers", false), "apps.sales.workers: 4");
    holds(explain(f, "apps.sales.workers", false), "faucet.yaml:3:35; beats 2 (");
    holds(explain(f, "apps.sales.workers", false), "faucet.yaml:1:22), 1 (default)\n");
    holds(explain(f, "apps.api.env", false), "apps.api.env: {A: \"x y\"} ");
    holds(explain(f, "log", false), "log.level: info                                   # default\n");
    holds(explain(f, "apps.api.strategy", false), "apps.api.strategy: round-robin");
    holds(explain(f, "apps.api.telemetry.namespace", false), "# the daemon's telemetry.namespace, default\n");
    fixture_variable(f, "FAUCET_APPS_SALES_WORKERS", "6");
    holds(explain(f, "apps.sales.workers", false), "environment FAUCET_APPS_SALES_WORKERS; beats 4 (");
}

static void nothing_secret(void **state) {
    struct fixture *f = *state;
    fixture_write(f, "faucet.yaml", file);
    fixture_variable(f, "FAUCET_TELEMETRY_POSTGRES_STRING", "password=two");
    for (int json = 0; json < 2; json++) {
        char *all = explain(f, NULL, json != 0);
        assert_non_null(all);
        assert_null(strstr(all, "password"));
        holds(all, "<redacted>");
    }
    holds(explain(f, "telemetry.postgres_string", false), "beats <redacted> (");
}

static void json(void **state) {
    struct fixture *f = *state;
    fixture_write(f, "faucet.yaml", file);
    char *answer = explain(f, "apps.sales.workers", true);
    json_t *rows = json_loads(answer, 0, NULL), *row = json_array_get(rows, 0);
    assert_int_equal(json_array_size(rows), 1);
    assert_string_equal(json_string_value(json_object_get(row, "key")), "apps.sales.workers");
    assert_int_equal(json_integer_value(json_object_get(row, "value")), 4);
    assert_int_equal(json_array_size(json_object_get(row, "beats")), 2);
    json_decref(rows);
    free(answer);
    /* Every key is there once. */
    answer = explain(f, NULL, true);
    rows = json_loads(answer, 0, NULL);
    size_t wanted = 0;
    for (size_t i = 0; i < setting_count; i++)
        wanted += (setting_in_daemon(&setting_table[i]) ? 1U : 0U) + (setting_in_app(&setting_table[i]) ? 2U : 0U);
    assert_int_equal(json_array_size(rows), wanted);
    json_decref(rows);
    free(answer);
}

static void no_such_key(void **state) {
    struct fixture *f = *state;
    fixture_write(f, "faucet.yaml", file);
    assert_null(explain(f, "apps.sales.wokers", false));
    fixture_expect(f, PROBLEM_ERROR, "apps.sales.wokers: no such key; did you mean apps.sales.workers?");
    assert_null(explain(f, "workers", false));
    fixture_expect(f, PROBLEM_ERROR,
                   "workers: no such key; it belongs to apps: apps.NAME.workers (the apps are sales, api)");
}

int main(void) {
    const struct CMUnitTest tests[] = {FIXTURE_TEST(text), FIXTURE_TEST(nothing_secret), FIXTURE_TEST(json),
                                       FIXTURE_TEST(no_such_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
