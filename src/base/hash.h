/* Hashes. Not for secrets. */
#ifndef FAUCET_BASE_HASH_H
#define FAUCET_BASE_HASH_H

#include "base/str.h"

/* 64-bit, well mixed, the same on every machine and in every release: rendezvous hashing depends on it. */
uint64_t hash_bytes(uint64_t seed, const void *p, size_t n);

#endif
