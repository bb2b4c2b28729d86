/*
 * A password with an unescaped @ or / in a URI is the commonest mistake, and the
 * one that leaks: libpq splits at the first of them, takes what follows for a
 * host, port or database and names it in its error. Those strings are refused
 * before libpq sees them.
 */
#include "telemetry/connect_once.h"

#include <ctype.h>

#define CONNECT_SECONDS "10"
#define SECRET_MIN      4 /* a shorter one would take half the sentence with it */

#define NOT_UNDERSTOOD                                                                                                 \
    "is not understood by libpq; it is either postgresql://user:password@host:port/database or \"host=… port=… "   \
    "dbname=… user=… password='…'\" (it is not shown here, since it may hold a password)"
#define ESCAPE                                                                                                         \
    "has an @ or / too many: in a URI, such a character of a user name or password is written %40 or %2F (it is not "  \
    "shown here, since it may hold a password)"

/* libpq takes what is before the first @ for user and password, unless a / comes before it. */
static bool uri_is_ambiguous(struct str uri) {
    struct str rest = str_from(uri, str_chr(uri, ':') + strlen("://")), after = rest;
    size_t at = str_chr(rest, '@'), slash = str_chr(rest, '/');
    if (at < slash)
        after = str_from(rest, at + 1);
    after.n = str_chr(after, '?');
    return str_chr(after, '@') < after.n;
}

static bool is_port_list(const char *text) {
    for (; *text != '\0'; text++)
        if (!isdigit((unsigned char)*text) && *text != ',')
            return false;
    return true;
}

/* Its value in what was parsed; NULL: not given. */
static const char *option_value(const PQconninfoOption *options, const char *keyword) {
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val;
    return NULL;
}

const char *connection_string_problem(const char *connection) {
    struct str text = str_of(connection);
    const char *problem = NULL, *port;
    char *secret_words = NULL; /* libpq's; not for anybody's eyes */
    bool uri = str_starts(text, STR("postgres://")) || str_starts(text, STR("postgresql://"));

    if (uri && uri_is_ambiguous(text))
        return ESCAPE;
    PQconninfoOption *options = PQconninfoParse(connection, &secret_words);
    if (options == NULL)
        problem = NOT_UNDERSTOOD;
    else if ((port = option_value(options, "port")) != NULL && !is_port_list(port))
        problem = uri ? ESCAPE : NOT_UNDERSTOOD;
    PQconninfoFree(options);
    PQfreemem(secret_words);
    return problem;
}

void connection_message(struct buf *out, const char *message, const char *secret) {
    struct str rest = str_of(message), hidden = str_of(secret);
    while (rest.n > 0 && (rest.p[rest.n - 1] == '\n' || rest.p[rest.n - 1] == ' '))
        rest.n--;
    while (rest.n > 0) {
        if (hidden.n >= SECRET_MIN && str_starts(rest, hidden)) {
            buf_append(out, STR("…"));
            rest = str_from(rest, hidden.n);
        } else if (rest.p[0] == '\n') {
            buf_append(out, STR("; "));
            do
                rest = str_from(rest, 1);
            while (rest.n > 0 && isspace((unsigned char)rest.p[0]));
        } else {
            buf_append_char(out, rest.p[0]);
            rest = str_from(rest, 1);
        }
    }
}

PGconn *connect_once(const char *connection, const char *sslmode, const char *sslrootcert, struct buf *why) {
    const char *problem = connection_string_problem(connection);
    if (problem != NULL) {
        buf_printf(why, "the connection string %s", problem);
        return NULL;
    }
    /* Later ones win, and dbname is where the string unfolds. */
    const char *const keywords[] = {"connect_timeout", "application_name", "gssencmode", "dbname",
                                    "sslmode",         "sslrootcert",      NULL};
    const char *const values[] = {CONNECT_SECONDS, "faucet db", "disable", connection, sslmode, sslrootcert, NULL};
    PGconn *c = PQconnectdbParams(keywords, values, 1);
    XXXAN(c);
    if (PQstatus(c) == CONNECTION_OK)
        return c;
    connection_message(why, PQerrorMessage(c), PQpass(c));
    PQfinish(c);
    return NULL;
}
