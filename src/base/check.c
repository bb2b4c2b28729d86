/*
 * The end of a daemon that found itself wrong: say where, leave a core.
 *
 * It may run with the heap in any state and in any thread: no malloc, no
 * stdio stream, one write(2).
 */
#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void check_failed(const char *grade, const char *expression, const char *file, int line,
                            const char *function) {
    const char *error = errno == 0 ? NULL : strerrordesc_np(errno); /* strerror may allocate */
    char text[1024];
    int n = snprintf(text, sizeof text, "faucet: %s: %s at %s:%d in %s()%s%s\n", grade, expression, file, line,
                     function, error == NULL ? "" : ", errno: ", error == NULL ? "" : error);

    if (n > 0) {
        size_t length = (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;

        if (write(STDERR_FILENO, text, length) < 0) {
            /* nobody listens; the core says it */
        }
    }
    abort();
}
