/*
 * Host names without blocking the loop, by c-ares (the only module that includes ares.h). /etc/hosts counts, both
 * families are asked, an answer holds each address once. A lookup takes 14 s at most where a server stays silent (2, 4
 * and 8 s). Every function may be called from inside a callback.
 */
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
void lookup_cancel(struct lookup *q); /* done is not called any more; q is gone */

/* Asks these servers ("127.0.0.1:5353,[::1]:53") in place of /etc/resolv.conf's (for tests). False: not understood. */
bool resolver_set_servers(struct resolver *r, const char *servers) MUST_CHECK;

#endif
