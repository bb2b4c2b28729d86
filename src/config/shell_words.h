/* A command line in one text, split into words as a shell would, without one. */
#ifndef FAUCET_CONFIG_SHELL_WORDS_H
#define FAUCET_CONFIG_SHELL_WORDS_H

#include "base/arena.h"
#include "config/snapshot.h"

/* Spaces, tabs and newlines part words; '…' is literal; "…" is literal but for \" \\ \$ \` and \newline; a backslash
 * elsewhere takes the next character as it is. Nothing is expanded. What only a shell can do (an unquoted | & ; < > or
 * `) is refused. False: *why says what is wrong. `words` may be empty on success. */
bool shell_words(struct arena *a, struct str line, struct strings *words, const char **why) MUST_CHECK;

#endif
