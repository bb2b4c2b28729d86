/*
 * Written by Poul-Henning Kamp <phk@phk.freebsd.dk>
 *
 * This file is in the public domain.
 *
 * Every object starts with a magic number that is checked wherever a pointer
 * to it arrives untyped: a stale or wrong pointer stops the daemon there and
 * then instead of corrupting it.
 */
#ifndef FAUCET_BASE_MINIOBJ_H
#define FAUCET_BASE_MINIOBJ_H

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define INIT_OBJ(to, type_magic)                  \
    do {                                          \
        (void)memset((to), 0, sizeof *(to));      \
        (to)->magic = (type_magic);               \
    } while (0)

#define ALLOC_OBJ(to, type_magic)                 \
    do {                                          \
        (to) = calloc(1, sizeof *(to));           \
        XXXAN(to);                                \
        (to)->magic = (type_magic);               \
    } while (0)

#define FREE_OBJ(to)                              \
    do {                                          \
        (to)->magic = 0;                          \
        free(to);                                 \
        (to) = NULL;                              \
    } while (0)

#define VALID_OBJ(ptr, type_magic) ((ptr) != NULL && (ptr)->magic == (type_magic))

#define CHECK_OBJ(ptr, type_magic)                \
    do {                                          \
        ASSERT((ptr)->magic == (type_magic));     \
    } while (0)

#define CHECK_OBJ_NOTNULL(ptr, type_magic)        \
    do {                                          \
        ASSERT((ptr) != NULL);                    \
        ASSERT((ptr)->magic == (type_magic));     \
    } while (0)

#define CAST_OBJ_NOTNULL(to, from, type_magic)    \
    do {                                          \
        (to) = (from);                            \
        ASSERT((to) != NULL);                     \
        CHECK_OBJ((to), (type_magic));            \
    } while (0)

#endif
