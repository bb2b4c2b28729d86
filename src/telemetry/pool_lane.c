/*
 * Lanes. A lane sends when a batch's worth is there, or flush_interval after the
 * first event came; then it takes as much as was there at that moment, not what
 * comes while it sends, or a busy daemon would make many tiny transactions.
 *
 * Trouble: new events are tried first. As long as they are stored, what was
 * refused is parked: it has a back-off of its own and holds nobody up.
 *
 * The queue counts places that are reserved for requests under way, and cannot
 * say how many they are: what was queued when a take found nothing is taken for
 * them.
 */
#include <stdlib.h>

#include "telemetry/columns.h"
#include "telemetry/pool_parts.h"

#define AVERAGE_FIRST 300
#define DRAIN_POLL    (50 * DUR_MS)
#define STARVED       (2 * DUR_S)
#define REFUSED_MIN   16 /* rows in a row: then it may not be the rows */
#define REFUSED_MAX   1024
#define BATCH_MIN     1024
#define SAY_MAX       10 /* rows that are set aside, each by itself, a minute */
#define SAY_PERIOD    (60 * DUR_S)
#define SHED_TRIES    6              /* some seconds: it may be mended soon */
#define SHED_BYTES    ((size_t)4096) /* few: each may be all that a segment is kept for */

static mono_t now_of(const struct lane *l) {
    return l->pool->options.loop->now;
}

static bool is_due(mono_t at, mono_t now) {
    return at.us != MONO_NONE.us && at.us <= now.us;
}

void lane_init(struct lane *l, struct pool *p, enum record_kind kind) {
    *l = (struct lane){.pool = p,
                       .kind = kind,
                       .average = AVERAGE_FIRST,
                       .refused_max = REFUSED_MIN,
                       .batch_max = p->options.batch_bytes};
    if (lane_waiting(l) > 0)
        l->due = mono_now();
}

size_t lane_waiting(const struct lane *l) {
    uint64_t queued = event_queue_account(l->pool->options.queue, l->kind)->queued;

    return queued > l->held ? (size_t)queued - l->held : 0;
}

/* Those that can be taken, as far as is known. */
static size_t ripe(const struct lane *l) {
    size_t n = lane_waiting(l);

    return n > l->unfinished ? n - l->unfinished : 0;
}

static bool is_full(const struct lane *l) {
    return ripe(l) * l->average >= l->batch_max;
}

size_t lane_bytes(const struct lane *l) {
    size_t n = ripe(l);

    return (l->flush > n ? l->flush : n) * l->average;
}

bool lane_wake(struct lane *l) {
    size_t n = lane_waiting(l);

    if (n == 0)
        return false;
    if (l->starved.us > now_of(l).us) {
        l->flush = n;
        return true;
    }
    if (l->due.us == MONO_NONE.us)
        l->due = mono_add(now_of(l), l->pool->draining ? 0 : l->pool->options.flush_interval);
    return l->pool->draining || is_full(l);
}

bool lane_is_active(struct lane *l) {
    if (is_due(l->due, now_of(l))) {
        l->due = MONO_NONE;
        l->flush = lane_waiting(l);
    }
    if (is_due(l->parked, now_of(l))) {
        l->parked = MONO_NONE;
        l->flush = lane_waiting(l);
    }
    if (lane_waiting(l) == 0)
        l->flush = 0;
    if (l->not_before.us > now_of(l).us)
        return false;
    return l->flush > 0 || is_full(l);
}

mono_t lane_next(const struct lane *l) {
    mono_t due = l->due; /* also where nothing waits: the next event relies on it */

    if (l->parked.us != MONO_NONE.us && (due.us == MONO_NONE.us || l->parked.us < due.us))
        due = l->parked;
    if (l->not_before.us <= now_of(l).us)
        return due;
    return l->flush == 0 && !is_full(l) && due.us > l->not_before.us ? due : l->not_before;
}

/* ---- taking ---- */

