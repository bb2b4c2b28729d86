/*
 * kill -9 at any moment of a process that appends, reserves, finishes, commits,
 * acknowledges and drops, and of one that recovers: every event is there exactly
 * once, in the form its state asks for. The seeds are fixed; the moments are not.
 */
#include "queue_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define EVENTS 60000
#define ROUNDS 40

enum event_state {
    NOTHING,
    APPENDING, /* the call had not returned */
    APPENDED,
    RESERVED,
    FINISHING,
    FINISHED,
    COMMITTED, /* in a batch whose COMMIT is under way */
    STORING,
    STORED,
    DROPPING, /* set aside by the pool */
    DROPPED,
    REFUSED
};

struct shared { /* what the child says it did; survives it */
    volatile uint64_t n;
    volatile uint8_t state[EVENTS];
};

static uint64_t seed;
static uint64_t dice(uint64_t sides) { /* xorshift64*: the same rolls each run */
    seed ^= seed >> 12;
    seed ^= seed << 25;
    seed ^= seed >> 27;
    return (seed * 0x2545f4914f6cdd1du >> 16) % sides;
}

struct child {
    struct fixture *f;
    struct shared *shared;
    struct event_queue *queue;
    int64_t base;
    size_t open;
    struct {
        struct event_slot slot;
        uint64_t i;
    } slots[32];
};

static void child_append(struct child *c, bool reserve) {
    uint64_t i = c->shared->n;
    bool done;

    if (reserve && c->open == ARRAY_LENGTH(c->slots))
        return;
    struct str r = numbered(c->f, RECORD_HTTP, c->base + (int64_t)i, 100 + i % 600);
    c->shared->state[i] = APPENDING;
    c->shared->n = i + 1;
    if (reserve) {
        done = event_queue_reserve(c->queue, RECORD_HTTP, r, &c->slots[c->open].slot);
        c->slots[c->open].i = i;
        c->open += done;
    } else {
        done = event_queue_append(c->queue, RECORD_HTTP, r);
    }
    c->shared->state[i] = !done ? REFUSED : reserve ? RESERVED : APPENDED;
}

static void child_finish(struct child *c) {
    if (c->open == 0)
        return;
    size_t at = (size_t)dice(c->open);
    uint64_t i = c->slots[at].i;
    struct str r = ending(c->f, c->base + (int64_t)i);
    c->shared->state[i] = FINISHING;
    event_queue_finish(&c->slots[at].slot, r);
    c->shared->state[i] = FINISHED;
    c->slots[at] = c->slots[--c->open];
}

static void set_states(struct child *c, const struct event_batch *b, enum event_state s) {
    for (size_t i = 0; i < b->n; i++)
        c->shared->state[number_of(b->records[i]) - c->base] = (uint8_t)s;
}

static void child_drop_first(struct child *c, struct event_batch *b) {
    int64_t i = number_of(b->records[0]) - c->base;

    c->shared->state[i] = DROPPING;
    event_batch_drop_row(c->queue, b, 0);
    c->shared->state[i] = DROPPED;
}

static void child_send(struct child *c) {
    struct event_batch *b = event_queue_take(c->queue, RECORD_HTTP, 1 + (size_t)dice(40000));
    uint64_t *numbers;
    size_t n;

    if (b == NULL)
        return;
    if (!b->in_doubt && dice(4) == 0) {
        if (dice(2) == 0)
            child_drop_first(c, b);
        event_batch_give_back(c->queue, b);
        return;
    }
    n = b->n;
    numbers = malloc(n * sizeof *numbers);
    for (size_t i = 0; i < n; i++)
        numbers[i] = (uint64_t)(number_of(b->records[i]) - c->base);
    event_batch_committing(c->queue, b, 1000 + dice(1000));
    set_states(c, b, COMMITTED);
    if (dice(4) == 0) { /* the connection was lost */
        event_batch_give_back(c->queue, b);
    } else {
        set_states(c, b, STORING);
        event_batch_stored(c->queue, b);
        for (size_t i = 0; i < n; i++)
            c->shared->state[numbers[i]] = STORED;
    }
    free(numbers);
}

static _Noreturn void child_main(struct fixture *f, struct shared *shared, int64_t base) {
    struct child c = {.f = f, .shared = shared, .base = base};
    char *error;

    c.queue = event_queue_open(&f->options, &error);
    while (c.queue != NULL && shared->n < EVENTS) {
        uint64_t what = dice(100);
        if (what < 50)
            child_append(&c, false);
        else if (what < 73)
            child_append(&c, true);
        else if (what < 96)
            child_finish(&c);
        else
            child_send(&c);
    }
    for (;;) /* done, or failed: the parent kills us either way */
        pause();
}

