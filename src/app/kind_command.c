/*
 * Any program that speaks HTTP. "{socket}" and "{port}" anywhere in its words
 * become the place to listen at; without either it gets a port, in PORT.
 */
#include "app/kind_parts.h"

#include <stdio.h>

bool kind_command_mentions(const struct app_config *app, const char *placeholder) {
    for (size_t i = 0; i < app->command.n; i++)
        if (strstr(app->command.v[i], placeholder) != NULL)
            return true;
    return false;
}

/* A name with a slash starts from the worker's directory, a plain one is on PATH. */
static void find_program(struct kind_check *check) {
    const struct app_config *app = check->app;
    const char *name = app->command.v[0];
    const char *path = strchr(name, '/') == NULL || name[0] == '/' || app->dir == NULL
                           ? name
                           : kind_join(check->arena, app->dir, name);
    if (kind_program(check, path) != NULL)
        return;
    if (strchr(name, '/') != NULL)
        kind_problem(check, "command", "%s: there is no such program", path);
    else
        kind_problem(check, "command", "%s is not found on PATH (%s)", name, kind_path(check));
}

void kind_command_check(struct kind_check *check) {
    const struct app_config *app = check->app;
    kind_defaults(check, APP_COMMAND);
    bool there = app->dir == NULL ? !check->skip_paths : kind_directory(check) != NULL;
    if (app->command.n == 0 || app->command.v[0][0] == '\0') {
        kind_problem(check, "command", "is missing: a command app needs the program to run and its arguments");
        return;
    }
    if (kind_command_mentions(app, "{socket}") && kind_command_mentions(app, "{port}"))
        kind_problem(check, "command", "has both {socket} and {port}; a worker listens at one place");
    if (there)
        find_program(check);
}

/* word with every `from` replaced. */
static const char *replace(struct arena *a, const char *word, const char *from, const char *to) {
    const char *at = strstr(word, from);
    if (at == NULL)
        return word;
    /* only the rest is looked at again: `to` may hold braces too */
    const char *rest = replace(a, at + strlen(from), from, to);
    return arena_printf(a, "%.*s%s%s", (int)(at - word), word, to, rest).p;
}

const char *const *kind_command_command(struct arena *a, const struct daemon_settings *daemon,
                                        const struct app_config *app, const struct kind_listen *listen) {
    struct kind_words w = {.arena = a};
    const char *port = arena_printf(a, "%u", listen->port).p;
    (void)daemon;
    for (size_t i = 0; i < app->command.n; i++) {
        const char *word = app->command.v[i];
        kind_word(&w, listen->socket != NULL ? replace(a, word, "{socket}", listen->socket)
                                             : replace(a, word, "{port}", port));
    }
    return kind_words_end(&w);
}
