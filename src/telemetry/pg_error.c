/*
 * SQLSTATEs (PostgreSQL manual, appendix A), from the longest prefix that is in
 * the table. What is in no row keeps its data: an error that nobody thought of
 * must not cost events.
 */
#include "telemetry/pg_error.h"

#include "telemetry/connect_once.h"

static const struct {
    const char *prefix;
    enum pg_verdict verdict;
} verdicts[] = {
    {"22P03", PG_TYPE},    /* invalid_binary_representation: a column's type was changed */
    {"42P01", PG_COLUMNS}, /* undefined_table */
    {"42703", PG_COLUMNS}, /* undefined_column */
    {"428C9", PG_COLUMNS}, /* generated_always */
    {"25006", PG_SERVER},  /* read_only_sql_transaction */
    {"22", PG_ROW},        /* data exception */
    {"23", PG_ROW},        /* integrity constraint violation */
    {"54", PG_ROW},        /* program limit exceeded: a value too long for somebody's index */
    {"P0", PG_ROW},        /* RAISE in somebody's trigger */
    {"08", PG_SERVER},     /* connection exception */
    {"25", PG_SERVER},     /* invalid transaction state */
    {"28", PG_SERVER},     /* invalid authorization */
    {"3D", PG_SERVER},     /* no such database */
    {"40", PG_TABLE},      /* rollback, deadlock */
    {"53", PG_TABLE},      /* insufficient resources: the disk or quota of its tablespace is full */
    {"55P03", PG_TABLE},   /* lock_not_available */
    {"55", PG_SERVER},     /* not in prerequisite state: a standby */
    {"57014", PG_TABLE},   /* query_canceled: statement_timeout */
    {"57", PG_SERVER},     /* operator intervention: shut down */
    {"58", PG_SERVER},     /* system error */
    {"XX", PG_SERVER},     /* internal error */
};

bool pg_error_is_of_standby(const struct pg_error *e) {
    return strcmp(e->state, "25006") == 0 || strcmp(e->state, "55000") == 0;
}

bool pg_error_may_be_of_another(const struct pg_error *e) {
    static const char *const classes[] = {"08", "57", "58", "XX"};

    for (size_t i = 0; i < ARRAY_LENGTH(classes); i++)
        if (strncmp(e->state, classes[i], 2) == 0)
            return strcmp(e->state, "57014") != 0;
    return false;
}

bool pg_error_is_of_size(const struct pg_error *e) {
    return strcmp(e->state, "57014") == 0 || strcmp(e->state, "53200") == 0;
}

enum pg_verdict pg_error_verdict(const struct pg_error *e) {
    if (e->fatal || e->state[0] == '\0')
        return PG_SERVER;
    if (strcmp(e->state, "23514") == 0 && !e->constraint) /* check_violation of nobody's CHECK */
        return PG_PLACE;
    for (size_t i = 0; i < ARRAY_LENGTH(verdicts); i++)
        if (str_starts(str_of(e->state), str_of(verdicts[i].prefix)))
            return verdicts[i].verdict;
    return PG_TABLE;
}

void pg_error_note(struct pg_error *e, const PGresult *r) {
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    const char *message = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);

    if (e->is)
        return;
    e->is = true;
    /* A libpq error has no severity, and nobody knows what the server did. */
    e->fatal = severity == NULL || strcmp(severity, "ERROR") != 0;
    e->constraint = PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME) != NULL;
    memset(e->state, 0, sizeof e->state);
    if (state != NULL)
        for (size_t i = 0; i + 1 < sizeof e->state && state[i] != '\0'; i++)
            e->state[i] = state[i];
    connection_message(&e->message, message != NULL ? message : PQresultErrorMessage(r), NULL);
}

void pg_error_clear(struct pg_error *e) {
    buf_free(&e->message);
    memset(e, 0, sizeof *e);
}

void pg_error_advice(struct buf *out, const struct pg_error *e) {
    if (strcmp(e->state, "42501") == 0)
        buf_append(out, STR("; `faucet db check` says which right is missing")); /* of a table, a sequence… */
    else if (strcmp(e->state, "42P01") == 0)
        buf_append(out, STR("; `faucet db init` makes it"));
    else if (strcmp(e->state, "42703") == 0)
        buf_append(out, STR("; `faucet db check` says what is missing"));
    else if (strcmp(e->state, "0A000") == 0)
        buf_append(out, STR("; `faucet db check` says why"));
}
