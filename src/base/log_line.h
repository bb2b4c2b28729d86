/* One log record as one line, text or JSON. Pure: no file, no thread. Used by log.c and its writer only. */
#ifndef FAUCET_BASE_LOG_LINE_H
#define FAUCET_BASE_LOG_LINE_H

#include "base/buf.h"
#include "base/log.h"

/* Longer ones are cut, with "…" at the end: a line has a bound whatever a client sends. */
#define LOG_MESSAGE_MAX ((size_t)16 * 1024)
#define LOG_FIELD_MAX   ((size_t)8 * 1024)

/* The last second that was written out, so that a busy log formats it once. A zeroed struct is empty. */
struct log_stamp {
    int64_t second;
    size_t n;
    char text[21];
};

struct log_line {
    enum log_level level;
    wall_t time;
    struct str source, message;
    const struct log_field *fields;
    size_t field_count;
};

/* Appends the line with its newline. */
void log_line_append(struct buf *b, struct log_stamp *stamp, enum log_format format, const struct log_line *line);

#endif
