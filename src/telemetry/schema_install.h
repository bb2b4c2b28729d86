/*
 * The telemetry tables of one database, made and verified: what `faucet db init`
 * and `faucet db check` do. Blocks; for commands only.
 */
#ifndef FAUCET_TELEMETRY_SCHEMA_INSTALL_H
#define FAUCET_TELEMETRY_SCHEMA_INSTALL_H

#include "base/buf.h"
#include "telemetry/schema_sql.h"

struct schema_database;

/* What is wrong with a connection string or URI, a static sentence without a word of it; NULL: nothing. Beside what
 * libpq refuses, the mistakes that would make it take a piece of the password for a host name and say so. */
const char *connection_string_problem(const char *connection);
/* NULL: *why has the sentence, without any secret. sslmode, sslrootcert: override the string's, or NULL. */
struct schema_database *schema_open(const char *connection, const char *sslmode, const char *sslrootcert,
                                    struct buf *why) MUST_CHECK;
void schema_close(struct schema_database *d); /* NULL is fine */
/* "db1:5432/faucet as alice, PostgreSQL 15.8" */
void schema_describe(const struct schema_database *d, struct buf *out);

/* Warnings of the server while it installs, one line each. */
typedef void schema_say(void *owner, const char *line);

/* Applies the files: all that are always applied, and those of `options` (enum schema_option, or'ed). One transaction:
 * false means that nothing was changed, and *why says what is wrong and what mends it. Again and again is fine, also by
 * several at once. keep: "90 days", retention for TimescaleDB; NULL: none. */
bool schema_install(struct schema_database *d, unsigned options, const char *keep, schema_say *say, void *owner,
                    struct buf *why) MUST_CHECK;

enum schema_level {
    SCHEMA_FINE,
    SCHEMA_NOTE, /* faucet works, but with less than there could be */
    SCHEMA_WRONG /* requests would not be stored */
};
struct schema_finding {
    enum schema_level level;
    const char *what; /* a sentence */
    const char *mend; /* SQL, or "" */
    const char *init; /* `faucet db init` does it, after the SQL: the words behind it, "" where whoever is connected may
                         run it; NULL: it does not */
};
typedef void schema_found(void *owner, const struct schema_finding *f);

/* Looks at every table with the rights of whoever is connected. False: the server did not answer, *why. */
bool schema_check(struct schema_database *d, schema_found *found, void *owner, struct buf *why) MUST_CHECK;

#endif
