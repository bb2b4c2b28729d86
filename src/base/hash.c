/*
 * XXH64, written from its specification (xxHash fast digest algorithm, version
 * 0.1.1): well mixed, fast, and pinned by the published test vectors, so that
 * a client finds its worker again after an upgrade of faucet.
 *
 * Words are read as little-endian whatever the machine is.
 */
#include "base/hash.h"

#define PRIME_1 0x9E3779B185EBCA87u
#define PRIME_2 0xC2B2AE3D27D4EB4Fu
#define PRIME_3 0x165667B19E3779F9u
#define PRIME_4 0x85EBCA77C2B2AE63u
#define PRIME_5 0x27D4EB2F165667C5u
#define STRIPE  ((size_t)32)

static uint64_t rotate_left(uint64_t v, unsigned bits) {
    return v << bits | v >> (64 - bits);
}

static uint64_t read_le(const unsigned char *p, size_t bytes) {
    uint64_t v = 0;

    for (size_t i = bytes; i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}

static uint64_t mix_lane(uint64_t lane, uint64_t word) {
    return rotate_left(lane + word * PRIME_2, 31) * PRIME_1;
}

static uint64_t merge_lane(uint64_t h, uint64_t lane) {
    return (h ^ mix_lane(0, lane)) * PRIME_1 + PRIME_4;
}

/* Step 2 and 3 of the specification: 32 bytes at a time into four lanes. */
static uint64_t hash_stripes(uint64_t seed, const unsigned char **p, size_t *n) {
    uint64_t lane[4] = {seed + PRIME_1 + PRIME_2, seed + PRIME_2, seed, seed - PRIME_1};
    uint64_t h;

    for (; *n >= STRIPE; *p += STRIPE, *n -= STRIPE)
        for (size_t i = 0; i < 4; i++)
            lane[i] = mix_lane(lane[i], read_le(*p + 8 * i, 8));
    h = rotate_left(lane[0], 1) + rotate_left(lane[1], 7) + rotate_left(lane[2], 12) + rotate_left(lane[3], 18);
    for (size_t i = 0; i < 4; i++)
        h = merge_lane(h, lane[i]);
    return h;
}

uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t length) {
    const unsigned char *p = bytes;
    size_t n = length;
    uint64_t h = n >= STRIPE ? hash_stripes(seed, &p, &n) : seed + PRIME_5;

    h += length;
    for (; n >= 8; p += 8, n -= 8)
        h = rotate_left(h ^ mix_lane(0, read_le(p, 8)), 27) * PRIME_1 + PRIME_4;
    if (n >= 4) {
        h = rotate_left(h ^ read_le(p, 4) * PRIME_1, 23) * PRIME_2 + PRIME_3;
        p += 4;
        n -= 4;
    }
    for (; n > 0; p++, n--)
        h = rotate_left(h ^ *p * PRIME_5, 11) * PRIME_1;
    h = (h ^ h >> 33) * PRIME_2;
    h = (h ^ h >> 29) * PRIME_3;
    return h ^ h >> 32;
}
