/*
 * Memory by lifetime: everything that lives as long as one configuration or
 * one exchange is taken from its arena and goes with it. Nothing is freed
 * singly. Out of memory aborts (XXXASSERT).
 */
#ifndef FAUCET_BASE_ARENA_H
#define FAUCET_BASE_ARENA_H

#include <stdarg.h>

#include "base/check.h"
#include "base/str.h"

struct arena;

/* first: bytes to have at hand at once (rounded up); later chunks grow. Caller owns; arena_free. */
struct arena *arena_new(size_t first);
void arena_free(struct arena *a); /* NULL is fine */
/* Forgets everything but keeps the first chunk. */
void arena_reset(struct arena *a);
/* Bytes taken from the system. */
size_t arena_size(const struct arena *a);

/* Aligned for any type, zeroed. n may be 0 (a unique pointer comes back). */
void *arena_alloc(struct arena *a, size_t n);
/* Like arena_alloc, not zeroed, byte-aligned: for text. */
char *arena_bytes(struct arena *a, size_t n);
/* Copies, always NUL-terminated beyond .n, so .p is also a C string (if it holds no NUL). */
struct str arena_str(struct arena *a, struct str s);
char *arena_strdup(struct arena *a, const char *z);
struct str arena_printf(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);
struct str arena_vprintf(struct arena *a, const char *format, va_list args);
#define ARENA_NEW(a, type)          ((type *)arena_alloc((a), sizeof(type)))
#define ARENA_ARRAY(a, type, count) ((type *)arena_alloc((a), sizeof(type) * (count)))

#endif
