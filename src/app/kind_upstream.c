/* Servers that somebody else runs: no workers, no directory, only addresses. Config has checked their form. */
#include "app/kind_parts.h"

void kind_upstream_check(struct kind_check *check) {
    kind_defaults(check, APP_UPSTREAM);
    if (check->app->upstream.n == 0)
        kind_problem(check, "upstream",
                     "is missing: an upstream app needs the addresses to pass requests to, "
                     "host:port or unix:/path");
}
