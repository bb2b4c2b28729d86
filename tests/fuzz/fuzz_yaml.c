/*
 * libFuzzer: any bytes as a configuration file and as a flag's value. What
 * must hold besides memory safety: a text that gives no tree has a problem to
 * show, every node has its place, limits hold, and interpolation leaves a tree
 * of the same kind.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -std=c11 -D_GNU_SOURCE -Isrc tests/fuzz/fuzz_yaml.c \
 *       src/config/{yaml*,problems,interpolate,file_read,name_table}.c src/base/{arena,buf,check,hash,str,unit}.c
 * -lyaml
 */
#include "config/yaml_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *const environment[] = {(char *)"A=text", (char *)"E=", (char *)"N=${A}", NULL};

static size_t walk(const struct yaml_node *node, unsigned depth) {
    size_t n = 1;

    AN(node->where);
    AN(node->text.p);
    AZ(node->text.p[node->text.n]);
    ASSERT(str_chr(node->text, '\0') == node->text.n);
    ASSERT(depth <= YAML_DEPTH_MAX + 1); /* scalars lie one below the deepest list */
    for (size_t i = 0; i < node->n; i++) {
        if (node->type == YAML_LIST) {
            n += walk(node->items[i], depth + 1);
        } else {
            ASSERT(node->type == YAML_MAP);
            ASSERT(node->pairs[i].key->type == YAML_SCALAR);
            n += walk(node->pairs[i].key, depth + 1) + walk(node->pairs[i].value, depth + 1);
        }
    }
    return n;
}

static void format_all(const struct problems *problems) {
    LIST_FOREACH (&problems->list, struct problem, p, node) {
        struct buf line = {.data = NULL};
        problem_format(p, &line);
        ASSERT(buf_length(&line) > 0);
        ASSERT(str_chr(buf_str(&line), '\n') == buf_length(&line));
        buf_free(&line);
    }
}

static void try_source(struct yaml_source source) {
    struct arena *a = arena_new(4096);
    struct problems problems;
    size_t nodes = 0;
    bool ok = true;

    problems_init(&problems);
    if (yaml_source_check(a, &source, &problems)) {
        struct yaml_node *top = yaml_build(a, &source, &nodes, &problems, &ok);
        ASSERT(ok || problems.errors > 0);
        if (top != NULL) {
            ASSERT(walk(top, 1) <= YAML_NODES_MAX);
            yaml_interpolate(a, top, environment, NULL, &problems);
            ASSERT(walk(top, 1) <= YAML_NODES_MAX);
        }
    } else {
        ASSERT(problems.errors == 1);
    }
    format_all(&problems);
    problems_free(&problems);
    arena_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct str text = str_make((const char *)data, size);

    if (size == 0)
        return 0;
    try_source((struct yaml_source){.text = text, .name = "f.yaml", .origin = "/"});
    try_source((struct yaml_source){.text = text, .where = "flag --set", .origin = "/"});
    return 0;
}
