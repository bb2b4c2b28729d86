/* Opening a file below a directory, and nowhere else, whatever symlinks say and whoever renames things meanwhile. */
#ifndef FAUCET_PROXY_BENEATH_H
#define FAUCET_PROXY_BENEATH_H

#include "base/check.h"

/*
 * root: a directory's descriptor (O_PATH is enough). path: relative, of at most PATH_MAX bytes; "." is root itself.
 * Read-only, O_NONBLOCK (a FIFO does not block), CLOEXEC. Symlinks are followed while they stay inside; an absolute one
 * counts as outside. -1 with errno: EXDEV where the path leads outside, ELOOP, ENOENT, EACCES, …; EAGAIN after several
 * attempts that each met a rename.
 */
int beneath_open(int root, const char *path) MUST_CHECK;

/* The same without openat2(2), component by component: where a kernel or a seccomp filter refuses it. beneath_open
 * comes here by itself. */
int beneath_open_by_walking(int root, const char *path) MUST_CHECK;

#endif
