/* columns.def against the files of sql/, which this program holds: names, types, texts. The real server is asked
 * in test_sql_docs.py. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "telemetry/columns.h"
#include "telemetry/schema_sql.h"

static const char *sql(const char *name) {
    size_t n;
    const struct schema_file *files = schema_files(&n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(files[i].name, name) == 0)
            return files[i].begin;
    fail_msg("no file %s", name);
    return NULL;
}

/* As sql/ writes it. */
static const char *sql_type(enum column_type type) {
    static const char *const names[] = {
        [COLUMN_UUID] = "UUID",
        [COLUMN_TEXT] = "TEXT",
        [COLUMN_INT4] = "INT",
        [COLUMN_INT8] = "BIGINT",
        [COLUMN_INT2] = "SMALLINT",
        [COLUMN_INET] = "INET",
        [COLUMN_JSONB] = "JSONB",
        [COLUMN_BOOL] = "BOOLEAN",
        [COLUMN_TIMESTAMPTZ] = "TIMESTAMPTZ",
        [COLUMN_FLOAT8] = "DOUBLE PRECISION",
    };
    return names[type];
}

/* The lines of one statement, trimmed, without a comma or semicolon at the end: "name TYPE". From `after` up to ";". */
static size_t column_lines(const char *text, const char *after, struct str *lines, size_t room) {
    const char *at = strstr(text, after);
    size_t n = 0;
    assert_non_null(at);
    struct str rest = str_of(at + strlen(after));
    rest.n = str_chr(rest, ';');
    while (rest.n > 0) {
        struct str line = str_make(rest.p, str_chr(rest, '\n'));
        rest = str_from(rest, line.n + 1);
        line = str_trim(line);
        if (line.n > 0 && line.p[line.n - 1] == ',')
            line.n--;
        if (str_starts(line, STR("ADD COLUMN IF NOT EXISTS ")))
            line = str_from(line, strlen("ADD COLUMN IF NOT EXISTS "));
        if (line.n < 3)
            continue;
        assert_true(n < room);
        lines[n++] = line;
    }
    return n;
}

/* Those of the seed stand in its order (test_seed), not in ours. */
static void compare(const struct table *t, bool seeds, bool others, const struct str *lines, size_t n) {
    size_t wanted_n = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct buf wanted = {0};
        bool found = false;
        if (!(t->columns[i].seed ? seeds : others))
            continue;
        wanted_n++;
        buf_printf(&wanted, "%s %s%s", t->columns[i].name, sql_type(t->columns[i].type),
                   strcmp(t->columns[i].name, "time") == 0 ? " NOT NULL" : "");
        for (size_t k = 0; k < n; k++)
            found |= str_eq(buf_str(&wanted), lines[k]);
        if (!found)
            fail_msg("%s: sql/ does not have \"%.*s\"", t->name, STR_ARG(buf_str(&wanted)));
        buf_free(&wanted);
    }
    assert_int_equal(n, wanted_n);
}

static void test_tables_agree(void **state) {
    (void)state;
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        const struct table *t = record_table((enum record_kind)k);
        const char *text = sql(k == RECORD_HTTP ? "01_http_events.sql" : "02_events.sql");
        struct str lines[64];
        struct buf after = {0};
        bool split = k == RECORD_HTTP || k == RECORD_LOG; /* the rest is added by ALTER TABLE */
        buf_printf(&after, "CREATE TABLE IF NOT EXISTS %s (", t->name);
        buf_append_char(&after, '\0');
        compare(t, true, !split, lines, column_lines(text, buf_str(&after).p, lines, ARRAY_LENGTH(lines)));
        buf_free(&after);
        if (!split)
            continue;
        buf_printf(&after, "ALTER TABLE %s", t->name);
        buf_append_char(&after, '\0');
        compare(t, false, true, lines, column_lines(text, buf_str(&after).p, lines, ARRAY_LENGTH(lines)));
        buf_free(&after);
    }
}

/* The statement of the seed document, letter for letter but for the name of the command. */
static void test_seed(void **state) {
    static const char seed[] = "faucet_http_events (\n"
                               "    request_uuid UUID,\n    namespace TEXT,\n    version TEXT,\n    target TEXT,\n"
                               "    worker_route TEXT,\n    worker_id INT,\n    ip_addr INET,\n    method TEXT,\n"
                               "    path TEXT,\n    query_params TEXT,\n    http_version TEXT,\n    status SMALLINT,\n"
                               "    user_agent TEXT,\n    elapsed BIGINT,\n    time TIMESTAMPTZ NOT NULL\n);\n";
    (void)state;
    assert_non_null(strstr(sql("01_http_events.sql"), seed));
    assert_true(record_table(RECORD_HTTP)->required);
    for (size_t k = 1; k < RECORD_KINDS; k++)
        assert_false(record_table((enum record_kind)k)->required);
}

static void test_comments(void **state) {
    const char *text = sql("07_comments.sql");
    (void)state;
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        const struct table *t = record_table((enum record_kind)k);
        for (unsigned i = 0; i < t->n; i++) {
            struct buf wanted = {0};
            buf_printf(&wanted, "COMMENT ON COLUMN %s.%s IS '", t->name, t->columns[i].name);
            for (const char *c = column_meaning((enum record_kind)k, i); *c != '\0'; c++) {
                if (*c == '\'')
                    buf_append_char(&wanted, '\'');
                buf_append_char(&wanted, *c);
            }
            buf_append(&wanted, STR("';\n"));
            buf_append_char(&wanted, '\0');
            if (strstr(text, buf_str(&wanted).p) == NULL)
                fail_msg("sql/07_comments.sql does not have: %s", buf_str(&wanted).p);
            buf_free(&wanted);
        }
    }
}

static void test_names(void **state) {
    (void)state;
    assert_string_equal(record_table(RECORD_HTTP)->columns[COLUMN_OF_HTTP_status].name, "status");
    assert_int_equal(record_table(RECORD_HTTP)->columns[COLUMN_OF_HTTP_status].type, COLUMN_INT2);
    assert_int_equal(record_table(RECORD_HTTP)->n, COLUMNS_OF_HTTP);
    assert_int_equal(record_table(RECORD_LOG)->n, COLUMNS_OF_LOG);
    assert_int_equal(record_table(RECORD_WORKER)->n, COLUMNS_OF_WORKER);
    assert_int_equal(record_table(RECORD_SESSION)->n, COLUMNS_OF_SESSION);
    assert_int_equal(record_table(RECORD_CONFIG)->n, COLUMNS_OF_CONFIG);
    assert_int_equal(record_table(RECORD_GAP)->n, COLUMNS_OF_GAP);
    assert_string_equal(column_type_name(COLUMN_TIMESTAMPTZ), "timestamp with time zone");
}

static void test_order_of_files(void **state) {
    size_t n;
    const struct schema_file *files = schema_files(&n);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(*files[i].end, '\0');
        assert_int_equal(strlen(files[i].begin), files[i].end - files[i].begin);
        assert_int_equal(strstr(files[i].name, "_option_") != NULL, files[i].option != 0);
        if (i > 0)
            assert_true(strcmp(files[i - 1].name, files[i].name) < 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables_agree), cmocka_unit_test(test_seed),           cmocka_unit_test(test_comments),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_order_of_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
