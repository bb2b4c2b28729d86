/*
 * `faucet db check`: looks at the tables as the one who is connected, so with the
 * string that faucet itself uses it sees what faucet will meet. Nothing is
 * written. Each finding says what mends it; those that db init mends come last,
 * because db init does all or nothing and refuses tables that lack columns.
 */
#include "base/arena.h"
#include "base/list.h"
#include "telemetry/columns.h"
#include "telemetry/schema_parts.h"

#define SERVER_VERSION_MIN 130000 /* pg_current_xact_id() */

struct later {
    struct list_node node;
    struct schema_finding finding;
};

struct check {
    const struct schema_database *database;
    schema_found *found;
    void *owner;
    struct buf *why;
    struct schema_around around;
    struct arena *arena;
    struct list later; /* findings */
    struct buf closed; /* the schema that was said to be closed to us; its tables are not looked for one by one */
    /* of the table under way */
    enum record_kind kind;
    const struct table *table;
    const char *place; /* its name, as SQL finds it */
    bool wrong;
};

/* init: behind the SQL. Both buffers are empty afterwards. */
static void report(struct check *c, enum schema_level level, struct buf *what, struct buf *mend, bool init) {
    if (init && buf_length(&c->around.init_first) > 1)
        buf_printf(mend, "%s%s", buf_length(mend) > 0 ? "; " : "", buf_str(&c->around.init_first).p);
    buf_append_char(what, '\0');
    buf_append_char(mend, '\0');
    struct later *l = ARENA_NEW(c->arena, struct later);
    l->finding = (struct schema_finding){.level = level,
                                         .what = arena_strdup(c->arena, buf_str(what).p),
                                         .mend = arena_strdup(c->arena, buf_str(mend).p),
                                         .init = init ? buf_str(&c->around.init_words).p : NULL};
    c->wrong |= level == SCHEMA_WRONG;
    if (init)
        list_append(&c->later, &l->node);
    else
        c->found(c->owner, &l->finding);
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
    if (PQserverVersion(c->database->connection) < SERVER_VERSION_MIN) {
        buf_append(&what, STR("faucet needs PostgreSQL 13 or newer (pg_current_xact_id, pg_xact_status)"));
        report(c, SCHEMA_WRONG, &what, &mend, false);
    }
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
        report(c, SCHEMA_WRONG, &what, &mend, false);
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

enum { NAME, TYPE, NOT_NULL, HAS_DEFAULT, MAY_INSERT, CLOSED_SEQUENCE };

/* db init leaves the columns of a table that is there as they are, but for those that the table of the original faucet
 * has not. */
static void check_missing(struct check *c, const PGresult *columns, size_t *present) {
    struct buf required = {0}, others = {0}, add = {0}, what = {0};
    bool original = c->kind == RECORD_HTTP;
    *present = 0;
    for (size_t i = 0; i < c->table->n; i++) {
        const struct column *column = &c->table->columns[i];
        bool there = row_of(columns, column->name) >= 0;
        original = original && there == column->seed;
        *present += there;
        if (there)
            continue;
        struct buf *list = column->seed ? &required : &others;
        buf_printf(list, "%s%s", buf_length(list) > 0 ? ", " : "", column->name);
        buf_printf(&add, "%sADD COLUMN %s %s", buf_length(&add) > 0 ? ", " : "", column->name,
                   column_type_name(column->type));
    }
    for (size_t i = 0; i < 2; i++) {
        struct buf *list = i == 0 ? &required : &others, mend = {0};
        if (buf_length(list) == 0)
            continue;
        buf_printf(&what,
                   i == 0 ? "%s lacks columns that faucet needs: %.*s" : "%s has no columns %.*s: they are left out",
                   c->table->name, STR_ARG(buf_str(list)));
        if (!original)
            buf_printf(&mend, "ALTER TABLE %s %.*s", c->place, STR_ARG(buf_str(&add)));
        report(c, i == 0 ? severity(c) : SCHEMA_NOTE, &what, &mend, original);
        if (i == 0) /* one command adds both */
            break;
    }
    buf_free(&required);
    buf_free(&others);
    buf_free(&add);
}

static bool check_type(struct check *c, const char *column, const char *type, const char *wanted) {
    struct schema_type_mend m = {.views = false};
    struct buf what = {0};
    bool good = schema_mend_type(c->database, c->place, column, wanted, &m, c->why);
    if (good) {
        buf_printf(
            &what,
            "%s.%s is %s, not %s: rows go there as text, which is slower, or are refused where a value does not fit",
            c->table->name, column, type, wanted);
        if (buf_length(&m.views_of_others) > 0)
            buf_printf(&what, " (the views %.*s are not faucet's: what mends this drops them, too)",
                       STR_ARG(buf_str(&m.views_of_others)));
        report(c, SCHEMA_NOTE, &what, &m.sql, m.views);
    }
    buf_free(&m.sql);
    buf_free(&m.views_of_others);
    return good;
}

static bool check_ours(struct check *c, const struct column *column, const PGresult *columns, int row) {
    const char *type = PQgetvalue(columns, row, TYPE), *wanted = column_type_name(column->type);
    struct buf what = {0}, mend = {0};
    if (strcmp(type, wanted) != 0 && !check_type(c, column->name, type, wanted))
        return false;
    if (schema_is_true(columns, row, NOT_NULL) && !is_always_filled(column->name)) {
        buf_printf(&what, "%s.%s must not be NULL, but some rows have nothing there: they would be refused",
                   c->table->name, column->name);
        buf_printf(&mend, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", c->place, column->name);
        report(c, severity(c), &what, &mend, false);
    }
    return true;
}

/* Of somebody else: no concern of ours, unless every row must have it, or its default takes a right. */
static void check_foreign(struct check *c, const PGresult *columns, int row) {
    const char *name = PQgetvalue(columns, row, NAME), *sequence = PQgetvalue(columns, row, CLOSED_SEQUENCE);
    struct buf what = {0}, mend = {0};
    if (sequence[0] != '\0') {
        buf_printf(&what, "%s.%s takes its default from a sequence that %s may not use: every row would be refused",
                   c->table->name, name, user(c));
        buf_printf(&mend, "GRANT USAGE ON SEQUENCE %s TO %s", sequence, c->around.user);
        report(c, severity(c), &what, &mend, false);
    }
    if (!schema_is_true(columns, row, NOT_NULL) || schema_is_true(columns, row, HAS_DEFAULT))
        return;
    buf_printf(&what, "%s.%s is no column of faucet's, must not be NULL and has no default: every row would be refused",
               c->table->name, name);
    char *in_quotes = PQescapeIdentifier(c->database->connection, name, strlen(name));
    XXXAN(in_quotes);
    buf_printf(&mend, "ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", c->place, in_quotes);
    report(c, severity(c), &what, &mend, false);
    PQfreemem(in_quotes);
}

static bool check_columns(struct check *c, const PGresult *columns, size_t *present) {
    check_missing(c, columns, present);
    for (int row = 0; row < PQntuples(columns); row++) {
        const struct column *ours = NULL;
        for (size_t i = 0; i < c->table->n; i++)
            if (strcmp(c->table->columns[i].name, PQgetvalue(columns, row, NAME)) == 0)
                ours = &c->table->columns[i];
        if (ours == NULL)
            check_foreign(c, columns, row);
        else if (!check_ours(c, ours, columns, row))
            return false;
    }
    return true;
}

static void check_rights(struct check *c, const PGresult *columns, bool secured) {
    struct buf what = {0}, mend = {0}, closed = {0};
    const char *id = c->kind == RECORD_HTTP || c->kind == RECORD_SESSION ? "request_uuid" : "event_id";
    for (size_t i = 0; i < c->table->n; i++) {
        int row = row_of(columns, c->table->columns[i].name);
        if (row >= 0 && !schema_is_true(columns, row, MAY_INSERT))
            buf_printf(&closed, "%s%s", buf_length(&closed) > 0 ? ", " : "", c->table->columns[i].name);
    }
    if (buf_length(&closed) > 0) {
        buf_printf(&what, "%s may not INSERT into %s (%.*s)", user(c), c->table->name, STR_ARG(buf_str(&closed)));
        buf_printf(&mend, "GRANT INSERT, SELECT (%s, time) ON %s TO %s", id, c->place, c->around.user);
        report(c, severity(c), &what, &mend, false);
    }
    buf_free(&closed);
    if (secured) {
        buf_printf(&what, "row-level security holds for %s on %s, and COPY does not work under it", user(c),
                   c->table->name);
        buf_printf(&mend, "ALTER TABLE %s DISABLE ROW LEVEL SECURITY", c->place);
        report(c, severity(c), &what, &mend, false);
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
        buf_printf(&mend, "GRANT SELECT (%s, time) ON %s TO %s", values[1], c->place, c->around.user);
        report(c, SCHEMA_NOTE, &what, &mend, false);
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
    if (PQntuples(r) > 0 && !schema_is_true(r, 0, 0)) {
        buf_printf(&what, "%s has no default partition: rows of a day that has none would be refused", c->table->name);
        buf_append(&mend, STR("SELECT * FROM faucet_maintain()"));
        report(c, severity(c), &what, &mend, false);
    } else if (PQntuples(r) > 0 && !schema_is_true(r, 0, 1)) {
        buf_printf(&what, "%s has no partition for tomorrow: its rows will wait in the default partition",
                   c->table->name);
        buf_append(&mend, STR("SELECT * FROM faucet_maintain() — once a day, for example by cron"));
        report(c, SCHEMA_NOTE, &what, &mend, false);
    }
    PQclear(r);
    return true;
}

static bool check_found_table(struct check *c, const PGresult *table) {
    const char *const values[] = {c->table->name, NULL};
    size_t present;
    PGresult *columns =
        schema_query(c->database,
                     "SELECT attname, format_type(atttypid, NULL), attnotnull, atthasdef OR attidentity <> '',"
                     " has_column_privilege(attrelid, attnum, 'INSERT'),"
                     " CASE WHEN atthasdef AND NOT has_sequence_privilege(pg_get_serial_sequence($1, attname), 'USAGE')"
                     " THEN pg_get_serial_sequence($1, attname) END FROM pg_attribute"
                     " WHERE attrelid = $1::REGCLASS AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                     values, c->why);
    if (columns == NULL)
        return false;
    c->wrong = false;
    bool good = check_columns(c, columns, &present);
    if (good)
        check_rights(c, columns, schema_is_true(table, 0, 1));
    PQclear(columns);
    if (!good || !check_lookup(c))
        return false;
    if (PQgetvalue(table, 0, 0)[0] == 'p' && !check_partitions(c))
        return false;
    if (!c->wrong) {
        struct buf what = {0}, mend = {0};
        buf_printf(&what, "%s: %zu of %zu columns", c->table->name, present, c->table->n);
        report(c, SCHEMA_FINE, &what, &mend, false);
    }
    return true;
}

/* $1 the table: where it is although it was not found. An entry of search_path may be a name in quotes. */
static const char elsewhere_query[] =
    "SELECT quote_ident(nspname), has_schema_privilege(n.oid, 'USAGE'), nspname = ANY (path.names),"
    " quote_ident(current_database()) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace,"
    " (SELECT array_agg(CASE btrim(p, ' \"') WHEN '$user' THEN current_user ELSE btrim(p, ' \"') END) AS names"
    " FROM unnest(string_to_array(current_setting('search_path'), ',')) p) path"
    " WHERE relname = $1 AND relkind IN ('r', 'p') ORDER BY 3 DESC, 2 DESC, 1 LIMIT 1";
enum { PLACE, MAY_USE, IN_PATH, IN_DATABASE };

static void report_elsewhere(struct check *c, const PGresult *r, const char *effect) {
    const char *schema = PQgetvalue(r, 0, PLACE);
    struct buf what = {0}, mend = {0};
    if (str_eq(buf_str(&c->closed), str_of(schema)))
        return;
    if (!schema_is_true(r, 0, MAY_USE)) {
        buf_append(&c->closed, str_of(schema));
        buf_printf(&what, "%s may not use the schema %s, where %s is: %s", user(c), schema, c->table->name, effect);
        buf_printf(&mend, "GRANT USAGE ON SCHEMA %s TO %s", schema, c->around.user);
    } else
        buf_printf(&what, "%s is in the schema %s, which search_path does not name: %s", c->table->name, schema,
                   effect);
    if (!schema_is_true(r, 0, IN_PATH))
        buf_printf(&mend, "%sALTER ROLE %s IN DATABASE %s SET search_path = %s", buf_length(&mend) > 0 ? "; " : "",
                   c->around.user, PQgetvalue(r, 0, IN_DATABASE), schema);
    report(c, severity(c), &what, &mend, false);
}

static bool check_absent(struct check *c) {
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
    PGresult *r = schema_query(c->database, elsewhere_query, values, c->why);
    if (r == NULL)
        return false;
    if (PQntuples(r) > 0)
        report_elsewhere(c, r, effect[c->kind]);
    else {
        buf_printf(&what, "%s is missing: %s", c->table->name, effect[c->kind]);
        report(c, severity(c), &what, &mend, true);
    }
    PQclear(r);
    return true;
}

static bool check_table(struct check *c) {
    const char *const values[] = {c->table->name, NULL};
    PGresult *r = schema_query(c->database,
                               "SELECT relkind, row_security_active(c.oid), CASE nspname WHEN 'public' THEN relname"
                               " ELSE format('%I.%I', nspname, relname) END FROM pg_class c"
                               " JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = to_regclass($1)",
                               values, c->why);
    if (r == NULL)
        return false;
    bool there = PQntuples(r) > 0;
    c->place = there ? PQgetvalue(r, 0, 2) : NULL;
    bool good = there ? check_found_table(c, r) : check_absent(c);
    PQclear(r);
    return good;
}

static bool check_views(struct check *c) {
    struct buf answer = {0}, what = {0}, mend = {0};
    if (buf_length(&c->closed) > 0) /* they are there as well */
        return true;
    if (!schema_ask(
            c->database,
            "SELECT 'missing' WHERE to_regclass('faucet_health') IS NULL OR to_regclass('faucet_completeness') IS NULL",
            NULL, &answer, c->why))
        return false;
    if (buf_length(&answer) > 0) {
        buf_append(&what,
                   STR("the views (faucet_health, …) are not there: rows are stored, questions are yours to write"));
        report(c, SCHEMA_NOTE, &what, &mend, true);
    }
    buf_free(&answer);
    return true;
}

static bool check_all(struct check *c) {
    if (!check_server(c))
        return false;
    for (size_t kind = 0; kind < RECORD_KINDS; kind++) {
        c->kind = (enum record_kind)kind;
        c->table = record_table(c->kind);
        if (!check_table(c))
            return false;
    }
    return check_views(c);
}

bool schema_check(struct schema_database *d, schema_found *found, void *owner, struct buf *why) {
    struct check c = {.database = d, .found = found, .owner = owner, .why = why};
    if (!schema_look_around(d, &c.around, why))
        return false;
    c.arena = arena_new(1024);
    list_init(&c.later);
    bool good = check_all(&c);
    LIST_FOREACH (&c.later, struct later, l, node)
        found(owner, &l->finding);
    arena_free(c.arena);
    schema_around_free(&c.around);
    buf_free(&c.closed);
    return good;
}
