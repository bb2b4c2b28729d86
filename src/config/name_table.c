/* Open addressing with linear probing, at most half full. Nothing is ever taken out. */
#include "config/name_table.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

#define ROOM_FIRST 16

static struct name_slot *slot_of(const struct name_table *t, struct str name) {
    size_t i = (size_t)hash_bytes(0, name.p, name.n) & (t->room - 1);

    while (t->slots[i].name.p != NULL && !str_eq(t->slots[i].name, name))
        i = (i + 1) & (t->room - 1);
    return &t->slots[i];
}

static void grow(struct name_table *t) {
    struct name_table bigger = {NULL, t->room == 0 ? ROOM_FIRST : t->room * 2, t->used};

    bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
    XXXAN(bigger.slots);
    for (size_t i = 0; i < t->room; i++)
        if (t->slots[i].name.p != NULL)
            *slot_of(&bigger, t->slots[i].name) = t->slots[i];
    free(t->slots);
    *t = bigger;
}

void *name_table_get(const struct name_table *t, struct str name) {
    return t->room == 0 ? NULL : slot_of(t, name)->value;
}

void **name_table_put(struct name_table *t, struct str name) {
    AN(name.p);
    if (t->used * 2 >= t->room)
        grow(t);
    struct name_slot *slot = slot_of(t, name);
    if (slot->name.p == NULL) {
        slot->name = name;
        t->used++;
    }
    return &slot->value;
}

void name_table_free(struct name_table *t) {
    free(t->slots);
    *t = (struct name_table){NULL, 0, 0};
}
