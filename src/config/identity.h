/* Which directory an app's paths lead to at this moment. */
#ifndef FAUCET_CONFIG_IDENTITY_H
#define FAUCET_CONFIG_IDENTITY_H

#include "config/snapshot.h"

/* Fills dir_device, dir_inode, app_dir_device, app_dir_inode, dir_target and restart_mtime_ns. They stay 0 and NULL
 * where there is no such directory, and where the app's type has no use for it. */
void identity_find(struct arena *a, struct app_config *app);

#endif
