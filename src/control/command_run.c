/*
 * faucet run and faucet start.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/environ.h"
#include "control/command.h"
#include "control/faucet.h"
#include "control/options.h"

static int help(const struct options *o) {
    struct buf flags = {0};
    config_flags_help(&flags, o->start);
    printf(o->start ? "faucet start --dir DIR [--type TYPE] [--workers N] [settings]\n\n"
                      "Serves one app; its name is the last part of DIR, its route is /.\n"
                    : "faucet run -c FILE [--wait-ready] [settings]\n\n"
                      "Serves the apps of FILE. --wait-ready: shows a line per app, then the URLs.\n");
    printf("\n%.*s", STR_ARG(buf_str(&flags)));
    buf_free(&flags);
    return EXIT_DONE;
}

/* The value the app's `dir` will have (never state_dir, app_dir): the flag, else FAUCET_DIR, else here. */
static const char *start_dir(const struct options *o) {
    for (size_t i = o->flag_count; i > 0; i--)
        if (str_ends(str_of(o->flags[i - 1].key), STR(".dir")))
            return o->flags[i - 1].value;
    const char *named = environ_value(o->environ_, STR("FAUCET_DIR"));
    return named != NULL ? named : ".";
}

/* An app's name from a directory's: what is not allowed becomes '-'. */
static const char *start_name(const struct options *o) {
    char resolved[PATH_MAX];
    const char *dir = start_dir(o);
    const char *path = realpath(dir, resolved) != NULL ? resolved : dir;
    struct str last = str_of(path);
    while (last.n > 1 && last.p[last.n - 1] == '/')
        last.n--;
    for (size_t i = last.n; i > 0; i--) {
        if (last.p[i - 1] != '/')
            continue;
        last = str_from(last, i);
        break;
    }
    char name[64];
    size_t n = 0;
    for (size_t i = 0; i < last.n && n < sizeof name - 1; i++) {
        char c = ascii_lower(last.p[i]);
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (alphanumeric || n > 0)
            name[n++] = alphanumeric || c == '_' ? c : '-';
    }
    return n > 0 ? arena_str(o->arena, str_make(name, n)).p : "app";
}

int command_run(const char *name, char *const *words, char *const *environ_) {
    struct options o;
    int status = EXIT_USAGE;
    if (options_parse(&o, name, words, environ_, strcmp(name, "run") == 0)) {
        if (o.help)
            status = help(&o);
        else if (o.arguments.n > 0)
            fprintf(stderr, "faucet %s: \"%s\" is one word too many; %s\n", name, o.arguments.v[0],
                    o.start ? "the app's directory is named by --dir DIR" : "the file is named by -c FILE");
        else if (o.start && o.file != NULL)
            fprintf(stderr, "faucet start: serves one app without a file; for %s use faucet run\n", o.file_as_named);
        else
            status = faucet_serve(&o, o.start ? start_name(&o) : NULL);
    }
    options_free(&o);
    return status;
}
