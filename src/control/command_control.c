/*
 * faucet reload, plan, status, restart and stop: which daemon is meant, whether
 * it is there, and who shows its answer.
 */
#include <stdio.h>

#include "config/setting.h"
#include "control/command.h"
#include "control/command_parts.h"
#include "control/control_place.h"
#include "http/reader.h"

#define EXIT_NOT_RUNNING 3 /* of status, as LSB's init scripts have it */

static const struct control_verb {
    const char *name;
    const char *usage, *help;
    size_t arguments;
    int absent; /* exit status when no daemon answers */
    int (*run)(const struct control_command *c);
} verbs[] = {
    {"reload", "reload [--force]",
     "Makes the daemon read its file again and waits until the new configuration serves, or until it is clear\n"
     "that it will not: then nothing has changed. --force: also when no app would be left.\n"
     "Exits with 0, with 78 where the file is wrong or the reload was refused, with 1 where it failed.",
     0, EXIT_FAILED, command_reload_run},
    {"plan", "plan",
     "Shows what a reload would do now. Exits with 0, with 78 where the file is wrong, with 1 otherwise.", 0,
     EXIT_FAILED, command_reload_run},
    {"status", "status",
     "Shows the daemon, its apps and their workers. Exits with 0 when all apps are ready, with 1 when one is not,\n"
     "with 3 when no daemon runs.",
     0, EXIT_NOT_RUNNING, command_status_run},
    {"restart", "restart APP",
     "Starts new workers of an app from the settings it has, and ends the old ones when the new ones are ready.\n"
     "Exits with 0, with 64 where there is no such app, with 1 where they do not get ready (the old ones stay).",
     1, EXIT_FAILED, command_reload_run},
    {"stop", "stop", "Stops the daemon gracefully and waits until it is gone.", 0, EXIT_FAILED, command_stop_run},
};

int command_control_failed(const struct options *o, int status, const char *format, ...) {
    struct arena *a = arena_new(1024);
    va_list args;
    va_start(args, format);
    struct str text = arena_vprintf(a, format, args);
    va_end(args);
    fprintf(stderr, "faucet %s: %.*s\n", o->command, STR_ARG(text));
    if (o->json) {
        json_t *json = json_object();
        json_object_set_new(json, "error", setting_text_json(text.p));
        json_dumpf(json, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(json);
    }
    arena_free(a);
    return status;
}

void command_control_print_json(const struct control_answer *answer) {
    fwrite(buf_str(&answer->body).p, 1, buf_length(&answer->body), stdout);
}

bool command_control_ask(const struct control_command *c, const char *method, const char *target, dur_t timeout,
                         struct control_answer *answer) {
    const char *why;
    if (control_client_ask(c->client, method, target, timeout, answer, &why))
        return true;
    command_control_failed(c->options, EXIT_FAILED, "%s: %s", c->address, why);
    return false;
}

/* ---- what was typed ---- */

static int help(const struct control_verb *v) {
    printf("faucet %s [-c FILE] [--control unix:PATH] [--json]\n\n%s\n\n"
           "The daemon is found by --control, else by `control:` in FILE, else at the default place for FILE. Without\n"
           "-c it is the only one that runs.\n",
           v->usage, v->help);
    return EXIT_DONE;
}

static int wrong_usage(const struct control_verb *v, const struct options *o) {
    for (size_t i = 0; i < o->flag_count; i++)
        if (strcmp(o->flags[i].key, "control") != 0)
            return command_control_failed(
                o, EXIT_USAGE, "%s sets nothing in a running daemon: write it into its file, then faucet reload",
                o->flags[i].name);
    if (o->arguments.n > v->arguments)
        return command_control_failed(o, EXIT_USAGE, "\"%s\" is one word too many", o->arguments.v[v->arguments]);
    if (o->arguments.n < v->arguments)
        return command_control_failed(o, EXIT_USAGE, "which app? faucet %s", v->usage);
    return EXIT_DONE;
}

static int run(const struct control_verb *v, const struct options *o) {
    const char *why = "";
    bool none;
    int status = wrong_usage(v, o);
    if (status != EXIT_DONE)
        return status;
    const char *path = control_place_find(o, &why, &none);
    if (path == NULL)
        return command_control_failed(o, none ? v->absent : EXIT_USAGE, "%s%s", none ? "faucet is not running: " : "",
                                      why);
    struct control_client client;
    enum control_open open = control_client_open(&client, path, &why);
    if (open == CONTROL_NOBODY)
        return command_control_failed(o, v->absent, "faucet is not running: unix:%s: %s", path, why);
    if (open == CONTROL_DENIED)
        return command_control_failed(o, EXIT_FAILED, "unix:%s: %s", path, why);
    const struct control_command c = {
        .options = o, .client = &client, .address = arena_printf(o->arena, "unix:%s", path).p};
    status = v->run(&c);
    control_client_close(&client);
    return status;
}

int command_control(const char *name, char *const *words, char *const *environ_) {
    const struct control_verb *v = verbs;
    while (strcmp(v->name, name) != 0)
        v++;
    struct options o;
    int status = EXIT_USAGE;
    if (options_parse(&o, name, words, environ_, false)) {
        http_reader_setup();
        status = o.help ? help(v) : run(v, &o);
    }
    options_free(&o);
    return status;
}
