/* The schema and the table of settings know every row; the files in the tree are current. */
#include "fixture.h"

#include <jansson.h>

static json_t *property(json_t *properties, const char *key) {
    const char *dot = strchr(key, '.');
    char group[64];
    if (dot == NULL)
        return json_object_get(properties, key);
    snprintf(group, sizeof(group), "%.*s", (int)(dot - key), key);
    return property(json_object_get(json_object_get(properties, group), "properties"), dot + 1);
}

static void every_row(void **state) {
    struct buf out = {0};
    (void)state;
    config_schema(&out);
    json_t *schema = json_loadb(buf_str(&out).p, buf_length(&out), 0, NULL);
    assert_non_null(schema);
    json_t *top = json_object_get(schema, "properties");
    json_t *app = json_object_get(json_object_get(json_object_get(schema, "definitions"), "app"), "properties");
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        json_t *in[] = {setting_in_daemon(s) ? property(top, s->key) : NULL,
                        setting_in_app(s) ? property(app, s->key) : NULL};
        assert_true((in[0] != NULL) == setting_in_daemon(s));
        assert_true((in[1] != NULL) == setting_in_app(s));
        for (size_t k = 0; k < 2; k++)
            if (in[k] != NULL) {
                assert_string_equal(json_string_value(json_object_get(in[k], "description")), s->help);
                assert_true(json_array_size(json_object_get(in[k], "anyOf")) >= 2);
            }
    }
    assert_non_null(property(app, "telemetry.postgres_string_file"));
    assert_null(property(app, "telemetry.pool_size"));
    json_decref(schema);
    buf_free(&out);
}

static void every_row_is_in_the_table(void **state) {
    struct arena *a = arena_new(1024);
    struct buf out = {0};
    (void)state;
    config_settings_table(&out);
    buf_append_char(&out, '\0');
    for (size_t i = 0; i < setting_count; i++) {
        assert_non_null(strstr(buf_str(&out).p, arena_printf(a, "| `%s` | ", setting_table[i].key).p));
        assert_non_null(strstr(buf_str(&out).p, setting_table[i].help));
    }
    buf_free(&out);
    arena_free(a);
}

/* Tests run in the top directory. */
static void is_current(const char *path, void (*make)(struct buf *out)) {
    struct buf out = {0};
    static char text[1 << 20];
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    size_t n = fread(text, 1, sizeof(text), in);
    fclose(in);
    make(&out);
    if (!str_eq(buf_str(&out), str_make(text, n)))
        fail_msg("%s is not what settings.def says; run `make schema`", path);
    buf_free(&out);
}

static void files_are_current(void **state) {
    (void)state;
    is_current("schemas/faucet.schema.json", config_schema);
    is_current("docs/settings.md", config_settings_table);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row), cmocka_unit_test(every_row_is_in_the_table),
                                       cmocka_unit_test(files_are_current)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
