/* Who a client is, for stickiness: its LB cookie; without one and with ip-hash, its address; else nobody. */
#ifndef FAUCET_PROXY_CLIENT_KEY_H
#define FAUCET_PROXY_CLIENT_KEY_H

#include "proxy/exchange.h"

/* False: nobody. Needs client_ip. */
bool client_key_known(const struct exchange *x, const struct app_config *app, struct client_key *key);
/* Fills client_key, and set_cookie where the strategy needs a cookie and the client has none. */
void client_key_identify(struct exchange *x);

#endif
