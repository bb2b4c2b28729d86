/*
 * `faucet db check`: looks at the tables as the one who is connected, so with the
 * string that faucet itself uses it sees what faucet will meet. Nothing is
 * written. Each finding says what mends it.
 */
#include "telemetry/columns.h"
#include "telemetry/schema_parts.h"

#define SERVER_VERSION_MIN 130000 /* pg_current_xact_id() */

struct check {
    const struct schema_database *database;
    schema_found *found;
    void *owner;
    struct buf *why;
    /* of the table under way */
    enum record_kind kind;
    const struct table *table;
    bool wrong;
};

static void report(struct check *c, enum schema_level level, bool init_mends, const char *what, const char *mend) {
    const struct schema_finding f = {.level = level, .what = what, .mend = mend, .init_mends = init_mends};
    c->wrong |= level == SCHEMA_WRONG;
    c->found(c->owner, &f);
}

static void report_buf(struct check *c, enum schema_level level, bool init_mends, struct buf *what, struct buf *mend) {
    buf_append_char(what, '\0');
    buf_append_char(mend, '\0');
    report(c, level, init_mends, buf_str(what).p, buf_str(mend).p);
    buf_free(what);
    buf_free(mend);
}

/* Without requests there is no telemetry; the other kinds are dropped and counted. */
static enum schema_level severity(const struct check *c) {
    return c->table->required ? SCHEMA_WRONG : SCHEMA_NOTE;
}

static const char *user(const struct check *c) {
    return PQuser(c->database->connection);
}

/* ---- the server ---- */

static bool check_server(struct check *c) {
    struct buf answer = {0}, what = {0}, mend = {0};
    if (PQserverVersion(c->database->connection) < SERVER_VERSION_MIN)
        report(c, SCHEMA_WRONG, false, "faucet needs PostgreSQL 13 or newer (pg_current_xact_id, pg_xact_status)", "");
    if (!schema_ask(
            c->database,
            "SELECT CASE WHEN pg_is_in_recovery() THEN 'this server is a standby: it takes no rows'"
            " WHEN current_setting('default_transaction_read_only') = 'on' THEN 'transactions are read-only here'"
            " ELSE '' END",
            NULL, &answer, c->why))
        return false;
    if (buf_length(&answer) > 0) {
        buf_append(&what, buf_str(&answer));
        buf_append(&mend, STR("name the primary, or all hosts with target_session_attrs=read-write"));
        report_buf(c, SCHEMA_WRONG, false, &what, &mend);
    }
    buf_free(&answer);
    return true;
}

/* ---- one table ---- */

