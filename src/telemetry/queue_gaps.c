/*
 * Gaps: whatever is dropped, for whatever reason, is told of by a row of
 * faucet_gaps, and the log hears when the queue is full. The account knows how
 * many are untold; here is decided when they become a row, and whoever writes one
 * wakes the pool, because no other event may come for a long time.
 *
 * Want of room is over when there is room: then the row is written. Nobody says
 * when bad rows, damage or a missing table are over; the first row comes at once,
 * the next about the same thing only after a pause, or as many rows would come as
 * events are dropped. Where faucet_gaps itself is missing its rows come back
 * here, and are tried after the same pause.
 */
#include <stdio.h>

#include "base/unit.h"
#include "telemetry/columns.h"
#include "telemetry/queue_parts.h"

#define GAP_PAUSE (10 * DUR_MIN)
#define SAY_AGAIN (10 * DUR_MIN)

static const char *const reason_names[DROP_REASONS] = {[DROP_FULL] = "full",
                                                       [DROP_BAD_ROW] = "bad_row",
                                                       [DROP_CORRUPT] = "corrupt",
                                                       [DROP_NO_TABLE] = "no_table",
                                                       [DROP_NO_SPACE] = "no_space"};

/* ---- the log ---- */

static void say(const struct event_queue *q, const char *text) {
    const char *name = q->options.name, *directory = q->directory != NULL ? q->directory : "in memory";

    if (q->options.log != NULL)
        log_warn(q->options.log, "telemetry %s %s: %s", name != NULL ? "to" : "queue", name != NULL ? name : directory,
                 text);
}

static bool said_lately(const struct event_queue *q, mono_t said) {
    return said.us != MONO_NONE.us && mono_since(said, queue_now(q)) < SAY_AGAIN;
}

void queue_say_too_long(struct event_queue *q, enum record_kind kind, size_t n) {
    char text[160];

    if (said_lately(q, q->said_too_long))
        return;
    q->said_too_long = queue_now(q);
    (void)snprintf(text, sizeof text, "an event for %s takes %zu bytes, more than the %zu that one may; it is dropped",
                   record_table(kind)->name, n, EVENT_RECORD_MAX);
    say(q, text);
}

static void say_full(struct event_queue *q) {
    struct queue_full *f = &q->full;
    char size[32], text[300];

    if (said_lately(q, f->said)) {
        if (q->options.loop != NULL)
            deadline_set(&f->later, mono_since(queue_now(q), mono_add(f->said, SAY_AGAIN)));
        return;
    }
    unit_format_size((int64_t)q->size, size);
    (void)snprintf(text, sizeof text,
                   "the queue is full with %s: new events are dropped and counted until the database has taken older "
                   "ones; %s",
                   size,
                   q->directory != NULL ? "a larger telemetry.queue_size, by a reload, lets more of them wait"
                                        : "it is in memory: on disk (state_dir) telemetry.queue_size may be larger");
    say(q, text);
    f->said = queue_now(q);
    f->told = true;
}

static void say_dropped(struct event_queue *q, const char *what) {
    struct queue_full *f = &q->full;
    char since[21], text[200];

    wall_rfc3339(f->since, since);
    (void)snprintf(text, sizeof text, "%s; %llu %s dropped since %s, see faucet_gaps", what, (unsigned long long)f->n,
                   f->n == 1 ? "was" : "were", since);
    say(q, text);
    f->n = 0;
    f->told = false;
}

void queue_full_later(struct deadline *d) {
    struct event_queue *q = CONTAINER_OF(d, struct event_queue, full.later);

    if (q->full.is)
        say_full(q);
    else if (q->full.n > 0)
        say_dropped(q, "the queue was full more than once in between");
}

static void full_began(struct event_queue *q, wall_t now) {
    struct queue_full *f = &q->full;

    if (f->n++ == 0)
        f->since = now;
    if (!f->is) {
        f->is = true;
        say_full(q);
    }
}

static void full_ended(struct event_queue *q) {
    q->full.is = false;
    if (q->full.told) /* else said together with others, later */
        say_dropped(q, "the queue takes events again");
}

