/* Precedence, for every row of the table: a new row without machinery fails here. */
#include "fixture.h"

#include <jansson.h>

/* Two values of a type, both unlike its usual default, written as flow text, and how `faucet config` shows them. */
static const struct sample {
    const char *type, *values[2];
} samples[] = {
    {"BOOL", {"true", "false"}},
    {"INTEGER", {"7", "9"}},
    {"COUNT_AUTO", {"70", "90"}},
    {"COUNT_UNLIMITED", {"7", "unlimited"}},
    {"NUMBER", {"7.5", "9.25"}},
    {"DURATION", {"7s", "9m"}},
    {"SIZE", {"600KiB", "900KiB"}},
    {"SIZE_OR_UNLIMITED", {"7MiB", "9MiB"}},
    {"STRING", {"one", "two"}},
    {"TOKEN", {"one", "two"}},
    {"PATH", {"/one", "/two"}},
    {"PATH_IN_DIR", {"one", "two"}},
    {"COMMAND_NAME", {"one", "two"}},
    {"STRINGS", {"[one]", "[two, three]"}},
    {"ROUTES", {"[/one/]", "[/two/, /three/]"}},
    {"HOSTS", {"[one]", "[two, three]"}},
    {"COMMAND", {"[one, two]", "[three]"}},
    {"MAP", {"{A: one}", "{A: two}"}},
    {"ADDRESSES", {"['127.0.0.1:1']", "['127.0.0.1:2', 'unix:/x']"}},
    {"ADDRESS", {"unix:/one", "unix:/two"}},
    {"NETWORKS", {"[10.0.0.0/8]", "['fc00::/7']"}},
};

static const char *sample(const struct setting *s, int which) {
    if (strcmp(s->key, "limits.header_size") == 0)
        return which == 0 ? "6KiB" : "9KiB";
    if (strcmp(s->key, "telemetry.queue_size") == 0)
        return which == 0 ? "6MiB" : "9MiB";
    if (strcmp(s->type->name, "ENUM") == 0) /* two that are not the default */
        return s->choices[s->fallback != NULL && strcmp(s->choices[0], s->fallback) == 0 ? (which == 0 ? 1 : 0)
                                                                                         : (which == 0 ? 0 : 1)];
    for (size_t i = 0; i < ARRAY_LENGTH(samples); i++)
        if (strcmp(samples[i].type, s->type->name) == 0)
            return samples[i].values[which];
    fail_msg("no sample of type %s", s->type->name);
    return NULL;
}

/* The value of a key, as one line of JSON; *from is where it came from. */
static void value_of(struct fixture *f, const char *key, char value[256], char from[256]) {
    struct build b;
    bool app = strncmp(key, "apps.", 5) == 0;

    /* Not config_load: a lone row may contradict the rest (type: static and command), which is not the question here.
     */
    build_make(&b, &f->sources, &fixture_kinds, 1, &f->problems);
    assert_non_null(b.snapshot);
    struct scope *scope = app ? b.layers.apps[0] : &b.layers.daemon;
    const struct setting *s = setting_find(str_of(key + strlen(scope->prefix)), app);
    assert_non_null(s);
    const char *base = app ? (const char *)b.snapshot->apps[0] : (const char *)&b.snapshot->daemon;
    json_t *json = s->type->json(s, base + (app ? s->app_offset : s->daemon_offset));
    struct buf text = {0};
    setting_flow_text(json, &text);
    snprintf(value, 256, "%.*s", STR_ARG(buf_str(&text)));
    snprintf(from, 256, "%s", scope_where(scope, s->key));
    buf_free(&text);
    json_decref(json);
    build_free(&b, false);
}

/* What a sample looks like when shown. */
static void shown(const struct setting *s, const char *text, char out[256]) {
    struct arena *a = arena_new(1024);
    struct problems problems;
    problems_init(&problems);
    struct yaml_node *node = yaml_parse_value(a, text, "test", "/", &problems);
    assert_non_null(node);
    void *value = arena_alloc(a, s->type->size);
    setting_absent(s, value);
    struct setting_parse parse = {.arena = a, .setting = s, .key = s->key, .problems = &problems};
    assert_true(s->type->parse(&parse, node, value));
    json_t *json = s->type->json(s, value);
    struct buf flow = {0};
    setting_flow_text(json, &flow);
    snprintf(out, 256, "%.*s", STR_ARG(buf_str(&flow)));
    buf_free(&flow);
    json_decref(json);
    problems_free(&problems);
    arena_free(a);
}

static void expect(struct fixture *f, const struct setting *s, const char *key, const char *sample_text,
                   const char *place) {
    char value[256], from[256], wanted[256];
    value_of(f, key, value, from);
    shown(s, sample_text, wanted);
    if (strcmp(value, wanted) != 0 || strstr(from, place) == NULL) {
        fixture_print_problems(f);
        fail_msg("%s is %s from %s, not %s from %s", key, value, from, wanted, place);
    }
}

