/*
 * The account file. 64 KiB, preallocated: counters, then the batches in doubt.
 * Steps that consist of several stores are made one by a last one, of an entry's
 * state.
 */
#include "telemetry/account.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telemetry/crc32c.h"
#include "telemetry/segment_file.h"
#include "telemetry/segment_guard.h"

#define ACCOUNT_MAGIC   "FaucetAC"
#define ACCOUNT_VERSION 2
#define ACCOUNT_ORDER   0x01020304u
#define ACCOUNT_KINDS   16 /* room for more */
#define ACCOUNT_REASONS 16

enum { ENTRY_FREE = 0, ENTRY_COMMITTING = 0x43, ENTRY_STORED = 0x53, ENTRY_DROPPED = 0x64 };

struct entry {
    uint64_t batch, transaction;
    uint32_t kind, crc; /* of what is before it */
    uint64_t target;    /* decided: what the counter is afterwards */
    uint32_t reason, state;
};

struct account_file {
    char magic[8];
    uint32_t version, order, kinds, crc;
    uint64_t next_batch;
    struct {
        uint64_t recovered, received, stored, carried, dropped[ACCOUNT_REASONS];
        struct event_gap gaps[ACCOUNT_REASONS];
    } kind[ACCOUNT_KINDS];
    struct entry entries[EVENT_BATCHES_IN_DOUBT];
};
#define ACCOUNT_SIZE ((size_t)64 * 1024)
_Static_assert(sizeof(struct account_file) <= ACCOUNT_SIZE && RECORD_KINDS <= ACCOUNT_KINDS &&
                   DROP_REASONS <= ACCOUNT_REASONS,
               "the account file is large enough");

static void fence(void) {
    atomic_thread_fence(memory_order_release);
}

/* ---- opening ---- */

void account_init(struct account *a) {
    memset(a, 0, sizeof *a);
    a->guard = a->fd = -1;
    a->next_batch = 1;
    a->fresh = true;
}

static uint32_t file_crc(const struct account_file *f) {
    return crc32c(0, f, offsetof(struct account_file, crc));
}

static void load(struct account *a, const struct account_file *f) {
    a->next_batch = f->next_batch == 0 ? 1 : f->next_batch;
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        a->kinds[k].recovered = f->kind[k].recovered;
        a->kinds[k].received = f->kind[k].received;
        a->kinds[k].stored = f->kind[k].stored;
        a->carried[k] = f->kind[k].carried;
        for (size_t r = 0; r < DROP_REASONS; r++)
            a->kinds[k].dropped[r] = f->kind[k].dropped[r];
        for (size_t r = 0; r < DROP_REASONS; r++)
            a->gaps[k][r] = f->kind[k].gaps[r];
    }
    a->fresh = false;
}

static void begin_anew(struct account_file *f) {
    memset(f, 0, sizeof *f);
    f->version = ACCOUNT_VERSION;
    f->order = ACCOUNT_ORDER;
    f->kinds = RECORD_KINDS;
    f->next_batch = 1;
    memcpy(f->magic, ACCOUNT_MAGIC, sizeof f->magic);
    f->crc = file_crc(f);
}

static bool refuse(char **error, const char *path, const char *what) {
    XXXASSERT(asprintf(error, "%s: %s", path, what) >= 0);
    return false;
}