/* ---- when ---- */

static mono_t due_at(const struct event_queue *q, enum record_kind kind, enum drop_reason why) {
    mono_t last = q->gap_written[kind][why];
    dur_t pause = q->options.gap_pause > 0 ? q->options.gap_pause : GAP_PAUSE;
    bool over = why == DROP_FULL || why == DROP_NO_SPACE || (why == DROP_NO_TABLE && !q->no_table[kind]);

    return last.us == MONO_NONE.us || (over && !q->no_table[RECORD_GAP]) ? MONO_NONE : mono_add(last, pause);
}

static void look_at(struct event_queue *q, mono_t at) {
    if (q->options.loop == NULL)
        q->gaps = true; /* at the next opportunity */
    else if (q->gap_due.at.us == MONO_NONE.us || at.us < q->gap_due.at.us)
        deadline_set(&q->gap_due, mono_since(queue_now(q), at));
}

void queue_note_gap(struct event_queue *q, enum record_kind kind, enum drop_reason why, struct event_span when) {
    if (kind == RECORD_GAP)
        return;
    account_gap_widen(&q->account, kind, why, when.first, when.last);
    if (why == DROP_FULL || why == DROP_NO_SPACE)
        q->gaps = true; /* as soon as there is room */
    else
        look_at(q, due_at(q, kind, why)); /* not here: we may be in the middle of something */
    if (why == DROP_FULL)
        full_began(q, when.last);
}

void queue_note_gap_now(struct event_queue *q, enum record_kind kind, enum drop_reason why) {
    wall_t now = queue_wall(q);

    queue_note_gap(q, kind, why, (struct event_span){now, now});
}

void queue_find_gaps(struct event_queue *q) {
    wall_t now = queue_wall(q);

    for (size_t i = 0; i < RECORD_KINDS * DROP_REASONS; i++) {
        enum record_kind kind = (enum record_kind)(i / DROP_REASONS);
        enum drop_reason why = (enum drop_reason)(i % DROP_REASONS);
        if (account_untold(&q->account, kind, why) == 0)
            continue;
        if (q->account.gaps[kind][why].began.us == 0)
            account_gap_widen(&q->account, kind, why, now, now);
        q->gaps = true;
    }
}

/* ---- rows ---- */

static bool write_gap(struct event_queue *q, enum record_kind kind, enum drop_reason why) {
    const struct event_gap *g = &q->account.gaps[kind][why];
    uint64_t n = account_untold(&q->account, kind, why);
    wall_t now = queue_wall(q);
    struct uuid id = uuid_v4();
    struct record_draft gap = {0};

    record_begin(&gap, RECORD_GAP);
    record_uuid(&gap, COLUMN_OF_GAP_event_id, &id);
    if (q->options.describe_gap != NULL)
        q->options.describe_gap(q->options.owner, &gap);
    record_time(&gap, COLUMN_OF_GAP_time, now);
    record_text(&gap, COLUMN_OF_GAP_table_name, str_of(record_table(kind)->name));
    record_text(&gap, COLUMN_OF_GAP_reason, str_of(reason_names[why]));
    record_time(&gap, COLUMN_OF_GAP_began, g->began.us != 0 ? g->began : now);
    record_time(&gap, COLUMN_OF_GAP_ended, g->ended.us != 0 ? g->ended : now);
    record_integer(&gap, COLUMN_OF_GAP_dropped, n > INT64_MAX ? INT64_MAX : (int64_t)n);
    record_end(&gap);
    bool written = event_queue_append(q, RECORD_GAP, record_str(&gap));
    record_free(&gap);
    if (!written)
        return false;
    account_gap_told(&q->account, kind, why, n);
    q->gap_written[kind][why] = queue_now(q);
    return true;
}

