/* What a changed file does to each app: from the text of two files, with the kinds' own checks. */
#include "../config/fixture.h"

#include "app/kind.h"
#include "control/plan.h"

struct two {
    struct snapshot *from, *to;
    struct arena *arena;
    struct plan *plan;
};

static struct snapshot *load(struct fixture *f, const char *text) {
    f->sources.skip_paths = true; /* no interpreter is needed here */
    f->sources.no_apps_allowed = true;
    fixture_write(f, "faucet.yaml", text);
    struct snapshot *s = config_load(&f->sources, kind_table(), 1, &f->problems);
    if (s == NULL)
        fixture_print_problems(f);
    assert_non_null(s);
    return s;
}

static struct two plan(struct fixture *f, const char *from, const char *to) {
    struct two t = {
        .from = from == NULL ? snapshot_empty() : load(f, from), .to = load(f, to), .arena = arena_new(4096)};
    t.plan = plan_make(t.arena, t.from, t.to);
    size_t counted = 0;
    for (size_t i = 0; i < PLAN_ACTIONS; i++)
        counted += t.plan->count[i];
    assert_int_equal(counted, t.plan->n);
    return t;
}

static void two_free(struct two *t) {
    snapshot_unref(t->from);
    snapshot_unref(t->to);
    arena_free(t->arena);
}

/* "name action key was now", a dash for NULL. */
static void expect_row(const struct plan *p, size_t i, const char *expected) {
    char text[512];
    assert_true(i < p->n);
    const struct plan_row *r = &p->rows[i];
    snprintf(text, sizeof text, "%s %s %s %s %s", r->name, plan_action_name(r->action), r->key,
             r->was == NULL ? "-" : r->was, r->now == NULL ? "-" : r->now);
    assert_string_equal(text, expected);
    assert_true((r->from == NULL) == (r->action == PLAN_START) && (r->to == NULL) == (r->action == PLAN_DROP));
    assert_true((r->changes.n > 0) == (r->action == PLAN_HOT || r->action == PLAN_RESIZE || r->action == PLAN_ROLL));
}

/* One app `a`, before and after. */
static void expect_one(struct fixture *f, const char *from, const char *to, const char *expected) {
    char text[2][512];
    snprintf(text[0], sizeof text[0], "apps: { a: { %s } }\n", from);
    snprintf(text[1], sizeof text[1], "apps: { a: { %s } }\n", to);
    struct two t = plan(f, text[0], text[1]);
    assert_int_equal(t.plan->n, 1);
    expect_row(t.plan, 0, expected);
    two_free(&t);
}

static void boot_starts_everything(void **state) {
    struct two t = plan(*state, NULL, "apps: { b: { upstream: \"a:1\" }, a: { command: x } }\n");
    assert_int_equal(t.plan->n, 2);
    expect_row(t.plan, 0, "b start  - -");
    expect_row(t.plan, 1, "a start  - -");
    assert_int_equal(t.plan->count[PLAN_START], 2);
    two_free(&t);
}

