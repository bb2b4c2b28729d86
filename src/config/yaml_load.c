/*
 * The doors of the YAML reader: a file, a value of the environment or a flag.
 */
#include <stdlib.h>
#include <unistd.h>

#include "config/file_read.h"
#include "config/yaml_parts.h"

/* The directory a path lies in, absolute, symbolic links left as they are named. */
static const char *directory_of(struct arena *a, const char *path) {
    const char *slash = strrchr(path, '/');
    struct str directory = slash == NULL ? STR_NONE : str_make(path, slash == path ? 1 : (size_t)(slash - path));

    if (path[0] == '/')
        return arena_str(a, directory).p;
    char *here = getcwd(NULL, 0);
    const char *base = here == NULL ? "." : here; /* the current directory was deleted: the file cannot be there */
    struct str result = directory.n == 0
                            ? arena_str(a, str_of(base))
                            : arena_printf(a, "%s%s%.*s", base, strcmp(base, "/") == 0 ? "" : "/", STR_ARG(directory));
    free(here);
    return result.p;
}

static struct yaml_node *empty_map(struct arena *a, const struct yaml_source *source) {
    struct yaml_node *map = ARENA_NEW(a, struct yaml_node);

    map->type = YAML_MAP;
    map->where = yaml_where(a, source, (struct yaml_place){1, 1});
    map->file = source->name;
    map->origin = source->origin;
    map->text = str_make("", 0);
    return map;
}

/* The first line of "listen:3838" gets the hint it needs. */
static const char *not_a_map_hint(const struct yaml_node *top) {
    if (top->type == YAML_LIST)
        return "; a line that begins with - is an item of a list";
    size_t colon = str_chr(top->text, ':');
    return colon < top->text.n ? "; a space is missing after the colon" : "";
}

struct yaml_node *yaml_load_named(struct arena *a, const char *path, const char *name, size_t *nodes,
                                  struct problems *problems) {
    struct yaml_source source = {.name = arena_strdup(a, name), .origin = directory_of(a, path)};
    const char *why;
    bool ok;

    if (!file_read_stable(a, path, YAML_FILE_SIZE_MAX, &source.text, &why)) {
        problem_add(problems, PROBLEM_ERROR, source.name, "", "%s", why);
        return NULL;
    }
    if (!yaml_source_check(a, &source, problems))
        return NULL;
    struct yaml_node *top = yaml_build(a, &source, nodes, problems, &ok);
    if (!ok)
        return NULL;
    if (top == NULL || top->type == YAML_NULL)
        return empty_map(a, &source);
    if (top->type == YAML_MAP)
        return top;
    problem_add(problems, PROBLEM_ERROR, top->where, "", "the file must hold `key: value` lines%s",
                not_a_map_hint(top));
    return NULL;
}

struct yaml_node *yaml_load_file(struct arena *a, const char *path, struct problems *problems) {
    size_t nodes = 0;

    return yaml_load_named(a, path, path, &nodes, problems);
}

/* "[::1]:80" begins like a list and is none. */
static bool is_flow(struct str text) {
    while (text.n > 0 && strchr(" \t\r\n", text.p[text.n - 1]) != NULL)
        text.n--;
    while (text.n > 0 && strchr(" \t\r\n", text.p[0]) != NULL)
        text = str_from(text, 1);
    return text.n > 1 &&
           ((text.p[0] == '[' && str_ends(text, STR("]"))) || (text.p[0] == '{' && str_ends(text, STR("}"))));
}

struct yaml_node *yaml_parse_value(struct arena *a, const char *text, const char *where, const char *origin,
                                   struct problems *problems) {
    struct yaml_source source = {
        .text = arena_str(a, str_of(text)), .where = arena_strdup(a, where), .origin = arena_strdup(a, origin)};
    size_t nodes = 0;
    bool ok;

    if (!is_flow(source.text)) {
        struct yaml_node *node = ARENA_NEW(a, struct yaml_node);
        node->type = yaml_text_is_null(source.text) ? YAML_NULL : YAML_SCALAR;
        node->where = source.where;
        node->origin = source.origin;
        node->text = source.text;
        node->plain = true;
        return node;
    }
    if (source.text.n > YAML_FILE_SIZE_MAX) {
        problem_add(problems, PROBLEM_ERROR, where, "", "the value is larger than 1MiB");
        return NULL;
    }
    if (!yaml_source_check(a, &source, problems))
        return NULL;
    struct yaml_node *node = yaml_build(a, &source, &nodes, problems, &ok);
    return ok ? node : NULL;
}

struct yaml_node *yaml_get(const struct yaml_node *map, const char *key) {
    if (map->type != YAML_MAP)
        return NULL;
    for (size_t i = 0; i < map->n; i++)
        if (str_eq(map->pairs[i].key->text, str_of(key)))
            return map->pairs[i].value;
    return NULL;
}
