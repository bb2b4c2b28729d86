/*
 * How a record is written. Whatever comes from outside is made harmless
 * here: no control character reaches a terminal, no newline ends a line
 * early, and JSON is valid UTF-8.
 */
#include "base/log_line.h"

#include "base/json.h"

static const struct {
    struct str name, padded;
} levels[] = {
    [LOG_ERROR] = {STR("error"), STR("ERROR")}, [LOG_WARN] = {STR("warn"), STR("WARN ")},
    [LOG_INFO] = {STR("info"), STR("INFO ")},   [LOG_DEBUG] = {STR("debug"), STR("DEBUG")},
    [LOG_TRACE] = {STR("trace"), STR("TRACE")},
};

const char *log_level_name(enum log_level level) {
    ASSERT((size_t)level < ARRAY_LENGTH(levels));
    return levels[level].name.p;
}

/* The first `limit` bytes of s, less a UTF-8 sequence that would be cut in two. */
static struct str cut(struct str s, size_t limit) {
    size_t n = limit;

    if (s.n <= limit)
        return s;
    while (n > limit - 3 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    return str_make(s.p, n);
}

/* Bytes that text shows as they are: ASCII without controls. */
static size_t plain_run(struct str s) {
    size_t n = 0;

    while (n < s.n && s.p[n] >= 0x20 && s.p[n] < 0x7f)
        n++;
    return n;
}

static void append_hex(struct buf *b, struct str bytes) {
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.n; i++) {
        unsigned char c = (unsigned char)bytes.p[i];
        char text[4] = {'\\', 'x', digits[c >> 4], digits[c & 0x0f]};

        buf_append(b, str_make(text, sizeof text));
    }
}

/* Well-formed UTF-8 stays; controls (C0, DEL, and C1, which terminals obey too) and other bytes become \xNN. */
static void append_text(struct buf *b, struct str s, size_t limit) {
    struct str rest = cut(s, limit);
    bool whole = rest.n == s.n;

    while (rest.n > 0) {
        size_t n = plain_run(rest), sequence;

        buf_append(b, str_make(rest.p, n));
        rest = str_from(rest, n);
        if (rest.n == 0)
            break;
        sequence = str_utf8(rest);
        n = sequence == 0 ? 1 : sequence;
        if (sequence < 2 || (sequence == 2 && (unsigned char)rest.p[0] == 0xc2 && (unsigned char)rest.p[1] < 0xa0))
            append_hex(b, str_make(rest.p, n));
        else
            buf_append(b, str_make(rest.p, n));
        rest = str_from(rest, n);
    }
    if (!whole)
        buf_append(b, STR("…"));
}

static void append_json(struct buf *b, struct str s, size_t limit) {
    struct str head = cut(s, limit);

    json_append_string(b, head);
    if (head.n < s.n) {
        b->end--; /* inside the quotes */
        buf_append(b, STR("…\""));
    }
}

static struct str stamp_second(struct log_stamp *stamp, wall_t t) {
    int64_t second = t.us / DUR_S;

    if (stamp->n == 0 || stamp->second != second) {
        stamp->second = second;
        stamp->n = wall_rfc3339(t, stamp->text);
    }
    return str_make(stamp->text, stamp->n);
}

static void append_text_line(struct buf *b, struct log_stamp *stamp, const struct log_line *line) {
    buf_append_char(b, '[');
    buf_append(b, stamp_second(stamp, line->time));
    buf_append_char(b, ' ');
    buf_append(b, levels[line->level].padded);
    buf_append_char(b, ' ');
    append_text(b, line->source, LOG_FIELD_MAX);
    buf_append(b, STR("] "));
    append_text(b, line->message, LOG_MESSAGE_MAX);
    buf_append_char(b, '\n');
}

static void append_json_time(struct buf *b, struct log_stamp *stamp, wall_t t) {
    struct str second = stamp_second(stamp, t);
    int64_t us = t.us % DUR_S;
    char fraction[8] = ".000000Z";

    for (size_t i = 6; i > 0 && us > 0; i--, us /= 10)
        fraction[i] = (char)('0' + us % 10);
    buf_append(b, str_make(second.p, second.n - 1)); /* without its Z */
    buf_append(b, str_make(fraction, sizeof fraction));
}

static void append_json_value(struct buf *b, const struct log_field *f) {
    switch (f->type) {
    case LOG_FIELD_STR:
        append_json(b, f->text, LOG_FIELD_MAX);
        return;
    case LOG_FIELD_INT:
        if (f->number < 0)
            buf_append_char(b, '-');
        buf_append_u64(b, f->number < 0 ? 0 - (uint64_t)f->number : (uint64_t)f->number);
        return;
    case LOG_FIELD_NULL:
        break;
    }
    buf_append(b, STR("null"));
}

static void append_json_line(struct buf *b, struct log_stamp *stamp, const struct log_line *line) {
    buf_append(b, STR("{\"time\":\""));
    append_json_time(b, stamp, line->time);
    buf_append(b, STR("\",\"level\":\""));
    buf_append(b, levels[line->level].name);
    buf_append(b, STR("\",\"source\":"));
    append_json(b, line->source, LOG_FIELD_MAX);
    buf_append(b, STR(",\"message\":"));
    append_json(b, line->message, LOG_MESSAGE_MAX);
    for (size_t i = 0; i < line->field_count; i++) {
        buf_append_char(b, ',');
        json_append_string(b, str_of(line->fields[i].name));
        buf_append_char(b, ':');
        append_json_value(b, &line->fields[i]);
    }
    buf_append(b, STR("}\n"));
}

void log_line_append(struct buf *b, struct log_stamp *stamp, enum log_format format, const struct log_line *line) {
    ASSERT((size_t)line->level < ARRAY_LENGTH(levels));
    if (format == LOG_JSON)
        append_json_line(b, stamp, line);
    else
        append_text_line(b, stamp, line);
}
