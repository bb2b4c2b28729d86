/*
 * `include: apps.d/…`: further files that hold apps. A pattern is
 * resolved against the directory of the file that says it, and files are
 * shown in messages beside the name that file was given.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/yaml_parts.h"

struct include {
    struct arena *arena;
    struct problems *problems;
    struct yaml_node **trees;
    size_t n, room;
    size_t files; /* read or tried */
    size_t nodes;
    struct stat *seen; /* the including file first, then each file that was read; arena */
    size_t seen_n, seen_room;
    bool ok;
};

#define PROBLEM(in, where, ...)                                                                                        \
    ((in)->ok = false, problem_add((in)->problems, PROBLEM_ERROR, (where), "include", __VA_ARGS__))

static bool has_wildcard(struct str pattern) {
    for (size_t i = 0; i < pattern.n; i++)
        if (strchr("*?[", pattern.p[i]) != NULL)
            return true;
    return false;
}

/* The directory's own name may hold what glob would take for a pattern. */
static const char *pattern_below(struct arena *a, const char *directory, struct str pattern) {
    size_t n = strlen(directory), at = 0;
    char *text = arena_bytes(a, 2 * n + 1 + pattern.n + 1);

    if (pattern.p[0] != '/') {
        for (size_t i = 0; i < n; i++) {
            if (strchr("*?[\\", directory[i]) != NULL)
                text[at++] = '\\';
            text[at++] = directory[i];
        }
        if (at == 0 || text[at - 1] != '/')
            text[at++] = '/';
    }
    memcpy(text + at, pattern.p, pattern.n);
    text[at + pattern.n] = '\0';
    return text;
}

/* Bytes of a found path that stand for the including file's directory; 0: the pattern was absolute. */
static size_t origin_length(const char *origin, struct str pattern) {
    size_t n = strlen(origin);

    if (pattern.p[0] == '/')
        return 0;
    return n > 0 && origin[n - 1] == '/' ? n : n + 1;
}

/* What a path below the including file's directory is called in messages: beside the name that file was given. */
static const char *shown_name(struct include *in, const struct yaml_node *pattern, const char *path) {
    size_t cut = origin_length(pattern->origin, pattern->text);
    const char *slash = pattern->file == NULL ? NULL : strrchr(pattern->file, '/');

    if (cut == 0 || pattern->file == NULL)
        return path;
    return arena_printf(in->arena, "%.*s%s", slash == NULL ? 0 : (int)(slash + 1 - pattern->file), pattern->file,
                        path + cut)
        .p;
}

/* 0: new; 1: the including file itself; 2: another that was read. */
static int seen_before(struct include *in, const struct stat *st) {
    for (size_t i = 0; i < in->seen_n; i++)
        if (in->seen[i].st_dev == st->st_dev && in->seen[i].st_ino == st->st_ino)
            return i == 0 ? 1 : 2;
    if (in->seen_n == in->seen_room) {
        in->seen_room *= 2;
        struct stat *bigger = ARENA_ARRAY(in->arena, struct stat, in->seen_room);
        memcpy(bigger, in->seen, in->seen_n * sizeof *bigger);
        in->seen = bigger;
    }
    in->seen[in->seen_n++] = *st;
    return 0;
}

/* Only apps and places for anchors. */
static void check_tree(struct include *in, const struct yaml_node *tree) {
    for (size_t i = 0; i < tree->n; i++) {
        const struct yaml_node *key = tree->pairs[i].key;
        if (str_eq(key->text, STR("apps")) || str_starts(key->text, STR("x-")))
            continue;
        in->ok = false;
        problem_add(in->problems, PROBLEM_ERROR, key->where, yaml_short(in->arena, key->text),
                    "%s; allowed are `apps:` and keys that begin with x-",
                    str_eq(key->text, STR("include")) ? "an included file cannot include others"
                                                      : "an included file holds apps only");
    }
}

