/*
 * Reading a small file whole, for the configuration and the secrets beside it.
 * What is odd: it never hangs (a FIFO is refused, not opened and waited for),
 * and it does not take a file that is being written to.
 */
#ifndef FAUCET_CONFIG_FILE_READ_H
#define FAUCET_CONFIG_FILE_READ_H

#include "base/arena.h"

/* The content of `path` in *text (arena, NUL-terminated beyond .n; may hold NULs). It is taken when size, mtime, inode
 * and device agree before and after reading and the path still leads there; else, and where it does not exist, it is
 * read again, FILE_READ_TRIES times with a pause. False: *why says what is wrong, in words ("cannot be read: Permission
 * denied"), without the path. */
bool file_read_stable(struct arena *a, const char *path, size_t max, struct str *text, const char **why) MUST_CHECK;
#define FILE_READ_TRIES    5
#define FILE_READ_PAUSE_MS 20

#endif
