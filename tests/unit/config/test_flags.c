/* Flags ↔ keys. That each row has its flag is tested in test_settle.c. */
#include "fixture.h"

static void names(void **state) {
    static const struct {
        const char *flag, *key, *start_key;
    } cases[] = {
        {"--host", "listen", "listen"},
        {"--pg-con-string", "telemetry.postgres_string", "telemetry.postgres_string"},
        {"--telemetry-postgres-string", "telemetry.postgres_string", "telemetry.postgres_string"},
        {"--telemetry-postgres-string-file", "telemetry.postgres_string_file", "telemetry.postgres_string_file"},
        {"--telemetry-namespace=x", "telemetry.namespace", "telemetry.namespace"},
        {"--telemetry-namespace-file", NULL, NULL},
        {"--max-log-file-size", "log.max_size", "log.max_size"},
        {"--workers", NULL, "apps.*.workers"},
        {"-w", NULL, "apps.*.workers"},
        {"--queue-size", NULL, "apps.*.queue.size"},
        {"--log.level", NULL, NULL},
        {"log-level", NULL, NULL},
        {"", NULL, NULL},
        {"--", NULL, NULL},
    };
    struct arena *a = arena_new(1024);
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        for (int start = 0; start < 2; start++) {
            const char *wanted = start ? cases[i].start_key : cases[i].key;
            const char *key = config_flag_key(cases[i].flag, start != 0, a, NULL);
            if (wanted == NULL)
                assert_null(key);
            else {
                assert_non_null(key);
                assert_string_equal(key, wanted);
            }
        }
    arena_free(a);
}

static void nearest(void **state) {
    struct arena *a = arena_new(1024);
    const char *near = "x";
    (void)state;
    assert_null(config_flag_key("--lisen", false, a, &near));
    assert_string_equal(near, "--listen");
    assert_null(config_flag_key("--wokers", true, a, &near));
    assert_string_equal(near, "--workers");
    assert_null(config_flag_key("--quite-another-thing", true, a, &near));
    assert_null(near);
    arena_free(a);
}

static void help_names_every_flag(void **state) {
    struct arena *a = arena_new(1024);
    struct buf start = {0}, run = {0};
    (void)state;
    config_flags_help(&start, true);
    config_flags_help(&run, false);
    buf_append_char(&start, '\0');
    buf_append_char(&run, '\0');
    for (size_t i = 0; i < setting_count; i++) {
        const char *flag = arena_printf(a, "  %s VALUE", setting_flag(a, setting_table[i].key)).p;
        if (setting_in_daemon(&setting_table[i]))
            assert_non_null(strstr(buf_str(&run).p, flag));
        if (strcmp(setting_table[i].key, "host") != 0)
            assert_non_null(strstr(buf_str(&start).p, flag));
    }
    assert_null(strstr(buf_str(&run).p, "--workers"));
    buf_free(&start);
    buf_free(&run);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(nearest),
                                       cmocka_unit_test(help_names_every_flag)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
