/* Once a second: wanted against actual, for all apps. Nothing depends on one event being seen. */
#ifndef FAUCET_APP_JANITOR_H
#define FAUCET_APP_JANITOR_H

struct apps;
void janitor_start(struct apps *a);
void janitor_stop(struct apps *a);

#endif