/* YAML of one key: "a.b" is { a: { b: value } }. */
static void write_key(struct fixture *f, const char *outer, const char *key, const char *value, const char *rest) {
    char text[1024];
    const char *dot = strchr(key, '.');
    if (dot == NULL)
        snprintf(text, sizeof(text), "%s%s: %s%s", outer, key, value, rest);
    else
        snprintf(text, sizeof(text), "%s%.*s: { %s: %s }%s", outer, (int)(dot - key), key, dot + 1, value, rest);
    fixture_write(f, "faucet.yaml", text);
}

static void every_row_of_the_daemon(void **state) {
    struct fixture *f = *state;
    struct arena *a = arena_new(1024);
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (!setting_in_daemon(s))
            continue;
        const char *one = sample(s, 0), *two = sample(s, 1), *flag = setting_flag(a, s->key), *nearest;
        fixture_reset(f);
        write_key(f, "", s->key, one, "\napps: { one: { upstream: '127.0.0.1:1' } }\n");
        expect(f, s, s->key, one, "faucet.yaml:1:");
        fixture_variable(f, setting_variable(a, "", s->key), two);
        expect(f, s, s->key, two, setting_variable(a, "", s->key));
        assert_string_equal(config_flag_key(flag, false, a, &nearest), s->key);
        fixture_flag(f, flag, config_flag_key(flag, false, a, &nearest), one);
        expect(f, s, s->key, one, flag);
        f->sources.flag_count = 0;
        fixture_flag(f, "--set", s->key, one);
        expect(f, s, s->key, one, "flag --set");
    }
    arena_free(a);
}

static void every_row_of_an_app(void **state) {
    struct fixture *f = *state;
    struct arena *a = arena_new(1024);
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (!setting_in_app(s) || strcmp(s->key, "type") == 0) /* see the_type */
            continue;
        const char *one = sample(s, 0), *two = sample(s, 1), *key = arena_printf(a, "apps.one.%s", s->key).p;
        fixture_reset(f);
        write_key(f, "defaults:\n  ", s->key, one, "\napps:\n  one: {}\n");
        expect(f, s, key, one, "faucet.yaml:2:");
        fixture_variable(f, setting_variable(a, "defaults.", s->key), two);
        expect(f, s, key, two, "FAUCET_DEFAULTS_");
        fixture_flag(f, "--set", arena_printf(a, "defaults.%s", s->key).p, one);
        expect(f, s, key, one, "flag --set");
        write_key(f, "apps:\n  one:\n    ", s->key, two, "\n");
        expect(f, s, key, two, "faucet.yaml:3:");
        fixture_variable(f, setting_variable(a, "apps.*.", s->key), one);
        expect(f, s, key, one, "FAUCET_APPS___");
        fixture_variable(f, setting_variable(a, "apps.one.", s->key), two);
        expect(f, s, key, two, "FAUCET_APPS_ONE_");
        fixture_flag(f, "--all", arena_printf(a, "apps.*.%s", s->key).p, one);
        expect(f, s, key, one, "flag --all");
        fixture_flag(f, "--one", key, two);
        fixture_flag(f, "--all-again", arena_printf(a, "apps.*.%s", s->key).p, one);
        expect(f, s, key, two, "flag --one");
    }
    arena_free(a);
}

static void every_row_of_start(void **state) {
    struct fixture *f = *state;
    struct arena *a = arena_new(1024);
    f->sources.file = NULL;
    f->sources.app_name = "one";
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (s->level != SETTING_APP || strcmp(s->key, "type") == 0 || strcmp(s->key, "host") == 0)
            continue; /* --host and FAUCET_HOST are listen */
        const char *key = arena_printf(a, "apps.one.%s", s->key).p, *flag = setting_flag(a, s->key), *nearest;
        fixture_reset(f);
        fixture_variable(f, setting_variable(a, "", s->key), sample(s, 0));
        expect(f, s, key, sample(s, 0), setting_variable(a, "", s->key));
        assert_null(config_flag_key(flag, false, a, &nearest));
        assert_string_equal(config_flag_key(flag, true, a, &nearest), arena_printf(a, "apps.*.%s", s->key).p);
        fixture_flag(f, flag, config_flag_key(flag, true, a, &nearest), sample(s, 1));
        expect(f, s, key, sample(s, 1), flag);
    }
    arena_free(a);
}

static void the_type(void **state) {
    struct fixture *f = *state;
    struct snapshot *s =
        fixture_load(f, "defaults: { type: shiny }\napps: { a: { dir: . }, b: { dir: ., type: fastapi } }\n");
    assert_int_equal(s->apps[0]->type, APP_SHINY);
    assert_int_equal(s->apps[1]->type, APP_FAST_API);
    snapshot_unref(s);
    fixture_variable(f, "FAUCET_APPS_A_TYPE", "static");
    s = fixture_load(f, NULL);
    assert_int_equal(s->apps[0]->type, APP_STATIC);
    snapshot_unref(s);
}

