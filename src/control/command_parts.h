/* The commands that talk to a running daemon: command_control.c finds it and asks, the others show what it said. */
#ifndef FAUCET_CONTROL_COMMAND_PARTS_H
#define FAUCET_CONTROL_COMMAND_PARTS_H

#include "control/control_client.h"
#include "control/options.h"

/* What is known while a command runs. */
struct control_command {
    const struct options *options;
    struct control_client *client;
    const char *address; /* "unix:/run/faucet/…" */
};

/* Says on standard error (and with --json as {"error": …} on standard output) why nothing came of it; returns status.
 */
int command_control_failed(const struct options *o, int status, const char *format, ...) PRINTF_LIKE(3, 4);
/* The reply as it came, for programs. */
void command_control_print_json(const struct control_answer *answer);
/* Asks; false: failed, and said so. */
bool command_control_ask(const struct control_command *c, const char *method, const char *target, dur_t timeout,
                         struct control_answer *answer);

int command_reload_run(const struct control_command *c); /* reload, plan and restart */
int command_status_run(const struct control_command *c);
int command_stop_run(const struct control_command *c);

#endif
