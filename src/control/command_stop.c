/*
 * faucet stop: asks, then waits for the daemon's end and says what that waits
 * for. Shutdown has its own deadline (shutdown.timeout), so there is none here.
 */
#include <stdio.h>

#include "control/command_parts.h"

#define REMINDER (5 * DUR_S)

static long long number_of(const json_t *json, const char *key) {
    return (long long)json_integer_value(json_object_get(json, key));
}

static void say(const struct control_command *c, const json_t *counts, const char *end) {
    long long exchanges = number_of(counts, "exchanges"), tunnels = number_of(counts, "tunnels");
    if (!c->options->json && exchanges + tunnels > 0)
        fprintf(stderr, "faucet stop: waiting for what is under way (requests: %lld, WebSockets: %lld)%s\n", exchanges,
                tunnels, end);
}

/* Its end may come while we ask: then there is nothing to say. */
static void remind(const struct control_command *c) {
    struct control_answer answer;
    const char *why;
    if (!control_client_ask(c->client, "GET", "/status", REMINDER, &answer, &why))
        return;
    say(c, json_object_get(answer.json, "daemon"), "");
    control_answer_free(&answer);
}

int command_stop_run(const struct control_command *c) {
    struct control_answer answer;
    char end[64];
    if (!command_control_ask(c, "POST", "/stop", CONTROL_PATIENCE, &answer))
        return EXIT_FAILED;
    if (answer.status != 202) {
        const char *why = json_string_value(json_object_get(answer.json, "error"));
        int status = command_control_failed(c->options, EXIT_FAILED, "%s", why != NULL ? why : "it was not accepted");
        control_answer_free(&answer);
        return status;
    }
    (void)snprintf(end, sizeof end, ", %lld s at most", number_of(answer.json, "timeout_s"));
    say(c, answer.json, end);
    control_answer_free(&answer);
    while (!control_client_await_end(c->client, REMINDER))
        remind(c);
    if (c->options->json)
        printf("{\"result\": \"stopped\"}\n");
    else
        printf("stopped\n");
    return EXIT_DONE;
}
