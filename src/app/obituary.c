/* How a process ended, in words; see obituary.h. */
#include "app/obituary.h"

#include <sys/wait.h>

void obituary_cause(struct buf *b, int status) {
    if (WIFSIGNALED(status))
        buf_printf(b, "was killed by signal %d (%s)%s", WTERMSIG(status), strsignal(WTERMSIG(status)),
                   WCOREDUMP(status) ? ", core dumped" : "");
    else
        buf_printf(b, "exited with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : status);
}

void obituary_span(struct buf *b, dur_t d) {
    if (d < DUR_S)
        buf_printf(b, "%lld ms", (long long)(d / DUR_MS));
    else
        buf_printf(b, "%.1f s", (double)d / (double)DUR_S);
}
