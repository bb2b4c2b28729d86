/*
 * For the tests of the YAML reader: a directory of its own to write files in
 * (the current one while a test runs, so that files have short names in
 * messages), and the problems as one text.
 */
#ifndef TESTS_CONFIG_YAML_FIXTURE_H
#define TESTS_CONFIG_YAML_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/yaml.h"

struct fixture {
    char directory[64];
    struct arena *arena;
    struct problems problems;
    struct buf said; /* all problems, a line each */
};

__attribute__((unused)) static int fixture_setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    (void)snprintf(f->directory, sizeof f->directory, "/tmp/faucet-yaml-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_int_equal(chdir(f->directory), 0);
    f->arena = arena_new(4096);
    problems_init(&f->problems);
    *state = f;
    return 0;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

__attribute__((unused)) static int fixture_teardown(void **state) {
    struct fixture *f = *state;

    if (chdir("/") != 0)
        return -1;
    (void)nftw(f->directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    buf_free(&f->said);
    problems_free(&f->problems);
    arena_free(f->arena);
    free(f);
    return 0;
}

#define FIXTURE_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

__attribute__((unused)) static void write_bytes(const char *name, const char *bytes, size_t n) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), (ssize_t)n);
    assert_int_equal(close(fd), 0);
}

/* Loads `text` as the file t.yaml. */
__attribute__((unused)) static struct yaml_node *load_text(struct fixture *f, const char *text) {
    write_bytes("t.yaml", text, strlen(text));
    return yaml_load_file(f->arena, "t.yaml", &f->problems);
}

/* What was said so far, "" when nothing; the problems are forgotten. */
__attribute__((unused)) static const char *said(struct fixture *f) {
    buf_free(&f->said);
    LIST_FOREACH (&f->problems.list, struct problem, p, node) {
        problem_format(p, &f->said);
        buf_append_char(&f->said, '\n');
    }
    buf_append_char(&f->said, '\0');
    problems_free(&f->problems);
    problems_init(&f->problems);
    return f->said.data + f->said.start;
}

__attribute__((unused)) static void tree_append(struct buf *out, const struct yaml_node *node) {
    switch (node->type) {
    case YAML_NULL:
        buf_append(out, STR("null"));
        break;
    case YAML_SCALAR:
        buf_append(out, node->plain ? STR("") : STR("'"));
        buf_append(out, node->text);
        buf_append(out, node->plain ? STR("") : STR("'"));
        break;
    case YAML_LIST:
        for (size_t i = 0; i < node->n; i++) {
            buf_append(out, i == 0 ? STR("[") : STR(", "));
            tree_append(out, node->items[i]);
        }
        buf_append(out, node->n == 0 ? STR("[]") : STR("]"));
        break;
    case YAML_MAP:
        for (size_t i = 0; i < node->n; i++) {
            buf_append(out, i == 0 ? STR("{") : STR(", "));
            buf_append(out, node->pairs[i].key->text);
            buf_append(out, STR(": "));
            tree_append(out, node->pairs[i].value);
        }
        buf_append(out, node->n == 0 ? STR("{}") : STR("}"));
        break;
    }
}

/* The tree as flow text; strings that are not plain in single quotes. */
__attribute__((unused)) static const char *tree(struct fixture *f, const struct yaml_node *node) {
    if (node == NULL)
        return "NULL";
    buf_free(&f->said);
    tree_append(&f->said, node);
    buf_append_char(&f->said, '\0');
    return f->said.data + f->said.start;
}

#define assert_contains(text, part)                                                                                    \
    do {                                                                                                               \
        if (strstr((text), (part)) == NULL)                                                                            \
            fail_msg("\"%s\" is not in \"%s\"", (part), (text));                                                       \
    } while (0)

#endif