/* all: also those whose pause is not over. */
static void write_gaps(struct event_queue *q, bool all) {
    mono_t now = queue_now(q), next = MONO_NONE;
    bool wrote = false, room = true;

    q->gaps = false;
    for (size_t i = 0; i < RECORD_KINDS * DROP_REASONS; i++) {
        enum record_kind kind = (enum record_kind)(i / DROP_REASONS);
        enum drop_reason why = (enum drop_reason)(i % DROP_REASONS);
        mono_t due = due_at(q, kind, why);
        if (account_untold(&q->account, kind, why) == 0)
            continue;
        if (!all && due.us > now.us) {
            next = next.us == MONO_NONE.us || due.us < next.us ? due : next;
        } else if (room && (room = queue_has_room(q) && write_gap(q, kind, why))) {
            wrote = true;
        } else {
            q->gaps = true;
        }
    }
    if (q->full.is && queue_has_room(q))
        full_ended(q);
    if (next.us != MONO_NONE.us)
        look_at(q, next);
    if (wrote && q->options.loop != NULL)
        deadline_set(&q->wake, 0);
}

void queue_write_gaps(struct event_queue *q) {
    write_gaps(q, false);
}

void queue_gap_due(struct deadline *d) {
    queue_write_gaps(CONTAINER_OF(d, struct event_queue, gap_due));
}

void event_queue_end_gaps(struct event_queue *q) {
    CHECK_OBJ_NOTNULL(q, EVENT_QUEUE_MAGIC);
    if (!q->no_table[RECORD_GAP])
        write_gaps(q, true);
}

/* ---- what the pool's side finds out ---- */

struct event_span queue_span(const struct event_queue *q, const struct event_batch *b, size_t from, size_t n) {
    struct event_span span = {0};
    struct str bytes;
    unsigned column;
    bool has_time = record_column(b->kind, "time", &column);

    for (size_t i = from; i < from + n; i++) {
        if (!has_time || !record_find(b->records[i], column, &bytes))
            continue;
        wall_t t = record_get_time(bytes);
        span.first = span.first.us == 0 || t.us < span.first.us ? t : span.first;
        span.last = span.last.us == 0 || t.us > span.last.us ? t : span.last;
    }
    if (span.first.us == 0)
        span.first = span.last = queue_wall(q);
    return span;
}

static bool find_kind(struct str table, enum record_kind *kind) {
    for (size_t k = 0; k < RECORD_KINDS; k++)
        if (str_eq(table, str_of(record_table((enum record_kind)k)->name))) {
            *kind = (enum record_kind)k;
            return true;
        }
    return false;
}

static bool find_reason(struct str name, enum drop_reason *why) {
    for (size_t r = 0; r < DROP_REASONS; r++)
        if (str_eq(name, str_of(reason_names[r]))) {
            *why = (enum drop_reason)r;
            return true;
        }
    return false;
}

/* What that row tells is untold again. */
static void untell(struct event_queue *q, struct str record) {
    struct str table, reason, began, ended, n;
    enum record_kind kind;
    enum drop_reason why;

    if (!record_find(record, COLUMN_OF_GAP_table_name, &table) || !find_kind(table, &kind) ||
        !record_find(record, COLUMN_OF_GAP_reason, &reason) || !find_reason(reason, &why) ||
        !record_find(record, COLUMN_OF_GAP_began, &began) || !record_find(record, COLUMN_OF_GAP_ended, &ended) ||
        !record_find(record, COLUMN_OF_GAP_dropped, &n))
        return;
    account_gap_untell(&q->account, kind, why, (uint64_t)record_get_integer(n));
    account_gap_widen(&q->account, kind, why, record_get_time(began), record_get_time(ended));
    q->gap_written[kind][why] = queue_now(q);
    look_at(q, due_at(q, kind, why));
}

void queue_table_is_missing(struct event_queue *q, const struct event_batch *b) {
    q->no_table[b->kind] = true;
    for (size_t i = 0; i < b->n && b->kind == RECORD_GAP; i++)
        untell(q, b->records[i]);
}

void queue_table_is_there(struct event_queue *q, enum record_kind kind) {
    if (!q->no_table[kind])
        return;
    q->no_table[kind] = false;
    if (kind == RECORD_GAP)
        memset(q->gap_written, 0, sizeof q->gap_written); /* their pause was for want of that table */
    queue_write_gaps(q);
}
