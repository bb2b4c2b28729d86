/* The keeper process itself; keeper.c forks it. */
#ifndef FAUCET_KEEPER_KEEPER_MAIN_H
#define FAUCET_KEEPER_KEEPER_MAIN_H

/* Runs in the freshly forked child; socket is its end of the socketpair (non-blocking). */
_Noreturn void keeper_main(int socket);

/* Each worker carries this variable in its environment, with its process id on the wire: that is how a grandchild that
 * left session and parents behind is still known to belong to it. */
#define KEEPER_VARIABLE "FAUCET_PROCESS="

#endif
