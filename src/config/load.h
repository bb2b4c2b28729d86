/* A configuration being made: the layers beside the snapshot that comes of them. Private to config/. */
#ifndef FAUCET_CONFIG_LOAD_H
#define FAUCET_CONFIG_LOAD_H

#include "config/kinds.h"
#include "config/layer.h"

struct build {
    struct arena *scratch;
    struct layers layers;
    struct snapshot *snapshot; /* complete only while problems->errors is 0; NULL: nothing could be read */
    const struct kind_table *kinds;
    struct problems *problems;
};

/* Builds and checks. Returns whether there were no errors; either way build_free. */
bool build_make(struct build *b, const struct config_sources *sources, const struct kind_table *kinds, uint64_t number,
                struct problems *problems);
/* Keeps b->snapshot for the caller when `keep`. */
void build_free(struct build *b, bool keep);

/* The checks, each reporting all it finds. */
void check_daemon(struct build *b);
void check_app(struct build *b, size_t index); /* resolves the type, asks the kind, completes the app */
void check_routes(struct build *b);            /* gives routes to the apps that name none */
void check_values(struct build *b);            /* asks the checkers that were handed down */

/* Where a setting of the scope was written, else where the scope was. */
const char *scope_where(const struct scope *scope, const char *key);
/* Was it written (and not as null)? */
bool scope_is_set(const struct scope *scope, const char *key);

#endif
