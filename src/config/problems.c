/*
 * What is wrong with a configuration, collected so that a person sees every
 * mistake in one go. The checks run in the order that suits them; the list is
 * in the order of the file, because that is how a person will go through it.
 */
#include <stdarg.h>
#include <stdint.h>

#include "config/config.h"

/* "conf/faucet.yaml:12:3" taken apart; a source without positions ("flag --set") is all name, line 0. */
struct place {
    struct str source;
    uint64_t line, column;
};

/* Cuts ":digits" off the end of *rest. */
static bool cut_number(struct str *rest, uint64_t *number) {
    for (size_t i = rest->n; i > 0; i--) {
        if (rest->p[i - 1] != ':')
            continue;
        if (!str_to_u64(str_from(*rest, i), number))
            return false;
        rest->n = i - 1;
        return true;
    }
    return false;
}

static struct place place_of(const char *where) {
    struct place place = {str_of(where), 0, 0};
    struct str rest = place.source;
    uint64_t line, column;

    if (cut_number(&rest, &column) && cut_number(&rest, &line)) {
        place.source = rest;
        place.line = line;
        place.column = column;
    }
    return place;
}

/* Negative, 0, positive as for memcmp; within one source. */
static int place_compare(const struct place *a, const struct place *b) {
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return 0;
}

static bool problem_same(const struct problem *a, const struct problem *b) {
    return a->level == b->level && strcmp(a->key, b->key) == 0 && strcmp(a->message, b->message) == 0;
}

/* Goes behind what stands no later in the same source; a source that is new goes to the end. False: the same problem is
 * already there. */
static bool problem_insert(struct problems *problems, struct problem *new) {
    struct list_node *head = &problems->list.head, *at = NULL; /* insert before this */
    struct place place = place_of(new->where);

    for (struct list_node *n = head->prev; n != head; n = n->prev) {
        const struct problem *old = CONTAINER_OF(n, struct problem, node);
        struct place old_place = place_of(old->where);

        if (!str_eq(place.source, old_place.source))
            continue;
        int order = place_compare(&old_place, &place);
        if (order > 0)
            at = n;
        else if (at == NULL)
            at = n->next;
        if (order < 0)
            break;
        if (order == 0 && problem_same(old, new))
            return false;
    }
    list_insert_before(&problems->list, at == NULL ? head : at, &new->node);
    return true;
}

void problems_init(struct problems *p) {
    p->arena = arena_new(1024);
    list_init(&p->list);
    p->errors = p->warnings = 0;
}

void problems_free(struct problems *p) {
    arena_free(p->arena);
    p->arena = NULL;
    list_init(&p->list);
    p->errors = p->warnings = 0;
}

void problem_add(struct problems *p, enum problem_level level, const char *where, const char *key, const char *format,
                 ...) {
    size_t *count = level == PROBLEM_ERROR ? &p->errors : &p->warnings;
    va_list args;

    if (*count >= PROBLEMS_KEPT_MAX) {
        (*count)++;
        return;
    }
    struct problem *problem = ARENA_NEW(p->arena, struct problem);
    problem->level = level;
    problem->where = arena_strdup(p->arena, where == NULL ? "" : where);
    problem->key = arena_strdup(p->arena, key == NULL ? "" : key);
    va_start(args, format);
    problem->message = arena_vprintf(p->arena, format, args).p;
    va_end(args);
    if (problem_insert(p, problem))
        (*count)++;
}

/* Keys and values come from the user's file: they must not move the cursor of who reads the message. */
static void append_clean(struct buf *out, const char *text) {
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_append_char(out, *p);
    }
}

void problem_format(const struct problem *p, struct buf *out) {
    if (p->where[0] != '\0') {
        append_clean(out, p->where);
        buf_append(out, STR(": "));
    }
    if (p->key[0] != '\0') {
        append_clean(out, p->key);
        buf_append(out, STR(": "));
    }
    append_clean(out, p->message);
}
