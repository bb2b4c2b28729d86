/*
 * What the tests of config/ share: a small table of kinds (config may not
 * include app/), a file in a directory of its own, and loading with any mix of
 * file, environment and flags.
 */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h> /* needs the ones above */

#include "base/miniobj.h"
#include "config/load.h"

struct fixture {
    char directory[PATH_MAX];
    char file[PATH_MAX + 32];
    struct config_sources sources;
    struct problems problems;
    char *environ_[16];
    size_t variables;
    struct config_flag flags[16];
};

/* As a kind does: completes strategy and concurrency where they were not written. */
static inline void fixture_check(struct kind_check *c) {
    if (!c->is_set(c, "strategy"))
        c->app->strategy = c->app->type == APP_SHINY ? STRATEGY_COOKIE_HASH : STRATEGY_ROUND_ROBIN;
    if (!c->is_set(c, "concurrency"))
        c->app->concurrency = c->app->type == APP_PLUMBER ? 1 : COUNT_IS_UNLIMITED;
}
static inline enum app_type fixture_detect(struct kind_check *c) {
    if (c->app->dir != NULL)
        return APP_PLUMBER;
    problem_add(c->problems, PROBLEM_ERROR, c->where(c, "dir"), c->app->name, "dir is missing");
    return APP_AUTO;
}
static const struct kind_row fixture_rows[] = {
    {"shiny", NULL, APP_SHINY, fixture_check, false},
    {"plumber", NULL, APP_PLUMBER, fixture_check, false},
    {"quarto-shiny", NULL, APP_QUARTO_SHINY, fixture_check, false},
    {"fast-api", "fastapi", APP_FAST_API, fixture_check, true},
    {"command", NULL, APP_COMMAND, fixture_check, false},
    {"static", NULL, APP_STATIC, fixture_check, false},
    {"upstream", NULL, APP_UPSTREAM, fixture_check, false},
};
static const struct kind_table fixture_kinds = {fixture_rows, ARRAY_LENGTH(fixture_rows), fixture_detect};

static inline void fixture_write(struct fixture *f, const char *name, const char *text) {
    char path[2 * PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", f->directory, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    assert_int_equal(fclose(out), 0);
}

static inline int fixture_setup(void **state) {
    struct fixture *f = calloc(1, sizeof(*f));
    strcpy(f->directory, "/tmp/faucet-config-XXXXXX");
    if (mkdtemp(f->directory) == NULL)
        return -1;
    snprintf(f->file, sizeof(f->file), "%s/faucet.yaml", f->directory);
    f->sources =
        (struct config_sources){.file = f->file, .environ_ = f->environ_, .flags = f->flags, .start_dir = "/start"};
    problems_init(&f->problems);
    *state = f;
    return 0;
}
static inline int fixture_teardown(void **state) {
    struct fixture *f = *state;
    static const char *const names[] = {"faucet.yaml", "secret", "more.yaml"};
    char path[2 * PATH_MAX];
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", f->directory, names[i]);
        unlink(path);
    }
    rmdir(f->directory);
    for (size_t i = 0; i < f->variables; i++)
        free(f->environ_[i]);
    problems_free(&f->problems);
    free(f);
    return 0;
}
static inline void fixture_variable(struct fixture *f, const char *name, const char *value) {
    size_t n = strlen(name) + strlen(value) + 2;
    char *text = malloc(n);
    assert_true(f->variables + 1 < ARRAY_LENGTH(f->environ_));
    snprintf(text, n, "%s=%s", name, value);
    f->environ_[f->variables++] = text;
}
static inline void fixture_flag(struct fixture *f, const char *name, const char *key, const char *value) {
    assert_true(f->sources.flag_count < ARRAY_LENGTH(f->flags));
    f->flags[f->sources.flag_count++] = (struct config_flag){name, key, value};
}
/* Forgets problems, variables and flags; the file stays. */
static inline void fixture_reset(struct fixture *f) {
    problems_free(&f->problems);
    problems_init(&f->problems);
    for (size_t i = 0; i < f->variables; i++)
        free(f->environ_[i]);
    memset(f->environ_, 0, sizeof(f->environ_));
    f->variables = 0;
    f->sources.flag_count = 0;
}
static inline void fixture_print_problems(struct fixture *f) {
    LIST_FOREACH (&f->problems.list, struct problem, p, node) {
        struct buf line = {0};
        problem_format(p, &line);
        print_error("%.*s\n", STR_ARG(buf_str(&line)));
        buf_free(&line);
    }
}
/* NULL where text is NULL: the file stays as it is. */
static inline struct snapshot *fixture_try(struct fixture *f, const char *text) {
    if (text != NULL)
        fixture_write(f, "faucet.yaml", text);
    return config_load(&f->sources, &fixture_kinds, 1, &f->problems);
}
static inline struct snapshot *fixture_load(struct fixture *f, const char *text) {
    struct snapshot *s = fixture_try(f, text);
    if (s == NULL)
        fixture_print_problems(f);
    assert_non_null(s);
    return s;
}
/* Is there a problem of that level whose line ("where: key: message") holds the text? */
static inline bool fixture_said(struct fixture *f, enum problem_level level, const char *text) {
    bool found = false;
    LIST_FOREACH (&f->problems.list, struct problem, p, node) {
        struct buf line = {0};
        problem_format(p, &line);
        buf_append_char(&line, '\0');
        found = found || (p->level == level && strstr(buf_str(&line).p, text) != NULL);
        buf_free(&line);
    }
    return found;
}
static inline void fixture_expect(struct fixture *f, enum problem_level level, const char *text) {
    if (!fixture_said(f, level, text)) {
        fixture_print_problems(f);
        fail_msg("nobody said: %s", text);
    }
}
/* The file is refused and one of the errors holds the text. */
static inline void fixture_refused(struct fixture *f, const char *file, const char *text) {
    struct snapshot *s = fixture_try(f, file);
    if (s != NULL)
        snapshot_unref(s);
    fixture_expect(f, PROBLEM_ERROR, text);
    assert_null(s);
    fixture_reset(f);
}
/* The file is taken with a warning that holds the text. */
static inline void fixture_warned(struct fixture *f, const char *file, const char *text) {
    struct snapshot *s = fixture_load(f, file);
    fixture_expect(f, PROBLEM_WARNING, text);
    snapshot_unref(s);
    fixture_reset(f);
}
#define FIXTURE_TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

#endif
