/*
 * Time in whole microseconds, in three types that do not mix:
 *   mono_t  monotonic, for deadlines and intervals (CLOCK_MONOTONIC)
 *   wall_t  since 1970-01-01 UTC, for people and databases (CLOCK_REALTIME)
 *   dur_t   a length of time
 */
#ifndef FAUCET_BASE_CLOCK_H
#define FAUCET_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

typedef int64_t dur_t;
typedef struct mono {
    int64_t us;
} mono_t;
typedef struct wall {
    int64_t us;
} wall_t;

#define DUR_MS    ((dur_t)1000)
#define DUR_S     ((dur_t)1000000)
#define DUR_MIN   (60 * DUR_S)
#define DUR_H     (60 * DUR_MIN)
#define MONO_NONE ((mono_t){0})

mono_t mono_now(void);
wall_t wall_now(void);
static inline dur_t mono_since(mono_t earlier, mono_t later) {
    return later.us - earlier.us;
}
static inline mono_t mono_add(mono_t t, dur_t d) {
    return (mono_t){t.us + d};
}
/* "2026-01-01T00:00:00Z" (RFC 3339, seconds); out has room for 21 bytes. Returns the length without NUL. */
size_t wall_rfc3339(wall_t t, char out[21]);
/* "2026-01-01T00:00:00.000000Z"; out has room for 28 bytes. */
size_t wall_rfc3339_us(wall_t t, char out[28]);
/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 IMF-fixdate); out has room for 30 bytes. */
size_t wall_http_date(wall_t t, char out[30]);

#endif
