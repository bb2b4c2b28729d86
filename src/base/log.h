/*
 * What the daemon says: lines to stderr or a file, written by a helper thread
 * so that a slow disk or a full pipe never stops the loop. The loop puts
 * records into a bounded ring; when it is full, records are dropped, counted,
 * and the count is written when there is room again. One thread logs (the
 * loop's): every function here is for that thread alone.
 *
 * text: [2026-01-01T00:00:00Z INFO  Worker::sales::1] message
 * json: {"time":"…","level":"info","source":"Worker::sales::1","message":"…", fields…}, one object a line
 *
 * A message never holds a newline: control characters are written as \xNN.
 */
#ifndef FAUCET_BASE_LOG_H
#define FAUCET_BASE_LOG_H

#include <stdbool.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };
enum log_format { LOG_TEXT, LOG_JSON };

struct log;

/* A typed field; appears in JSON only (the text message says the same for people). */
struct log_field {
    const char *name;
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_NULL } type;
    struct str text;
    int64_t number;
};
#define LOG_STR(name, s) ((struct log_field){(name), LOG_FIELD_STR, (s), 0})
#define LOG_INT(name, v) ((struct log_field){(name), LOG_FIELD_INT, STR_NONE, (int64_t)(v)})

/* A log that writes synchronously to stderr in text at `info`, from any moment on: before the loop, in commands, in
 * the keeper. Caller owns; log_close. */
struct log *log_open_stderr(void);
/* Gives it a writer thread. Call in the daemon only, after the keeper was forked. False with errno. */
bool log_start_thread(struct log *l) MUST_CHECK;
/* Live change of everything a snapshot says of the log, from the next record on. file NULL: stderr. max_size 0 or less:
 * no rotation (bytes; on rotation FILE becomes FILE.1, one old file is kept). The file is opened by the writer (before
 * log_start_thread all goes to stderr); a failure is said on stderr and logging goes on there. */
void log_configure(struct log *l, enum log_level level, enum log_format format, const char *file, int64_t max_size);
/* USR1: close and open the file again (logrotate). */
void log_reopen(struct log *l);
/* Writes what waits, stops the thread, frees. A writer that is still stuck in write(2) after 2 s is left behind with
 * its memory, on purpose: the process is about to end and must not hang on a full pipe. */
void log_close(struct log *l);
/* Records lost because the ring was full or the file could not be written. */
uint64_t log_dropped(const struct log *l);

bool log_enabled(const struct log *l, enum log_level level);
/* source: who speaks: "faucet", "Worker::sales::1", "app::sales". */
void log_record(struct log *l, enum log_level level, struct str source, struct str message,
                const struct log_field *fields, size_t field_count);
void log_printf(struct log *l, enum log_level level, const char *source, const char *format, ...) PRINTF_LIKE(4, 5);
#define log_error(l, ...) log_printf((l), LOG_ERROR, "faucet", __VA_ARGS__)
#define log_warn(l, ...)  log_printf((l), LOG_WARN, "faucet", __VA_ARGS__)
#define log_info(l, ...)  log_printf((l), LOG_INFO, "faucet", __VA_ARGS__)
#define log_debug(l, ...) log_printf((l), LOG_DEBUG, "faucet", __VA_ARGS__)
const char *log_level_name(enum log_level level); /* "error", … */

#endif
