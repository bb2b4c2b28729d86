/*
 * `faucet db init`: the files of sql/ in one transaction, so that a database has
 * all of it or nothing. An advisory lock keeps two that run at once apart:
 * CREATE TABLE IF NOT EXISTS alone collides.
 */
#include "telemetry/schema_parts.h"

#include <stdlib.h>

#define LOCK_NUMBER "4190031" /* any, as long as it stays the same */

static void on_notice(void *owner, const PGresult *result) {
    struct schema_database *d = owner;
    if (d->say == NULL)
        return;
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    d->say(d->owner, text != NULL ? text : "the server warns, without a word");
}

struct schema_database *schema_open(const char *connection, const char *sslmode, const char *sslrootcert,
                                    struct buf *why) {
    PGconn *c = connect_once(connection, sslmode, sslrootcert, why);
    if (c == NULL)
        return NULL;
    struct schema_database *d = calloc(1, sizeof *d);
    XXXAN(d);
    d->connection = c;
    PQsetNoticeReceiver(c, on_notice, d);
    return d;
}

void schema_close(struct schema_database *d) {
    if (d == NULL)
        return;
    PQfinish(d->connection);
    free(d);
}

void schema_describe(const struct schema_database *d, struct buf *out) {
    const char *version = PQparameterStatus(d->connection, "server_version");
    struct str number = str_of(version);
    number.n = str_chr(number, ' ');
    buf_printf(out, "%s:%s/%s as %s, PostgreSQL %.*s", PQhost(d->connection), PQport(d->connection),
               PQdb(d->connection), PQuser(d->connection), STR_ARG(number));
}

/* ---- asking ---- */

static bool answered(const PGresult *r) {
    ExecStatusType s = PQresultStatus(r);
    return s == PGRES_TUPLES_OK || s == PGRES_COMMAND_OK;
}

/* The first line of an error, and what the server advises. */
static void explain(const struct schema_database *d, const PGresult *r, struct buf *why) {
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *detail = PQresultErrorField(r, PG_DIAG_MESSAGE_DETAIL);
    const char *hint = PQresultErrorField(r, PG_DIAG_MESSAGE_HINT);
    if (text == NULL) { /* the connection is gone */
        connection_message(why, PQerrorMessage(d->connection), PQpass(d->connection));
        return;
    }
    connection_message(why, text, NULL);
    for (size_t i = 0; i < 2; i++) {
        const char *more = i == 0 ? detail : hint;
        if (more == NULL)
            continue;
        buf_append(why, STR("; "));
        connection_message(why, more, NULL);
    }
}

PGresult *schema_query(const struct schema_database *d, const char *sql, const char *const *values, struct buf *why) {
    int n = 0;
    while (values != NULL && values[n] != NULL)
        n++;
    PGresult *r = PQexecParams(d->connection, sql, n, NULL, values, NULL, NULL, 0);
    if (answered(r))
        return r;
    explain(d, r, why);
    PQclear(r);
    return NULL;
}

bool schema_ask(const struct schema_database *d, const char *sql, const char *const *values, struct buf *answer,
                struct buf *why) {
    PGresult *r = schema_query(d, sql, values, why);
    if (r == NULL)
        return false;
    if (PQntuples(r) > 0)
        buf_append(answer, str_of(PQgetvalue(r, 0, 0)));
    PQclear(r);
    return true;
}

/* ---- installing ---- */

/* What helps against the errors that people meet. "" : nothing known. */
static void append_advice(const struct schema_database *d, const char *state, const char *file, struct buf *why) {
    const char *user = PQuser(d->connection);
    if (state == NULL || strcmp(state, "42501") != 0) /* insufficient_privilege */
        return;
    if (strstr(file, "roles") != NULL)
        buf_printf(why, "; roles are made by a superuser, or after ALTER ROLE \"%s\" CREATEROLE", user);
    else
        buf_printf(why,
                   "; tables that are there must belong to \"%s\" (ALTER TABLE … OWNER TO), and new ones need GRANT "
                   "CREATE ON SCHEMA … TO \"%s\"",
                   user, user);
}

static bool apply(const struct schema_database *d, const struct schema_file *file, struct buf *why) {
    PGresult *r = PQexec(d->connection, file->begin);
    bool good = answered(r);
    if (!good) {
        buf_printf(why, "%s: ", file->name);
        explain(d, r, why);
        append_advice(d, PQresultErrorField(r, PG_DIAG_SQLSTATE), file->name, why);
    }
    PQclear(r);
    return good;
}

static bool command(const struct schema_database *d, const char *sql, const char *const *values, struct buf *why) {
    PGresult *r = schema_query(d, sql, values, why);
    PQclear(r);
    return r != NULL;
}

/* Asked for what the server cannot do: said before anything is touched. */
static bool is_possible(const struct schema_database *d, unsigned options, struct buf *why) {
    struct buf answer = {0};
    bool good = schema_ask(d, "SELECT current_schema()", NULL, &answer, why);
    if (good && buf_length(&answer) == 0) {
        buf_printf(why, "no schema of this database's search_path exists and is open to %s", PQuser(d->connection));
        good = false;
    }
    buf_free(&answer);
    if (!good || (options & SCHEMA_TIMESCALE) == 0)
        return good;
    good = schema_ask(
        d,
        "SELECT CASE WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN ''"
        " WHEN EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')"
        " THEN 'TimescaleDB is not in this database; its administrator can say: CREATE EXTENSION timescaledb'"
        " ELSE 'TimescaleDB is not installed on this server; --partitions does without it' END",
        NULL, &answer, why);
    if (good && buf_length(&answer) > 0) {
        buf_append(why, buf_str(&answer));
        good = false;
    }
    buf_free(&answer);
    return good;
}

static bool install(const struct schema_database *d, unsigned options, const char *keep, struct buf *why) {
    const char *const keep_value[] = {keep != NULL ? keep : "", NULL};
    size_t n;
    const struct schema_file *files = schema_files(&n);
    /* NOTICEs say that what is there is there. */
    if (!command(d, "SET LOCAL client_min_messages = warning", NULL, why) ||
        !command(d, "SELECT pg_advisory_xact_lock(" LOCK_NUMBER ")", NULL, why) ||
        !command(d, "SELECT set_config('faucet.keep', $1, true)", keep_value, why))
        return false;
    if (keep != NULL && !command(d, "SELECT current_setting('faucet.keep')::INTERVAL", NULL, why))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((files[i].option == 0 || (files[i].option & options) != 0) && !apply(d, &files[i], why))
            return false;
    return command(d, "COMMIT", NULL, why);
}

bool schema_install(struct schema_database *d, unsigned options, const char *keep, schema_say *say, void *owner,
                    struct buf *why) {
    if (!is_possible(d, options, why) || !command(d, "BEGIN", NULL, why))
        return false;
    d->say = say;
    d->owner = owner;
    bool good = install(d, options, keep, why);
    d->say = NULL;
    if (!good)
        PQclear(PQexec(d->connection, "ROLLBACK"));
    return good;
}
