/*
 * FastAPI (any ASGI app) by uvicorn on a Unix socket. uvicorn is looked for in
 * this order: `uv run uvicorn` where uv is installed and the directory is a uv
 * project; a virtual environment in the directory; uvicorn on PATH; a python3
 * on PATH that has the module.
 *
 * Odd: uvicorn learns the prefix under which it is mounted at its start
 * (--root-path; it does not read X-Forwarded-Prefix), so for this kind a new
 * route means new workers. X-Forwarded-* are believed from anybody, since
 * nobody but us can reach the socket.
 */
#include "app/kind_parts.h"

#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- what the directory holds
 * --------------------------------------------------------------------------------------*/

static size_t word_length(struct str s) {
    size_t n = 0;
    while (n < s.n && (isalnum((unsigned char)s.p[n]) || s.p[n] == '_'))
        n++;
    return n > 0 && isdigit((unsigned char)s.p[0]) ? 0 : n;
}

static struct str skip_blanks(struct str s) {
    size_t n = 0;
    while (n < s.n && (s.p[n] == ' ' || s.p[n] == '\t'))
        n++;
    return str_from(s, n);
}

/* `NAME = FastAPI(`, also `NAME: FastAPI = fastapi.FastAPI(`: the name, or an empty string. */
static struct str line_makes_app(struct str line) {
    struct str name = str_make(line.p, word_length(line)), rest = skip_blanks(str_from(line, name.n));
    if (name.n == 0)
        return STR_NONE;
    if (rest.n > 0 && rest.p[0] == ':')
        rest = str_from(rest, str_chr(rest, '='));
    if (rest.n < 2 || rest.p[0] != '=' || rest.p[1] == '=')
        return STR_NONE;
    rest = skip_blanks(str_from(rest, 1));
    if (str_starts(rest, STR("fastapi.")))
        rest = str_from(rest, 8);
    if (!str_starts(rest, STR("FastAPI")))
        return STR_NONE;
    rest = skip_blanks(str_from(rest, 7));
    return rest.n > 0 && rest.p[0] == '(' ? name : STR_NONE;
}

/* The variable that holds the FastAPI, "app" before others; NULL: none is made at top level. */
static const char *find_variable(struct arena *a, struct str text) {
    struct str first = STR_NONE;
    while (text.n > 0) {
        size_t end = str_chr(text, '\n');
        struct str name = line_makes_app(str_make(text.p, end));
        text = str_from(text, end + 1);
        if (str_eq(name, STR("app")))
            return "app";
        if (first.n == 0)
            first = name;
    }
    return first.n > 0 ? arena_str(a, first).p : NULL;
}

const char *kind_fast_api_module(struct arena *a, const char *directory, bool fastapi, const char **variable) {
    static const char *const modules[] = {"main", "app"};
    const char *any = NULL;
    *variable = "app";
    for (size_t i = 0; i < ARRAY_LENGTH(modules); i++) {
        const char *path = kind_join(a, directory, arena_printf(a, "%s.py", modules[i]).p);
        if (access(path, R_OK) != 0)
            continue;
        struct str text = kind_read(a, path);
        const char *name = find_variable(a, text);
        if (name != NULL) {
            *variable = name;
            return modules[i];
        }
        /* made by a function, perhaps: `app = create_app()` */
        bool mentions = text.n > 0 && memmem(text.p, text.n, "FastAPI", 7) != NULL;
        if (any == NULL && (mentions || !fastapi))
            any = modules[i];
    }
    return any;
}

/* ---- who runs it
 * ---------------------------------------------------------------------------------------------------*/

static bool is_uv_project(struct arena *a, const char *directory) {
    return access(kind_join(a, directory, "pyproject.toml"), F_OK) == 0 ||
           access(kind_join(a, directory, "uv.lock"), F_OK) == 0;
}

/* Looks where Python looks, without running it: that would block. */
static bool python_has_uvicorn(struct arena *a, const char *python) {
    const char *slash = strrchr(python, '/'), *home = getenv("HOME");
    const char *prefix = arena_str(a, str_make(python, (size_t)(slash - python))).p;
    const char *patterns[] = {
        arena_printf(a, "%s/../lib/python3*/site-packages/uvicorn", prefix).p,
        arena_printf(a, "%s/../lib/python3/dist-packages/uvicorn", prefix).p,
        "/usr/local/lib/python3*/dist-packages/uvicorn",
        arena_printf(a, "%s/.local/lib/python3*/site-packages/uvicorn", home != NULL ? home : "").p,
    };
    bool found = false;
    for (size_t i = 0; !found && i < ARRAY_LENGTH(patterns); i++) {
        glob_t g = {0};
        found = glob(patterns[i], GLOB_NOSORT, NULL, &g) == 0;
        globfree(&g);
    }
    return found;
}

static void find_uvicorn(struct kind_check *check, const char *target) {
    struct arena *a = check->arena;
    const char *dir = check->app->dir;
    const char *uv = kind_program(check, check->daemon->uv), *uvicorn, *python;
    const char *venvs[] = {kind_join(a, dir, ".venv/bin/uvicorn"), kind_join(a, dir, "venv/bin/uvicorn")};
    if (uv != NULL && is_uv_project(a, dir)) {
        kind_interpreter(check, (const char *const[]){uv, "run", "uvicorn", target, NULL});
        return;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(venvs); i++)
        if (kind_program(check, venvs[i]) != NULL) {
            kind_interpreter(check, (const char *const[]){venvs[i], target, NULL});
            return;
        }
    if ((uvicorn = kind_program(check, "uvicorn")) != NULL)
        kind_interpreter(check, (const char *const[]){uvicorn, target, NULL});
    else if ((python = kind_program(check, "python3")) != NULL && python_has_uvicorn(a, python))
        kind_interpreter(check, (const char *const[]){python, "-m", "uvicorn", target, NULL});
    else
        kind_problem(
            check, "type",
            "a fast-api app needs uvicorn: looked for %s%s, %s, and uvicorn and a python3 that has it on PATH (%s)",
            check->daemon->uv,
            uv == NULL ? " (not found)" : " (found, but there is no pyproject.toml or uv.lock in dir)", venvs[0],
            kind_path(check));
}

void kind_fast_api_check(struct kind_check *check) {
    kind_defaults(check, APP_FAST_API);
    const char *directory = kind_directory(check), *variable;
    if (directory == NULL)
        return;
    const char *module = kind_fast_api_module(check->arena, directory, false, &variable);
    if (module == NULL)
        kind_problem(check, "dir", "%s holds no FastAPI app: looked for main.py and app.py", directory);
    else
        find_uvicorn(check, arena_printf(check->arena, "%s:%s", module, variable).p);
}

const char *const *kind_fast_api_command(struct arena *a, const struct daemon_settings *daemon,
                                         const struct app_config *app, const struct kind_listen *listen) {
    static const char *const rest[] = {"--proxy-headers", "--forwarded-allow-ips", "*", "--no-access-log"};
    struct kind_words w = kind_words_new(a, app);
    (void)daemon;
    kind_word(&w, "--uds");
    kind_word(&w, listen->socket);
    if (app->app_dir != NULL) {
        kind_word(&w, "--app-dir");
        kind_word(&w, app->app_dir);
    }
    struct str route = app->route.n > 0 ? str_of(app->route.v[0]) : STR_NONE;
    if (route.n > 1) { /* "/api/" is the root path "/api"; "/" is none */
        kind_word(&w, "--root-path");
        kind_word(&w, arena_str(a, str_make(route.p, route.n - 1)).p);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rest); i++)
        kind_word(&w, rest[i]);
    return kind_words_end(&w);
}
