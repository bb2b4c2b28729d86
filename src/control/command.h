/* What `faucet WORD …` does: one row per command. */
#ifndef FAUCET_CONTROL_COMMAND_H
#define FAUCET_CONTROL_COMMAND_H

/* Dispatches; returns the exit status. */
int command_main(int argc, char **argv, char **environ_);

/* The commands; `words` are what follows the command's name. */
int command_run(const char *name, char *const *words, char *const *environ_);
int command_check(const char *name, char *const *words, char *const *environ_);
int command_config(const char *name, char *const *words, char *const *environ_);
int command_schema(const char *name, char *const *words, char *const *environ_);
/* reload, plan, status, restart, stop */
int command_control(const char *name, char *const *words, char *const *environ_);
/* db init, db check */
int command_db(const char *name, char *const *words, char *const *environ_);
int command_tool(const char *name, char *const *words, char *const *environ_);

#endif
