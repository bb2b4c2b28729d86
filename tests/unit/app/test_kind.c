/* What each kind asks for, completes, recognises and runs. Executables are stand-ins in a directory of their own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/kind_parts.h"

struct fixture {
    struct arena *arena;
    struct problems problems;
    struct daemon_settings daemon;
    struct app_config app;
    struct kind_check check;
    const char *written; /* the only key that was written */
    char directory[40], *path;
};

static bool is_set(const struct kind_check *check, const char *key) {
    const struct fixture *f = check->private_;
    return f->written != NULL && strcmp(f->written, key) == 0;
}

static const char *where(const struct kind_check *check, const char *key) {
    (void)check;
    return key;
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->arena = arena_new(4096);
    problems_init(&f->problems);
    f->daemon.rscript = "Rscript";
    f->daemon.quarto = "quarto";
    f->daemon.uv = "uv";
    strcpy(f->directory, "/tmp/kind-test-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(mkdir(kind_join(f->arena, f->directory, "bin"), 0700), 0);
    assert_int_equal(mkdir(kind_join(f->arena, f->directory, "app"), 0700), 0);
    f->app.name = "sales";
    f->app.dir = kind_join(f->arena, f->directory, "app");
    f->app.strategy = -1;
    f->app.concurrency = COUNT_IS_UNLIMITED;
    f->check = (struct kind_check){.arena = f->arena,
                                   .daemon = &f->daemon,
                                   .app = &f->app,
                                   .problems = &f->problems,
                                   .is_set = is_set,
                                   .where = where,
                                   .private_ = f};
    f->path = strdup(getenv("PATH"));
    setenv("PATH", kind_join(f->arena, f->directory, "bin"), 1);
    setenv("HOME", f->directory, 1);
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    setenv("PATH", f->path, 1);
    (void)!system(arena_printf(f->arena, "rm -rf '%s'", f->directory).p);
    problems_free(&f->problems);
    arena_free(f->arena);
    free(f->path);
    free(f);
    return 0;
}

/* name: below the fixture's directory. */
static const char *put(struct fixture *f, const char *name, const char *text, unsigned mode) {
    const char *path = kind_join(f->arena, f->directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static const char *program(struct fixture *f, const char *name) {
    return put(f, arena_printf(f->arena, "bin/%s", name).p, "#!/bin/sh\n", 0755);
}

static void run_check(struct fixture *f, enum app_type type) {
    f->app.type = (int)type;
    kind_of(type)->check(&f->check);
}

/* The text of the only problem. */
static const char *only_problem(struct fixture *f) {
    assert_int_equal(f->problems.errors, 1);
    struct problem *p = CONTAINER_OF(list_first(&f->problems.list), struct problem, node);
    return arena_printf(f->arena, "%s: %s", p->key, p->message).p;
}

static void expect_problem(struct fixture *f, const char *part) {
    const char *text = only_problem(f);
    if (strstr(text, part) == NULL)
        fail_msg("expected \"%s\" in \"%s\"", part, text);
}

static void expect_no_problem(struct fixture *f) {
    if (f->problems.errors > 0)
        fail_msg("unexpected: %s", only_problem(f));
}

/* The argv of a worker, one word a space. */
static const char *command(struct fixture *f, const struct kind_listen *listen) {
    const char *text = "";
    const char *const *argv = kind_of((enum app_type)f->app.type)->command(f->arena, &f->daemon, &f->app, listen);
    for (; *argv != NULL; argv++)
        text = arena_printf(f->arena, "%s%s%s", text, *text != '\0' ? " " : "", *argv).p;
    return text;
}

static void test_table(void **state) {
    (void)state;
    const struct kind_table *t = kind_table();
    assert_int_equal(t->n, APP_UPSTREAM); /* all but auto */
    for (size_t i = 0; i < t->n; i++) {
        const struct kind *k = kind_of(t->rows[i].type);
        assert_string_equal(k->name, t->rows[i].name);
        assert_ptr_equal(k->check, t->rows[i].check);
        assert_int_equal(k->alias != NULL, t->rows[i].alias != NULL);
        assert_int_equal(k->has_workers, k->command != NULL);
    }
    assert_int_equal(kind_of(APP_PLUMBER)->concurrency, 1);
    assert_int_equal(kind_of(APP_SHINY)->concurrency, COUNT_IS_UNLIMITED);
    assert_true(kind_of(APP_FAST_API)->parallel && kind_of(APP_FAST_API)->learns_base_path);
}

static void test_defaults(void **state) {
    struct fixture *f = *state;
    program(f, "Rscript");
    put(f, "app/plumber.R", "", 0644);
    run_check(f, APP_PLUMBER);
    expect_no_problem(f);
    assert_int_equal(f->app.strategy, STRATEGY_ROUND_ROBIN);
    assert_int_equal(f->app.concurrency, 1);
    f->written = "concurrency"; /* unlimited, as written */
    f->app.concurrency = COUNT_IS_UNLIMITED;
    run_check(f, APP_PLUMBER);
    assert_int_equal(f->app.concurrency, COUNT_IS_UNLIMITED);
    put(f, "app/App.R", "", 0644); /* R does not mind the case */
    f->written = "strategy";
    f->app.strategy = STRATEGY_IP_HASH;
    run_check(f, APP_SHINY);
    expect_no_problem(f);
    assert_int_equal(f->app.strategy, STRATEGY_IP_HASH);
    f->written = NULL;
    run_check(f, APP_SHINY);
    assert_int_equal(f->app.strategy, STRATEGY_COOKIE_HASH);
}

static void test_missing_files(void **state) {
    struct fixture *f = *state;
    program(f, "Rscript");
    run_check(f, APP_SHINY);
    expect_problem(f, "apps.sales.dir: ");
    expect_problem(f, "looked for app.R");
}

static void test_missing_directory(void **state) {
    struct fixture *f = *state;
    program(f, "Rscript");
    f->app.dir = "/no/such/place";
    run_check(f, APP_PLUMBER);
    expect_problem(f, "/no/such/place: there is no such directory");
}

static void test_no_directory_written(void **state) {
    struct fixture *f = *state;
    f->app.dir = NULL;
    f->check.skip_paths = true;
    run_check(f, APP_STATIC);
    expect_problem(f, "a static app needs the directory");
}

static void test_missing_interpreter(void **state) {
    struct fixture *f = *state;
    put(f, "app/app.R", "", 0644);
    put(f, "bin/Rscript", "", 0644); /* there, but no program */
    run_check(f, APP_SHINY);
    expect_problem(f, "needs Rscript: not found on PATH (/tmp/kind-test-");
    expect_problem(f, "`rscript:`");
    assert_int_equal(f->app.interpreter.n, 0);
}

static void test_path_of_the_app_counts(void **state) {
    struct fixture *f = *state;
    put(f, "app/app.R", "", 0644);
    program(f, "Rscript");
    setenv("PATH", "/nowhere", 1);
    put(f, "app/.env", arena_printf(f->arena, "PATH=${PATH}:%s/bin\n", f->directory).p, 0644);
    run_check(f, APP_SHINY);
    expect_no_problem(f);
    assert_string_equal(f->app.interpreter.v[0], kind_join(f->arena, f->directory, "bin/Rscript"));
}

static void test_skip_paths(void **state) {
    struct fixture *f = *state;
    f->app.dir = "/no/such/place";
    f->app.command = (struct strings){1, (const char *[]){"/no/such/program"}};
    f->check.skip_paths = true;
    for (size_t i = 0; i < kind_table()->n; i++)
        if (kind_table()->rows[i].type != APP_UPSTREAM)
            run_check(f, kind_table()->rows[i].type);
    assert_int_equal(kind_table()->detect(&f->check), APP_COMMAND);
    expect_no_problem(f);
}

static void test_home_renviron(void **state) {
    struct fixture *f = *state;
    program(f, "Rscript");
    put(f, "app/app.R", "", 0644);
    put(f, ".Renviron", "WHERE=home\n", 0644);
    run_check(f, APP_SHINY);
    assert_string_equal(f->app.dotenv.v[0].value, "home");
    put(f, "app/.Renviron", "WHERE=app\n", 0644);
    f->app.dotenv = (struct string_map){0, NULL};
    run_check(f, APP_SHINY);
    assert_int_equal(f->app.dotenv.n, 1);
    assert_string_equal(f->app.dotenv.v[0].value, "app");
}

static void test_quarto(void **state) {
    struct fixture *f = *state;
    const char *quarto = program(f, "quarto");
    put(f, "app/plain.qmd", "---\ntitle: x\n---\nserver: shiny\n", 0644);
    put(f, "app/none.qmd", "server: shiny\n", 0644);
    run_check(f, APP_QUARTO_SHINY);
    expect_problem(f, "*.qmd with `server: shiny`");
    problems_free(&f->problems);
    problems_init(&f->problems);
    put(f, "app/doc.qmd", "---\ntitle: x\nserver: \"shiny\" # yes\n---\n", 0644);
    run_check(f, APP_QUARTO_SHINY);
    expect_no_problem(f);
    const struct kind_listen listen = {.port = 4242};
    assert_string_equal(command(f, &listen),
                        arena_printf(f->arena, "%s serve doc.qmd --port 4242 --host 127.0.0.1", quarto).p);
    assert_false(kind_uses_socket(&f->app));
    f->app.qmd = NULL;
    put(f, "app/two.qmd", "---\nserver:\n  type: shiny\n---\n", 0644);
    run_check(f, APP_QUARTO_SHINY);
    expect_problem(f, "apps.sales.qmd: is needed");
}

static void test_fast_api(void **state) {
    struct fixture *f = *state;
    static const char *routes[] = {"/a/b/", "/c/"};
    const struct kind_listen listen = {.socket = "/s"};
    put(f, "app/main.py", "import fastapi\nx = 1\nother = fastapi.FastAPI(\n  title='t')\n", 0644);
    run_check(f, APP_FAST_API);
    expect_problem(f, "looked for uv (not found)");
    problems_free(&f->problems);
    problems_init(&f->problems);

    const char *uvicorn = program(f, "uvicorn");
    run_check(f, APP_FAST_API);
    expect_no_problem(f);
    const char *rest = "--proxy-headers --forwarded-allow-ips * --no-access-log";
    assert_string_equal(command(f, &listen), arena_printf(f->arena, "%s main:other --uds /s %s", uvicorn, rest).p);

    const char *uv = program(f, "uv"); /* without a project it cannot know what to install */
    run_check(f, APP_FAST_API);
    assert_string_equal(f->app.interpreter.v[0], uvicorn);
    put(f, "app/pyproject.toml", "", 0644);
    run_check(f, APP_FAST_API);
    f->app.route = (struct strings){2, routes};
    assert_string_equal(command(f, &listen),
                        arena_printf(f->arena, "%s run uvicorn main:other --uds /s --root-path /a/b %s", uv, rest).p);
    expect_no_problem(f);
}

static void test_fast_api_variables(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *text, *variable; /* NULL: not recognised */
    } cases[] = {
        {"from fastapi import FastAPI\napp = FastAPI()\n", "app"},
        {"api=FastAPI()\napp  =  FastAPI ()", "app"},
        {"api: FastAPI = FastAPI(\n", "api"},
        {"api == FastAPI()\n  inner = FastAPI()\n", "app"}, /* mentions it */
        {"from fastapi import FastAPI\napp = create()\n", "app"},
        {"app = Flask(__name__)\n", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *variable;
        put(f, "app/main.py", cases[i].text, 0644);
        const char *module = kind_fast_api_module(f->arena, f->app.dir, true, &variable);
        assert_int_equal(module != NULL, cases[i].variable != NULL);
        if (module != NULL)
            assert_string_equal(variable, cases[i].variable);
    }
}

static void test_command(void **state) {
    struct fixture *f = *state;
    const struct kind_listen at_socket = {.socket = "/w/{port}.sock"}, at_port = {.port = 99};
    program(f, "serve");
    f->app.command = (struct strings){3, (const char *[]){"serve", "--on={socket},{socket}", "x"}};
    run_check(f, APP_COMMAND);
    expect_no_problem(f);
    assert_true(kind_uses_socket(&f->app));
    assert_string_equal(command(f, &at_socket), "serve --on=/w/{port}.sock,/w/{port}.sock x");
    f->app.command.v = (const char *[]){"serve", "{port}", ":{port}"};
    assert_false(kind_uses_socket(&f->app));
    assert_string_equal(command(f, &at_port), "serve 99 :99");
    f->app.command.v = (const char *[]){"serve", "{port}", "{socket}"};
    run_check(f, APP_COMMAND);
    expect_problem(f, "both {socket} and {port}");
}

static void test_command_program(void **state) {
    struct fixture *f = *state;
    f->app.command = (struct strings){1, (const char *[]){"./run.sh"}};
    put(f, "app/run.sh", "", 0755);
    run_check(f, APP_COMMAND);
    expect_no_problem(f);
    f->app.command = (struct strings){1, (const char *[]){"no-such-tool"}};
    run_check(f, APP_COMMAND);
    expect_problem(f, "apps.sales.command: no-such-tool is not found on PATH");
}

static void test_command_missing(void **state) {
    struct fixture *f = *state;
    run_check(f, APP_COMMAND);
    expect_problem(f, "apps.sales.command: is missing");
}

static void test_upstream(void **state) {
    struct fixture *f = *state;
    run_check(f, APP_UPSTREAM);
    expect_problem(f, "apps.sales.upstream: is missing");
}

static void test_detect(void **state) {
    struct fixture *f = *state;
    static const struct {
        const char *files[3];
        enum app_type type;
    } cases[] = {
        {{"plumber.R"}, APP_PLUMBER},
        {{"entrypoint.R"}, APP_PLUMBER},
        {{"plumber.R", "entrypoint.R"}, APP_PLUMBER},
        {{"app.R"}, APP_SHINY},
        {{"ui.R", "server.R"}, APP_SHINY},
        {{"ui.R"}, APP_AUTO},
        {{"doc.qmd"}, APP_QUARTO_SHINY},
        {{"main.py"}, APP_FAST_API},
        {{"app.py"}, APP_FAST_API},
        {{"app.R", "main.py"}, APP_AUTO},
        {{"other.txt"}, APP_AUTO},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (size_t j = 0; cases[i].files[j] != NULL; j++)
            put(f, arena_printf(f->arena, "app/%s", cases[i].files[j]).p,
                strstr(cases[i].files[j], ".py") != NULL ? "app = FastAPI()\n" : "---\nserver: shiny\n---\n", 0644);
        size_t before = f->problems.errors;
        enum app_type type = kind_table()->detect(&f->check);
        if (type != cases[i].type)
            fail_msg("case %zu: %d", i, (int)type);
        assert_int_equal(f->problems.errors - before, type == APP_AUTO);
        for (size_t j = 0; cases[i].files[j] != NULL; j++)
            unlink(kind_join(f->arena, f->app.dir, cases[i].files[j]));
    }
}

static void test_detect_says_what_it_saw(void **state) {
    struct fixture *f = *state;
    put(f, "app/notes.txt", "", 0644);
    assert_int_equal(kind_table()->detect(&f->check), APP_AUTO);
    expect_problem(f, "plumber.R or entrypoint.R (plumber)");
    expect_problem(f, "there is notes.txt;");
    problems_free(&f->problems);
    problems_init(&f->problems);
    put(f, "app/app.R", "", 0644);
    put(f, "app/plumber.R", "", 0644);
    assert_int_equal(kind_table()->detect(&f->check), APP_AUTO);
    expect_problem(f, "plumber.R (plumber) and app.R (shiny)");
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        WITH(test_defaults),
        WITH(test_missing_files),
        WITH(test_missing_directory),
        WITH(test_no_directory_written),
        WITH(test_missing_interpreter),
        WITH(test_path_of_the_app_counts),
        WITH(test_skip_paths),
        WITH(test_home_renviron),
        WITH(test_quarto),
        WITH(test_fast_api),
        WITH(test_fast_api_variables),
        WITH(test_command),
        WITH(test_command_program),
        WITH(test_command_missing),
        WITH(test_upstream),
        WITH(test_detect),
        WITH(test_detect_says_what_it_saw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