static void kill_after(pid_t pid, uint64_t us) {
    int status;

    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* found: how often each came back; bit 7: in doubt; bit 6: daemon_died; bit 5: with elapsed */
static void collect(struct event_queue *q, uint8_t *found, int64_t base) {
    struct event_batch *b;
    struct str bytes;

    while ((b = event_queue_take(q, RECORD_HTTP, 256 * 1024)) != NULL) {
        for (size_t i = 0; i < b->n; i++) {
            int64_t number = number_of(b->records[i]) - base;
            assert_in_range(number, 0, EVENTS - 1);
            found[number]++;
            found[number] |= (uint8_t)(b->in_doubt ? 0x80 : 0);
            if (record_find(b->records[i], COLUMN_OF_HTTP_error, &bytes)) {
                assert_true(str_eq(bytes, STR("daemon_died")));
                found[number] |= 0x40;
            }
            if (record_find(b->records[i], COLUMN_OF_HTTP_elapsed, &bytes)) {
                assert_int_equal(record_get_integer(bytes), base + number);
                found[number] |= 0x20;
            }
        }
        event_batch_stored(q, b);
        check_account(q);
    }
}

static bool is_right(enum event_state s, uint8_t found) {
    unsigned times = found & 0x1f;
    bool doubt = found & 0x80, died = found & 0x40, elapsed = found & 0x20;

    switch (s) {
    case NOTHING:
    case STORED:
    case DROPPED:
    case REFUSED:
        return times == 0;
    case APPENDING: /* either; perhaps it was reserved */
        return times <= 1 && !elapsed;
    case APPENDED:
        return times == 1 && !died && !elapsed;
    case RESERVED:
        return times == 1 && died && !elapsed;
    case FINISHING:
        return times == 1 && died != elapsed;
    case FINISHED: /* or already marked, if the kill came before the child could say so */
        return times == 1 && !died && elapsed;
    case COMMITTED:
        return times == 1 && doubt && !died;
    case STORING:
    case DROPPING:
        return times <= 1 && !died;
    }
    return false;
}

static void check_round(const struct shared *shared, const uint8_t *found, uint64_t round) {
    size_t storing[2] = {0, 0};

    for (uint64_t i = 0; i < EVENTS; i++) {
        if (!is_right((enum event_state)shared->state[i], found[i]))
            fail_msg("round %llu, event %llu of %llu: state %d, found %#x", (unsigned long long)round,
                     (unsigned long long)i, (unsigned long long)shared->n, shared->state[i], found[i]);
        if (shared->state[i] == STORING)
            storing[found[i] & 1]++;
    }
    if (storing[0] > 0 && storing[1] > 0) /* marking STORED row by row: the whole batch is gone by then */
        fail_msg("round %llu: a batch came back in part", (unsigned long long)round);
}

/* How many events the rows of gaps tell of. */
static uint64_t tell(struct event_queue *q) {
    struct event_batch *b;
    struct str bytes;
    uint64_t n = 0;

    event_queue_end_gaps(q);
    while ((b = event_queue_take(q, RECORD_GAP, 1 << 20)) != NULL) {
        for (size_t i = 0; i < b->n; i++) {
            assert_true(record_find(b->records[i], COLUMN_OF_GAP_dropped, &bytes));
            n += (uint64_t)record_get_integer(bytes);
        }
        event_batch_stored(q, b);
    }
    return n;
}

static void test_killed(void **state) {
    struct fixture f;
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint8_t *found = malloc(EVENTS);
    uint64_t before = 0, told = 0;

    (void)state;
    assert_true(shared != MAP_FAILED);
    fixture_init(&f);
    f.options.size = 4 * MIB; /* segments of 512 KiB */
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        int64_t base = (int64_t)(round << 32);
        seed = round * 0x9e3779b97f4a7c15u;
        memset(shared, 0, sizeof *shared);
        memset(found, 0, EVENTS);
        pid_t pid = fork();
        if (pid == 0)
            child_main(&f, shared, base);
        while (shared->n == 0)
            sched_yield();
        kill_after(pid, dice(round % 4 == 0 ? 40000 : 8000));
        if (round % 3 == 0) { /* the next one dies while it recovers */
            pid = fork();
            if (pid == 0) {
                char *error;
                (void)event_queue_open(&f.options, &error);
                for (;;)
                    pause();
            }
            kill_after(pid, dice(1500));
        }
        struct event_queue *q = fixture_open(&f);
        const struct event_account *a = event_queue_account(q, RECORD_HTTP);
        check_account(q);
        assert_int_equal(a->dropped[DROP_CORRUPT], 0);
        collect(q, found, base);
        check_round(shared, found, round);
        assert_int_equal(a->queued, 0);
        assert_true(a->recovered + a->received >= before + shared->n - 1);
        assert_true(a->recovered + a->received <= before + shared->n);
        before = a->recovered + a->received;
        told += tell(q);
        assert_true(told >=
                    a->dropped[DROP_FULL]); /* none is forgotten; killed in between, one row may be there twice */
        check_account(q);
        event_queue_close(q);
    }
    assert_true(before > ROUNDS * 50);
    assert_true(told > 0);
    free(found);
    munmap(shared, sizeof *shared);
    fixture_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