static void load_one(struct include *in, const struct yaml_node *pattern, const char *path, const char *name) {
    struct stat st;

    if (stat(path, &st) == 0) {
        switch (seen_before(in, &st)) {
        case 1:
            PROBLEM(in, pattern->where,
                    "%s is the file that says this; put the apps into a directory of their own, as "
                    "in \"apps.d/*.yaml\"",
                    name);
            return;
        case 2: /* two patterns that overlap */
            return;
        default:
            break;
        }
    }
    if (++in->files > YAML_INCLUDES_MAX) {
        if (in->files == YAML_INCLUDES_MAX + 1)
            PROBLEM(in, pattern->where, "more than %d files; that is the most", YAML_INCLUDES_MAX);
        return;
    }
    size_t errors = in->problems->errors;
    struct yaml_node *tree = yaml_load_named(in->arena, path, name, &in->nodes, in->problems);
    if (in->problems->errors != errors)
        in->ok = false;
    if (tree == NULL)
        return;
    check_tree(in, tree);
    if (in->n == in->room) {
        in->room = in->room == 0 ? 8 : in->room * 2;
        struct yaml_node **bigger = ARENA_ARRAY(in->arena, struct yaml_node *, in->room);
        if (in->n > 0)
            memcpy(bigger, in->trees, in->n * sizeof(struct yaml_node *));
        in->trees = bigger;
    }
    in->trees[in->n++] = tree;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A directory that is not there holds no match; one that cannot be read might. */
static int directory_unreadable(const char *path, int error) {
    (void)path;
    return error != ENOENT;
}

static void load_plain(struct include *in, const struct yaml_node *pattern) {
    const char *path = pattern->text.p;
    struct stat st;

    if (path[0] != '/')
        path = arena_printf(in->arena, "%s%s%s", pattern->origin,
                            str_ends(str_of(pattern->origin), STR("/")) ? "" : "/", path)
                   .p;
    const char *name = shown_name(in, pattern, path);
    if (stat(path, &st) != 0 && errno == ENOENT)
        PROBLEM(in, pattern->where, "the file %s does not exist; a pattern such as \"apps.d/*.yaml\" may match nothing",
                name);
    else
        load_one(in, pattern, path, name);
}

static void load_pattern(struct include *in, const struct yaml_node *pattern) {
    glob_t found = {.gl_pathc = 0};

    if (pattern->unresolved) { /* reported already */
        in->ok = false;
        return;
    }
    if (pattern->type != YAML_SCALAR || pattern->text.n == 0) {
        PROBLEM(in, pattern->where, "must be a file name or a pattern such as \"apps.d/*.yaml\", or a list of them");
        return;
    }
    if (!has_wildcard(pattern->text)) {
        load_plain(in, pattern);
        return;
    }
    /* Sorted by us: glob's own order follows the locale. */
    int result =
        glob(pattern_below(in->arena, pattern->origin, pattern->text), GLOB_NOSORT, directory_unreadable, &found);
    XXXASSERT(result != GLOB_NOSPACE);
    if (result == GLOB_NOMATCH)
        return;
    if (result != 0) {
        PROBLEM(in, pattern->where, "a directory of this pattern cannot be read");
        globfree(&found);
        return;
    }
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
    for (size_t i = 0; i < found.gl_pathc; i++)
        load_one(in, pattern, found.gl_pathv[i], shown_name(in, pattern, arena_strdup(in->arena, found.gl_pathv[i])));
    globfree(&found);
}

/* The file that includes, so that "*.yaml" beside it does not read it again. */
static void see_itself(struct include *in, const struct yaml_node *top) {
    const char *slash = top->file == NULL ? NULL : strrchr(top->file, '/');

    in->seen_room = 8;
    in->seen = ARENA_ARRAY(in->arena, struct stat, in->seen_room);
    in->seen_n = 1; /* all zero, an inode that is none, where there is no such file */
    if (top->file != NULL)
        (void)stat(arena_printf(in->arena, "%s/%s", top->origin, slash == NULL ? top->file : slash + 1).p,
                   &in->seen[0]);
}

/* Takes the pair out of the map. */
static struct yaml_node *take(struct yaml_node *map, const char *key) {
    for (size_t i = 0; i < map->n; i++) {
        struct yaml_node *value = map->pairs[i].value;
        if (!str_eq(map->pairs[i].key->text, str_of(key)))
            continue;
        memmove(&map->pairs[i], &map->pairs[i + 1], (map->n - i - 1) * sizeof map->pairs[0]);
        map->n--;
        return value;
    }
    return NULL;
}

bool yaml_load_includes(struct arena *a, struct yaml_node *top, struct yaml_node ***trees, size_t *n,
                        struct problems *problems) {
    struct include in = {.arena = a, .problems = problems, .ok = true};
    const struct yaml_node *patterns = take(top, "include");

    if (patterns != NULL && patterns->type != YAML_NULL) {
        see_itself(&in, top);
        if (patterns->type == YAML_LIST)
            for (size_t i = 0; i < patterns->n; i++)
                load_pattern(&in, patterns->items[i]);
        else
            load_pattern(&in, patterns);
    }
    *trees = in.trees;
    *n = in.n;
    return in.ok;
}
