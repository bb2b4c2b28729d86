/*
 * What the log's writer thread writes to: stderr or a file with size rotation
 * (FILE becomes FILE.1). Everything here may block; no other thread may call
 * it. Used by log_writer.c only.
 */
#ifndef FAUCET_BASE_LOG_FILE_H
#define FAUCET_BASE_LOG_FILE_H

#include <stdatomic.h>

#include "base/log.h"

struct log_file {
    int fd;
    char *path;       /* NULL: stderr, wished for. Owned. */
    int64_t max_size; /* 0: no rotation */
    int64_t size;
    bool mid_line;            /* the last byte written was no newline */
    int error;                /* of the last write; 0: it worked */
    const atomic_bool *hurry; /* set: do not wait for a non-blocking stderr any longer */
};

void log_file_init(struct log_file *f, const atomic_bool *hurry);
/* path: NULL is stderr; copied. What cannot be opened is said on stderr, and stderr is used. */
void log_file_open(struct log_file *f, const char *path, int64_t max_size);
void log_file_reopen(struct log_file *f);
void log_file_close(struct log_file *f);
/* Writes all of it, rotating between lines. Returns what was written before an error (f->error says which). */
size_t log_file_write(struct log_file *f, struct str bytes);

#endif
