/*
 * A Quarto document that Shiny serves: `quarto serve`, which renders it and
 * runs it in an R below itself, on a TCP port (it knows no Unix socket). It
 * opens no browser unless asked; it has no option to say so (quarto.org,
 * docs/cli/serve).
 */
#include "app/kind_parts.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

/* Without quotes and a trailing comment. */
static struct str plain(struct str s) {
    for (size_t i = 1; i < s.n; i++)
        if (s.p[i] == '#' && (s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
            s.n = i;
    s = str_trim(s);
    if (s.n >= 2 && (s.p[0] == '"' || s.p[0] == '\'') && s.p[s.n - 1] == s.p[0])
        s = str_make(s.p + 1, s.n - 2);
    return s;
}

/* "key: value" at any depth. */
static bool line_is(struct str line, struct str key, struct str value) {
    line = str_trim(line);
    size_t colon = str_chr(line, ':');
    return colon < line.n && str_eq(str_make(line.p, colon), key) && str_eq(plain(str_from(line, colon + 1)), value);
}

/* Looks in the YAML header for `server: shiny`, or `server:` with `type: shiny` below it (quarto.org,
 * docs/interactive/shiny). No YAML parser: config owns libyaml, and two forms are all there are. */
static bool says_shiny(struct str text) {
    bool first = true, below_server = false;
    while (text.n > 0) {
        size_t end = str_chr(text, '\n');
        struct str line = str_make(text.p, end);
        text = str_from(text, end + 1);
        if (str_ends(line, STR("\r")))
            line.n--;
        bool fence = str_eq(str_trim(line), STR("---"));
        if (first != fence)
            return false; /* no header at all, or its end */
        if (line_is(line, STR("server"), STR("shiny")) || (below_server && line_is(line, STR("type"), STR("shiny"))))
            return true;
        if (!first && line.n > 0 && line.p[0] != ' ' && line.p[0] != '#')
            below_server = line_is(line, STR("server"), STR(""));
        first = false;
    }
    return false;
}

struct strings kind_quarto_documents(struct arena *a, const char *directory) {
    struct strings found = {0, NULL};
    DIR *d = opendir(directory);
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.' || !str_ends(str_of(e->d_name), STR(".qmd")) ||
            !says_shiny(kind_read(a, kind_join(a, directory, e->d_name))))
            continue;
        const char **more = ARENA_ARRAY(a, const char *, found.n + 1);
        for (size_t i = 0; i < found.n; i++)
            more[i] = found.v[i];
        more[found.n++] = arena_strdup(a, e->d_name);
        found.v = more;
    }
    if (d != NULL)
        closedir(d);
    return found;
}

static void find_document(struct kind_check *check, const char *directory) {
    struct app_config *app = check->app;
    if (app->qmd != NULL) {
        const char *path = app->qmd[0] == '/' ? app->qmd : kind_join(check->arena, app->dir, app->qmd);
        struct stat st;
        if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
            kind_problem(check, "qmd", "%s: there is no such file", path);
        return;
    }
    struct strings found = kind_quarto_documents(check->arena, directory);
    if (found.n == 0)
        kind_problem(check, "dir",
                     "%s holds no Quarto document for Shiny: looked for *.qmd with `server: shiny` in its header",
                     directory);
    else if (found.n > 1)
        kind_problem(check, "qmd", "is needed: %s holds %zu documents for Shiny, among them %s and %s", directory,
                     found.n, found.v[0], found.v[1]);
    else /* from dir, where the worker starts */
        app->qmd = app->app_dir != NULL ? kind_join(check->arena, app->app_dir, found.v[0]) : found.v[0];
}

void kind_quarto_shiny_check(struct kind_check *check) {
    kind_defaults(check, APP_QUARTO_SHINY);
    const char *directory = kind_directory(check);
    if (directory != NULL)
        find_document(check, directory);
    kind_find_interpreter(check, check->daemon->quarto, "a quarto-shiny app", "quarto");
}

const char *const *kind_quarto_shiny_command(struct arena *a, const struct daemon_settings *daemon,
                                             const struct app_config *app, const struct kind_listen *listen) {
    struct kind_words w = kind_words_new(a, app);
    (void)daemon;
    kind_word(&w, "serve");
    kind_word(&w, app->qmd);
    kind_word(&w, "--port");
    kind_word(&w, arena_printf(a, "%u", listen->port).p);
    kind_word(&w, "--host");
    kind_word(&w, "127.0.0.1");
    return kind_words_end(&w);
}
