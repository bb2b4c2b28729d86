/*
 * What a change needs. The rows of settings.def are gone through by themselves: each setting is changed alone, for
 * every type of app, so that a new row is covered the day it is written.
 */
#include "fixture.h"

#include "base/unit.h"
#include "config/changes.h"
#include "config/identity.h"
#include "config/meaning.h"
#include "config/settle.h"

#include <fcntl.h>
#include <sys/stat.h>

/* ---- two sides that differ where a test says so ---- */

struct sides {
    struct arena *arena;
    struct daemon_settings daemon[2];
    struct app_config app[2];
};

static void sides_init(struct sides *s, enum app_type type) {
    *s = (struct sides){.arena = arena_new(4096)};
    for (size_t side = 0; side < 2; side++) {
        for (size_t i = 0; i < setting_count; i++) {
            const struct setting *row = &setting_table[i];
            if (setting_in_daemon(row))
                setting_fallback(row, s->arena, setting_place(row, false, &s->daemon[side]));
            if (setting_in_app(row))
                setting_fallback(row, s->arena, setting_place(row, true, &s->app[side]));
        }
        s->app[side].name = "a";
        s->app[side].type = (int)type;
    }
}

static void sides_free(struct sides *s) {
    arena_free(s->arena);
}

static struct changes app_changes(struct sides *s) {
    return changes_app(s->arena, &s->daemon[0], &s->app[0], &s->daemon[1], &s->app[1]);
}

static struct changes daemon_changes(struct sides *s) {
    return changes_daemon(s->arena, &s->daemon[0], &s->daemon[1]);
}

/* Gives the setting another value, whatever its type is; false: `text` is none, or the same as before. */
static bool set_to(struct sides *s, const struct setting *row, void *out, const char *text) {
    struct problems problems;
    union {
        max_align_t align;
        char bytes[64];
    } value;

    problems_init(&problems);
    struct yaml_node *node = yaml_parse_value(s->arena, text, "test", "/", &problems);
    struct setting_parse parse = {.arena = s->arena, .setting = row, .key = row->key, .problems = &problems};
    assert_true(row->type->size <= sizeof value);
    setting_absent(row, value.bytes);
    bool good = node != NULL && row->type->parse(&parse, node, value.bytes);
    if (good) {
        json_t *was = row->type->json(row, out), *now = row->type->json(row, value.bytes);
        good = !json_equal(was, now);
        json_decref(was);
        json_decref(now);
    }
    if (good)
        memcpy(out, value.bytes, row->type->size);
    problems_free(&problems);
    return good;
}

static void set_otherwise(struct sides *s, const struct setting *row, void *out) {
    static const char *const candidates[] = {"7",       "6s",          "512MiB",     "64KiB", "true",  "other",
                                             "/other/", "unix:/other", "10.0.0.0/8", "[a]",   "{A: b}"};
    for (size_t i = 0; row->choices != NULL && row->choices[i] != NULL; i++)
        if (set_to(s, row, out, row->choices[i]))
            return;
    for (size_t i = 0; i < ARRAY_LENGTH(candidates); i++)
        if (set_to(s, row, out, candidates[i]))
            return;
    fail_msg("no candidate is a value of %s (%s): add one", row->key, row->type->name);
}

static void expect_only(struct changes c, const char *key, enum change_needs needs) {
    if (c.n != 1 || strcmp(c.v[0].key, key) != 0 || c.v[0].needs != needs) {
        for (size_t i = 0; i < c.n; i++)
            print_error("%s needs %s\n", c.v[i].key, change_needs_name(c.v[i].needs));
        fail_msg("expected %s (%s) alone", key, change_needs_name(needs));
    }
}

/* ---- every row ---- */

static void nothing_differs(void **state) {
    (void)state;
    for (int type = APP_SHINY; type <= APP_UPSTREAM; type++) {
        struct sides s;
        sides_init(&s, (enum app_type)type);
        assert_int_equal(app_changes(&s).n, 0);
        assert_int_equal(daemon_changes(&s).n, 0);
        sides_free(&s);
    }
}

static void app_row(const struct setting *row, enum app_type type) {
    struct sides s;
    sides_init(&s, type);
    set_otherwise(&s, row, setting_place(row, true, &s.app[1]));
    struct changes c = app_changes(&s);
    if (setting_means(row, type)) {
        enum change_needs needs = (enum change_needs)row->reload;
        bool still_static = type == APP_STATIC && s.app[1].type == APP_STATIC;
        expect_only(c, row->key, still_static && needs == CHANGE_PROCESS ? CHANGE_HOT : needs);
        assert_true(c.v[0].was != NULL || c.v[0].now != NULL);
        assert_true(row->secret || c.v[0].was == NULL || c.v[0].now == NULL || strcmp(c.v[0].was, c.v[0].now) != 0);
    } else {
        assert_int_equal(c.n, 0);
    }
    sides_free(&s);
}

