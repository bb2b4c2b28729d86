/*
 * The state machine of chunk heads. Rows say which byte leads where; the few
 * states that accept a class of bytes name it. No white space anywhere: RFC
 * 9112 calls it bad, and it has been used to hide a size from one of two
 * parsers.
 */
#include "http/chunk.h"

#include "base/check.h"
#include "http/guard.h"

enum state {
    SIZE_FIRST,
    SIZE,
    EXTENSION_FIRST, /* after ';' */
    EXTENSION,
    VALUE_FIRST, /* after '=' */
    VALUE,
    QUOTED,
    QUOTED_PAIR,
    QUOTED_END,
    LINE_LF,
    DATA,
    DATA_CR,
    DATA_LF
};

static const struct row {
    unsigned stay;    /* a byte of these classes is taken … */
    enum state taken; /* … and leads here */
    struct {
        char byte; /* 0: no more */
        enum state to;
    } next[4];
    const char *why; /* of any other byte */
} rows[] = {
    [SIZE_FIRST] = {HTTP_CLASS_HEX, SIZE, {{0, 0}}, "chunk size is not hexadecimal"},
    [SIZE] = {HTTP_CLASS_HEX, SIZE, {{'\r', LINE_LF}, {';', EXTENSION_FIRST}}, "more than digits in a chunk size"},
    [EXTENSION_FIRST] = {HTTP_CLASS_TOKEN, EXTENSION, {{0, 0}}, "malformed chunk extension"},
    [EXTENSION] = {HTTP_CLASS_TOKEN,
                   EXTENSION,
                   {{'\r', LINE_LF}, {';', EXTENSION_FIRST}, {'=', VALUE_FIRST}},
                   "malformed chunk extension"},
    [VALUE_FIRST] = {HTTP_CLASS_TOKEN, VALUE, {{'"', QUOTED}}, "malformed chunk extension"},
    [VALUE] = {HTTP_CLASS_TOKEN, VALUE, {{'\r', LINE_LF}, {';', EXTENSION_FIRST}}, "malformed chunk extension"},
    [QUOTED] = {HTTP_CLASS_QUOTED, QUOTED, {{'"', QUOTED_END}, {'\\', QUOTED_PAIR}}, "malformed chunk extension"},
    [QUOTED_PAIR] = {HTTP_CLASS_VALUE, QUOTED, {{0, 0}}, "malformed chunk extension"},
    [QUOTED_END] = {0, QUOTED_END, {{'\r', LINE_LF}, {';', EXTENSION_FIRST}}, "malformed chunk extension"},
    [LINE_LF] = {0, LINE_LF, {{'\n', DATA}}, "chunk size line does not end with CRLF"},
    [DATA_CR] = {0, DATA_CR, {{'\r', DATA_LF}}, "no CRLF after chunk data"},
    [DATA_LF] = {0, DATA_LF, {{'\n', SIZE_FIRST}}, "no CRLF after chunk data"},
};

static uint64_t hex_value(char c) {
    char lower = ascii_lower(c);
    return (uint64_t)(lower <= '9' ? lower - '0' : lower - 'a' + 10);
}

static enum chunk_event refuse(struct chunk_guard *c, const char *why) {
    c->why = why;
    return CHUNK_BAD;
}

/* What a byte adds beyond the grammar; NULL: fine. */
static const char *account(struct chunk_guard *c, enum state before, char byte) {
    if (before == SIZE_FIRST) {
        c->size = 0;
        c->digits = 0;
    }
    if ((before == SIZE_FIRST || before == SIZE) && c->state == SIZE) {
        if (++c->digits > 16)
            return "more than 16 digits in a chunk size";
        if (c->size > (uint64_t)INT64_MAX >> 4)
            return "chunk size too large";
        c->size = c->size << 4 | hex_value(byte);
    } else if (c->state >= EXTENSION_FIRST && c->state <= QUOTED_END && ++c->extensions > CHUNK_EXTENSIONS_MAX) {
        return "too many chunk extensions";
    }
    return NULL;
}

static const char *step(struct chunk_guard *c, char byte) {
    enum state before = c->state;
    const struct row *row = &rows[before];
    bool moved = (http_class[(uint8_t)byte] & row->stay) != 0;
    if (moved)
        c->state = (uint8_t)row->taken;
    for (size_t i = 0; !moved && i < ARRAY_LENGTH(row->next) && row->next[i].byte != 0; i++)
        if (row->next[i].byte == byte) {
            c->state = (uint8_t)row->next[i].to;
            moved = true;
        }
    return moved ? account(c, before, byte) : row->why;
}

static enum chunk_event take_data(struct chunk_guard *c, struct str bytes, size_t *n) {
    *n = c->left < bytes.n ? (size_t)c->left : bytes.n;
    c->left -= *n;
    if (c->left == 0)
        c->state = DATA_CR;
    return CHUNK_DATA;
}

enum chunk_event chunk_next(struct chunk_guard *c, struct str bytes, size_t *n) {
    *n = 0;
    if (bytes.n == 0)
        return CHUNK_MORE;
    if (c->state == DATA)
        return take_data(c, bytes, n);
    while (*n < bytes.n) {
        const char *why = step(c, bytes.p[*n]);
        if (why != NULL)
            return refuse(c, why);
        ++*n;
        if (c->state == DATA) {
            c->left = c->size;
            return c->size == 0 ? CHUNK_LAST : CHUNK_BEGIN;
        }
    }
    return CHUNK_MORE;
}
