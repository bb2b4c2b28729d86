/* What schema_install.c, schema_check.c and schema_mend.c share. */
#ifndef FAUCET_TELEMETRY_SCHEMA_PARTS_H
#define FAUCET_TELEMETRY_SCHEMA_PARTS_H

#include "telemetry/connect_once.h"

struct schema_database {
    PGconn *connection;
    schema_say *say; /* while it installs */
    void *owner;
};

/* NULL: *why. values: text, up to NULL; never more than 4. */
PGresult *schema_query(const struct schema_database *d, const char *sql, const char *const *values, struct buf *why);
/* Of row 0, column 0; "" where there is no row. The result is cleared. */
bool schema_ask(const struct schema_database *d, const char *sql, const char *const *values, struct buf *answer,
                struct buf *why) MUST_CHECK;
static inline bool schema_is_true(const PGresult *r, int row, int column) {
    return PQgetvalue(r, row, column)[0] == 't';
}

/* ---- what mends ---- */

/* Who is connected, and how `faucet db init` can be run in this database. */
struct schema_around {
    char *user;            /* in quotes, as SQL wants it */
    struct buf init_first; /* SQL that must come before; "": none. NUL-terminated, as is the next */
    struct buf init_words; /* what follows `faucet db init`; "": whoever is connected may do it */
};
/* After true: schema_around_free. */
bool schema_look_around(const struct schema_database *d, struct schema_around *a, struct buf *why) MUST_CHECK;
void schema_around_free(struct schema_around *a);

/* How a column gets another type. */
struct schema_type_mend {
    struct buf sql;
    bool views;                 /* views go by it; `faucet db init` makes those of faucet again */
    struct buf views_of_others; /* names of those that it does not; may be empty */
};
/* table: as SQL names it. The caller frees the two, which begin empty. */
bool schema_mend_type(const struct schema_database *d, const char *table, const char *column, const char *type,
                      struct schema_type_mend *m, struct buf *why) MUST_CHECK;

#endif