static void found_nothing(struct lane *l) {
    size_t n = lane_waiting(l);

    /* Much that cannot be had: either the queue reads it in and wakes us soon, or as many requests are under way. */
    if (n > l->unfinished && (n - l->unfinished) * l->average >= l->batch_max)
        l->starved = mono_add(now_of(l), STARVED);
    l->unfinished = n;
    l->flush = 0;
    l->due = n > 0 && l->pool->draining ? mono_add(now_of(l), DRAIN_POLL) : MONO_NONE;
}

static void took(struct lane *l, const struct event_batch *b) {
    size_t n = lane_waiting(l), max = l->batch_max;

    l->flush = l->flush > b->n ? l->flush - b->n : 0;
    l->starved = MONO_NONE;
    if (n < l->unfinished)
        l->unfinished = n;
    if (b->again || b->bytes >= max / 2)
        return;
    /* A small batch: that was all, unless the queue is still reading. */
    if (l->flush * l->average < max) {
        l->flush = 0;
        l->unfinished = n;
    }
    if (n > 0 && l->due.us == MONO_NONE.us && l->flush == 0)
        l->due = mono_add(now_of(l), l->pool->draining ? DRAIN_POLL : l->pool->options.flush_interval);
}

struct event_batch *lane_take(struct lane *l) {
    struct event_queue *q = l->pool->options.queue;
    size_t max = l->batch_max;
    struct event_batch *b = NULL;

    if (l->trouble.text != NULL)
        b = event_queue_take_new(q, l->kind, max);
    if (b == NULL && l->parked.us == MONO_NONE.us)
        b = event_queue_take(q, l->kind, max);
    if (b == NULL) {
        found_nothing(l);
        return NULL;
    }
    l->held += b->n;
    l->average = (l->average + b->bytes / (b->n > 0 ? b->n : 1)) / 2 + 1;
    took(l, b);
    return b;
}

void lane_shrink(struct lane *l, const struct event_batch *b) {
    size_t half = (b->bytes < l->batch_max ? b->bytes : l->batch_max) / 2;

    l->batch_max = half > BATCH_MIN ? half : BATCH_MIN;
}

/* Little by little: each step too far costs as long as the server waited. */
static void grow(struct lane *l) {
    size_t most = l->pool->options.batch_bytes, next = l->batch_max + l->batch_max / 8 + 1;

    l->batch_max = next < most ? next : most;
}

/* ---- what becomes of a batch ---- */

static void let_go(struct lane *l, size_t n) {
    l->held = l->held > n ? l->held - n : 0;
}

/* Nothing that was refused is left. */
static void look_whether_over(struct lane *l) {
    if (l->trouble.text == NULL || !l->works || event_queue_returned(l->pool->options.queue, l->kind) > 0)
        return;
    log_info(l->pool->options.log, "telemetry to %s: %s takes rows again", l->pool->info->destination,
             record_table(l->kind)->name);
    trouble_clear(&l->trouble);
    l->parked = MONO_NONE;
    l->refused_max = REFUSED_MIN;
}

void lane_stored(struct lane *l, struct event_batch *b) {
    bool fresh = !b->again;

    l->pool->batches++;
    l->pool->rows += b->n;
    let_go(l, b->n);
    event_batch_stored(l->pool->options.queue, b);
    l->works = true;
    if (l->unsaid > 0)
        lane_say_unsaid(l, false);
    grow(l);
    if (l->refused >= l->refused_max) { /* so it was the rows: they are looked at at once, more of them each time */
        l->refused_max = l->refused_max < REFUSED_MAX ? l->refused_max * 2 : REFUSED_MAX;
        l->parked = MONO_NONE;
        l->flush = lane_waiting(l);
    }
    l->not_before = MONO_NONE;
    l->suspect = l->suspect && !fresh;
    l->refused = 0;
    look_whether_over(l);
}

void lane_give_back(struct lane *l, struct event_batch *b) {
    let_go(l, b->n);
    l->flush += b->n;
    event_batch_give_back(l->pool->options.queue, b);
    look_whether_over(l);
}

