/*
 * Width is counted in code points: what stands in our tables (names, routes,
 * an arrow) takes one column each.
 */
#include "control/text_table.h"

#include <stdlib.h>

void text_table_init(struct text_table *t, const struct text_column *columns, size_t column_count) {
    *t = (struct text_table){.arena = arena_new(4096), .columns = columns, .column_count = column_count};
}

void text_table_free(struct text_table *t) {
    free(t->cells);
    arena_free(t->arena);
    *t = (struct text_table){0};
}

/* In place; a C1 control (U+0080..U+009F) commands terminals too. */
static void make_harmless(char *p, size_t n) {
    for (size_t i = 0; i < n;) {
        size_t length = str_utf8(str_make(p + i, n - i));
        unsigned char c = (unsigned char)p[i];
        if (length == 0 || (length == 1 && (c < 0x20 || c == 0x7f))) {
            p[i] = '?';
            length = 1;
        } else if (length == 2 && c == 0xc2 && (unsigned char)p[i + 1] < 0xa0)
            p[i] = p[i + 1] = '?';
        i += length;
    }
}

void text_table_add(struct text_table *t, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = arena_vprintf(t->arena, format, args);
    va_end(args);
    char *copy = arena_bytes(t->arena, text.n + 1);
    memcpy(copy, text.p, text.n);
    make_harmless(copy, text.n);
    if (t->count == t->room) {
        t->room = t->room == 0 ? 64 : 2 * t->room;
        t->cells = realloc(t->cells, t->room * sizeof *t->cells);
        XXXAN(t->cells);
    }
    t->cells[t->count++] = str_make(copy, text.n);
}

static size_t width(struct str s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

static size_t column_width(const struct text_table *t, size_t column) {
    size_t widest = width(str_of(t->columns[column].title));
    for (size_t i = column; i < t->count; i += t->column_count) {
        size_t n = width(t->cells[i]);
        if (n > widest)
            widest = n;
    }
    return widest;
}

/* The spaces before a cell wait until there is a cell to print. */
static void print_row(const struct text_table *t, const struct str *cells, const size_t *widths, FILE *to) {
    size_t spaces = 0;
    for (size_t i = 0; i < t->column_count; i++) {
        size_t pad = widths[i] - width(cells[i]);
        if (t->columns[i].right)
            spaces += pad;
        if (cells[i].n > 0) {
            fprintf(to, "%*s%.*s", (int)spaces, "", STR_ARG(cells[i]));
            spaces = 0;
        } else
            spaces += t->columns[i].right ? 0 : widths[i] - pad;
        if (!t->columns[i].right)
            spaces += pad;
        spaces += 2;
    }
    fputc('\n', to);
}

void text_table_print(const struct text_table *t, FILE *to) {
    ASSERT(t->count % t->column_count == 0);
    struct str *titles = ARENA_ARRAY(t->arena, struct str, t->column_count);
    size_t *widths = ARENA_ARRAY(t->arena, size_t, t->column_count);
    for (size_t i = 0; i < t->column_count; i++) {
        titles[i] = str_of(t->columns[i].title);
        widths[i] = column_width(t, i);
    }
    print_row(t, titles, widths, to);
    for (size_t i = 0; i < t->count; i += t->column_count)
        print_row(t, t->cells + i, widths, to);
}
