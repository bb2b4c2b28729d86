/*
 * faucet check, config and schema: the configuration without a daemon.
 */
#include <stdio.h>
#include <string.h>

#include "app/kind.h"
#include "control/command.h"
#include "control/options.h"
#include "control/problem_report.h"

static int help(const char *text) {
    struct buf flags = {0};
    config_flags_help(&flags, false);
    printf("%s\n%.*s", text, STR_ARG(buf_str(&flags)));
    buf_free(&flags);
    return EXIT_DONE;
}

static int no_arguments(const struct options *o, size_t most) {
    if (o->arguments.n <= most)
        return EXIT_DONE;
    fprintf(stderr, "faucet %s: \"%s\" is one word too many%s\n", o->command, o->arguments.v[most],
            strcmp(o->command, "schema") == 0 ? "" : "; a file is named by -c FILE");
    return EXIT_USAGE;
}

static const char *plural(size_t n) {
    return n == 1 ? "" : "s";
}

static int check(const struct options *o) {
    struct problems problems;
    problems_init(&problems);
    struct config_sources sources = options_sources(o);
    struct snapshot *s = config_load(&sources, kind_table(), 1, &problems);
    bool bad = s == NULL || (o->strict && problems.warnings > 0);
    if (o->json)
        problem_report_json(&problems, o->file_as_named, stdout);
    else {
        problem_report_print(&problems, stderr);
        if (bad)
            fprintf(stderr, "%s: %zu error%s, %zu warning%s\n", o->file_as_named, problems.errors,
                    plural(problems.errors), problems.warnings, plural(problems.warnings));
        else
            printf("%s: valid; %zu app%s, %zu warning%s\n", o->file_as_named, s->app_count, plural(s->app_count),
                   problems.warnings, plural(problems.warnings));
    }
    snapshot_unref(s);
    problems_free(&problems);
    return bad ? EXIT_CONFIG : EXIT_DONE;
}

int command_check(const char *name, char *const *words, char *const *environ_) {
    struct options o;
    int status = EXIT_USAGE;
    if (options_parse(&o, name, words, environ_, true)) {
        if (o.help)
            status = help("faucet check -c FILE [--json] [--strict] [--no-paths]\n\n"
                          "Exits with 0, or with 78 where the file is wrong; --strict: warnings count too.\n"
                          "--no-paths: does not look for directories and interpreters.\n");
        else if ((status = no_arguments(&o, 0)) == EXIT_DONE)
            status = check(&o);
    }
    options_free(&o);
    return status;
}

static int explain(const struct options *o) {
    struct problems problems;
    problems_init(&problems);
    struct buf out = {0};
    struct config_sources sources = options_sources(o);
    const char *key = o->arguments.n > 0 ? o->arguments.v[0] : NULL;
    bool ok = config_explain(&sources, kind_table(), key, o->json, &out, &problems);
    fwrite(buf_length(&out) > 0 ? buf_str(&out).p : "", 1, buf_length(&out), stdout);
    problem_report_print(&problems, stderr);
    bool wrong = problems.errors > 0;
    buf_free(&out);
    problems_free(&problems);
    return !ok || wrong ? EXIT_CONFIG : EXIT_DONE;
}

int command_config(const char *name, char *const *words, char *const *environ_) {
    struct options o;
    int status = EXIT_USAGE;
    if (options_parse(&o, name, words, environ_, true)) {
        if (o.help)
            status = help("faucet config -c FILE [KEY] [--json]\n\n"
                          "Shows each effective value, where it comes from and what it beat; secrets are hidden.\n");
        else if ((status = no_arguments(&o, 1)) == EXIT_DONE)
            status = explain(&o);
    }
    options_free(&o);
    return status;
}

int command_schema(const char *name, char *const *words, char *const *environ_) {
    struct options o;
    int status = EXIT_USAGE;
    bool understood = options_parse(&o, name, words, environ_, false);
    if (understood && o.help) {
        printf("faucet schema [--markdown]\n\nPrints the JSON Schema of faucet.yaml; --markdown: the table of "
               "settings.\n");
        status = EXIT_DONE;
    } else if (understood && (status = no_arguments(&o, 0)) == EXIT_DONE) {
        struct buf out = {0};
        if (o.markdown)
            config_settings_table(&out);
        else
            config_schema(&out);
        fwrite(buf_str(&out).p, 1, buf_length(&out), stdout);
        buf_free(&out);
    }
    options_free(&o);
    return status;
}
