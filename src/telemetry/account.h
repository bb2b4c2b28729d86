/*
 * What a queue knows beyond its segments, in one mapped file beside them: the
 * counters of every kind, gaps that are not rows yet, and batches whose COMMIT is
 * in doubt.
 *
 * The master of the counters is in memory, the file follows each change at
 * once; so a file that goes bad loses nothing but its memory of us. After a crash
 * counters and segments may differ by the one step that was under way; whoever
 * opens the queue puts that right (account_reconcile).
 */
#ifndef FAUCET_TELEMETRY_ACCOUNT_H
#define FAUCET_TELEMETRY_ACCOUNT_H

#include "telemetry/queue.h"

/* Of what was dropped for one reason, that of which no row of faucet_gaps tells yet: dropped - told events, so that no
 * way of dropping one can forget it. */
struct event_gap {
    wall_t began, ended; /* .us 0: nobody said when */
    uint64_t told;
};

struct account_file; /* on disk */

struct account {
    struct event_account kinds[RECORD_KINDS];
    uint64_t carried[RECORD_KINDS]; /* of `queued`: those counted as recovered */
    struct event_gap gaps[RECORD_KINDS][DROP_REASONS];
    uint64_t next_batch;
    struct account_file *file; /* NULL: in memory */
    int guard;
    int fd;     /* holds the flock on the file */
    bool fresh; /* there was none, or it was damaged: the counters say nothing of what the segments hold */
};

/* In memory. */
void account_init(struct account *a);
/* Opens or makes `directory`/account and locks it. False: *error (allocated). A damaged one is begun anew (fresh). */
bool account_open(struct account *a, const char *directory, char **error) MUST_CHECK;
void account_close(struct account *a);

/* One event each. */
void account_received(struct account *a, enum record_kind kind);                      /* and queued */
void account_refused(struct account *a, enum record_kind kind, enum drop_reason why); /* received and dropped */
void account_dropped(struct account *a, enum record_kind kind, enum drop_reason why, bool carried, uint64_t n);
uint64_t account_new_batch(struct account *a);
/* After recovery: `found` events of that kind are in the segments, `damaged` were seen there and are of no use (counts
 * only when the account is fresh). Returns how many are newly counted as corrupt. */
uint64_t account_reconcile(struct account *a, enum record_kind kind, uint64_t found, uint64_t damaged);

/* ---- gaps ---- */
/* How many dropped events no row tells of. Of rows of faucet_gaps themselves: always 0, as nobody could be told. */
uint64_t account_untold(const struct account *a, enum record_kind kind, enum drop_reason why);
/* Some of them were from `began` to `ended`. */
void account_gap_widen(struct account *a, enum record_kind kind, enum drop_reason why, wall_t began, wall_t ended);
/* A row tells of n of them, and of all that is known about when. */
void account_gap_told(struct account *a, enum record_kind kind, enum drop_reason why, uint64_t n);
/* That row did not arrive. */
void account_gap_untell(struct account *a, enum record_kind kind, enum drop_reason why, uint64_t n);

/* ---- batches in doubt ---- */
struct doubt {
    uint64_t batch, transaction;
    enum record_kind kind;
    enum { DOUBT_COMMITTING, DOUBT_STORED, DOUBT_DROPPED } state;
};
/* What the last run left, by place; false: the place is empty. For recovery. */
bool account_doubt(const struct account *a, int place, struct doubt *d) MUST_CHECK;
/* A place for that batch; -1: none is left, or the account is in memory. */
int account_doubt_begin(struct account *a, uint64_t batch, enum record_kind kind, uint64_t transaction);
/* All of the batch's rows are gone, at once, whatever happens from here on: the counters are changed, and the next
 * start would mark the rest. place -1: only the counters. */
void account_doubt_decide(struct account *a, int place, enum record_kind kind, bool stored, enum drop_reason why,
                          uint64_t n, uint64_t carried);
void account_doubt_end(struct account *a, int place);
/* At the next start, for a decided one: the counter as it was to be, whether the crash let it come so far or not. */
void account_doubt_replay(struct account *a, int place);

#endif