void lane_drop(struct lane *l, struct event_batch *b) {
    if (!l->missing_said)
        log_warn(l->pool->options.log,
                 "telemetry to %s: the table %s is missing: its events are dropped; `faucet db init` makes it",
                 l->pool->info->destination, record_table(l->kind)->name);
    l->missing_said = true;
    trouble_clear(&l->trouble);
    let_go(l, b->n);
    event_batch_dropped(l->pool->options.queue, b, DROP_NO_TABLE);
}

static void describe_row(const struct lane *l, struct str record, char text[37]) {
    unsigned column;
    struct str bytes;
    struct uuid u;

    text[0] = '\0';
    if (!record_column(l->kind, l->kind == RECORD_HTTP || l->kind == RECORD_SESSION ? "request_uuid" : "event_id",
                       &column) ||
        !record_find(record, column, &bytes) || bytes.n != sizeof u.b)
        return;
    memcpy(u.b, bytes.p, sizeof u.b);
    uuid_format(&u, text);
}

void lane_say_unsaid(struct lane *l, bool end) {
    if (!end && mono_since(l->said_since, now_of(l)) < SAY_PERIOD)
        return;
    if (l->unsaid > 0)
        log_warn(l->pool->options.log, "telemetry to %s: %zu further rows of %s were set aside",
                 l->pool->info->destination, l->unsaid, record_table(l->kind)->name);
    l->said = l->unsaid = 0;
    l->said_since = now_of(l);
}

static void say_row(struct lane *l, const struct event_batch *b, size_t i, const char *why) {
    char id[37];

    lane_say_unsaid(l, false);
    if (l->said == SAY_MAX) {
        l->unsaid++;
        return;
    }
    l->said++;
    describe_row(l, b->records[i], id);
    log_warn(l->pool->options.log, "telemetry to %s: a row of %s (%s) is set aside: %s", l->pool->info->destination,
             record_table(l->kind)->name, id[0] != '\0' ? id : "without id", why);
}

void lane_drop_row(struct lane *l, struct event_batch *b, size_t i, const char *why) {
    say_row(l, b, i, why);
    let_go(l, 1);
    event_batch_drop_row(l->pool->options.queue, b, i);
}

void lane_lost(struct lane *l, size_t n) {
    let_go(l, n);
}

void lane_bisect(struct lane *l, struct event_batch *b) {
    struct event_batch *rest = event_batch_split(l->pool->options.queue, b, b->n / 2);

    b->again = true;
    lane_give_back(l, rest);
}

void lane_refused(struct lane *l, const struct event_batch *b) {
    if (!b->again)
        l->works = false;
}

void lane_park(struct lane *l, const char *why) {
    dur_t pause = pool_backoff(l->pool, l->trouble.failures);

    trouble_say(l->pool, &l->trouble, why, pause);
    l->parked = mono_add(now_of(l), pause);
    l->not_before = l->works ? MONO_NONE : l->parked;
    l->columns_wanted = now_of(l);
}

void lane_trouble(struct lane *l, const char *why) {
    l->works = false;
    lane_park(l, why);
}

static void say_shed(struct lane *l) {
    if (!l->trouble.shed)
        log_warn(l->pool->options.log,
                 "telemetry to %s: the queue is nearly full, so the oldest %s that were kept are dropped: %s",
                 l->pool->info->destination, record_table(l->kind)->name, l->trouble.text);
    l->trouble.shed = true;
}

/* Of requests only what was refused while others are stored: they are what the queue is for. */
bool lane_shed(struct lane *l) {
    struct event_queue *q = l->pool->options.queue;
    struct event_batch *b;

    if (l->trouble.text == NULL || l->trouble.failures < SHED_TRIES ||
        (record_table(l->kind)->required && (!l->works || event_queue_returned(q, l->kind) == 0)))
        return false;
    b = event_queue_take(q, l->kind, SHED_BYTES);
    if (b == NULL)
        return false;
    if (b->in_doubt) {
        l->held += b->n;
        (void)doubt_new(l->pool, b);
        return true;
    }
    say_shed(l);
    event_batch_dropped(q, b, DROP_FULL);
    look_whether_over(l);
    return true;
}
