/*
 * Intrusive doubly linked lists that know their length. State is the list an
 * object is on, so a count is a list length. A node is on one list at most;
 * a zeroed node is on none.
 */
#ifndef FAUCET_BASE_LIST_H
#define FAUCET_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"

struct list;

struct list_node {
    struct list_node *next, *prev;
    struct list *on; /* NULL: on no list */
};

struct list {
    struct list_node head; /* head.next is the first */
    size_t length;
};

static inline void list_init(struct list *l) {
    l->head.next = l->head.prev = &l->head;
    l->head.on = l;
    l->length = 0;
}
static inline void list_insert_before(struct list *l, struct list_node *at, struct list_node *n) {
    ASSERT(n->on == NULL);
    ASSERT(at->prev != NULL); /* the list was initialised */
    n->next = at;
    n->prev = at->prev;
    at->prev->next = n;
    at->prev = n;
    n->on = l;
    l->length++;
}
static inline void list_append(struct list *l, struct list_node *n) {
    list_insert_before(l, &l->head, n);
}
static inline void list_prepend(struct list *l, struct list_node *n) {
    list_insert_before(l, l->head.next, n);
}
/* Harmless for a node that is on no list. */
static inline void list_remove(struct list_node *n) {
    if (n->on == NULL)
        return;
    n->next->prev = n->prev;
    n->prev->next = n->next;
    n->on->length--;
    n->next = n->prev = NULL;
    n->on = NULL;
}
static inline void list_move(struct list *to, struct list_node *n) {
    list_remove(n);
    list_append(to, n);
}
static inline struct list_node *list_first(const struct list *l) {
    return l->head.next == &l->head ? NULL : l->head.next;
}
static inline struct list_node *list_last(const struct list *l) {
    return l->head.prev == &l->head ? NULL : l->head.prev;
}
static inline struct list_node *list_next(const struct list *l, const struct list_node *n) {
    return n->next == &l->head ? NULL : n->next;
}
static inline bool list_empty(const struct list *l) {
    return l->length == 0;
}

/* LIST_FOREACH(&list, struct worker, w, node) { … }: the body may remove w itself, nothing else. */
#define LIST_FOREACH(l, type, var, member)                                                                             \
    for (type *var = CONTAINER_OF((l)->head.next, type, member),                                                       \
              *var##_next = CONTAINER_OF(var->member.next, type, member);                                              \
         &var->member != &(l)->head; var = var##_next, var##_next = CONTAINER_OF(var->member.next, type, member))

#endif