static void one_app(void **state) {
    static const struct {
        const char *from, *to, *row;
    } cases[] = {
        {"command: x", "command: x", "a keep  - -"},
        {"command: [x, --y]", "command: x --y", "a keep  - -"},
        {"command: x, request_timeout: 60s", "command: x, request_timeout: 1m", "a keep  - -"},
        {"command: x", "command: x, workers: 1, route: /a", "a keep  - -"},
        {"command: x", "command: x, workers: 3", "a resize workers 1 3"},
        {"command: x", "command: x, host: b.example", "a hot route [/a/] [/]"}, /* the default route follows host */
        {"command: x, route: /b", "command: x, route: [/b, /c]", "a hot route [/b/] [/b/, /c/]"},
        {"command: x", "command: x, queue: { size: 7 }", "a hot queue.size 100 7"},
        {"command: x", "command: x, telemetry: { version: 1.10 }", "a hot telemetry.version - 1.10"},
        {"command: x", "command: x, strategy: least-busy", "a hot strategy round-robin least-busy"},
        {"command: x, workers: 3, queue: { size: 7 }", "command: y, workers: 2", "a roll command [x] [y]"},
        {"command: x, workers: 3, queue: { size: 7 }", "command: x, workers: 2", "a resize workers 3 2"},
        {"command: x, env: { A: hidden }", "command: x, env: { A: secret }", "a roll env [A] [A]"},
        {"command: x", "upstream: \"b:1\"", "a roll type command upstream"},
        {"upstream: \"a:1\"", "upstream: [\"a:1\", \"b:1\"]", "a roll upstream [a:1] [a:1, b:1]"},
        {"upstream: \"a:1\"", "upstream: \"a:1\", workers: 3, env: { A: 1 }, dir: /x", "a keep  - -"},
        {"type: static, dir: /x", "type: static, dir: /y", "a hot dir /x /y"},
        {"type: static, dir: /x", "type: static, dir: /x, workers: 7", "a keep  - -"},
        {"type: static, dir: /x", "type: shiny, dir: /x", "a roll type static shiny"},
        {"type: shiny, dir: /x", "type: shiny, dir: /x, route: /y", "a hot route [/a/] [/y/]"},
        {"type: fast-api, dir: /x", "type: fast-api, dir: /x, route: /y", "a roll route [/a/] [/y/]"},
        {"type: fastapi, dir: /x", "type: fast-api, dir: /x", "a keep  - -"},
        {"type: plumber, dir: /x", "type: plumber, dir: /x, concurrency: 1",
         "a keep  - -"}, /* the kind's own default */
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        expect_one(*state, cases[i].from, cases[i].to, cases[i].row);
}

static void secrets(void **state) {
    expect_one(*state, "command: x, telemetry: { postgres_string: \"password=hush\" }",
               "command: x, telemetry: { postgres_string: \"password=still\" }",
               "a hot telemetry.postgres_string <redacted> <redacted>");
}

/* The file was cut at the end of a line: valid YAML, and apps are gone. */
static void a_file_cut_short(void **state) {
    static const char whole[] =
        "apps:\n  a:\n    command: x\n  b:\n    command: x\n    workers: 2\n  c:\n    command: x\n";
    char cut[sizeof whole];
    memcpy(cut, whole, sizeof whole);
    *strstr(cut, "    workers") = '\0';
    struct two t = plan(*state, whole, cut);
    assert_int_equal(t.plan->n, 3);
    expect_row(t.plan, 0, "a keep  - -");
    expect_row(t.plan, 1, "b resize workers 2 1");
    expect_row(t.plan, 2, "c drop  - -");
    assert_int_equal(t.plan->count[PLAN_DROP], 1);
    two_free(&t);
    t = plan(*state, whole, "apps: {}\n");
    assert_int_equal(t.plan->n, 3);
    assert_int_equal(t.plan->count[PLAN_DROP], 3);
    expect_row(t.plan, 0, "a drop  - -");
    expect_row(t.plan, 2, "c drop  - -");
    two_free(&t);
}

/* Order in the file and whatever the neighbours do is nobody's business. */
static void neighbours(void **state) {
    struct two t = plan(*state, "apps: { a: { command: x }, b: { command: x }, c: { command: x } }\n",
                        "apps: { d: { command: x }, c: { command: y }, a: { command: x } }\n");
    assert_int_equal(t.plan->n, 4);
    expect_row(t.plan, 0, "d start  - -");
    expect_row(t.plan, 1, "c roll command [x] [y]");
    expect_row(t.plan, 2, "a keep  - -");
    expect_row(t.plan, 3, "b drop  - -");
    assert_true(t.plan->rows[2].from == t.from->apps[0] && t.plan->rows[2].to == t.to->apps[2]);
    two_free(&t);
}

static void the_daemons_own(void **state) {
    struct two t = plan(
        *state, "apps: { a: { command: x } }\n",
        "state_dir: /s\nlog: { level: debug }\ntimeouts: { connect: 1s }\nuv: /opt/uv\ntelemetry: { pool_size: 3 }\n"
        "apps: { a: { command: x } }\n");
    static const char *const keys[] = {"state_dir", "uv", "log.level", "timeouts.connect", "telemetry.pool_size"};
    expect_row(t.plan, 0, "a keep  - -");
    assert_int_equal(t.plan->daemon.n, ARRAY_LENGTH(keys));
    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++)
        assert_string_equal(t.plan->daemon.v[i].key, keys[i]);
    assert_string_equal(change_warning(t.arena, &t.plan->daemon.v[0]),
                        "state_dir changed from its default to /s: restart faucet to use it");
    two_free(&t);
    /* what an app inherits is the app's own, too */
    t = plan(
        *state, "apps: { a: { command: x }, b: { command: x, telemetry: { namespace: b } } }\n",
        "telemetry: { namespace: n }\napps: { a: { command: x }, b: { command: x, telemetry: { namespace: b } } }\n");
    expect_row(t.plan, 0, "a hot telemetry.namespace faucet n");
    expect_row(t.plan, 1, "b keep  - -");
    two_free(&t);
    t = plan(*state, "apps: { a: { type: shiny, dir: /x }, b: { type: fast-api, dir: /x } }\n",
             "rscript: /opt/R\napps: { a: { type: shiny, dir: /x }, b: { type: fast-api, dir: /x } }\n");
    expect_row(t.plan, 0, "a roll rscript Rscript /opt/R");
    expect_row(t.plan, 1, "b keep  - -");
    two_free(&t);
    t = plan(*state, "defaults: { workers: 2 }\napps: { a: { command: x }, b: { upstream: \"x:1\" } }\n",
             "defaults: { workers: 3 }\napps: { a: { command: x }, b: { upstream: \"x:1\" } }\n");
    expect_row(t.plan, 0, "a resize workers 2 3");
    expect_row(t.plan, 1, "b keep  - -");
    two_free(&t);
}

/* The table handed to config must say the same as the kinds themselves. */
static void which_kinds_learn_their_route(void **state) {
    (void)state;
    const struct kind_table *table = kind_table();
    for (size_t i = 0; i < table->n; i++)
        assert_true(table->rows[i].learns_base_path == kind_of(table->rows[i].type)->learns_base_path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(boot_starts_everything),
        FIXTURE_TEST(one_app),
        FIXTURE_TEST(secrets),
        FIXTURE_TEST(a_file_cut_short),
        FIXTURE_TEST(neighbours),
        FIXTURE_TEST(the_daemons_own),
        cmocka_unit_test(which_kinds_learn_their_route),
    };
    return cmocka_run_group_tests_name("control/plan", tests, NULL, NULL);
}