static void every_app_setting(void **state) {
    size_t meant = 0;
    (void)state;
    for (size_t i = 0; i < setting_count; i++)
        for (int type = APP_SHINY; setting_in_app(&setting_table[i]) && type <= APP_UPSTREAM; type++) {
            app_row(&setting_table[i], (enum app_type)type);
            meant += setting_means(&setting_table[i], (enum app_type)type);
        }
    assert_true(meant > 100);
}

static void every_daemon_setting(void **state) {
    (void)state;
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *row = &setting_table[i];
        for (int type = APP_SHINY; setting_in_daemon(row) && type <= APP_UPSTREAM; type++) {
            struct sides s;
            sides_init(&s, (enum app_type)type);
            set_otherwise(&s, row, setting_place(row, false, &s.daemon[1]));
            expect_only(daemon_changes(&s), row->key, (enum change_needs)row->reload);
            /* An app is concerned by the programs that its kind runs, and by nothing else. */
            bool concerns = row->level == SETTING_DAEMON && setting_means(row, (enum app_type)type);
            assert_int_equal(app_changes(&s).n, concerns ? 1 : 0);
            if (concerns)
                expect_only(app_changes(&s), row->key, CHANGE_PROCESS);
            sides_free(&s);
        }
    }
}

/* The table itself: a slip there would make the two tests above agree with a mistake. */
static void whose_programs(void **state) {
    static const struct {
        const char *key;
        enum app_type type;
        bool means;
    } cases[] = {{"rscript", APP_SHINY, true},
                 {"rscript", APP_PLUMBER, true},
                 {"rscript", APP_QUARTO_SHINY, true},
                 {"rscript", APP_FAST_API, false},
                 {"rscript", APP_COMMAND, false},
                 {"quarto", APP_QUARTO_SHINY, true},
                 {"quarto", APP_SHINY, false},
                 {"uv", APP_FAST_API, true},
                 {"uv", APP_COMMAND, false},
                 {"rscript", APP_UPSTREAM, false},
                 {"env", APP_UPSTREAM, false},
                 {"env", APP_COMMAND, true},
                 {"workers", APP_STATIC, false},
                 {"workers", APP_COMMAND, true},
                 {"dir", APP_STATIC, true},
                 {"route", APP_STATIC, true},
                 {"upstream", APP_UPSTREAM, true},
                 {"command", APP_COMMAND, true},
                 {"max_parallel_starts", APP_SHINY, false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct setting *s = setting_find(str_of(cases[i].key), true);
        if (s == NULL)
            s = setting_find(str_of(cases[i].key), false);
        assert_non_null(s);
        if (setting_means(s, cases[i].type) != cases[i].means)
            fail_msg("%s, type %d", cases[i].key, (int)cases[i].type);
    }
}

/* ---- the exceptions ---- */

static const char *const one_route[] = {"/a/"}, *const other_route[] = {"/b/"};

static void a_route_that_workers_were_told(void **state) {
    struct sides s;
    (void)state;
    for (unsigned learns = 0; learns < 4; learns++) { /* it counts when either side learns it */
        sides_init(&s, APP_FAST_API);
        for (unsigned i = 0; i < 2; i++)
            s.app[i].learns_base_path = (learns & (1U << i)) != 0;
        s.app[0].route = (struct strings){1, (const char **)(uintptr_t)one_route};
        s.app[1].route = (struct strings){1, (const char **)(uintptr_t)other_route};
        struct changes c = app_changes(&s);
        expect_only(c, "route", learns == 0 ? CHANGE_HOT : CHANGE_PROCESS);
        assert_string_equal(c.v[0].was, "[/a/]");
        assert_string_equal(c.v[0].now, "[/b/]");
        sides_free(&s);
    }
}

static void what_needs_most_comes_first(void **state) {
    struct sides s;
    (void)state;
    sides_init(&s, APP_SHINY);
    s.app[1].queue_size = 3;
    s.app[1].workers = 2;
    s.app[1].app_dir = "x";
    s.app[1].qmd = "ignored.qmd";
    s.app[1].telemetry.version = "2";
    s.daemon[1].rscript = "/opt/R";
    s.daemon[1].uv = "/opt/uv";
    struct changes c = app_changes(&s);
    static const char *const keys[] = {"app_dir", "rscript", "workers", "telemetry.version", "queue.size"};
    assert_int_equal(c.n, ARRAY_LENGTH(keys));
    for (size_t i = 0; i < c.n; i++)
        assert_string_equal(c.v[i].key, keys[i]);
    s.daemon[1].log_level = 0;
    s.daemon[1].state_dir = "/other";
    s.daemon[1].listen = (struct address_list){0, NULL};
    c = daemon_changes(&s);
    static const char *const daemon_keys[] = {"state_dir", "listen", "rscript", "uv", "log.level"};
    assert_int_equal(c.n, ARRAY_LENGTH(daemon_keys));
    for (size_t i = 0; i < c.n; i++)
        assert_string_equal(c.v[i].key, daemon_keys[i]);
    sides_free(&s);
}

static void secrets_stay_secret(void **state) {
    struct sides s;
    (void)state;
    sides_init(&s, APP_COMMAND);
    s.app[0].telemetry.postgres_string = "password=old";
    s.app[1].telemetry.postgres_string = "password=new";
    struct changes c = app_changes(&s);
    expect_only(c, "telemetry.postgres_string", CHANGE_HOT);
    assert_string_equal(c.v[0].was, "<redacted>");
    assert_string_equal(c.v[0].now, "<redacted>");
    s.app[0].telemetry.postgres_string = "";
    c = app_changes(&s);
    assert_null(c.v[0].was);
    s.app[1] = s.app[0];
    s.app[0].env.n = s.app[1].env.n = 3;
    s.app[0].env.v = arena_alloc(s.arena, 3 * sizeof *s.app[0].env.v);
    s.app[1].env.v = arena_alloc(s.arena, 3 * sizeof *s.app[0].env.v);
    for (size_t i = 0; i < 3; i++) {
        s.app[0].env.v[i].key = s.app[1].env.v[i].key = i == 0 ? "SAME" : "PASSWORD";
        s.app[0].env.v[i].value = s.app[1].env.v[i].value = "hidden-old";
    }
    s.app[0].env.v[2].key = "GONE";
    s.app[1].env.v[2].key = "ADDED";
    s.app[1].env.v[1].value = "hidden-new";
    c = app_changes(&s);
    expect_only(c, "env", CHANGE_PROCESS);
    assert_string_equal(c.v[0].was, "[PASSWORD, GONE]");
    assert_string_equal(c.v[0].now, "[PASSWORD, ADDED]");
    sides_free(&s);
}

static void warnings(void **state) {
    struct sides s;
    (void)state;
    sides_init(&s, APP_COMMAND);
    s.daemon[0].control = STR("unix:/a");
    s.daemon[1].state_dir = "/other";
    s.daemon[1].log_level = 0;
    struct changes c = daemon_changes(&s);
    assert_int_equal(c.n, 3);
    assert_string_equal(change_warning(s.arena, &c.v[0]),
                        "state_dir changed from its default to /other: restart faucet to use it");
    assert_string_equal(change_warning(s.arena, &c.v[1]),
                        "control changed from unix:/a to its default: restart faucet to use it");
    assert_null(change_warning(s.arena, &c.v[2]));
    sides_free(&s);
}

/* ---- what is no setting ---- */

static void what_a_kind_found(void **state) {
    static const char *const rscript[] = {"/usr/bin/Rscript"};
    struct sides s;
    (void)state;
    sides_init(&s, APP_SHINY);
    s.app[1].interpreter = (struct strings){1, (const char **)(uintptr_t)rscript};
    expect_only(app_changes(&s), "interpreter", CHANGE_PROCESS);
    s.daemon[1].rscript = "/opt/R"; /* the reason; the interpreter follows from it */
    expect_only(app_changes(&s), "rscript", CHANGE_PROCESS);
    s.daemon[1].rscript = s.daemon[0].rscript;
    s.app[1].interpreter.n = 0;
    s.app[1].dotenv.n = 1;
    s.app[1].dotenv.v = arena_alloc(s.arena, sizeof *s.app[1].dotenv.v);
    s.app[1].dotenv.v[0].key = "TOKEN";
    s.app[1].dotenv.v[0].value = "hidden";
    struct changes c = app_changes(&s);
    expect_only(c, ".env or .Renviron", CHANGE_PROCESS);
    assert_null(c.v[0].was);
    assert_string_equal(c.v[0].now, "[TOKEN]");
    sides_free(&s);
}

static void touch(const char *path, time_t seconds) {
    const struct timespec times[2] = {{seconds, 5000}, {seconds, 5000}};
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* DIR/1 and DIR/2, each with sub/; DIR/current -> 1. */
static void make_releases(struct fixture *f) {
    assert_int_equal(chdir(f->directory), 0);
    assert_true(mkdir("1", 0700) == 0 && mkdir("2", 0700) == 0 && mkdir("1/sub", 0700) == 0 &&
                mkdir("2/sub", 0700) == 0);
    assert_int_equal(symlink("1", "current"), 0);
}

static void remove_releases(void) {
    static const char *const files[] = {"current", "1/link", "1/restart.txt", "2/restart.txt"};
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
        unlink(files[i]);
    assert_true(rmdir("1/sub") == 0 && rmdir("2/sub") == 0 && rmdir("1") == 0 && rmdir("2") == 0 && chdir("/") == 0);
}

static void flip(const char *target) {
    assert_int_equal(symlink(target, "new"), 0);
    assert_int_equal(rename("new", "current"), 0);
}

static struct changes look(struct sides *s, const char *app_dir) {
    s->app[0] = s->app[1];
    s->app[0].app_dir = s->app[1].app_dir = app_dir;
    s->app[1].dir_device = s->app[1].dir_inode = s->app[1].app_dir_device = s->app[1].app_dir_inode = 0;
    s->app[1].restart_mtime_ns = 0;
    s->app[1].dir_target = NULL;
    identity_find(s->arena, &s->app[1]);
    return app_changes(s);
}

static void another_directory_of_the_same_name(void **state) {
    struct fixture *f = *state;
    struct sides s;
    make_releases(f);
    sides_init(&s, APP_SHINY);
    s.app[1].dir = arena_printf(s.arena, "%s/current", f->directory).p;
    (void)look(&s, NULL);
    assert_true(s.app[1].dir_inode != 0);
    assert_int_equal(look(&s, NULL).n, 0);
    flip("2");
    touch("2/restart.txt", 7); /* of another directory: no reason of its own */
    struct changes c = look(&s, NULL);
    expect_only(c, "dir (another directory)", CHANGE_PROCESS);
    assert_true(str_ends(str_of(c.v[0].was), STR("/1")) && str_ends(str_of(c.v[0].now), STR("/2")));
    assert_int_equal(look(&s, NULL).n, 0);
    /* made anew under the same name */
    assert_int_equal(rename("2", "away"), 0);
    assert_int_equal(mkdir("2", 0700), 0);
    touch("2/restart.txt", 7);
    c = look(&s, NULL);
    expect_only(c, "dir (another directory)", CHANGE_PROCESS);
    assert_true(strstr(c.v[0].was, "inode") != NULL && strcmp(c.v[0].was, c.v[0].now) != 0);
    assert_true(unlink("2/restart.txt") == 0 && rmdir("2") == 0 && rename("away", "2") == 0);
    sides_free(&s);
    remove_releases();
}

static void another_app_dir(void **state) {
    struct fixture *f = *state;
    struct sides s;
    make_releases(f);
    assert_int_equal(symlink("sub", "1/link"), 0);
    sides_init(&s, APP_PLUMBER);
    s.app[1].dir = arena_printf(s.arena, "%s/1", f->directory).p;
    (void)look(&s, "link");
    assert_int_equal(look(&s, "link").n, 0);
    assert_true(unlink("1/link") == 0 && symlink("../2/sub", "1/link") == 0);
    expect_only(look(&s, "link"), "app_dir (another directory)", CHANGE_PROCESS);
    sides_free(&s);
    remove_releases();
}

static void restart_txt(void **state) {
    struct fixture *f = *state;
    struct sides s;
    make_releases(f);
    sides_init(&s, APP_COMMAND);
    s.app[1].dir = arena_printf(s.arena, "%s/current", f->directory).p;
    (void)look(&s, NULL);
    touch("1/restart.txt", 0);
    struct changes c = look(&s, NULL);
    expect_only(c, "dir/restart.txt", CHANGE_PROCESS);
    assert_null(c.v[0].was);
    assert_string_equal(c.v[0].now, "1970-01-01T00:00:00.000005Z");
    assert_int_equal(look(&s, NULL).n, 0);
    touch("1/restart.txt", 60);
    expect_only(look(&s, NULL), "dir/restart.txt", CHANGE_PROCESS);
    touch("1/restart.txt", (time_t)1 << 40); /* a year that nanoseconds do not reach */
    expect_only(look(&s, NULL), "dir/restart.txt", CHANGE_PROCESS);
    sides_free(&s);
    remove_releases();
}

/* Files are served from wherever the path leads; nothing is to be restarted. */
static void directories_of_those_without_workers(void **state) {
    struct fixture *f = *state;
    struct sides s;
    make_releases(f);
    sides_init(&s, APP_STATIC);
    s.app[1].dir = arena_printf(s.arena, "%s/current", f->directory).p;
    (void)look(&s, NULL);
    touch("1/restart.txt", 9);
    assert_int_equal(look(&s, NULL).n, 0);
    flip("2");
    expect_only(look(&s, NULL), "dir (another directory)", CHANGE_HOT);
    s.app[1].type = APP_UPSTREAM;
    (void)look(&s, NULL);
    assert_int_equal(s.app[1].dir_inode, 0);
    sides_free(&s);
    sides_init(&s, APP_COMMAND); /* without dir */
    identity_find(s.arena, &s.app[1]);
    assert_true(s.app[1].dir_inode == 0 && s.app[1].restart_mtime_ns == 0 && s.app[1].dir_target == NULL);
    s.app[1].dir = "/nonexistent";
    identity_find(s.arena, &s.app[1]);
    assert_true(s.app[1].dir_inode == 0 && s.app[1].dir_target == NULL);
    sides_free(&s);
    remove_releases();
}

/* From the file to the change: the loader fills in what the comparison reads. */
static void through_the_loader(void **state) {
    struct fixture *f = *state;
    char text[2][2 * PATH_MAX];
    make_releases(f);
    snprintf(text[0], sizeof text[0], "apps: { a: { type: fast-api, dir: %s/current, route: /x } }\n", f->directory);
    snprintf(text[1], sizeof text[1], "apps: { a: { type: fast-api, dir: %s/current, route: /y } }\n", f->directory);
    struct arena *a = arena_new(4096);
    struct snapshot *first = fixture_load(f, text[0]), *again = fixture_load(f, text[0]);
    assert_int_equal(changes_app(a, &first->daemon, first->apps[0], &again->daemon, again->apps[0]).n, 0);
    struct snapshot *renamed = fixture_load(f, text[1]);
    expect_only(changes_app(a, &first->daemon, first->apps[0], &renamed->daemon, renamed->apps[0]), "route",
                CHANGE_PROCESS);
    flip("2");
    struct snapshot *flipped = fixture_load(f, text[0]);
    expect_only(changes_app(a, &first->daemon, first->apps[0], &flipped->daemon, flipped->apps[0]),
                "dir (another directory)", CHANGE_PROCESS);
    f->sources.skip_paths = true;
    struct snapshot *blind = fixture_load(f, text[0]);
    assert_int_equal(blind->apps[0]->dir_inode, 0);
    snapshot_unref(first);
    snapshot_unref(again);
    snapshot_unref(renamed);
    snapshot_unref(flipped);
    snapshot_unref(blind);
    arena_free(a);
    remove_releases();
}

/* The same values in other words are no change. */
static void written_otherwise(void **state) {
    static const char *const same[] = {
        "apps: { a: { dir: ., type: shiny, start_timeout: 60s, env: { A: 1, B: 2 } } }\n",
        "# a comment\napps: { a: { type: shiny, dir: ., env: { B: 2, A: 1 }, start_timeout: 1m } }\n",
        "apps: { a: { dir: ./, type: shiny, start_timeout: 60000ms, env: { A: '1', B: '2' } } }\n",
        "apps: { a: { dir: ., type: shiny, start_timeout: 60s, env: { A: 1, B: 2 } }, b: { dir: ., type: shiny } }\n",
    };
    struct fixture *f = *state;
    struct arena *a = arena_new(4096);
    struct snapshot *first = fixture_load(f, same[0]);
    for (size_t i = 1; i < ARRAY_LENGTH(same); i++) {
        struct snapshot *s = fixture_load(f, same[i]);
        assert_int_equal(changes_app(a, &first->daemon, first->apps[0], &s->daemon, s->apps[0]).n, 0);
        snapshot_unref(s);
    }
    snapshot_unref(first);
    arena_free(a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_differs),
        cmocka_unit_test(every_app_setting),
        cmocka_unit_test(every_daemon_setting),
        cmocka_unit_test(whose_programs),
        cmocka_unit_test(a_route_that_workers_were_told),
        cmocka_unit_test(what_needs_most_comes_first),
        cmocka_unit_test(secrets_stay_secret),
        cmocka_unit_test(warnings),
        cmocka_unit_test(what_a_kind_found),
        FIXTURE_TEST(another_directory_of_the_same_name),
        FIXTURE_TEST(another_app_dir),
        FIXTURE_TEST(restart_txt),
        FIXTURE_TEST(directories_of_those_without_workers),
        FIXTURE_TEST(written_otherwise),
        FIXTURE_TEST(through_the_loader),
    };
    return cmocka_run_group_tests_name("config/changes", tests, NULL, NULL);
}
