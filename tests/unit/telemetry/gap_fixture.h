/* For the tests of what is dropped: a clock, events at a time, and what the rows of faucet_gaps tell. */
#ifndef FAUCET_TESTS_GAP_FIXTURE_H
#define FAUCET_TESTS_GAP_FIXTURE_H

#include "queue_fixture.h"

#define MOMENT  INT64_C(1700000000000000) /* of the clock, at first */
#define EARLIER INT64_C(1600000000000000) /* of events */

static int64_t clock_us;
static inline wall_t test_clock(void) {
    return (wall_t){clock_us};
}

static int ready_calls;
static inline void on_ready(void *owner) {
    (void)owner;
    ready_calls++;
}

/* Rows of faucet_gaps, as they arrive. */
struct told {
    size_t rows;
    uint64_t events[RECORD_KINDS][DROP_REASONS];
    int64_t began[RECORD_KINDS][DROP_REASONS], ended[RECORD_KINDS][DROP_REASONS]; /* of the last row */
};

static const char *const reasons[DROP_REASONS] = {"full", "bad_row", "corrupt", "no_table", "no_space"};

static inline void begin(struct fixture *f) {
    fixture_init(f);
    f->options.now = test_clock;
    f->options.ready = on_ready;
    f->options.size = MIB; /* segments of 128 KiB */
    clock_us = MOMENT;
    ready_calls = 0;
}

static inline struct str event_at(struct fixture *f, enum record_kind kind, int64_t us) {
    unsigned time;
    char text[300];

    memset(text, 'x', sizeof text);
    assert_true(record_column(kind, "time", &time));
    record_begin(&f->record, kind);
    if (kind == RECORD_HTTP)
        record_text(&f->record, COLUMN_OF_HTTP_path, str_make(text, sizeof text));
    record_time(&f->record, time, (wall_t){us});
    record_end(&f->record);
    return record_str(&f->record);
}

static inline bool append(struct fixture *f, struct event_queue *q, enum record_kind kind, int64_t us) {
    return event_queue_append(q, kind, event_at(f, kind, us));
}

static inline size_t index_of(const char *const *names, size_t n, struct str name) {
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, str_of(names[i])))
            return i;
    fail_msg("%.*s is not known", STR_ARG(name));
    return 0;
}

static inline struct str field(struct str record, unsigned column) {
    struct str bytes;

    assert_true(record_find(record, column, &bytes));
    return bytes;
}

static inline void hear(struct told *t, struct str record) {
    const char *tables[RECORD_KINDS];

    for (size_t k = 0; k < RECORD_KINDS; k++)
        tables[k] = record_table((enum record_kind)k)->name;
    size_t k = index_of(tables, RECORD_KINDS, field(record, COLUMN_OF_GAP_table_name));
    size_t r = index_of(reasons, DROP_REASONS, field(record, COLUMN_OF_GAP_reason));
    assert_int_not_equal(k, RECORD_GAP);
    assert_true(record_get_integer(field(record, COLUMN_OF_GAP_dropped)) > 0);
    t->rows++;
    t->events[k][r] += (uint64_t)record_get_integer(field(record, COLUMN_OF_GAP_dropped));
    t->began[k][r] = record_get_time(field(record, COLUMN_OF_GAP_began)).us;
    t->ended[k][r] = record_get_time(field(record, COLUMN_OF_GAP_ended)).us;
    assert_true(t->began[k][r] > 0 && t->began[k][r] <= t->ended[k][r]);
}

/* The rows that are there now. */
static inline void store_gaps(struct event_queue *q, struct told *t) {
    struct event_batch *b;

    while ((b = event_queue_take(q, RECORD_GAP, SIZE_MAX)) != NULL) {
        for (size_t i = 0; i < b->n; i++)
            hear(t, b->records[i]);
        event_batch_stored(q, b);
    }
}

static inline void store(struct event_queue *q, enum record_kind kind) {
    struct event_batch *b;

    while ((b = event_queue_take(q, kind, SIZE_MAX)) != NULL)
        event_batch_stored(q, b);
}

static inline void drop_all(struct event_queue *q, enum record_kind kind, enum drop_reason why) {
    struct event_batch *b;

    while ((b = event_queue_take(q, kind, SIZE_MAX)) != NULL)
        event_batch_dropped(q, b, why);
}

/* Every event that was dropped is in a row that arrived, exactly once. */
static inline void check_told(const struct event_queue *q, const struct told *t) {
    for (size_t k = 0; k < RECORD_KINDS; k++)
        for (size_t r = 0; r < DROP_REASONS; r++)
            if (k != RECORD_GAP)
                assert_int_equal(t->events[k][r], event_queue_account(q, (enum record_kind)k)->dropped[r]);
    check_account(q);
}

static inline void fill(struct fixture *f, struct event_queue *q) {
    while (append(f, q, RECORD_HTTP, clock_us)) {
    }
}

static inline void begin_with_loop(struct fixture *f) {
    begin(f);
    f->options.loop = loop_new();
    assert_non_null(f->options.loop);
}

static inline void end_with_loop(struct fixture *f, struct event_queue *q) {
    event_queue_close(q);
    loop_free(f->options.loop);
    fixture_end(f);
}

#endif
