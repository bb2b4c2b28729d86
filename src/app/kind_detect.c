/*
 * type: auto. What lies in the directory says what the app is; two answers are
 * none. The message names what was looked for and what is there.
 */
#include "app/kind_parts.h"

#include <dirent.h>
#include <stdio.h>

#define LISTED_MAX 8

/* Each says by which file it recognises its kind, or NULL. */
static const char *sign_of_plumber(struct arena *a, const char *directory) {
    const char *file = kind_file(a, directory, "plumber.R");
    return file != NULL ? file : kind_file(a, directory, "entrypoint.R");
}

static const char *sign_of_shiny(struct arena *a, const char *directory) {
    const char *file = kind_file(a, directory, "app.R");
    if (file != NULL)
        return file;
    return kind_file(a, directory, "ui.R") != NULL ? kind_file(a, directory, "server.R") : NULL;
}

static const char *sign_of_quarto(struct arena *a, const char *directory) {
    struct strings found = kind_quarto_documents(a, directory);
    return found.n > 0 ? found.v[0] : NULL; /* several: the kind's own check asks which */
}

static const char *sign_of_fast_api(struct arena *a, const char *directory) {
    const char *variable, *module = kind_fast_api_module(a, directory, true, &variable);
    return module != NULL ? arena_printf(a, "%s.py", module).p : NULL;
}

static const struct {
    enum app_type type;
    const char *(*sign)(struct arena *a, const char *directory);
} signs[] = {
    {APP_PLUMBER, sign_of_plumber},
    {APP_SHINY, sign_of_shiny},
    {APP_QUARTO_SHINY, sign_of_quarto},
    {APP_FAST_API, sign_of_fast_api},
};

/* "a.txt, b.txt and others"; "nothing". */
static const char *list_directory(struct arena *a, const char *directory) {
    const char *list = "nothing";
    size_t n = 0;
    DIR *d = opendir(directory);
    const struct dirent *e;
    while (d != NULL && n <= LISTED_MAX && (e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.')
            continue;
        if (n == LISTED_MAX)
            list = arena_printf(a, "%s and others", list).p;
        else
            list = n == 0 ? arena_strdup(a, e->d_name) : arena_printf(a, "%s, %s", list, e->d_name).p;
        n++;
    }
    if (d != NULL)
        closedir(d);
    return list;
}

/* The type, or APP_AUTO and what was found to say. */
static enum app_type look(struct arena *a, const char *directory, const char **found) {
    enum app_type type = APP_AUTO;
    size_t n = 0;
    *found = "";
    for (size_t i = 0; i < ARRAY_LENGTH(signs); i++) {
        const char *sign = signs[i].sign(a, directory);
        if (sign == NULL)
            continue;
        *found = arena_printf(a, "%s%s%s (%s)", *found, n > 0 ? " and " : "", sign, kind_of(signs[i].type)->name).p;
        type = signs[i].type;
        n++;
    }
    return n == 1 ? type : APP_AUTO;
}

enum app_type kind_detect(struct kind_check *check) {
    const struct app_config *app = check->app;
    if (app->command.n > 0)
        return APP_COMMAND;
    if (app->upstream.n > 0)
        return APP_UPSTREAM;
    if (app->dir == NULL) {
        kind_problem(check, "dir",
                     "is missing: without `type:`, `command:` or `upstream:` the app is recognised by what its "
                     "directory holds");
        return APP_AUTO;
    }
    const char *directory = app->dir, *found;
    if (app->app_dir != NULL)
        directory = app->app_dir[0] == '/' ? app->app_dir : kind_join(check->arena, app->dir, app->app_dir);
    const char *why = kind_no_directory(directory);
    if (why != NULL) {
        if (!check->skip_paths)
            kind_problem(check, "dir", "%s: %s", directory, why);
        return APP_AUTO;
    }
    enum app_type type = look(check->arena, directory, &found);
    if (type != APP_AUTO || check->skip_paths)
        return type;
    if (*found != '\0')
        kind_problem(check, "type", "cannot be told: %s holds %s; write which of them it is", directory, found);
    else
        kind_problem(
            check, "type",
            "cannot be told: looked in %s for plumber.R or entrypoint.R (plumber), app.R or ui.R and server.R "
            "(shiny), one *.qmd with `server: shiny` (quarto-shiny), main.py or app.py with FastAPI (fast-api); "
            "there is %s; write shiny, plumber, quarto-shiny, fast-api, command, static or upstream",
            directory, list_directory(check->arena, directory));
    return APP_AUTO;
}
