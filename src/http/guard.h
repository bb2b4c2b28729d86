/*
 * The raw guard: it looks at every byte of a head (or trailer section) before
 * http-parser does, because much of what http-parser lets pass cannot be seen
 * in its callbacks: bare line feeds, CR followed by anything, folded lines, white
 * space around names. What it accepts is the grammar of RFC 9112 without its
 * concessions. It holds no bytes, only how far it looked, so that any split
 * of the same bytes gives the same verdict at the same byte.
 */
#ifndef FAUCET_HTTP_GUARD_H
#define FAUCET_HTTP_GUARD_H

#include <stdbool.h>

#include "base/str.h"

/* Classes of bytes, as bits of http_class[]. */
enum {
    HTTP_CLASS_TOKEN = 1 << 0,  /* tchar, RFC 9110 5.6.2 */
    HTTP_CLASS_TARGET = 1 << 1, /* visible ASCII but '#' */
    HTTP_CLASS_VALUE = 1 << 2,  /* HTAB, SP, visible ASCII, 0x80-0xff: field values and reason phrases */
    HTTP_CLASS_DIGIT = 1 << 3,
    HTTP_CLASS_HEX = 1 << 4,
    HTTP_CLASS_QUOTED = 1 << 5, /* qdtext, RFC 9110 5.6.4 */
    HTTP_CLASS_HOST = 1 << 6    /* unreserved and sub-delims, RFC 3986 3.2.2 */
};
extern const uint8_t http_class[256];
/* Is every byte of s of one of these classes? True for an empty s. */
bool http_all_of(struct str s, unsigned classes);

enum guard_kind { GUARD_REQUEST, GUARD_REPLY, GUARD_TRAILERS };
enum guard_verdict {
    GUARD_MORE,
    GUARD_DONE, /* the empty line was seen: .seen is the length of the head */
    GUARD_BAD   /* .why, .status and .seen (the offset of the offending byte) are set */
};

struct guard {
    uint8_t kind, state, matched;
    size_t seen;               /* bytes looked at */
    size_t limit, field_limit; /* most bytes, most fields */
    size_t fields;             /* field lines begun */
    unsigned status;           /* 400, 414, 431, 505 */
    const char *why;
};

void guard_init(struct guard *g, enum guard_kind kind, size_t limit, size_t field_limit);
/* bytes: from the first one of the head on, those seen before included; they may have moved in between. */
enum guard_verdict guard_look(struct guard *g, struct str bytes);

#endif
