/* Arenas of finished exchanges, kept for the next ones: the hot path allocates nothing from the system. */
#ifndef FAUCET_PROXY_RECYCLE_H
#define FAUCET_PROXY_RECYCLE_H

#include "base/arena.h"
#include "proxy/proxy.h"

#define EXCHANGE_ARENA ((size_t)8 * 1024)

/* Empty, with EXCHANGE_ARENA bytes at hand. */
struct arena *recycle_take(struct proxy *p);
void recycle_give(struct proxy *p, struct arena *a);
void recycle_free_all(struct proxy *p);

#endif
