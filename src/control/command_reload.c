/*
 * faucet reload, plan and restart: they wait for the same kind of answer and
 * show the same table.
 */
#include <stdio.h>

#include "config/config.h"
#include "control/command_parts.h"
#include "control/plan_text.h"

static const char *text_of(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    return text != NULL ? text : "";
}

static long long number_of(const json_t *json, const char *key) {
    return (long long)json_integer_value(json_object_get(json, key));
}

/* As `faucet check` writes them. */
static void print_problems(const json_t *problems) {
    size_t i;
    json_t *row;
    json_array_foreach(problems, i, row) {
        bool error = strcmp(text_of(row, "level"), "error") == 0;
        const struct problem p = {.level = error ? PROBLEM_ERROR : PROBLEM_WARNING,
                                  .where = text_of(row, "where"),
                                  .key = text_of(row, "key"),
                                  .message = text_of(row, "message")};
        struct buf line = {0};
        problem_format(&p, &line);
        fprintf(stderr, "%s%.*s\n", error ? "" : "warning: ", STR_ARG(buf_str(&line)));
        buf_free(&line);
    }
}

static int status_of(const struct options *o, const struct control_answer *answer) {
    static const struct {
        const char *result;
        int status;
    } results[] = {{"done", EXIT_DONE}, {"invalid", EXIT_CONFIG}, {"refused", EXIT_CONFIG}, {"failed", EXIT_FAILED}};
    const char *result = text_of(answer->json, "result");
    for (size_t i = 0; i < ARRAY_LENGTH(results); i++)
        if (strcmp(results[i].result, result) == 0)
            return results[i].status;
    return answer->status == 404 && strcmp(o->command, "restart") == 0 ? EXIT_USAGE : EXIT_FAILED;
}

static bool leaves_no_app(const json_t *json) {
    const json_t *plan = json_object_get(json, "plan"), *row;
    size_t i;
    json_array_foreach(plan, i, row) {
        if (strcmp(text_of(row, "action"), "drop") != 0)
            return false;
    }
    return json_array_size(plan) > 0;
}

static void print_done(const struct options *o, const json_t *json) {
    double seconds = (double)number_of(json, "took_ms") / 1000;
    if (strcmp(o->command, "plan") == 0)
        printf("this is what faucet reload%s would do%s; config %lld (%s) serves\n",
               leaves_no_app(json) ? " --force" : "",
               leaves_no_app(json) ? " (refused without --force: no app would be left)" : "", number_of(json, "config"),
               text_of(json, "hash"));
    else if (strcmp(o->command, "restart") == 0)
        printf("%s: new workers serve, after %.1f s\n", o->arguments.v[0], seconds);
    else
        printf("config %lld (%s) serves, after %.1f s\n", number_of(json, "config"), text_of(json, "hash"), seconds);
}

static void print_not_done(const struct options *o, const json_t *json) {
    const char *why = text_of(json, "why"), *error = text_of(json, "error");
    if (error[0] != '\0') /* no outcome, but a reply that says why there is none */
        fprintf(stderr, "faucet %s: %s\n", o->command, error);
    else
        fprintf(stderr, "faucet %s: %s%s%s; nothing has changed, config %lld (%s) goes on\n", o->command,
                text_of(json, "result"), why[0] != '\0' ? ": " : "", why, number_of(json, "config"),
                text_of(json, "hash"));
}

static void print(const struct options *o, const json_t *json, int status) {
    const json_t *plan = json_object_get(json, "plan");
    print_problems(json_object_get(json, "problems"));
    if (json_array_size(plan) > 0 || json_array_size(json_object_get(json, "daemon_changes")) > 0)
        plan_text_print(plan, json_object_get(json, "daemon_changes"), stdout);
    fflush(stdout);
    if (status == EXIT_DONE)
        print_done(o, json);
    else
        print_not_done(o, json);
}

int command_reload_run(const struct control_command *c) {
    const struct options *o = c->options;
    struct control_answer answer;
    const char *target;
    if (strcmp(o->command, "restart") == 0)
        target = arena_printf(o->arena, "/apps/%s/restart", o->arguments.v[0]).p;
    else
        target = arena_printf(o->arena, "/%s%s", o->command, o->force ? "?force=1" : "").p;
    if (!command_control_ask(c, "POST", target, CONTROL_FOREVER, &answer))
        return EXIT_FAILED;
    int status = status_of(o, &answer);
    if (o->json)
        command_control_print_json(&answer);
    else
        print(o, answer.json, status);
    control_answer_free(&answer);
    return status;
}
