/*
 * The SIGBUS handler. It uses atomics, mmap(2) and sigaction(2), nothing else.
 * Nothing here has the usual lifetime of an object: see segment_guard.h.
 */
#include "telemetry/segment_guard.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

#define RANGES 4096

enum { RANGE_FREE, RANGE_TAKEN, RANGE_WATCHED };

static struct {
    struct sigaction before; /* who had the signal when we took it */
    size_t page;
    struct {
        atomic_int state;
        atomic_uintptr_t start;
        atomic_size_t n;
        atomic_bool hurt;
    } ranges[RANGES];
} guard;

/* Which watched range holds p; -1: none. */
static int range_of(uintptr_t p) {
    for (int i = 0; i < RANGES; i++)
        if (atomic_load(&guard.ranges[i].state) == RANGE_WATCHED && p >= atomic_load(&guard.ranges[i].start) &&
            p - atomic_load(&guard.ranges[i].start) < atomic_load(&guard.ranges[i].n))
            return i;
    return -1;
}

static void on_sigbus(int signal, siginfo_t *info, void *context) {
    uintptr_t p = (uintptr_t)info->si_addr;
    int i = info->si_code > 0 ? range_of(p) : -1; /* > 0: from the kernel, not kill(2) */

    (void)context;
    if (i >= 0) {
        void *page = (void *)(p & ~(uintptr_t)(guard.page - 1));
        atomic_store(&guard.ranges[i].hurt, true);
        if (mmap(page, guard.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page)
            return;
    }
    /* not ours: the instruction runs again, under whoever had the signal before */
    (void)sigaction(signal, &guard.before, NULL);
    if (info->si_code <= 0)
        (void)raise(signal);
}

void segment_guard_install(void) {
    struct sigaction action, now;

    guard.page = (size_t)sysconf(_SC_PAGESIZE);
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK;
    AZ(sigemptyset(&action.sa_mask));
    AZ(sigaction(SIGBUS, NULL, &now));
    if (now.sa_sigaction == on_sigbus) /* somebody may have taken the signal from us since; we take it back */
        return;
    guard.before = now;
    AZ(sigaction(SIGBUS, &action, NULL));
}

int segment_guard_add(void *p, size_t n) {
    for (int i = 0; i < RANGES; i++) {
        int expected = RANGE_FREE;
        if (!atomic_compare_exchange_strong(&guard.ranges[i].state, &expected, RANGE_TAKEN))
            continue;
        atomic_store(&guard.ranges[i].start, (uintptr_t)p);
        atomic_store(&guard.ranges[i].n, n);
        atomic_store(&guard.ranges[i].hurt, false);
        atomic_store(&guard.ranges[i].state, RANGE_WATCHED);
        return i;
    }
    return -1;
}

void segment_guard_remove(int i) {
    if (i >= 0)
        atomic_store(&guard.ranges[i].state, RANGE_FREE);
}

bool segment_guard_hurt(int i) {
    atomic_signal_fence(memory_order_seq_cst); /* what was written or read before stays before, also for the compiler */
    return i >= 0 && atomic_load_explicit(&guard.ranges[i].hurt, memory_order_acquire);
}
