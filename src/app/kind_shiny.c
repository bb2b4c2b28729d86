/*
 * R Shiny: shiny::runApp on a Unix socket. Rscript runs without --vanilla or
 * --no-init-file: an .Rprofile in the app's directory (renv lives there) must
 * count. The socket's path comes by the environment, never pasted into R code.
 *
 * Odd: the text travels through the shell script that starts R, so it holds no
 * backslash and no tab. The mask keeps others out of the socket.
 */
#include "app/kind_parts.h"

static const char run_app[] = "shiny::runApp(\n"
                              "  appDir = c(commandArgs(TRUE), '.')[1],\n"
                              "  port = structure(Sys.getenv('FAUCET_SOCKET'), mask = strtoi('077', 8)),\n"
                              "  launch.browser = FALSE, quiet = TRUE)";

void kind_shiny_check(struct kind_check *check) {
    kind_defaults(check, APP_SHINY);
    const char *directory = kind_directory(check);
    struct arena *a = check->arena;
    /* server.R may also go with a www/index.html (shiny::shinyAppDir) */
    if (directory != NULL && kind_file(a, directory, "app.R") == NULL &&
        (kind_file(a, directory, "server.R") == NULL ||
         (kind_file(a, directory, "ui.R") == NULL &&
          kind_file(a, kind_join(a, directory, "www"), "index.html") == NULL)))
        kind_problem(check, "dir", "%s holds no Shiny app: looked for app.R, or ui.R and server.R", directory);
    kind_find_interpreter(check, check->daemon->rscript, "a shiny app", "rscript");
}

const char *const *kind_shiny_command(struct arena *a, const struct daemon_settings *daemon,
                                      const struct app_config *app, const struct kind_listen *listen) {
    struct kind_words w = kind_words_new(a, app);
    (void)daemon;
    (void)listen;
    kind_word(&w, "-e");
    kind_word(&w, run_app);
    if (app->app_dir != NULL)
        kind_word(&w, app->app_dir);
    return kind_words_end(&w);
}
