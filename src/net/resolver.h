/* Host names without blocking the loop, by c-ares (the only module that includes ares.h). Numeric hosts answer at once. */
#ifndef FAUCET_NET_RESOLVER_H
#define FAUCET_NET_RESOLVER_H

#include "base/loop.h"
#include "net/address.h"

struct resolver;
struct resolver *resolver_new(struct loop *l); /* NULL with errno */
void resolver_free(struct resolver *r);        /* pending lookups are dropped without their callback */

struct lookup;
/* addresses are borrowed for the call; n == 0: failed, why says. May be called from inside resolver_lookup. */
typedef void lookup_done(void *owner, const struct address *addresses, size_t n, const char *why);
/* NULL: done was already called. Otherwise lookup_cancel may be used until done is called. */
struct lookup *resolver_lookup(struct resolver *r, struct str host, uint16_t port, lookup_done *done, void *owner);
void lookup_cancel(struct lookup *q);

#endif
