/*
 * A stack of empty arenas. Few are kept: as many as exchanges really overlap
 * under load, not as many as there are connections.
 */
#include "proxy/recycle.h"

#include <stdlib.h>

#define RECYCLE_KEPT 64

struct recycle {
    size_t n;
    struct arena *arena[RECYCLE_KEPT];
};

struct arena *recycle_take(struct proxy *p) {
    struct recycle *r = p->recycle;
    if (r != NULL && r->n > 0)
        return r->arena[--r->n];
    return arena_new(EXCHANGE_ARENA);
}

void recycle_give(struct proxy *p, struct arena *a) {
    if (p->recycle == NULL) {
        p->recycle = calloc(1, sizeof *p->recycle);
        XXXAN(p->recycle);
    }
    struct recycle *r = p->recycle;
    if (r->n == RECYCLE_KEPT) {
        arena_free(a);
        return;
    }
    arena_reset(a);
    r->arena[r->n++] = a;
}

void recycle_free_all(struct proxy *p) {
    if (p->recycle == NULL)
        return;
    while (p->recycle->n > 0)
        arena_free(p->recycle->arena[--p->recycle->n]);
    free(p->recycle);
    p->recycle = NULL;
}
