/*
 * The guard of chunked bodies (RFC 9112 7.1): raw bytes are checked here, in
 * any split, before http-parser sees them. Exact CRLFs, at most 16 hex digits,
 * extensions by their grammar and bounded in all. Trailers are guard.h's.
 */
#ifndef FAUCET_HTTP_CHUNK_H
#define FAUCET_HTTP_CHUNK_H

#include "base/str.h"

#define CHUNK_EXTENSIONS_MAX 4096 /* bytes of chunk extensions in one message */

enum chunk_event {
    CHUNK_MORE,  /* n bytes of framing were fine; the line is not complete */
    CHUNK_BEGIN, /* n bytes of framing ended the head of a chunk of .size bytes, > 0 */
    CHUNK_DATA,  /* n > 0 bytes of a chunk's data */
    CHUNK_LAST,  /* n bytes of framing ended the head of the last chunk; the trailer section follows */
    CHUNK_BAD    /* .why */
};

/* Zeroed is the start. */
struct chunk_guard {
    uint8_t state, digits;
    uint64_t size, left;
    size_t extensions;
    const char *why;
};

/* Takes *n bytes off the front of bytes. Not to be called again after CHUNK_LAST or CHUNK_BAD. */
enum chunk_event chunk_next(struct chunk_guard *c, struct str bytes, size_t *n);

#endif
