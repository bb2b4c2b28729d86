/*
 * What schema_check names against what it finds, worked out with the server's
 * help: a command that would be refused mends nothing. The one who is connected
 * is often faucet's own role, who may make and change no table; a column that a
 * view stands on keeps its type until the view is gone; some types need to be
 * told how to become another.
 */
#include "telemetry/schema_parts.h"

/* ---- faucet db init ---- */

/* In a URI, where it may be anything. */
static void append_escaped(struct buf *out, const char *text) {
    for (; *text != '\0'; text++)
        if (memchr("-._~", *text, 4) != NULL || (*text >= '0' && *text <= '9') ||
            ((*text | 0x20) >= 'a' && (*text | 0x20) <= 'z'))
            buf_append_char(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*text);
}

static void init_of_another(struct schema_around *a, const PGconn *c, const char *owner, bool writer) {
    const char *const parts[] = {owner, "@", PQhost(c), ":", PQport(c), "/", PQdb(c)};

    buf_printf(&a->init_words, "%s--telemetry-postgres-string 'postgresql://", writer ? "--roles " : "");
    for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
        if (i % 2 == 0)
            append_escaped(&a->init_words, parts[i]);
        else
            buf_append(&a->init_words, str_of(parts[i]));
    buf_append_char(&a->init_words, '\'');
}

static char *quoted(const struct schema_database *d, const char *name) {
    char *in_quotes = PQescapeIdentifier(d->connection, name, strlen(name));

    XXXAN(in_quotes);
    return in_quotes;
}

/* Ours are all that begin with faucet_; where there are none, the owner of the database makes them. */
static const char around_query[] =
    "WITH s AS (SELECT oid FROM pg_namespace WHERE nspname = current_schema()), o AS (SELECT COALESCE("
    "(SELECT relowner FROM pg_class WHERE relname LIKE 'faucet\\_%' AND relkind IN ('r', 'p')"
    " ORDER BY relnamespace = (SELECT oid FROM s) DESC, relname <> 'faucet_http_events' LIMIT 1),"
    " (SELECT datdba FROM pg_database WHERE datname = current_database())) AS oid)"
    " SELECT pg_get_userbyid(o.oid), COALESCE(current_schema(), 'public'),"
    " COALESCE(has_schema_privilege(o.oid, (SELECT oid FROM s), 'CREATE'), true),"
    " COALESCE(has_schema_privilege((SELECT oid FROM s), 'CREATE'), false)"
    " AND NOT EXISTS (SELECT FROM pg_class c, s WHERE relnamespace = s.oid AND relname LIKE 'faucet\\_%'"
    " AND relkind IN ('r', 'p', 'v') AND NOT pg_has_role(relowner, 'USAGE'))"
    " AND NOT EXISTS (SELECT FROM pg_proc p, s WHERE pronamespace = s.oid AND proname LIKE 'faucet\\_%'"
    " AND NOT pg_has_role(proowner, 'USAGE')),"
    " EXISTS (SELECT FROM pg_roles WHERE rolname = 'faucet_writer' AND pg_has_role(oid, 'MEMBER')) FROM o";
enum { OWNER, SCHEMA, OWNER_MAY_CREATE, MAY_INIT, IS_WRITER };

bool schema_look_around(const struct schema_database *d, struct schema_around *a, struct buf *why) {
    PGresult *r = schema_query(d, around_query, NULL, why);

    if (r == NULL)
        return false;
    const char *owner = PQgetvalue(r, 0, OWNER);
    a->user = quoted(d, PQuser(d->connection));
    if (!schema_is_true(r, 0, MAY_INIT)) {
        if (strcmp(owner, PQuser(d->connection)) != 0)
            init_of_another(a, d->connection, owner, schema_is_true(r, 0, IS_WRITER));
        if (!schema_is_true(r, 0, OWNER_MAY_CREATE)) {
            char *schema = quoted(d, PQgetvalue(r, 0, SCHEMA)), *who = quoted(d, owner);
            buf_printf(&a->init_first, "GRANT CREATE ON SCHEMA %s TO %s", schema, who);
            PQfreemem(schema);
            PQfreemem(who);
        }
    }
    buf_append_char(&a->init_first, '\0');
    buf_append_char(&a->init_words, '\0');
    PQclear(r);
    return true;
}

