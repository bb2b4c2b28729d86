/*
 * faucet rscript … and faucet uv …: that tool, in place of us, with the
 * environment that an app in this directory would get. Its exit status is the
 * tool's; 127 where it cannot be found, as a shell says.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/environment.h"
#include "base/environ.h"
#include "control/command.h"
#include "control/options.h"
#include "control/problem_report.h"

#define EXIT_NOT_RUNNABLE 126
#define EXIT_NOT_FOUND    127

static int become(struct arena *a, const char *program, char *const *words, const char *const *environment) {
    size_t n = 0;
    while (words[n] != NULL)
        n++;
    char **argv = ARENA_ARRAY(a, char *, n + 2);
    argv[0] = arena_strdup(a, program);
    for (size_t i = 0; i < n; i++)
        argv[i + 1] = words[i];
    execvpe(program, argv, (char *const *)(uintptr_t)environment);
    int error = errno;
    fprintf(stderr, "faucet: %s cannot be run: %s\n", program, strerror(error));
    return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUNNABLE;
}

int command_tool(const char *name, char *const *words, char *const *environ_) {
    bool r = strcmp(name, "rscript") == 0;
    const char *program = environ_nonempty(environ_, r ? STR("FAUCET_RSCRIPT") : STR("FAUCET_UV"));
    if (program == NULL)
        program = r ? "Rscript" : "uv";
    struct arena *a = arena_new(4096);
    struct problems problems;
    problems_init(&problems);
    char directory[PATH_MAX];
    struct app_config app = {.name = "tool", .dir = getcwd(directory, sizeof directory)};
    const char *namespace = environ_nonempty(environ_, STR("FAUCET_TELEMETRY_NAMESPACE"));
    app.telemetry.namespace = namespace != NULL ? namespace : "faucet";
    app.telemetry.version = environ_nonempty(environ_, STR("FAUCET_TELEMETRY_VERSION"));
    environment_read_file(a, ".Renviron", &app.dotenv, &problems);
    environment_read_file(a, ".env", &app.dotenv, &problems);
    problem_report_print(&problems, stderr);
    struct strings secret = {0};
    int status = become(a, program, words, environment_build(a, environ_, &secret, &app, 0, NULL));
    problems_free(&problems);
    arena_free(a);
    return status;
}
