/*
 * faucet: one port, many data apps. What happens is in control/: command.c has
 * the table of commands, boot.c the order in which the daemon comes to life.
 */
#include "control/command.h"

extern char **environ;

int main(int argc, char **argv) {
    return command_main(argc, argv, environ);
}
