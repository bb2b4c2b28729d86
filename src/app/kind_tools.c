/*
 * Tools of the kinds' checkers: problems with their place, looking for files,
 * directories and programs, putting an argv together.
 */
#include "app/kind_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/environment.h"
#include "base/environ.h"

#define READ_MAX ((size_t)64 * 1024)

void kind_problem(struct kind_check *check, const char *key, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str message = arena_vprintf(check->arena, format, args);
    va_end(args);
    struct str full = arena_printf(check->arena, "apps.%s.%s", check->app->name, key);
    problem_add(check->problems, PROBLEM_ERROR, check->where(check, key), full.p, "%s", message.p);
}

void kind_defaults(struct kind_check *check, enum app_type type) {
    const struct kind *k = kind_of(type);
    if (!check->is_set(check, "strategy"))
        check->app->strategy = (int)k->strategy;
    if (!check->is_set(check, "concurrency"))
        check->app->concurrency = k->concurrency;
}

const char *kind_join(struct arena *a, const char *directory, const char *name) {
    return arena_printf(a, "%s/%s", directory, name).p;
}

const char *kind_no_directory(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0)
        return errno == ENOENT ? "there is no such directory" : strerror(errno);
    if (!S_ISDIR(st.st_mode))
        return "it is not a directory";
    return access(path, R_OK | X_OK) == 0 ? NULL : "it cannot be read by the user that runs faucet";
}

/* R's own order: R_ENVIRON_USER, else .Renviron here, else the one at home (?Startup). We read it because R would let
 * it beat `env:`. */
static void read_renviron(struct kind_check *check, const char *directory) {
    const char *chosen = getenv("R_ENVIRON_USER"), *home = getenv("HOME");
    struct arena *a = check->arena;
    if (chosen == NULL || *chosen == '\0')
        chosen = kind_join(a, directory, ".Renviron");
    if (access(chosen, F_OK) != 0 && home != NULL && *home != '\0')
        chosen = kind_join(a, home, ".Renviron");
    environment_read_file(a, chosen, &check->app->dotenv, check->problems);
}

static void read_environment_files(struct kind_check *check) {
    struct app_config *app = check->app;
    if (!kind_of((enum app_type)app->type)->has_workers)
        return;
    if (app->type == APP_SHINY || app->type == APP_PLUMBER || app->type == APP_QUARTO_SHINY)
        read_renviron(check, app->dir);
    else
        environment_read_file(check->arena, kind_join(check->arena, app->dir, ".Renviron"), &app->dotenv,
                              check->problems);
    environment_read_file(check->arena, kind_join(check->arena, app->dir, ".env"), &app->dotenv, check->problems);
}

const char *kind_directory(struct kind_check *check) {
    struct app_config *app = check->app;
    const char *why;
    if (app->dir == NULL) {
        kind_problem(check, "dir", "is missing: a %s app needs the directory it is in",
                     kind_of((enum app_type)app->type)->name);
        return NULL;
    }
    if (check->skip_paths)
        return NULL;
    if ((why = kind_no_directory(app->dir)) != NULL) {
        kind_problem(check, "dir", "%s: %s", app->dir, why);
        return NULL;
    }
    read_environment_files(check);
    if (app->app_dir == NULL)
        return app->dir;
    const char *below = app->app_dir[0] == '/' ? app->app_dir : kind_join(check->arena, app->dir, app->app_dir);
    if ((why = kind_no_directory(below)) != NULL) {
        kind_problem(check, "app_dir", "%s: %s", below, why);
        return NULL;
    }
    return below;
}

const char *kind_file(struct arena *a, const char *directory, const char *name) {
    const char *found = NULL;
    DIR *d = opendir(directory);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        struct stat st;
        if (strcasecmp(e->d_name, name) != 0 || fstatat(dirfd(d), e->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode))
            continue;
        if (found == NULL || strcmp(e->d_name, name) == 0) /* the exact name before others */
            found = arena_strdup(a, e->d_name);
    }
    if (d != NULL)
        closedir(d);
    return found;
}

static bool is_program(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

const char *kind_path(struct kind_check *check) {
    static const struct strings none = {0, NULL};
    const char *const *built = environment_build(check->arena, environ, &none, check->app, 0, NULL);
    const char *path = environ_value((char *const *)(uintptr_t)built, STR("PATH"));
    return path != NULL ? path : "/usr/local/bin:/usr/bin:/bin";
}

const char *kind_program(struct kind_check *check, const char *name) {
    if (strchr(name, '/') != NULL)
        return is_program(name) ? name : NULL;
    for (const char *path = kind_path(check); path != NULL;) {
        const char *colon = strchrnul(path, ':');
        if (*path == '/') { /* relative entries depend on who looks: not for us */
            const char *full = arena_printf(check->arena, "%.*s/%s", (int)(colon - path), path, name).p;
            if (is_program(full))
                return full;
        }
        path = *colon == ':' ? colon + 1 : NULL;
    }
    return NULL;
}

void kind_interpreter(struct kind_check *check, const char *const *words) {
    struct strings *to = &check->app->interpreter;
    to->n = 0;
    while (words[to->n] != NULL)
        to->n++;
    to->v = ARENA_ARRAY(check->arena, const char *, to->n + 1);
    for (size_t i = 0; i < to->n; i++)
        to->v[i] = arena_strdup(check->arena, words[i]);
}

void kind_find_interpreter(struct kind_check *check, const char *program, const char *what, const char *key) {
    if (check->skip_paths)
        return;
    const char *path = kind_program(check, program);
    if (path != NULL)
        kind_interpreter(check, (const char *const[]){path, NULL});
    else if (program[0] == '/')
        kind_problem(check, "type", "%s needs %s, which is no program that can be run (`%s:` says so)", what, program,
                     key);
    else
        kind_problem(check, "type", "%s needs %s: not found on PATH (%s); install it, or set `%s:` to its path", what,
                     program, kind_path(check), key);
}

struct str kind_read(struct arena *a, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* NONBLOCK: a FIFO must not hold us */
    if (fd < 0)
        return STR_NONE;
    char *bytes = arena_bytes(a, READ_MAX + 1);
    size_t n = 0;
    ssize_t got;
    while (n < READ_MAX && (got = read(fd, bytes + n, READ_MAX - n)) > 0)
        n += (size_t)got;
    close(fd);
    bytes[n] = '\0';
    return str_make(bytes, n);
}

struct kind_words kind_words_new(struct arena *a, const struct app_config *app) {
    struct kind_words w = {.arena = a};
    for (size_t i = 0; i < app->interpreter.n; i++)
        kind_word(&w, app->interpreter.v[i]);
    return w;
}

void kind_word(struct kind_words *w, const char *word) {
    if (w->n == w->capacity) {
        size_t capacity = w->capacity > 0 ? w->capacity * 2 : 16;
        const char **v = ARENA_ARRAY(w->arena, const char *, capacity);
        if (w->n > 0)
            memcpy(v, w->v, w->n * sizeof *v);
        w->v = v;
        w->capacity = capacity;
    }
    w->v[w->n++] = word;
}

const char *const *kind_words_end(struct kind_words *w) {
    kind_word(w, NULL);
    return w->v;
}
