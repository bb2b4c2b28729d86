/*
 * A connection string taken apart, with what libpq would add to it (service file,
 * PG… variables, user name): once, when a pool is made, since looking up users
 * and reading files can block. Hosts stand apart, because PQconnectPoll knows no
 * timeout and each address is an attempt of ours.
 */
#ifndef FAUCET_TELEMETRY_PG_CONNINFO_H
#define FAUCET_TELEMETRY_PG_CONNINFO_H

#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"

struct pg_host {
    const char *host;     /* a name, an address, or the directory of a Unix socket */
    const char *hostaddr; /* given beside it; NULL: to be looked up, or a Unix socket */
    const char *port;     /* digits */
    uint16_t port_number;
    bool is_unix;
    const char *label; /* "db1:5432" */
};

struct pg_conninfo {
    struct arena *arena;
    size_t hosts_n; /* at least one */
    struct pg_host *hosts;
    size_t n; /* of keywords: all but host, hostaddr and port */
    const char **keywords, **values;
    dur_t connect_timeout; /* 0: the string names none */
    const char *user;
    const char *password;    /* NULL: none; only for taking it out of messages */
    const char *destination; /* "db1:5432,db2:5432/name as user" */
    /* Whatever else the connections are made with, libpq's defaults included: "sslmode=require\n…", a line each,
     * control characters as ?. Without what libpq marks as secret: that is in secrets, for comparing only. */
    const char *options, *secrets;
};

/* sslmode, sslrootcert: override the string's; NULL or "": they do not. NULL: *error (allocated) is a sentence without
 * a word of the string. Blocks: files, user names. */
struct pg_conninfo *pg_conninfo_new(const char *connection, const char *sslmode, const char *sslrootcert,
                                    char **error) MUST_CHECK;
void pg_conninfo_free(struct pg_conninfo *c); /* NULL is fine */
/* Do options name a weaker sslmode than the others? NULL: not known, so no. */
bool pg_options_weaker(const char *options, const char *than);

/* What makes the string unusable, a sentence (allocated) without a word of it; NULL: nothing. string_only: whatever
 * files, variables and users of this machine would add to it is not looked at. Blocks. */
char *pg_conninfo_problem(const char *connection, bool string_only) MUST_CHECK;

/* Ours beside what the string says; for pg_connect. */
#define PG_KEYWORDS_OF_HOST 3

#endif
