/*
 * A client may need two descriptors: its own connection and one to a worker. A
 * number of connections that the limit cannot carry would only show under load,
 * as 503, when there is no descriptor left.
 */
#include "control/descriptor_limit.h"

#include <sys/resource.h>

#include "config/snapshot.h"
#include "proxy/proxy.h"

void descriptor_limit_raise(void) {
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
    }
}

void descriptor_limit_check(const struct snapshot *s, struct problems *problems) {
    int64_t asked = s->daemon.limit_connections;
    struct rlimit r;
    if (asked == COUNT_IS_AUTO || getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
        return;
    int64_t limit = (int64_t)r.rlim_cur, kept = proxy_descriptors_needed(s, 0);
    int64_t needed = proxy_descriptors_needed(s, asked);
    if (needed <= limit)
        return;
    problem_add(
        problems, PROBLEM_WARNING, s->file, "limits.connections",
        "%lld connections may need %lld open files (two each, and %lld for workers, files and logs), but the limit "
        "is %lld, enough for %lld connections; raise it to %lld (LimitNOFILE= under systemd, else ulimit -n), or "
        "ask for less",
        (long long)asked, (long long)needed, (long long)kept, (long long)limit,
        (long long)(limit > kept ? (limit - kept) / 2 : 0), (long long)needed);
}
