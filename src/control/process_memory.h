/* Resident memory of a worker, from /proc: of its process and all below it (`uv run` and `quarto` are parents only). */
#ifndef FAUCET_CONTROL_PROCESS_MEMORY_H
#define FAUCET_CONTROL_PROCESS_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* KiB; pages that several of them share count for each. -1: no such process, or no /proc. */
int64_t process_memory_kib(pid_t pid);

#endif
