/*
 * A growable byte queue: bytes are put in at the end and taken from the
 * front. It holds memory only while it holds bytes (an idle connection has
 * none). A zeroed struct is an empty buffer.
 */
#ifndef FAUCET_BASE_BUF_H
#define FAUCET_BASE_BUF_H

#include "base/check.h"
#include "base/str.h"

#define BUF_BLOCK ((size_t)16 * 1024)

struct buf {
    char *data;
    size_t start, end, capacity; /* bytes are data[start..end) */
};

static inline size_t buf_length(const struct buf *b) {
    return b->end - b->start;
}
static inline struct str buf_str(const struct buf *b) {
    return (struct str){b->data == NULL ? NULL : b->data + b->start, b->end - b->start};
}
/* From here on this thread keeps up to n freed blocks of BUF_BLOCK (at most BUF_KEPT_MAX) for its next buffers: the
 * allocator's work for them is a fifth of what it does for a request. 0 gives them back. For the thread of a loop:
 * loop_new and loop_free say it. */
#define BUF_KEPT_MAX ((size_t)32)
void buf_keep_blocks(size_t n);

/* The slow half of buf_reserve: moves or grows. */
char *buf_make_room(struct buf *b, size_t n);
/* Room for at least n more bytes at the returned place; old contents may move. Then buf_commit what was written. */
static inline char *buf_reserve(struct buf *b, size_t n) {
    return b->data != NULL && b->capacity - b->end >= n ? b->data + b->end : buf_make_room(b, n);
}
/* Bytes that can be written at buf_reserve's place without moving. */
static inline size_t buf_room(const struct buf *b) {
    return b->capacity - b->end;
}
static inline void buf_commit(struct buf *b, size_t n) {
    ASSERT(n <= b->capacity - b->end);
    b->end += n;
}
/* Takes n bytes (<= length) off the front; an empty buffer gives its memory back. */
void buf_consume(struct buf *b, size_t n);
void buf_append(struct buf *b, struct str s);
void buf_append_char(struct buf *b, char c);
void buf_append_u64(struct buf *b, uint64_t v); /* decimal */
void buf_printf(struct buf *b, const char *format, ...) PRINTF_LIKE(2, 3);
/* Empties it and keeps its memory. */
static inline void buf_clear(struct buf *b) {
    b->start = b->end = 0;
}
/* Empties it and frees its memory; the struct can be used again. */
void buf_free(struct buf *b);

#endif