static bool map(struct account *a, const char *path, char **error) {
    struct stat st;

    a->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (a->fd < 0 || fstat(a->fd, &st) != 0)
        return refuse(error, path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return refuse(error, path, "not a regular file");
    if (flock(a->fd, LOCK_EX | LOCK_NB) != 0)
        return refuse(error, path, errno == EWOULDBLOCK ? "the queue is in use by somebody else" : strerror(errno));
    if (!segment_file_allocate(a->fd, ACCOUNT_SIZE, st.st_size))
        return refuse(error, path, strerror(errno));
    void *p = mmap(NULL, ACCOUNT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
    if (p == MAP_FAILED)
        return refuse(error, path, strerror(errno));
    a->file = p;
    a->guard = segment_guard_add(p, ACCOUNT_SIZE);
    return true;
}

bool account_open(struct account *a, const char *directory, char **error) {
    char *path;
    bool opened;

    account_init(a);
    segment_guard_install();
    XXXASSERT(asprintf(&path, "%s/account", directory) >= 0);
    opened = map(a, path, error);
    if (opened) {
        const struct account_file *f = a->file;
        bool good = memcmp(f->magic, ACCOUNT_MAGIC, sizeof f->magic) == 0 && f->crc == file_crc(f);
        if (good && (f->version != ACCOUNT_VERSION || f->order != ACCOUNT_ORDER || f->kinds > ACCOUNT_KINDS))
            opened = refuse(error, path, "the queue was written by another release of faucet, or on another machine");
        else if (good)
            load(a, f);
        else
            begin_anew(a->file);
    }
    if (!opened)
        account_close(a);
    free(path);
    return opened;
}

void account_close(struct account *a) {
    segment_guard_remove(a->guard);
    if (a->file != NULL)
        munmap(a->file, ACCOUNT_SIZE);
    if (a->fd >= 0)
        close(a->fd);
    a->file = NULL;
    a->guard = a->fd = -1;
}

/* ---- counters ---- */

static void save(struct account *a, enum record_kind kind) {
    const struct event_account *e = &a->kinds[kind];

    if (a->file == NULL)
        return;
    a->file->kind[kind].recovered = e->recovered;
    a->file->kind[kind].received = e->received;
    a->file->kind[kind].stored = e->stored;
    a->file->kind[kind].carried = a->carried[kind];
    for (size_t r = 0; r < DROP_REASONS; r++)
        a->file->kind[kind].dropped[r] = e->dropped[r];
}

void account_received(struct account *a, enum record_kind kind) {
    a->kinds[kind].received++;
    a->kinds[kind].queued++;
    if (a->file != NULL)
        a->file->kind[kind].received = a->kinds[kind].received;
}

void account_refused(struct account *a, enum record_kind kind, enum drop_reason why) {
    a->kinds[kind].received++;
    a->kinds[kind].dropped[why]++;
    save(a, kind);
}

static void leave(struct account *a, enum record_kind kind, uint64_t n, uint64_t carried) {
    ASSERT(a->kinds[kind].queued >= n);
    a->kinds[kind].queued -= n;
    a->carried[kind] -= carried < a->carried[kind] ? carried : a->carried[kind];
}

void account_dropped(struct account *a, enum record_kind kind, enum drop_reason why, bool carried, uint64_t n) {
    leave(a, kind, n, carried ? n : 0);
    a->kinds[kind].dropped[why] += n;
    save(a, kind);
}

uint64_t account_new_batch(struct account *a) {
    uint64_t id = a->next_batch++;

    if (a->file != NULL)
        a->file->next_batch = a->next_batch;
    return id;
}

static uint64_t dropped_in_all(const struct event_account *e) {
    uint64_t n = 0;

    for (size_t r = 0; r < DROP_REASONS; r++)
        n += e->dropped[r];
    return n;
}

uint64_t account_reconcile(struct account *a, enum record_kind kind, uint64_t found, uint64_t damaged) {
    struct event_account *e = &a->kinds[kind];
    uint64_t before = e->recovered + e->received, after = found + e->stored + dropped_in_all(e);
    uint64_t fresh = found > a->carried[kind] ? found - a->carried[kind] : 0, extra = 0, corrupt = 0, moved;

    if (a->fresh) {
        e->recovered = extra = fresh = found + damaged;
        corrupt = damaged;
    } else if (after > before) {
        extra = after - before; /* more than we knew of: the crash came between a record and its count */
        e->recovered += extra;
    } else {
        corrupt = before - after;
    }
    e->dropped[DROP_CORRUPT] += corrupt;
    e->queued = found;
    /* what the last run received and we found moves over */
    moved = fresh > extra ? fresh - extra : 0;
    if (moved > e->received)
        moved = e->received;
    e->received -= moved;
    e->recovered += moved;
    a->carried[kind] = found;
    save(a, kind);
    return corrupt;
}

/* ---- gaps ---- */

static void save_gap(struct account *a, enum record_kind kind, enum drop_reason why) {
    if (a->file != NULL)
        a->file->kind[kind].gaps[why] = a->gaps[kind][why];
}

uint64_t account_untold(const struct account *a, enum record_kind kind, enum drop_reason why) {
    uint64_t dropped = a->kinds[kind].dropped[why], told = a->gaps[kind][why].told;

    return kind != RECORD_GAP && dropped > told ? dropped - told : 0;
}

void account_gap_widen(struct account *a, enum record_kind kind, enum drop_reason why, wall_t began, wall_t ended) {
    struct event_gap *g = &a->gaps[kind][why];

    if (g->began.us == 0 || began.us < g->began.us)
        g->began = began;
    if (g->ended.us == 0 || ended.us > g->ended.us)
        g->ended = ended;
    save_gap(a, kind, why);
}

void account_gap_told(struct account *a, enum record_kind kind, enum drop_reason why, uint64_t n) {
    a->gaps[kind][why] = (struct event_gap){.told = a->gaps[kind][why].told + n};
    save_gap(a, kind, why);
}

void account_gap_untell(struct account *a, enum record_kind kind, enum drop_reason why, uint64_t n) {
    struct event_gap *g = &a->gaps[kind][why];

    g->told -= n < g->told ? n : g->told; /* less was told where the account was begun anew since */
    save_gap(a, kind, why);
}

/* ---- batches in doubt ---- */

static uint32_t entry_crc(const struct entry *e) {
    return crc32c(0, e, offsetof(struct entry, crc));
}

bool account_doubt(const struct account *a, int place, struct doubt *d) {
    struct entry e;

    if (a->file == NULL)
        return false;
    e = a->file->entries[place];
    if (e.state == ENTRY_FREE || e.crc != entry_crc(&e) || e.kind >= RECORD_KINDS || e.batch == 0)
        return false;
    d->batch = e.batch;
    d->transaction = e.transaction;
    d->kind = (enum record_kind)e.kind;
    d->state = e.state == ENTRY_STORED ? DOUBT_STORED : e.state == ENTRY_DROPPED ? DOUBT_DROPPED : DOUBT_COMMITTING;
    return true;
}

int account_doubt_begin(struct account *a, uint64_t batch, enum record_kind kind, uint64_t transaction) {
    if (a->file == NULL)
        return -1;
    for (int place = 0; place < EVENT_BATCHES_IN_DOUBT; place++) {
        struct entry *e = &a->file->entries[place];
        if (e->state != ENTRY_FREE)
            continue;
        e->batch = batch;
        e->transaction = transaction;
        e->kind = (uint32_t)kind;
        e->crc = entry_crc(e);
        fence();
        *(volatile uint32_t *)&e->state = ENTRY_COMMITTING;
        return place;
    }
    return -1;
}

void account_doubt_decide(struct account *a, int place, enum record_kind kind, bool stored, enum drop_reason why,
                          uint64_t n, uint64_t carried) {
    struct event_account *k = &a->kinds[kind];
    uint64_t *counter = stored ? &k->stored : &k->dropped[why];

    leave(a, kind, n, carried);
    *counter += n;
    if (place >= 0) {
        struct entry *e = &a->file->entries[place];
        e->target = *counter;
        e->reason = (uint32_t)why;
        fence();
        *(volatile uint32_t *)&e->state = stored ? ENTRY_STORED : ENTRY_DROPPED;
    }
    save(a, kind);
}

void account_doubt_end(struct account *a, int place) {
    if (place < 0 || a->file == NULL)
        return;
    fence();
    *(volatile uint32_t *)&a->file->entries[place].state = ENTRY_FREE;
}

void account_doubt_replay(struct account *a, int place) {
    const struct entry *e = &a->file->entries[place];

    if (e->state == ENTRY_STORED)
        a->kinds[e->kind].stored = e->target;
    else if (e->state == ENTRY_DROPPED && e->reason < DROP_REASONS)
        a->kinds[e->kind].dropped[e->reason] = e->target;
}
