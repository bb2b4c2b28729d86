/* A table for people: columns as wide as their widest cell, two spaces between, nothing but text. */
#ifndef FAUCET_CONTROL_TEXT_TABLE_H
#define FAUCET_CONTROL_TEXT_TABLE_H

#include <stdio.h>

#include "base/arena.h"

struct text_column {
    const char *title;
    bool right; /* numbers */
};

struct text_table {
    struct arena *arena; /* owned */
    const struct text_column *columns;
    size_t column_count;
    struct str *cells; /* row by row */
    size_t count, room;
};

/* columns: borrowed. */
void text_table_init(struct text_table *t, const struct text_column *columns, size_t column_count);
void text_table_free(struct text_table *t);
/* The next cell, row by row. Control characters are shown as '?', so that no value can command a terminal. */
void text_table_add(struct text_table *t, const char *format, ...) PRINTF_LIKE(2, 3);
/* Titles and rows; no space at a line's end. */
void text_table_print(const struct text_table *t, FILE *to);

#endif
