/* The words for how a process ended, and for spans of time a person reads. */
#ifndef FAUCET_APP_OBITUARY_H
#define FAUCET_APP_OBITUARY_H

#include "base/buf.h"
#include "base/clock.h"

/* "exited with status 1", "was killed by signal 9 (Killed), core dumped". status: as of waitpid. */
void obituary_cause(struct buf *b, int status);
/* "500 ms", "3.2 s". */
void obituary_span(struct buf *b, dur_t d);

#endif
