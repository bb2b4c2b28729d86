/* A hash table from names to pointers: anchors of a file, keys of a map. Keeps 100,000 names from costing n² compares.
 */
#ifndef FAUCET_CONFIG_NAME_TABLE_H
#define FAUCET_CONFIG_NAME_TABLE_H

#include "base/str.h"

struct name_slot {
    struct str name; /* borrowed; .p is NULL in a free slot */
    void *value;
};
/* Zeroed: empty. */
struct name_table {
    struct name_slot *slots;
    size_t room; /* 0 or a power of two */
    size_t used;
};

/* NULL: no such name. */
void *name_table_get(const struct name_table *t, struct str name);
/* The place for the value of `name`, NULL in it when the name is new. Valid until the next call. */
void **name_table_put(struct name_table *t, struct str name);
void name_table_free(struct name_table *t);

#endif
