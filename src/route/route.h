/* Which app answers: a table built once per snapshot. Pure. */
#ifndef FAUCET_ROUTE_ROUTE_H
#define FAUCET_ROUTE_ROUTE_H

#include "config/snapshot.h"

struct route_table;

struct route_match {
    const struct app_config *app; /* NULL: no route */
    struct str prefix;            /* "/sales/": what is stripped, in the snapshot's memory; "/" strips nothing */
    bool add_slash;               /* the path is the prefix without its slash: answer 308 to it */
};

/* From every app's hosts and routes; lives in the snapshot's arena and as long. */
struct route_table *route_table_new(struct snapshot *s);
/* host and path normalised (route/path.h). An app with a host of that name wins over one without; then the longest
 * prefix. */
struct route_match route_find(const struct route_table *t, struct str host, struct str path);

#endif
