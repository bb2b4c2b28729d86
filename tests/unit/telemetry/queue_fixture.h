/* For the tests of the queue: a directory of its own, records that carry a number, and the equation that must hold. */
#ifndef FAUCET_TESTS_QUEUE_FIXTURE_H
#define FAUCET_TESTS_QUEUE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telemetry/columns.h"
#include "telemetry/queue.h"

#define MIB ((int64_t)1024 * 1024)

struct fixture {
    char directory[64];
    struct event_queue_options options;
    struct record_draft record;
};

static inline void fixture_init(struct fixture *f) {
    memset(f, 0, sizeof *f);
    snprintf(f->directory, sizeof f->directory, "/tmp/faucet-test-queue-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->options.directory = f->directory;
    f->options.size = 8 * MIB; /* segments of 1 MiB */
}

/* Calls each(path) for everything in the directory; counts the segments. */
static inline size_t fixture_files(const struct fixture *f, void (*each)(const char *path)) {
    DIR *d = opendir(f->directory);
    struct dirent *e;
    size_t segments = 0;

    while (d != NULL && (e = readdir(d)) != NULL) {
        char path[400];
        if (e->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", f->directory, e->d_name);
        segments += strlen(e->d_name) == 24 && strcmp(e->d_name + 16, ".segment") == 0;
        if (each != NULL)
            each(path);
    }
    if (d != NULL)
        closedir(d);
    return segments;
}

static inline void fixture_remove_file(const char *path) {
    (void)remove(path);
}

static inline void fixture_end(struct fixture *f) {
    record_free(&f->record);
    (void)fixture_files(f, fixture_remove_file);
    assert_int_equal(rmdir(f->directory), 0);
}

static inline struct event_queue *fixture_open(struct fixture *f) {
    char *error = NULL;
    struct event_queue *q = event_queue_open(&f->options, &error);

    if (q == NULL)
        fail_msg("%s", error);
    return q;
}

/* A record of about `n` bytes that carries a number, its last fields still missing. Valid until the next one. */
static inline struct str numbered(struct fixture *f, enum record_kind kind, int64_t number, size_t n) {
    static const char filler[4096] = {[0 ... 4095] = 'x'};
    struct uuid u;

    memset(&u, 0, sizeof u);
    memcpy(u.b, &number, sizeof number);
    record_begin(&f->record, kind);
    if (kind == RECORD_HTTP) {
        record_uuid(&f->record, COLUMN_OF_HTTP_request_uuid, &u);
        record_text(&f->record, COLUMN_OF_HTTP_user_agent, str_make(filler, n > 92 ? n - 92 : 0));
    } else {
        record_uuid(&f->record, kind == RECORD_LOG ? COLUMN_OF_LOG_event_id : COLUMN_OF_WORKER_event_id, &u);
    }
    return record_str(&f->record);
}

/* What is added behind one of RECORD_HTTP. */
static inline struct str ending(struct fixture *f, int64_t elapsed) {
    record_continue(&f->record, RECORD_HTTP, COLUMN_OF_HTTP_user_agent + 1);
    record_integer(&f->record, COLUMN_OF_HTTP_status, 200);
    record_integer(&f->record, COLUMN_OF_HTTP_elapsed, elapsed);
    return record_str(&f->record);
}

static inline int64_t number_of(struct str record) {
    struct record_reader r;
    struct record_field field;
    int64_t number = -1;

    assert_true(record_open(record, &r));
    while (record_next(&r, &field))
        if (field.bytes.n == 16 && record_table(r.kind)->columns[field.column].type == COLUMN_UUID)
            memcpy(&number, field.bytes.p, sizeof number);
    return number;
}

/* recovered + received = stored + queued + dropped, per kind; and `queued` is what is said. */
static inline void check_account(const struct event_queue *q) {
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        const struct event_account *a = event_queue_account(q, (enum record_kind)k);
        uint64_t dropped = 0;
        for (size_t r = 0; r < DROP_REASONS; r++)
            dropped += a->dropped[r];
        assert_int_equal(a->recovered + a->received, a->stored + a->queued + dropped);
    }
}

static inline uint64_t queued(const struct event_queue *q, enum record_kind kind) {
    return event_queue_account(q, kind)->queued;
}

#endif
