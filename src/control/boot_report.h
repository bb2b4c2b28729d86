/* `run --wait-ready`: a line per app on standard output while it waits, then the URLs. */
#ifndef FAUCET_CONTROL_BOOT_REPORT_H
#define FAUCET_CONTROL_BOOT_REPORT_H

#include "app/app.h"
#include "config/snapshot.h"
#include "net/listener.h"

struct boot_report;

struct boot_report *boot_report_new(struct snapshot *s, const struct list *listeners);
/* An app of the configuration that is served changed its state. */
void boot_report_state(struct boot_report *r, const char *app, enum app_state state, const char *reason);
/* After a commit: s is served now. An app that is no more is not waited for, and one that is new is. live: by index,
 * NULL for files, which are ready. */
void boot_report_reloaded(struct boot_report *r, struct snapshot *s, struct app *const *live,
                          const struct list *listeners);
void boot_report_free(struct boot_report *r); /* NULL is fine */

#endif
