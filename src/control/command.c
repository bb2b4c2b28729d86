/*
 * The table of commands. `faucet` alone is `faucet run` where ./faucet.yaml
 * exists; `faucet router` is what the original called it.
 */
#include "control/command.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/str.h"
#include "config/nearest.h"
#include "control/options.h"

static const struct command {
    const char *name, *usage, *help;
    int (*run)(const char *name, char *const *words, char *const *environ_);
} commands[] = {
    {"run", "run -c FILE [--wait-ready] [settings]", "serve the apps of a faucet.yaml", command_run},
    {"router", "router -c FILE", "the same, as the original faucet called it", command_run},
    {"start", "start --dir DIR [--type TYPE] [--workers N] [settings]", "serve one app without a file", command_run},
    {"check", "check -c FILE [--json] [--strict] [--no-paths]", "say everything that is wrong with a faucet.yaml",
     command_check},
    {"config", "config -c FILE [KEY] [--json]", "show the effective values and where they come from", command_config},
    {"schema", "schema [--markdown]", "print the JSON Schema of faucet.yaml", command_schema},
    {"reload", "reload [-c FILE] [--force] [--json]", "make a running faucet use its changed file", command_control},
    {"plan", "plan [-c FILE] [--json]", "show what a reload would do", command_control},
    {"status", "status [-c FILE] [--json]", "show a running faucet, its apps and their workers", command_control},
    {"restart", "restart APP [-c FILE] [--json]", "replace an app's workers, without losing a request",
     command_control},
    {"stop", "stop [-c FILE] [--json]", "stop a running faucet and wait for its end", command_control},
    {"db", "db init | check [-c FILE] [--print]", "make or verify the telemetry tables in PostgreSQL", command_db},
    {"rscript", "rscript ...", "run Rscript with the environment an app would get", command_tool},
    {"uv", "uv ...", "run uv with the environment an app would get", command_tool},
};

static void usage(FILE *to) {
    fprintf(to, "faucet %s: one port, many data apps\n\n", FAUCET_VERSION);
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        fprintf(to, "  faucet %-56s %s\n", commands[i].usage, commands[i].help);
    fprintf(to, "\nfaucet COMMAND --help lists the settings that can be given as flags.\n");
}

static int unknown(const char *word) {
    struct nearest near;
    nearest_init(&near, str_of(word));
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        nearest_offer(&near, commands[i].name);
    fprintf(stderr, "faucet: there is no command \"%s\"", word);
    if (near.best != NULL)
        fprintf(stderr, "; did you mean \"%s\"?", near.best);
    fprintf(stderr, "\n\n");
    usage(stderr);
    return EXIT_USAGE;
}

/* A descriptor that was closed would be given to the next socket or file, and what is printed would go there. */
static bool open_standard_descriptors(void) {
    int fd;
    do
        fd = open("/dev/null", O_RDWR); /* no O_CLOEXEC: they are standard input, output and error */
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
    return fd >= 0;
}

int command_main(int argc, char **argv, char **environ_) {
    if (!open_standard_descriptors())
        return EXIT_FAILED;
    if (argc < 2) {
        if (access("faucet.yaml", F_OK) == 0)
            return command_run("run", argv + argc, environ_);
        fprintf(stderr, "faucet: no command is given, and there is no faucet.yaml here to be served\n\n");
        usage(stderr);
        return EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        usage(stdout);
        return EXIT_DONE;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
        printf("faucet %s\n", FAUCET_VERSION);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < ARRAY_LENGTH(commands); i++)
        if (strcmp(word, commands[i].name) == 0)
            return commands[i].run(strcmp(word, "router") == 0 ? "run" : word, argv + 2, environ_);
    return unknown(word);
}
