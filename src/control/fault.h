/*
 * Fault injection for tests: where FAUCET_TEST_FAULT_FILE names a file at start,
 * the step of a reload whose name stands in that file fails. Not for production;
 * without the variable nothing is looked at.
 */
#ifndef FAUCET_CONTROL_FAULT_H
#define FAUCET_CONTROL_FAULT_H

#include <stdbool.h>

/* The steps, in order: "read", "check", "plan", "log", "bind", "spawn", "ready". */
bool fault_injected(char *const *environ_, const char *step);

#endif
