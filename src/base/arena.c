/*
 * An arena is a chain of chunks, newest first. The struct itself lies at the
 * front of the first chunk, so a small arena is one malloc and one free.
 *
 * Each chunk is at least twice the one before (up to a megabyte), so that the
 * number of chunks stays small however much is taken.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/miniobj.h"

#define ALIGNMENT alignof(max_align_t)
#define FIRST_MIN ((size_t)256)
#define GROW_MAX  ((size_t)1024 * 1024)
#define TAKE_MAX  (SIZE_MAX / 4) /* more than that is a wrapped multiplication */

struct chunk {
    struct chunk *older;
    size_t size; /* of data */
    size_t used;
    alignas(max_align_t) char data[];
};

struct arena {
    unsigned magic;
#define ARENA_MAGIC 0xa12e4a00
    struct chunk *newest;
    struct chunk *first; /* holds this struct */
    size_t total;
};

static size_t round_up(size_t n) {
    return (n + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
}

static struct chunk *chunk_new(size_t size, struct chunk *older) {
    struct chunk *c = malloc(sizeof *c + size);

    XXXAN(c);
    c->older = older;
    c->size = size;
    c->used = 0;
    return c;
}

struct arena *arena_new(size_t first) {
    size_t own = round_up(sizeof(struct arena));
    struct chunk *c;
    struct arena *a;

    XXXASSERT(first <= TAKE_MAX);
    c = chunk_new(own + round_up(first < FIRST_MIN ? FIRST_MIN : first), NULL);
    c->used = own;
    a = (struct arena *)(void *)c->data;
    a->magic = ARENA_MAGIC;
    a->newest = a->first = c;
    a->total = sizeof *c + c->size;
    return a;
}

static void free_later_chunks(struct arena *a) {
    while (a->newest != a->first) {
        struct chunk *c = a->newest;

        a->newest = c->older;
        a->total -= sizeof *c + c->size;
        free(c);
    }
}

void arena_free(struct arena *a) {
    struct chunk *first;

    if (a == NULL)
        return;
    CHECK_OBJ(a, ARENA_MAGIC);
    free_later_chunks(a);
    first = a->first;
    a->magic = 0;
    free(first);
}

void arena_reset(struct arena *a) {
    CHECK_OBJ_NOTNULL(a, ARENA_MAGIC);
    free_later_chunks(a);
    a->first->used = round_up(sizeof *a);
}

size_t arena_size(const struct arena *a) {
    CHECK_OBJ_NOTNULL(a, ARENA_MAGIC);
    return a->total;
}

static char *take(struct arena *a, size_t n, size_t alignment) {
    struct chunk *c = a->newest;
    size_t at = (c->used + alignment - 1) & ~(alignment - 1);

    XXXASSERT(n <= TAKE_MAX);
    if (n == 0)
        n = 1; /* a pointer of its own */
    if (at > c->size || c->size - at < n) {
        size_t size = 2 * c->size < GROW_MAX ? 2 * c->size : GROW_MAX;

        c = chunk_new(size > n ? size : round_up(n), c);
        a->newest = c;
        a->total += sizeof *c + c->size;
        at = 0;
    }
    c->used = at + n;
    return c->data + at;
}

void *arena_alloc(struct arena *a, size_t n) {
    char *p;

    CHECK_OBJ_NOTNULL(a, ARENA_MAGIC);
    p = take(a, n, ALIGNMENT);
    return memset(p, 0, n);
}

char *arena_bytes(struct arena *a, size_t n) {
    CHECK_OBJ_NOTNULL(a, ARENA_MAGIC);
    return take(a, n, 1);
}

struct str arena_str(struct arena *a, struct str s) {
    char *p = arena_bytes(a, s.n + 1);

    if (s.n > 0)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_make(p, s.n);
}

char *arena_strdup(struct arena *a, const char *z) {
    size_t n = strlen(z) + 1;

    return memcpy(arena_bytes(a, n), z, n);
}

struct str arena_vprintf(struct arena *a, const char *format, va_list args) {
    va_list again;
    char *p;
    int n;

    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    ASSERT(n >= 0); /* a wrong format: ours */
    p = arena_bytes(a, (size_t)n + 1);
    (void)vsnprintf(p, (size_t)n + 1, format, args);
    return str_make(p, (size_t)n);
}

struct str arena_printf(struct arena *a, const char *format, ...) {
    va_list args;
    struct str s;

    va_start(args, format);
    s = arena_vprintf(a, format, args);
    va_end(args);
    return s;
}
