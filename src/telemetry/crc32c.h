/* CRC-32C (Castagnoli, as iSCSI and SSE4.2 have it; RFC 3720 appendix B.4): tells a whole record from a torn one. */
#ifndef FAUCET_TELEMETRY_CRC32C_H
#define FAUCET_TELEMETRY_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from `crc` (0 at the beginning): crc32c(crc32c(0, a), b) is that of a and b in one piece. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same in plain C, for machines without the instruction, and to test one against the other. */
uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
