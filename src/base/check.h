/*
 * Graded assertions, on in production.
 *
 * They are for our own mistakes only: bytes that a client, worker, file or
 * database sent are judged by code that answers with an error, never here.
 *   ASSERT  our logic is wrong
 *   XXXAN, XXXASSERT  the system denied something we do not try to survive (memory)
 */
#ifndef FAUCET_BASE_CHECK_H
#define FAUCET_BASE_CHECK_H

#include <stddef.h>

/* Prints expression, place and errno to stderr and aborts (core dump). */
_Noreturn void check_failed(const char *grade, const char *expression, const char *file, int line,
                            const char *function);

#define ASSERT(e)    ((e) ? (void)0 : check_failed("assert", #e, __FILE__, __LINE__, __func__))
#define AN(e)        ASSERT((e) != 0)
#define AZ(e)        ASSERT((e) == 0)
#define XXXASSERT(e) ((e) ? (void)0 : check_failed("denied", #e, __FILE__, __LINE__, __func__))
#define XXXAN(e)     XXXASSERT((e) != 0)
#define WRONG(text)  check_failed("wrong", text, __FILE__, __LINE__, __func__)

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((__format__(__printf__, fmt, first)))
#define ARRAY_LENGTH(a)         (sizeof(a) / sizeof((a)[0]))
/* The struct that holds `member`, from a pointer to that member. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
