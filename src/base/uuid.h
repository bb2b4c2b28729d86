/* UUIDs (RFC 9562): version 7 for requests, version 4 for clients' cookies. */
#ifndef FAUCET_BASE_UUID_H
#define FAUCET_BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"

struct uuid {
    uint8_t b[16];
};

/* Bytes from the kernel, buffered per process; never fails (aborts if getrandom does). Not for use after fork. */
void random_bytes(void *out, size_t n);
uint64_t random_u64(void);
struct uuid uuid_v4(void);
struct uuid uuid_v7(wall_t now);
/* Lower-case 8-4-4-4-12; out has room for 37 bytes, NUL-terminated. */
void uuid_format(const struct uuid *u, char out[37]);
/* Accepts that form only, either case. */
bool uuid_parse(struct str s, struct uuid *u);

#endif
