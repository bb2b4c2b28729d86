/*
 * The byte queue. One malloc block; bytes between start and end.
 *
 * Room at the end is found in this order: it is there; moving the contents
 * to the front makes it (a single block, or where at least as many bytes are
 * free in front as have to move, so that moving stays linear in what passed
 * through); the block grows to twice its size or what is needed.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_MAX (SIZE_MAX / 4)

/* Per thread, as the allocator's own caches are. Under AddressSanitizer nothing is kept: it watches what was freed. */
static _Thread_local struct {
    size_t n, max;
    char *blocks[BUF_KEPT_MAX];
} kept;

void buf_keep_blocks(size_t n) {
#ifdef __SANITIZE_ADDRESS__
    n = 0;
#endif
    kept.max = n < BUF_KEPT_MAX ? n : BUF_KEPT_MAX;
    while (kept.n > kept.max)
        free(kept.blocks[--kept.n]);
}

static char *block_take(size_t capacity) {
    char *p;

    if (capacity == BUF_BLOCK && kept.n > 0)
        return kept.blocks[--kept.n];
    p = malloc(capacity);
    XXXAN(p);
    return p;
}

static void block_give(char *p, size_t capacity) {
    if (capacity == BUF_BLOCK && kept.n < kept.max)
        kept.blocks[kept.n++] = p;
    else
        free(p);
}

static void move_to_front(struct buf *b) {
    memmove(b->data, b->data + b->start, buf_length(b));
    b->end -= b->start;
    b->start = 0;
}

static void grow(struct buf *b, size_t n) {
    size_t length = buf_length(b);
    size_t capacity = b->capacity == 0 ? BUF_BLOCK : b->capacity;
    char *data;

    while (capacity - length < n)
        capacity *= 2;
    /* not realloc: it would copy the dead bytes in front, and the room at the end */
    data = block_take(capacity);
    if (b->data != NULL)
        memcpy(data, b->data + b->start, length);
    block_give(b->data, b->capacity);
    *b = (struct buf){data, 0, length, capacity};
}

char *buf_make_room(struct buf *b, size_t n) {
    XXXASSERT(n <= BUF_MAX && b->capacity <= BUF_MAX);
    if (b->capacity - b->end < n || b->data == NULL) {
        size_t length = buf_length(b);

        if (b->data != NULL && b->capacity - length >= n && (b->capacity <= BUF_BLOCK || b->start >= length))
            move_to_front(b);
        else
            grow(b, n);
    }
    return b->data + b->end;
}

void buf_consume(struct buf *b, size_t n) {
    ASSERT(n <= buf_length(b));
    b->start += n;
    if (b->start == b->end)
        buf_free(b);
}

void buf_append(struct buf *b, struct str s) {
    if (s.n == 0)
        return;
    memcpy(buf_reserve(b, s.n), s.p, s.n);
    b->end += s.n;
}

void buf_append_char(struct buf *b, char c) {
    *buf_reserve(b, 1) = c;
    b->end++;
}

void buf_append_u64(struct buf *b, uint64_t v) {
    char digits[20];
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    buf_append(b, str_make(digits + at, sizeof digits - at));
}

void buf_printf(struct buf *b, const char *format, ...) {
    size_t room = 128; /* most of what is written this way fits */

    for (;;) {
        va_list args;
        char *p = buf_reserve(b, room);
        int n;

        room = buf_room(b);
        va_start(args, format);
        n = vsnprintf(p, room, format, args);
        va_end(args);
        ASSERT(n >= 0); /* a wrong format: ours */
        if ((size_t)n < room) {
            b->end += (size_t)n;
            break;
        }
        room = (size_t)n + 1;
    }
    if (buf_length(b) == 0)
        buf_free(b);
}

void buf_free(struct buf *b) {
    if (b->data != NULL)
        block_give(b->data, b->capacity);
    *b = (struct buf){NULL, 0, 0, 0};
}
