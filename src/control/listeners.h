/*
 * Which listeners a configuration wants against those there are: kept ones stay
 * the same descriptors, new ones are bound in prepare, removed ones accept what
 * waits and close at commit. Boot is the same with none there yet.
 */
#ifndef FAUCET_CONTROL_LISTENERS_H
#define FAUCET_CONTROL_LISTENERS_H

#include "proxy/proxy.h"

/* Zeroed; listeners_prepare fills it. */
struct listeners_plan {
    struct list added; /* of struct listener: bound, not accepting */
    struct list
        overlap;      /* bound beside one of ours on the same port: accepting already, so that no client waits there */
    struct list kept; /* of struct listener_kept */
};

/* False with *error (allocated; every address that could not be had, in words): nothing is left bound. environ_ not
 * NULL: boot, sockets inherited from systemd are used where they match, others closed. */
bool listeners_prepare(struct listeners_plan *plan, struct proxy *proxy, const struct address_list *wanted,
                       char *const *environ_, char **error) MUST_CHECK;
/* Cannot fail. The plan is empty afterwards. */
void listeners_commit(struct listeners_plan *plan, struct proxy *proxy);
void listeners_abandon(struct listeners_plan *plan);

#endif
