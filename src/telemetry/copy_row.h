/*
 * Records → rows of COPY: binary where all columns have the types that records
 * have, text where one differs (PostgreSQL then parses it as it would a literal).
 */
#ifndef FAUCET_TELEMETRY_COPY_ROW_H
#define FAUCET_TELEMETRY_COPY_ROW_H

#include "telemetry/record.h"

#define COPY_COLUMNS_MAX 64

/* Which columns go, in the order of the COPY command. */
struct copy_layout {
    enum record_kind kind;
    bool binary;
    size_t n;
    uint8_t columns[COPY_COLUMNS_MAX]; /* numbers of record_table()->columns */
};

/* Head and tail of the data; text has none. */
void copy_begin(struct buf *out, const struct copy_layout *l);
void copy_end(struct buf *out, const struct copy_layout *l);
/* A complete record of this release is a row as it stands: record_tuple(). */
bool copy_is_tuple(const struct copy_layout *l);
/* False: not a record of that kind; nothing was appended. Fields of a wrong length are NULL. */
bool copy_row(struct buf *out, const struct copy_layout *l, struct str record) MUST_CHECK;

#endif
