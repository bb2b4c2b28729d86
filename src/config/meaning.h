/* Which settings mean something to which types of app. `defaults:` are for all apps, so most apps carry some that do
 * not. */
#ifndef FAUCET_CONFIG_MEANING_H
#define FAUCET_CONFIG_MEANING_H

#include "config/setting.h"
#include "config/snapshot.h"

/* Has a change of s any effect on an app of that type? For settings of the daemon: is it the app's business at all (a
 * program that its kind runs)? Where the type could not be found out (check --no-paths), everything may. */
bool setting_means(const struct setting *s, enum app_type type);

#endif
