/* Request paths, normalised (RFC 3986 6.2.2): pure functions. */
#ifndef FAUCET_ROUTE_PATH_H
#define FAUCET_ROUTE_PATH_H

#include "base/arena.h"
#include "base/str.h"

/*
 * Dot segments resolved (also %2e ones), unreserved characters decoded, remaining percent-encodings upper-cased, %2F
 * and %5C kept encoded, empty segments kept. Returns .p NULL when the path is refused: *why says (no leading '/', bad
 * percent-encoding, %00, climbs above the root is NOT refused but clamped, RFC 3986 5.2.4). Characters that must be
 * encoded and are not (space, '"', '<', '>', '\\', '^', '`', '{', '|', '}', bytes ≥ 0x80) come out percent-encoded.
 * What is in normal form already is returned as it is, not copied.
 */
struct str path_normalise(struct arena *a, struct str path, const char **why);
/* A host for matching: lower case, without port and without one trailing dot; brackets of IPv6 kept. */
struct str host_normalise(struct arena *a, struct str host);

#endif