static void maps_merge_lists_replace(void **state) {
    struct fixture *f = *state;
    struct snapshot *s;
    fixture_variable(f, "FAUCET_APPS_A_ENV_D", "4");
    fixture_flag(f, "--set", "apps.a.env.E", "5");
    s = fixture_load(f, "defaults: { env: { A: 1, B: 2, X: 0 }, upgrade: [one, two] }\n"
                        "apps: { a: { dir: ., env: { B: 3, C: 1.10, X: }, upgrade: [three] } }\n");
    const struct string_map *env = &s->apps[0]->env;
    static const char *const wanted[][2] = {{"A", "1"}, {"B", "3"}, {"C", "1.10"}, {"D", "4"}, {"E", "5"}};
    assert_int_equal(env->n, ARRAY_LENGTH(wanted));
    for (size_t i = 0; i < env->n; i++) {
        assert_string_equal(env->v[i].key, wanted[i][0]);
        assert_string_equal(env->v[i].value, wanted[i][1]);
    }
    assert_int_equal(s->apps[0]->upgrade.n, 1);
    assert_string_equal(s->apps[0]->upgrade.v[0], "three");
    snapshot_unref(s);
}

static void null_is_absent(void **state) {
    struct fixture *f = *state;
    struct snapshot *s = fixture_load(f, "log: { file: , level: }\ndefaults: { workers: 5, host: x }\n"
                                         "apps: { a: { dir: ., workers: , host: ~ }, b: { dir: . } }\n");
    assert_null(s->daemon.log_file);
    assert_int_equal(s->daemon.log_level, 2);
    assert_int_equal(s->apps[0]->workers, 1);
    assert_int_equal(s->apps[0]->host.n, 0);
    assert_string_equal(s->apps[0]->route.v[0], "/a/");
    assert_int_equal(s->apps[1]->workers, 5);
    assert_string_equal(s->apps[1]->route.v[0], "/");
    snapshot_unref(s);
    /* An empty variable is none; "null" takes away. */
    fixture_variable(f, "FAUCET_LOG_FILE", "");
    fixture_variable(f, "FAUCET_APPS_B_WORKERS", "null");
    s = fixture_load(f, "log: { file: /x }\ndefaults: { workers: 5 }\napps: { b: { dir: . } }\n");
    assert_string_equal(s->daemon.log_file, "/x");
    assert_int_equal(s->apps[0]->workers, 1);
    snapshot_unref(s);
}

static void secrets(void **state) {
    struct fixture *f = *state;
    struct snapshot *s;
    fixture_write(f, "secret", "from file\n");
    s = fixture_load(f, "telemetry: { postgres_string_file: secret }\napps: { a: { dir: . } }\n");
    assert_string_equal(s->daemon.telemetry.postgres_string, "from file");
    assert_string_equal(s->apps[0]->telemetry.postgres_string, "from file");
    snapshot_unref(s);

    fixture_variable(f, "FAUCET_TELEMETRY_POSTGRES_STRING_FILE", "/nowhere/secret");
    fixture_refused(
        f, NULL, "environment FAUCET_TELEMETRY_POSTGRES_STRING_FILE: telemetry.postgres_string_file: /nowhere/secret ");
    fixture_refused(f, "telemetry: { postgres_string: x, postgres_string_file: secret }\napps: { a: { dir: . } }\n",
                    "use one of the two");
    fixture_refused(f, "telemetry: { namespace_file: secret }\napps: { a: { dir: . } }\n",
                    "telemetry.namespace_file: no such key");

    /* The variables a secret was taken from; one that is beaten is not read. */
    fixture_variable(f, "DATABASE", "secret text");
    fixture_variable(f, "FAUCET_TELEMETRY_POSTGRES_STRING", "{not: flow");
    s = fixture_load(f, "telemetry: { postgres_string_file: gone }\n"
                        "apps: { a: { dir: ., telemetry: { postgres_string: \"${DATABASE}\" } } }\n");
    assert_string_equal(s->daemon.telemetry.postgres_string, "{not: flow");
    assert_string_equal(s->apps[0]->telemetry.postgres_string, "secret text");
    assert_int_equal(s->secret_variables.n, 2);
    assert_string_equal(s->secret_variables.v[0], "FAUCET_TELEMETRY_POSTGRES_STRING");
    assert_string_equal(s->secret_variables.v[1], "DATABASE");
    snapshot_unref(s);
}

static void paths_start_where_they_are_written(void **state) {
    struct fixture *f = *state;
    char wanted[2 * PATH_MAX];
    struct snapshot *s;
    fixture_variable(f, "FAUCET_LOG_FILE", "./log//faucet.log");
    s = fixture_load(f, "apps: { a: { dir: ../x/./a/ } }\n");
    snprintf(wanted, sizeof(wanted), "%s/../x/a", f->directory);
    assert_string_equal(s->apps[0]->dir, wanted);
    assert_string_equal(s->daemon.log_file, "/start/log/faucet.log");
    snapshot_unref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(every_row_of_the_daemon),
        FIXTURE_TEST(every_row_of_an_app),
        FIXTURE_TEST(every_row_of_start),
        FIXTURE_TEST(the_type),
        FIXTURE_TEST(maps_merge_lists_replace),
        FIXTURE_TEST(null_is_absent),
        FIXTURE_TEST(secrets),
        FIXTURE_TEST(paths_start_where_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