void schema_around_free(struct schema_around *a) {
    PQfreemem(a->user);
    buf_free(&a->init_first);
    buf_free(&a->init_words);
}

/* ---- another type ---- */

/* $1 table, $2 column, $3 type. Rows of faucet's are UTC in a column that knows no zone. */
static const char cast_query[] =
    "SELECT CASE WHEN $3::TEXT = 'timestamp with time zone' AND atttypid IN ('timestamp'::REGTYPE, 'date'::REGTYPE)"
    " THEN ' USING ' || attname || '::timestamp AT TIME ZONE ''UTC'''"
    " WHEN $3::TEXT = 'text' OR k.castcontext IN ('i', 'a') THEN ''"
    " WHEN k.castcontext = 'e' THEN ' USING ' || attname || '::' || $3::TEXT"
    " ELSE ' USING ' || attname || '::text::' || $3::TEXT END"
    " FROM pg_attribute LEFT JOIN pg_cast k ON castsource = atttypid AND casttarget = to_regtype($3::TEXT)"
    " WHERE attrelid = $1::REGCLASS AND attname = $2";

/* $1 table, $2 column: the views that stand on it, and on those. */
static const char views_query[] =
    "WITH RECURSIVE uses AS (SELECT r.ev_class AS oid, refobjid, refobjsubid FROM pg_depend"
    " JOIN pg_rewrite r ON classid = 'pg_rewrite'::REGCLASS AND objid = r.oid AND r.ev_class <> refobjid"
    " WHERE refclassid = 'pg_class'::REGCLASS),"
    " found AS (SELECT oid FROM uses WHERE refobjid = $1::REGCLASS AND refobjsubid ="
    " (SELECT attnum FROM pg_attribute WHERE attrelid = $1::REGCLASS AND attname = $2)"
    " UNION SELECT uses.oid FROM found JOIN uses ON uses.refobjid = found.oid),"
    " named AS (SELECT relkind, relname, CASE nspname WHEN 'public' THEN quote_ident(relname)"
    " ELSE format('%I.%I', nspname, relname) END AS name"
    " FROM found JOIN pg_class c ON c.oid = found.oid JOIN pg_namespace n ON n.oid = relnamespace)"
    " SELECT string_agg(name, ', ' ORDER BY name) FILTER (WHERE relkind = 'm'),"
    " string_agg(name, ', ' ORDER BY name) FILTER (WHERE relkind = 'v'),"
    " string_agg(name, ', ' ORDER BY name) FILTER (WHERE relname NOT LIKE 'faucet\\_%') FROM named";
enum { MATERIALIZED, VIEWS, OF_OTHERS };

bool schema_mend_type(const struct schema_database *d, const char *table, const char *column, const char *type,
                      struct schema_type_mend *m, struct buf *why) {
    const char *const values[] = {table, column, type, NULL}, *const two[] = {table, column, NULL};
    struct buf cast = {0};

    if (!schema_ask(d, cast_query, values, &cast, why))
        return false;
    PGresult *r = schema_query(d, views_query, two, why);
    if (r != NULL) {
        if (!PQgetisnull(r, 0, MATERIALIZED))
            buf_printf(&m->sql, "DROP MATERIALIZED VIEW %s CASCADE; ", PQgetvalue(r, 0, MATERIALIZED));
        if (!PQgetisnull(r, 0, VIEWS))
            buf_printf(&m->sql, "DROP VIEW IF EXISTS %s; ", PQgetvalue(r, 0, VIEWS));
        m->views = !PQgetisnull(r, 0, MATERIALIZED) || !PQgetisnull(r, 0, VIEWS);
        buf_append(&m->views_of_others, str_of(PQgetvalue(r, 0, OF_OTHERS)));
        buf_printf(&m->sql, "ALTER TABLE %s ALTER COLUMN %s TYPE %s%.*s", table, column, type, STR_ARG(buf_str(&cast)));
        PQclear(r);
    }
    buf_free(&cast);
    return r != NULL;
}
