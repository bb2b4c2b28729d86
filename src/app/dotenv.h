/*
 * KEY=value files: .Renviron as R reads it (?Startup, ?Renviron) and .env as
 * its users know it. Values are kept as templates, because `${VAR}` may name a
 * variable of the environment that the worker will have, which is known later
 * (and which no secret of the daemon is in): dotenv_expand.
 */
#ifndef FAUCET_APP_DOTENV_H
#define FAUCET_APP_DOTENV_H

#include "base/arena.h"
#include "config/config.h"

enum dotenv_dialect {
    /* NAME=value; '#' begins a comment at the start of a line only; quotes are removed, ${…} counts everywhere; a
     * backslash outside quotes is removed; lines without '=' are passed over with a warning. */
    DOTENV_RENVIRON,
    /* also `export NAME=value`, ` # comment` after a value, several lines in quotes; '…' is literal; "…" knows \n \r \t
     * \"
     * \\ \$. */
    DOTENV_ENV
};

/* Adds what `text` says to *into (a later key replaces an earlier one). name: for messages, "name:line". */
void dotenv_parse(struct arena *a, struct str text, enum dotenv_dialect dialect, const char *name,
                  struct string_map *into, struct problems *problems);

/* ${NAME}, ${NAME-default} and ${NAME:-default} (both: where NAME is unset or empty, as in R), nested in the default
 * too;
 * $${ is a literal ${. lookup: NULL for none. */
const char *dotenv_expand(struct arena *a, const char *template_,
                          const char *(*lookup)(const void *of, struct str name), const void *of);

#endif
