/* "Did you mean": the most similar of the names that are offered one by one. */
#ifndef FAUCET_CONFIG_NEAREST_H
#define FAUCET_CONFIG_NEAREST_H

#include "base/str.h"

struct nearest {
    struct str word;  /* borrowed: what was written */
    const char *best; /* borrowed: NULL while nothing was near enough */
    size_t distance;
};

void nearest_init(struct nearest *n, struct str word);
/* Keeps `name` if it is near (two letters wrong, in a long word a third) and nearer than the ones before. */
void nearest_offer(struct nearest *n, const char *name);

#endif
