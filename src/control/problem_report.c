/*
 * The same problems in three shapes.
 */
#include "control/problem_report.h"

#include "base/json.h"

static const char *level_name(enum problem_level l) {
    return l == PROBLEM_ERROR ? "error" : "warning";
}

void problem_report_print(const struct problems *p, FILE *to) {
    LIST_FOREACH (&p->list, struct problem, each, node) {
        struct buf line = {0};
        if (each->level == PROBLEM_WARNING)
            buf_append(&line, STR("warning: "));
        problem_format(each, &line);
        fprintf(to, "%.*s\n", STR_ARG(buf_str(&line)));
        buf_free(&line);
    }
}

static void member(struct buf *out, const char *name, const char *value, const char *end) {
    json_append_string(out, str_of(name));
    buf_append_char(out, ':');
    json_append_string(out, str_of(value));
    buf_append(out, str_of(end));
}

void problem_report_json(const struct problems *p, const char *file, FILE *to) {
    struct buf out = {0};
    buf_append_char(&out, '{');
    member(&out, "file", file ? file : "", ",");
    buf_printf(&out, "\"errors\":%zu,\"warnings\":%zu,\"problems\":[", p->errors, p->warnings);
    const char *between = "";
    LIST_FOREACH (&p->list, struct problem, each, node) {
        buf_append(&out, str_of(between));
        between = ",";
        buf_append_char(&out, '{');
        member(&out, "level", level_name(each->level), ",");
        member(&out, "where", each->where, ",");
        member(&out, "key", each->key, ",");
        member(&out, "message", each->message, "}");
    }
    buf_append(&out, STR("]}\n"));
    fwrite(buf_str(&out).p, 1, buf_length(&out), to);
    buf_free(&out);
}

void problem_report_log(const struct problems *p, struct log *log) {
    LIST_FOREACH (&p->list, struct problem, each, node) {
        struct buf line = {0};
        problem_format(each, &line);
        const struct log_field fields[] = {LOG_STR("where", str_of(each->where)), LOG_STR("key", str_of(each->key))};
        log_record(log, each->level == PROBLEM_ERROR ? LOG_ERROR : LOG_WARN, STR("faucet"), buf_str(&line), fields,
                   ARRAY_LENGTH(fields));
        buf_free(&line);
    }
}
