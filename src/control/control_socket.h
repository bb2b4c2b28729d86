/*
 * The control socket: HTTP/1.1 with JSON on a Unix socket of mode 0600, bound
 * after a connect test. `faucet status`, `reload`, `plan`, `restart`, `stop` and
 * `curl --unix-socket` speak to it. Who asks is logged from SO_PEERCRED.
 *
 *   GET  /status            POST /reload[?force=1]   POST /plan
 *   GET  /metrics           POST /apps/NAME/restart  POST /stop
 */
#ifndef FAUCET_CONTROL_CONTROL_SOCKET_H
#define FAUCET_CONTROL_CONTROL_SOCKET_H

#include "control/faucet.h"

struct control_socket;

/* Boot: opens f->control as `first`, not yet served, has it. A socket that cannot be had is an error where the
 * configuration names it (false, logged), and a warning where it is the default one: faucet serves without. */
bool control_socket_begin(struct faucet *f, const struct snapshot *first) MUST_CHECK;
/* At `control` of s, else at the default place. NULL with *error (allocated). */
struct control_socket *control_socket_open(struct faucet *f, const struct snapshot *s, char **error);
/* Whoever waits for a reload is forgotten. NULL is fine. The loop must still be there. */
void control_socket_close(struct control_socket *c);
/* "unix:/run/faucet/…" */
const char *control_socket_address(const struct control_socket *c);
/* The default place for a daemon of this file: in $RUNTIME_DIRECTORY: control.sock; else $XDG_RUNTIME_DIR/faucet or
 * /run/faucet: <instance>.sock, where instance is the file's base name and 8 hex digits of its absolute path's hash.
 * Allocated. */
char *control_socket_default(char *const *environ_, const char *file);

#endif
