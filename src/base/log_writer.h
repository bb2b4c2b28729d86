/*
 * The thread behind the log: a bounded ring of bytes between one producer
 * (the loop's thread) and one writer, and the file that the writer keeps.
 * Used by log.c only.
 */
#ifndef FAUCET_BASE_LOG_WRITER_H
#define FAUCET_BASE_LOG_WRITER_H

#include "base/log.h"

#define LOG_RING_SIZE ((size_t)1024 * 1024) /* a power of two */

struct log_writer;

/* Starts the thread, writing to stderr. NULL with errno. */
struct log_writer *log_writer_start(enum log_format format);
/* Takes a whole line, or drops and counts it when the ring has no room. Never blocks. One producer thread. */
void log_writer_put(struct log_writer *w, struct str line);
/* From the line that is put next on. file: NULL is stderr; copied. The format is for what the writer itself says. */
void log_writer_configure(struct log_writer *w, enum log_format format, const char *file, int64_t max_size);
void log_writer_reopen(struct log_writer *w);
/* Lines lost so far: no room in the ring, or not writable. */
uint64_t log_writer_dropped(const struct log_writer *w);
/* Writes what waits and frees. A writer that is stuck in write(2) for longer than `patience` is left alone, as it can
 * neither be stopped nor waited for: false. It frees its memory itself if it ever gets out. */
bool log_writer_stop(struct log_writer *w, dur_t patience);

#endif
