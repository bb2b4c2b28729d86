/*
 * Plumber: plumber::plumb finds entrypoint.R or plumber.R, and the router's own
 * run() does the rest: options, working directory, documentation pages, exit
 * hooks, whatever its version has.
 *
 * Odd: run() knows TCP ports only. It ends in httpuv::startServer(host, port,
 * app), so that function is replaced: for this router it opens the Unix socket
 * (httpuv::startPipeServer), for any other server that the app's code may start
 * it is what it was. The port is never used. As in kind_shiny.c: no backslash,
 * no tab in the R text.
 */
#include "app/kind_parts.h"

static const char run_router[] =
    "local({\n"
    "  router <- plumber::plumb(dir = c(commandArgs(TRUE), '.')[1])\n"
    "  start_server <- httpuv::startServer\n"
    "  utils::assignInNamespace('startServer', ns = 'httpuv', function(host, port, app, ...) {\n"
    "    if (identical(app, router)) {\n"
    "      httpuv::startPipeServer(Sys.getenv('FAUCET_SOCKET'), strtoi('077', 8), app)\n"
    "    } else start_server(host, port, app, ...)\n"
    "  })\n"
    "  run <- list(port = 8000L)\n"
    "  if ('quiet' %in% names(formals(router$run))) run$quiet <- TRUE\n"
    "  invisible(do.call(router$run, run))\n"
    "})";

void kind_plumber_check(struct kind_check *check) {
    kind_defaults(check, APP_PLUMBER);
    const char *directory = kind_directory(check);
    if (directory != NULL && kind_file(check->arena, directory, "plumber.R") == NULL &&
        kind_file(check->arena, directory, "entrypoint.R") == NULL)
        kind_problem(check, "dir", "%s holds no Plumber API: looked for plumber.R and entrypoint.R", directory);
    kind_find_interpreter(check, check->daemon->rscript, "a plumber app", "rscript");
}

const char *const *kind_plumber_command(struct arena *a, const struct daemon_settings *daemon,
                                        const struct app_config *app, const struct kind_listen *listen) {
    struct kind_words w = kind_words_new(a, app);
    (void)daemon;
    (void)listen;
    kind_word(&w, "-e");
    kind_word(&w, run_router);
    if (app->app_dir != NULL)
        kind_word(&w, app->app_dir);
    return kind_words_end(&w);
}
