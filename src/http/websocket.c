/*
 * A frame header is 2 to 14 bytes. Those of the length are kept until they are
 * complete; the masking key is counted as payload, for it is skipped like it.
 */
#include "http/websocket.h"

#include "base/check.h"
#include "base/uuid.h"

#define OPCODE_CLOSE 8
#define MASK_BIT     0x80
#define MASK_BYTES   4
#define REASON_MAX   123 /* a control frame's payload is 125 bytes at most, 2 of them the code */

/* Bytes of the header without the masking key, as its second byte says. */
static uint8_t header_size(uint8_t second) {
    uint8_t length = second & 0x7f;
    return length == 127 ? 10 : length == 126 ? 4 : 2;
}

static void header_complete(struct ws_follower *f) {
    uint8_t size = header_size(f->header[1]);
    uint64_t payload = size == 2 ? f->header[1] & 0x7f : 0;
    for (uint8_t i = 2; i < size; i++)
        payload = payload << 8 | f->header[i];
    if (payload >> 63 != 0) { /* RFC 6455 5.2: the most significant bit must be 0 */
        f->broken = true;
        return;
    }
    f->payload_left = payload + ((f->header[1] & MASK_BIT) != 0 ? MASK_BYTES : 0);
    f->close_seen = f->close_seen || (f->header[0] & 0x0f) == OPCODE_CLOSE;
    f->header_length = 0;
}

size_t ws_follow(struct ws_follower *f, struct str bytes) {
    size_t at = 0, boundary = 0;
    while (at < bytes.n && !f->broken) {
        if (f->payload_left > 0) {
            size_t n = f->payload_left < bytes.n - at ? (size_t)f->payload_left : bytes.n - at;
            f->payload_left -= n;
            at += n;
        } else {
            f->header[f->header_length++] = (uint8_t)bytes.p[at++];
            if (f->header_length >= 2 && f->header_length == header_size(f->header[1]))
                header_complete(f);
        }
        if (ws_at_boundary(f))
            boundary = at;
    }
    return boundary;
}

bool ws_at_boundary(const struct ws_follower *f) {
    return !f->broken && f->payload_left == 0 && f->header_length == 0;
}

void ws_write_close(struct buf *out, unsigned code, struct str reason, bool masked) {
    ASSERT(reason.n <= REASON_MAX && code <= UINT16_MAX);
    uint8_t frame[2 + MASK_BYTES + 2 + REASON_MAX] = {0x80 | OPCODE_CLOSE};
    size_t n = 2, payload = 2 + reason.n;
    frame[1] = (uint8_t)((masked ? MASK_BIT : 0) | payload);
    uint8_t key[MASK_BYTES] = {0};
    if (masked) {
        random_bytes(key, sizeof key);
        memcpy(frame + n, key, sizeof key);
        n += sizeof key;
    }
    uint8_t *p = frame + n;
    p[0] = (uint8_t)(code >> 8);
    p[1] = (uint8_t)(code & 0xff);
    if (reason.n > 0)
        memcpy(p + 2, reason.p, reason.n);
    for (size_t i = 0; i < payload; i++)
        p[i] ^= key[i % sizeof key];
    buf_append(out, str_make((const char *)frame, n + payload));
}
