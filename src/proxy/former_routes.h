/*
 * Routes of earlier configurations that pinned clients still use: an app that
 * was removed, renamed in its route, whose place another app took, or that knows
 * its clients by something else now, goes on answering clients that have a live
 * tunnel to it. Kept only while such tunnels exist; without any, a request pays
 * nothing.
 */
#ifndef FAUCET_PROXY_FORMER_ROUTES_H
#define FAUCET_PROXY_FORMER_ROUTES_H

#include "proxy/proxy.h"

struct exchange;

/* proxy_use replaces `from` (with its table and live apps) by the proxy's current snapshot: what of it pinned clients
 * may still need is kept. Takes its own references; `live` is copied. */
void former_routes_keep(struct proxy *p, struct snapshot *from, struct route_table *routes, struct app *const *live);
/* x becomes a tunnel that was asked for before a reload and is open after it: no record was kept for its sake. */
void former_routes_pinned(struct proxy *p, const struct exchange *x);
/* Where this request's client is pinned: an app of an earlier configuration whose route matched. *match is what today's
 * routes say; fills *snapshot (borrowed), *match and *app. False: nowhere else than where today's routes lead (today:
 * the live app they lead to, or NULL). */
bool former_routes_find(struct proxy *p, const struct exchange *x, const struct app *today, struct snapshot **snapshot,
                        struct route_match *match, struct app **app);
/* The app is gone: nothing of it is matched any more. */
void former_routes_forget_app(struct proxy *p, const struct app *a);
/* A tunnel ended: drops what nobody can need any more. */
void former_routes_sweep(struct proxy *p);
void former_routes_free(struct proxy *p);

#endif
