/* One parser for every duration and size that a person writes, and the way back. */
#ifndef FAUCET_BASE_UNIT_H
#define FAUCET_BASE_UNIT_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/str.h"

#define SIZE_UNLIMITED ((int64_t)-1)

/* "500ms" "30s" "5m" "1h" "1d" "1.5s" "250us", a bare "0"; never negative. False: not a duration, or beyond 100 years.
 */
bool unit_parse_duration(struct str s, dur_t *value);
/* "0" "512" (bytes) "64KiB" "10MiB" "1GiB" "1TiB", also "64KB" (1000), "64k"/"64M" is refused (ambiguous).
 * "unlimited" is left to the caller. */
bool unit_parse_size(struct str s, int64_t *bytes);
/* Shortest exact form: "1m30s" is written "90s"; "1500ms". out has room for 32 bytes. */
size_t unit_format_duration(dur_t d, char out[32]);
/* Shortest exact form: "64KiB", "1000". SIZE_UNLIMITED is "unlimited". */
size_t unit_format_size(int64_t bytes, char out[32]);

#endif
