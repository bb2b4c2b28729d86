/*
 * One connection to PostgreSQL that blocks: for commands, never for the daemon's
 * loop. What it says of a connection string holds nothing of the string: libpq's
 * own words about one that it cannot parse quote the password.
 */
#ifndef FAUCET_TELEMETRY_CONNECT_ONCE_H
#define FAUCET_TELEMETRY_CONNECT_ONCE_H

#include <libpq-fe.h>

#include "telemetry/schema_install.h"

/* sslmode, sslrootcert: override the string's, or NULL. Waits 10 s for each host unless the string says otherwise.
 * NULL: *why has the sentence. Caller ends it with PQfinish. */
PGconn *connect_once(const char *connection, const char *sslmode, const char *sslrootcert, struct buf *why) MUST_CHECK;

/* libpq's words as one line: newlines become "; ", the last one goes. `secret` in them is hidden; may be NULL. */
void connection_message(struct buf *out, const char *message, const char *secret);

#endif
