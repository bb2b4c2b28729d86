/*
 * Helper threads for file work that can block. They never fork, never log,
 * never touch the loop; a job runs in a thread and reports back in the loop.
 * The ring towards them is bounded: helper_submit says false when it is full
 * and the caller answers (503) or tries later.
 */
#ifndef FAUCET_BASE_HELPER_H
#define FAUCET_BASE_HELPER_H

#include "base/check.h"
#include "base/list.h"
#include "base/loop.h"

struct helpers;

struct helper_job {
    void (*run)(struct helper_job *job); /* in a thread; may block; only its own job's memory */
    void (*done)(
        struct helper_job *job); /* in the loop, always called once, run or not when helpers_free comes first */
    struct list_node node;       /* private; zeroed before the first submit */
};

/* threads: how many (2 is plenty). NULL with errno. */
struct helpers *helpers_new(struct loop *loop, unsigned threads, size_t capacity);
/* The job (embedded in the caller's object) must live until done. False: the ring is full, or helpers_free has begun.
 */
bool helper_submit(struct helpers *h, struct helper_job *job) MUST_CHECK;
/* Waits for running jobs, calls done for all (from here, in the caller's stack). */
void helpers_free(struct helpers *h);

#endif
