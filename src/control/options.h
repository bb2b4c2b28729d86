/* The command line, parsed: which command, its own options, and settings given as flags. */
#ifndef FAUCET_CONTROL_OPTIONS_H
#define FAUCET_CONTROL_OPTIONS_H

#include "base/arena.h"
#include "config/config.h"

/* Exit statuses (sysexits.h numbers). */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 64, EXIT_CONFIG = 78 };

struct options {
    struct arena *arena;
    const char *command;       /* "run", "check"… */
    bool start;                /* the settings of `faucet start` count */
    const char *file;          /* absolute; NULL: none */
    const char *file_as_named; /* as the user wrote it */
    bool json, strict, no_paths, wait_ready, markdown, force, help;
    struct strings arguments; /* what is left, in order */
    struct config_flag *flags;
    size_t flag_count;
    const char *start_dir;
    char *const *environ_;
};

/* Parses what follows the command. False: a message went to stderr, exit with EXIT_USAGE. `file_wanted`: without -c,
 * $FAUCET_ROUTER_CONF, else ./faucet.yaml is the file. */
bool options_parse(struct options *o, const char *command, char *const *words, char *const *environ_, bool file_wanted);
void options_free(struct options *o);
struct config_sources options_sources(const struct options *o);

#endif
