/*
 * Following WebSocket frames (RFC 6455 5.2) by their headers, never looking at payload, so that a Close can be put in
 * at a frame boundary.
 */
#ifndef FAUCET_HTTP_WEBSOCKET_H
#define FAUCET_HTTP_WEBSOCKET_H

#include <stdbool.h>

#include "base/buf.h"

/* One direction of one connection; zeroed is the start. 24 bytes. */
struct ws_follower {
    uint64_t payload_left;
    uint8_t header[10]; /* bytes of an incomplete header */
    uint8_t header_length;
    bool close_seen; /* a Close frame's header passed */
    bool broken;     /* not WebSocket framing any more (reserved length bit): nothing may be put in */
};
/* Looks at the bytes that pass. Returns how many of them end at the last frame boundary within (0: none ends here). */
size_t ws_follow(struct ws_follower *f, struct str bytes);
/* Is the stream between two frames now? */
bool ws_at_boundary(const struct ws_follower *f);
/* A Close frame with code (1001, 1012…) and a reason of at most 123 bytes; masked towards a server (RFC 6455 5.1). */
void ws_write_close(struct buf *out, unsigned code, struct str reason, bool masked);

#endif
