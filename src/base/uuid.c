/*
 * Random bytes and UUIDs (RFC 9562).
 *
 * Random bytes come from getrandom(2) through a buffer of each thread, the
 * one global state of the house: a request needs eight, and a system call
 * for each would cost more than the rest of its uuid. Bytes are wiped as
 * they are handed out, so that none is found twice or read from a core.
 */
#include "base/uuid.h"

#include <errno.h>
#include <sys/random.h>

#include "base/check.h"

static void from_kernel(unsigned char *p, size_t n) {
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);

        XXXASSERT(got > 0 || errno == EINTR);
        if (got > 0) {
            p += got;
            n -= (size_t)got;
        }
    }
}

void random_bytes(void *out, size_t n) {
    static _Thread_local struct {
        unsigned char bytes[256]; /* as many as getrandom gives without being interrupted: random(4) */
        size_t left;              /* the last `left` bytes are fresh */
    } pool;
    unsigned char *fresh;

    if (n > sizeof pool.bytes / 2) {
        from_kernel(out, n);
        return;
    }
    if (n == 0)
        return;
    if (pool.left < n) {
        from_kernel(pool.bytes, sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
    }
    fresh = pool.bytes + sizeof pool.bytes - pool.left;
    memcpy(out, fresh, n);
    explicit_bzero(fresh, n);
    pool.left -= n;
}

uint64_t random_u64(void) {
    uint64_t v;

    random_bytes(&v, sizeof v);
    return v;
}

static void set_version(struct uuid *u, unsigned version) {
    u->b[6] = (uint8_t)((u->b[6] & 0x0f) | version << 4);
    u->b[8] = (uint8_t)((u->b[8] & 0x3f) | 0x80);
}

struct uuid uuid_v4(void) {
    struct uuid u;

    random_bytes(u.b, sizeof u.b);
    set_version(&u, 4);
    return u;
}

struct uuid uuid_v7(wall_t now) {
    uint64_t us = now.us < 0 ? 0 : (uint64_t)now.us;
    uint64_t ms = us / 1000;
    uint64_t fraction = us % 1000 * 4096 / 1000; /* RFC 9562 6.2 method 3: rand_a holds the part below 1 ms */
    struct uuid u;

    for (int i = 0; i < 6; i++)
        u.b[i] = (uint8_t)(ms >> (40 - 8 * i));
    u.b[6] = (uint8_t)(fraction >> 8);
    u.b[7] = (uint8_t)fraction;
    random_bytes(u.b + 8, 8);
    set_version(&u, 7);
    return u;
}

/* 8-4-4-4-12: a hyphen in front of these bytes. */
static bool hyphen_before(size_t byte) {
    return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

void uuid_format(const struct uuid *u, char out[37]) {
    static const char digits[] = "0123456789abcdef";
    char *p = out;

    for (size_t i = 0; i < sizeof u->b; i++) {
        if (hyphen_before(i))
            *p++ = '-';
        *p++ = digits[u->b[i] >> 4];
        *p++ = digits[u->b[i] & 0x0f];
    }
    *p = '\0';
}

static int hex_value(char c) {
    c = ascii_lower(c);
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uuid_parse(struct str s, struct uuid *u) {
    struct uuid parsed;
    const char *p = s.p;

    if (s.n != 36)
        return false;
    for (size_t i = 0; i < sizeof parsed.b; i++) {
        int high, low;

        if (hyphen_before(i) && *p++ != '-')
            return false;
        high = hex_value(*p++);
        low = hex_value(*p++);
        if (high < 0 || low < 0)
            return false;
        parsed.b[i] = (uint8_t)(high << 4 | low);
    }
    *u = parsed;
    return true;
}
