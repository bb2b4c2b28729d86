/*
 * Reading the columns. A column of the seed must be there and may be filled by
 * us, or the table is of no use; a further one is filled where that is possible.
 * One type that differs from ours makes the whole COPY a text one.
 */
#include "telemetry/pg_columns.h"

#include <stdio.h>
#include <stdlib.h>

#include "telemetry/columns.h"

/* Of the query's result. The base type stands for a domain. */
enum { KIND, NAME, TYPE, GENERATED, MAY_INSERT, MAY_SELECT, FIELDS };

void pg_columns_query(struct buf *out) {
    buf_append(out, STR("SELECT k.kind, a.attname,"
                        " pg_catalog.format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, NULL),"
                        " a.attgenerated <> '',"
                        " pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT'),"
                        " pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')"
                        " FROM (VALUES "));
    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        buf_printf(out, "%s(%zu, '%s')", kind > 0 ? ", " : "", kind, record_table((enum record_kind)kind)->name);
    buf_append(out, STR(") AS k(kind, name)"
                        " JOIN pg_catalog.pg_attribute a ON a.attrelid = pg_catalog.to_regclass(k.name)"
                        " JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
                        " WHERE a.attnum > 0 AND NOT a.attisdropped"));
}

/* ---- a table under way ---- */

struct reading {
    struct pg_table *table;
    const struct table *wanted;
    enum record_kind kind;
    int rows[COPY_COLUMNS_MAX]; /* of our columns in the result; -1: not there */
    struct buf missing, closed;
};

static bool is_true(const PGresult *r, int row, int field) {
    return PQgetvalue(r, row, field)[0] == 't';
}

static char *text_of(struct buf *b) {
    char *copy;

    XXXASSERT(asprintf(&copy, "%.*s", STR_ARG(buf_str(b))) >= 0);
    buf_free(b);
    return copy;
}

static void find_rows(struct reading *g, const PGresult *r) {
    for (size_t i = 0; i < g->wanted->n; i++)
        g->rows[i] = -1;
    for (int row = 0; row < PQntuples(r); row++) {
        uint64_t kind;
        unsigned column;
        if (!str_to_u64(str_of(PQgetvalue(r, row, KIND)), &kind) || kind != (uint64_t)g->kind)
            continue;
        g->table->there = true;
        if (record_column(g->kind, PQgetvalue(r, row, NAME), &column))
            g->rows[column] = row;
    }
}

static void choose(struct reading *g, const PGresult *r) {
    struct copy_layout *l = &g->table->layout;

    *l = (struct copy_layout){.kind = g->kind, .binary = true};
    for (size_t i = 0; i < g->wanted->n; i++) {
        const struct column *c = &g->wanted->columns[i];
        int row = g->rows[i];
        if (row < 0) {
            if (c->seed)
                buf_printf(&g->missing, "%sADD COLUMN %s %s", buf_length(&g->missing) > 0 ? ", " : "", c->name,
                           column_type_name(c->type));
        } else if (is_true(r, row, GENERATED)) {
            continue; /* the database fills it */
        } else if (!is_true(r, row, MAY_INSERT)) {
            if (c->seed)
                buf_printf(&g->closed, "%s%s", buf_length(&g->closed) > 0 ? ", " : "", c->name);
        } else {
            l->columns[l->n++] = (uint8_t)i;
            l->binary = l->binary && strcmp(PQgetvalue(r, row, TYPE), column_type_name(c->type)) == 0;
        }
    }
}

static void judge(struct reading *g, const char *user) {
    const char *name = g->wanted->name;
    struct buf text = {0};

    if (buf_length(&g->missing) > 0)
        buf_printf(&text, "%s lacks columns that faucet needs; this adds them: ALTER TABLE %s %.*s", name, name,
                   STR_ARG(buf_str(&g->missing)));
    else if (buf_length(&g->closed) > 0)
        buf_printf(&text, "%s may not INSERT into %s (%.*s); this lets it: GRANT INSERT ON %s TO \"%s\"", user, name,
                   STR_ARG(buf_str(&g->closed)), name, user);
    if (buf_length(&text) > 0)
        g->table->problem = text_of(&text);
}

static void write_copy(struct reading *g) {
    const struct copy_layout *l = &g->table->layout;
    struct buf text = {0};

    buf_printf(&text, "COPY %s (", g->wanted->name);
    for (size_t i = 0; i < l->n; i++)
        buf_printf(&text, "%s\"%s\"", i > 0 ? ", " : "", g->wanted->columns[l->columns[i]].name);
    buf_printf(&text, ") FROM STDIN%s", l->binary ? " (FORMAT binary)" : "");
    g->table->copy = text_of(&text);
}

static void find_id(struct reading *g, const PGresult *r) {
    bool request = g->kind == RECORD_HTTP || g->kind == RECORD_SESSION; /* a log event has both */
    const char *name = request ? "request_uuid" : "event_id";
    unsigned id, time;

    if (!record_column(g->kind, name, &id) || !record_column(g->kind, "time", &time))
        return;
    if (g->rows[id] < 0 || g->rows[time] < 0 || !is_true(r, g->rows[id], MAY_SELECT) ||
        !is_true(r, g->rows[time], MAY_SELECT) || !is_true(r, g->rows[id], MAY_INSERT))
        return;
    g->table->id = name;
    g->table->id_column = id;
    g->table->time_column = time;
}

static void read_table(struct pg_table *table, enum record_kind kind, const PGresult *r, const char *user) {
    struct reading g = {.table = table, .wanted = record_table(kind), .kind = kind};

    find_rows(&g, r);
    if (table->there) {
        choose(&g, r);
        judge(&g, user);
        if (table->problem == NULL)
            write_copy(&g);
        find_id(&g, r);
    } else if (g.wanted->required) {
        struct buf text = {0};
        buf_printf(&text,
                   "the table %s is missing; `faucet db init` makes it, unless it is there but its schema closed to %s "
                   "(`faucet db check` says so)",
                   g.wanted->name, user);
        table->problem = text_of(&text);
    }
    buf_free(&g.missing);
    buf_free(&g.closed);
}

void pg_columns_read(struct pg_columns *c, const PGresult *r, const char *user) {
    pg_columns_free(c);
    if (PQnfields(r) != FIELDS)
        return;
    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        read_table(&c->tables[kind], (enum record_kind)kind, r, user);
}

void pg_columns_free(struct pg_columns *c) {
    for (size_t kind = 0; kind < RECORD_KINDS; kind++) {
        free(c->tables[kind].problem);
        free(c->tables[kind].copy);
    }
    memset(c, 0, sizeof *c);
}
