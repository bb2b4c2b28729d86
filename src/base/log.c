/*
 * The log as the daemon sees it. One thread logs: the loop's. Each record is
 * formatted there (the writer knows only bytes) into a scratch buffer that is
 * kept, and handed to the writer's ring; without a writer it goes to stderr
 * with one write(2).
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log_line.h"
#include "base/log_writer.h"
#include "base/miniobj.h"

#define CLOSE_PATIENCE (2 * DUR_S)

struct log {
    unsigned magic;
#define LOG_MAGIC 0x10600d10
    enum log_level level;
    enum log_format format;
    char *file; /* as configured; NULL: stderr. Owned. */
    int64_t max_size;
    struct log_writer *writer; /* NULL: synchronous, to stderr */
    struct log_stamp stamp;
    struct buf line; /* scratch */
};

struct log *log_open_stderr(void) {
    struct log *l;

    ALLOC_OBJ(l, LOG_MAGIC);
    l->level = LOG_INFO;
    l->format = LOG_TEXT;
    return l;
}

bool log_start_thread(struct log *l) {
    CHECK_OBJ_NOTNULL(l, LOG_MAGIC);
    AZ(l->writer);
    l->writer = log_writer_start(l->format);
    if (l->writer == NULL)
        return false;
    if (l->file != NULL)
        log_writer_configure(l->writer, l->format, l->file, l->max_size);
    return true;
}

static bool same_file(const struct log *l, const char *file) {
    return l->file == NULL || file == NULL ? l->file == file : strcmp(l->file, file) == 0;
}

void log_configure(struct log *l, enum log_level level, enum log_format format, const char *file, int64_t max_size) {
    bool changed;

    CHECK_OBJ_NOTNULL(l, LOG_MAGIC);
    changed = format != l->format || max_size != l->max_size || !same_file(l, file);
    l->level = level;
    l->format = format;
    l->max_size = max_size;
    if (!same_file(l, file)) {
        char *copy = file == NULL ? NULL : strdup(file);

        XXXASSERT(file == NULL || copy != NULL);
        free(l->file);
        l->file = copy;
    }
    if (changed && l->writer != NULL)
        log_writer_configure(l->writer, format, l->file, max_size);
}

void log_reopen(struct log *l) {
    CHECK_OBJ_NOTNULL(l, LOG_MAGIC);
    if (l->writer != NULL)
        log_writer_reopen(l->writer);
}

void log_close(struct log *l) {
    CHECK_OBJ_NOTNULL(l, LOG_MAGIC);
    if (l->writer != NULL)
        (void)log_writer_stop(l->writer, CLOSE_PATIENCE);
    buf_free(&l->line);
    free(l->file);
    FREE_OBJ(l);
}

uint64_t log_dropped(const struct log *l) {
    return l->writer == NULL ? 0 : log_writer_dropped(l->writer);
}

bool log_enabled(const struct log *l, enum log_level level) {
    return level <= l->level;
}

/* The last resort: what stderr does not take is lost. */
static void write_stderr(struct str line) {
    while (line.n > 0) {
        ssize_t n = write(STDERR_FILENO, line.p, line.n);

        if (n < 0 && errno != EINTR)
            return;
        line = str_from(line, n > 0 ? (size_t)n : 0);
    }
}

void log_record(struct log *l, enum log_level level, struct str source, struct str message,
                const struct log_field *fields, size_t field_count) {
    struct log_line line;

    CHECK_OBJ_NOTNULL(l, LOG_MAGIC);
    if (!log_enabled(l, level))
        return;
    line = (struct log_line){level, wall_now(), source, message, fields, field_count};
    l->line.start = l->line.end = 0; /* keeps its memory */
    log_line_append(&l->line, &l->stamp, l->format, &line);
    if (l->writer != NULL)
        log_writer_put(l->writer, buf_str(&l->line));
    else
        write_stderr(buf_str(&l->line));
}

void log_printf(struct log *l, enum log_level level, const char *source, const char *format, ...) {
    int saved = errno; /* %m, and callers that go on to use it */
    char text[1024];
    char *longer = NULL;
    va_list args;
    int n;

    if (!log_enabled(l, level))
        return;
    va_start(args, format);
    n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ASSERT(n >= 0); /* a wrong format: ours */
    if ((size_t)n >= sizeof text) {
        longer = malloc((size_t)n + 1);
        XXXAN(longer);
        errno = saved;
        va_start(args, format);
        (void)vsnprintf(longer, (size_t)n + 1, format, args);
        va_end(args);
    }
    log_record(l, level, str_of(source), str_make(longer == NULL ? text : longer, (size_t)n), NULL, 0);
    free(longer);
    errno = saved;
}
