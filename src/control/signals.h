/* Signals come through a descriptor, so that none interrupts anything and none is lost before the loop runs. */
#ifndef FAUCET_CONTROL_SIGNALS_H
#define FAUCET_CONTROL_SIGNALS_H

#include "control/faucet.h"

/* First thing in the process, before the keeper, threads and any file: blocks what the loop will read, ignores SIGPIPE.
 */
void signals_block(void);
/* False with errno. */
bool signals_attach(struct faucet *f) MUST_CHECK;
void signals_detach(struct faucet *f);

#endif
