/*
 * What happens when a mapped file has no page to give: the disk is full under a
 * sparse file, somebody cut the file, the disk has a bad block. The kernel sends
 * SIGBUS to the instruction that touched the page.
 *
 * No longjmp: the handler maps an empty anonymous page over the missing one,
 * marks the range as hurt, and returns; the instruction runs again and succeeds
 * on memory that goes nowhere. Whoever wrote or read looks at the mark afterwards
 * and abandons the segment. So no code path has to be ready to be left in the
 * middle, and a read yields zeros, which no CRC fits.
 *
 * A signal handler belongs to the process, so the handler and its table of
 * ranges are the one piece of global state of telemetry. The table is of a fixed
 * size and made of atomics: the handler takes no lock. A SIGBUS elsewhere goes
 * to whoever had the signal before.
 */
#ifndef FAUCET_TELEMETRY_SEGMENT_GUARD_H
#define FAUCET_TELEMETRY_SEGMENT_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* Installs the handler, or takes the signal back from whoever took it since. Not from two threads at once. */
void segment_guard_install(void);
/* Watches [p, p + n), whole pages. A number for the other two; -1: the table is full, the range stays unwatched. */
int segment_guard_add(void *p, size_t n);
/* Before the range is unmapped. -1 is fine. */
void segment_guard_remove(int guard);
/* A page of it was missing. */
bool segment_guard_hurt(int guard);

#endif