/* Columns that faucet never leaves empty. */
static bool is_always_filled(const char *name) {
    static const char *const names[] = {"time", "namespace", "target", "request_uuid", "event_id"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int row_of(const PGresult *columns, const char *name) {
    for (int i = 0; i < PQntuples(columns); i++)
        if (strcmp(PQgetvalue(columns, i, 0), name) == 0)
            return i;
    return -1;
}

static bool is_true(const PGresult *r, int row, int column) {
    return PQgetvalue(r, row, column)[0] == 't';
}

enum { NAME, TYPE, NOT_NULL, HAS_DEFAULT, MAY_INSERT };

static void check_missing(struct check *c, const PGresult *columns, size_t *present) {
    struct buf required = {0}, others = {0}, mend = {0};
    *present = 0;
    for (size_t i = 0; i < c->table->n; i++) {
        const struct column *column = &c->table->columns[i];
        if (row_of(columns, column->name) >= 0) {
            (*present)++;
            continue;
        }
        struct buf *list = column->seed ? &required : &others;
        buf_printf(list, "%s%s", buf_length(list) > 0 ? ", " : "", column->name);
    }
    for (size_t i = 0; i < 2; i++) {
        struct buf *list = i == 0 ? &required : &others, what = {0};
        if (buf_length(list) == 0)
            continue;
        buf_printf(&what,
                   i == 0 ? "%s lacks columns that faucet needs: %.*s" : "%s has no columns %.*s: they are left out",
                   c->table->name, STR_ARG(buf_str(list)));
        report_buf(c, i == 0 ? severity(c) : SCHEMA_NOTE, true, &what, &mend);
    }
    buf_free(&required);
    buf_free(&others);
}

static void check_ours(struct check *c, const struct column *column, const PGresult *columns, int row) {
    const char *type = PQgetvalue(columns, row, TYPE), *wanted = column_type_name(column->type);
    struct buf what = {0}, mend = {0};
    if (strcmp(type, wanted) != 0) {
        buf_printf(
            &what,
            "%s.%s is %s, not %s: rows go there as text, which is slower, or are refused where a value does not fit",
            c->table->name, column->name, type, wanted);
        buf_printf(&mend, "ALTER TABLE %s ALTER COLUMN %s TYPE %s", c->table->name, column->name, wanted);
        report_buf(c, SCHEMA_NOTE, false, &what, &mend);
    }
    if (is_true(columns, row, NOT_NULL) && !is_always_filled(column->name)) {
        buf_printf(&what, "%s.%s must not be NULL, but some rows have nothing there: they would be refused",
                   c->table->name, column->name);
        buf_printf(&mend, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", c->table->name, column->name);
        report_buf(c, severity(c), false, &what, &mend);
    }
}

/* Of somebody else: no concern of ours, unless every row must have it. */
static void check_foreign(struct check *c, const PGresult *columns, int row) {
    struct buf what = {0}, mend = {0};
    if (!is_true(columns, row, NOT_NULL) || is_true(columns, row, HAS_DEFAULT))
        return;
    const char *name = PQgetvalue(columns, row, NAME);
    buf_printf(&what, "%s.%s is no column of faucet's, must not be NULL and has no default: every row would be refused",
               c->table->name, name);
    buf_printf(&mend, "ALTER TABLE %s ALTER COLUMN \"%s\" DROP NOT NULL", c->table->name, name);
    report_buf(c, severity(c), false, &what, &mend);
}

static void check_columns(struct check *c, const PGresult *columns, size_t *present) {
    check_missing(c, columns, present);
    for (int row = 0; row < PQntuples(columns); row++) {
        const struct column *ours = NULL;
        for (size_t i = 0; i < c->table->n; i++)
            if (strcmp(c->table->columns[i].name, PQgetvalue(columns, row, NAME)) == 0)
                ours = &c->table->columns[i];
        if (ours != NULL)
            check_ours(c, ours, columns, row);
        else
            check_foreign(c, columns, row);
    }
}

static void check_rights(struct check *c, const PGresult *columns, bool secured) {
    struct buf what = {0}, mend = {0}, closed = {0};
    const char *id = c->kind == RECORD_HTTP || c->kind == RECORD_SESSION ? "request_uuid" : "event_id";
    for (size_t i = 0; i < c->table->n; i++) {
        int row = row_of(columns, c->table->columns[i].name);
        if (row >= 0 && !is_true(columns, row, MAY_INSERT))
            buf_printf(&closed, "%s%s", buf_length(&closed) > 0 ? ", " : "", c->table->columns[i].name);
    }
    if (buf_length(&closed) > 0) {
        buf_printf(&what, "%s may not INSERT into %s (%.*s)", user(c), c->table->name, STR_ARG(buf_str(&closed)));
        buf_printf(&mend, "GRANT INSERT, SELECT (%s, time) ON %s TO \"%s\"", id, c->table->name, user(c));
        report_buf(c, severity(c), false, &what, &mend);
    }
    buf_free(&closed);
    if (secured) {
        buf_printf(&what, "row-level security holds for %s on %s, and COPY does not work under it", user(c),
                   c->table->name);
        buf_printf(&mend, "ALTER TABLE %s DISABLE ROW LEVEL SECURITY", c->table->name);
        report_buf(c, severity(c), false, &what, &mend);
    }
}

static bool check_lookup(struct check *c) {
    bool session = c->kind == RECORD_SESSION || c->kind == RECORD_HTTP;
    const char *const values[] = {c->table->name, session ? "request_uuid" : "event_id", NULL};
    struct buf answer = {0}, what = {0}, mend = {0};
    if (!schema_ask(c->database,
                    "SELECT attname FROM pg_attribute WHERE attrelid = $1::REGCLASS AND attname IN ($2, 'time')"
                    " AND NOT attisdropped AND NOT has_column_privilege(attrelid, attnum, 'SELECT')",
                    values, &answer, c->why))
        return false;
    if (buf_length(&answer) > 0) {
        buf_printf(&what,
                   "%s may not look up %s in %s: after a failover faucet cannot tell which rows arrived, and may store "
                   "some twice",
                   user(c), values[1], c->table->name);
        buf_printf(&mend, "GRANT SELECT (%s, time) ON %s TO \"%s\"", values[1], c->table->name, user(c));
        report_buf(c, SCHEMA_NOTE, false, &what, &mend);
    }
    buf_free(&answer);
    return true;
}

static bool check_partitions(struct check *c) {
    const char *const values[] = {c->table->name, NULL};
    struct buf what = {0}, mend = {0};
    PGresult *r =
        schema_query(c->database,
                     "SELECT partdefid <> 0, to_regclass($1 || to_char((now() + INTERVAL '1 day') AT TIME ZONE 'UTC',"
                     " '_YYYYMMDD')) IS NOT NULL FROM pg_partitioned_table WHERE partrelid = $1::REGCLASS",
                     values, c->why);
    if (r == NULL)
        return false;
    if (PQntuples(r) > 0 && !is_true(r, 0, 0)) {
        buf_printf(&what, "%s has no default partition: rows of a day that has none would be refused", c->table->name);
        buf_append(&mend, STR("SELECT * FROM faucet_maintain()"));
        report_buf(c, severity(c), false, &what, &mend);
    } else if (PQntuples(r) > 0 && !is_true(r, 0, 1)) {
        buf_printf(&what, "%s has no partition for tomorrow: its rows will wait in the default partition",
                   c->table->name);
        buf_append(&mend, STR("SELECT * FROM faucet_maintain() — once a day, for example by cron"));
        report_buf(c, SCHEMA_NOTE, false, &what, &mend);
    }
    PQclear(r);
    return true;
}

/* NULL relkind: no such table. */
static bool check_found_table(struct check *c, const PGresult *table) {
    const char *const values[] = {c->table->name, NULL};
    size_t present;
    PGresult *columns =
        schema_query(c->database,
                     "SELECT attname, format_type(atttypid, NULL), attnotnull, atthasdef OR attidentity <> '',"
                     " has_column_privilege(attrelid, attnum, 'INSERT') FROM pg_attribute"
                     " WHERE attrelid = $1::REGCLASS AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                     values, c->why);
    if (columns == NULL)
        return false;
    c->wrong = false;
    check_columns(c, columns, &present);
    check_rights(c, columns, is_true(table, 0, 1));
    PQclear(columns);
    if (!check_lookup(c))
        return false;
    if (PQgetvalue(table, 0, 0)[0] == 'p' && !check_partitions(c))
        return false;
    if (!c->wrong) {
        struct buf what = {0}, mend = {0};
        buf_printf(&what, "%s: %zu of %zu columns", c->table->name, present, c->table->n);
        report_buf(c, SCHEMA_FINE, false, &what, &mend);
    }
    return true;
}

static bool check_table(struct check *c) {
    static const char *const effect[RECORD_KINDS] = {
        [RECORD_HTTP] = "nothing can be stored",
        [RECORD_LOG] = "log events are not stored",
        [RECORD_WORKER] = "worker events are not stored",
        [RECORD_SESSION] = "session events are not stored",
        [RECORD_CONFIG] = "configuration events are not stored",
        [RECORD_GAP] = "gaps are not stored",
    };
    const char *const values[] = {c->table->name, NULL};
    struct buf what = {0}, mend = {0};
    PGresult *r =
        schema_query(c->database, "SELECT relkind, row_security_active(oid) FROM pg_class WHERE oid = to_regclass($1)",
                     values, c->why);
    if (r == NULL)
        return false;
    bool good = true;
    if (PQntuples(r) == 0) {
        buf_printf(&what, "%s is missing: %s", c->table->name, effect[c->kind]);
        report_buf(c, severity(c), true, &what, &mend);
    } else
        good = check_found_table(c, r);
    PQclear(r);
    return good;
}

static bool check_views(struct check *c) {
    struct buf answer = {0};
    if (!schema_ask(
            c->database,
            "SELECT 'missing' WHERE to_regclass('faucet_health') IS NULL OR to_regclass('faucet_completeness') IS NULL",
            NULL, &answer, c->why))
        return false;
    if (buf_length(&answer) > 0)
        report(c, SCHEMA_NOTE, true,
               "the views (faucet_health, …) are not there: rows are stored, questions are yours to write", "");
    buf_free(&answer);
    return true;
}

bool schema_check(struct schema_database *d, schema_found *found, void *owner, struct buf *why) {
    struct check c = {.database = d, .found = found, .owner = owner, .why = why};
    if (!check_server(&c))
        return false;
    for (size_t kind = 0; kind < RECORD_KINDS; kind++) {
        c.kind = (enum record_kind)kind;
        c.table = record_table(c.kind);
        if (!check_table(&c))
            return false;
    }
    return check_views(&c);
}
