/* The keeper's fork and exec: one worker, from a decoded SPAWN frame. */
#ifndef FAUCET_KEEPER_LAUNCH_H
#define FAUCET_KEEPER_LAUNCH_H

#include <sys/resource.h>
#include <sys/types.h>

#include "keeper/protocol.h"

struct launch {
    char **argv, **envp;   /* argv[0] is looked up on the PATH of envp */
    const char *directory; /* NULL: stay */
    int out, err;          /* become stdout and stderr; borrowed */
    struct rlimit nofile;  /* what the worker gets */
};

struct launch_failure {
    int32_t step; /* enum launch_step */
    int32_t error;
};

/* The pid, and in *pipe a non-blocking descriptor on which a launch_failure arrives when exec was not reached, and
 * end of file when it was; the caller closes it. 0: not even forked; *failure says why. */
pid_t launch_process(const struct launch *l, int *pipe, struct launch_failure *failure);

#endif
