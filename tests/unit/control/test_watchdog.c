/* WATCHDOG=1 at half the time that is allowed, for the process that was asked, while the loop turns. */
#include "notify_fixture.h"

#include "base/str.h"
#include "control/watchdog.h"

/* environ_ with those two; NULL: not set. */
static void ask(struct fixture *f, const char *usec, const char *pid) {
    size_t n = 2;
    if (usec != NULL) {
        snprintf(f->usec, sizeof f->usec, "WATCHDOG_USEC=%s", usec);
        f->environ_[n++] = f->usec;
    }
    if (pid != NULL) {
        snprintf(f->pid, sizeof f->pid, "WATCHDOG_PID=%s", pid);
        f->environ_[n++] = f->pid;
    }
    f->environ_[n] = NULL;
}

static void enough(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)timer;
    (void)events;
    ev_break(ev, EVBREAK_ALL);
}

static void run(struct loop *l, double seconds) {
    ev_timer end;
    ev_timer_init(&end, enough, seconds, 0);
    ev_timer_start(l->ev, &end);
    ev_run(l->ev, 0);
}

static unsigned count(struct fixture *f) {
    unsigned n = 0;
    while (fixture_receive(f, 0) != NULL) {
        assert_string_equal(f->text, "WATCHDOG=1");
        n++;
    }
    return n;
}

static void at_half_the_time(void **state) {
    struct fixture *f = *state;
    struct loop *l = loop_new();
    ask(f, "200000", NULL);
    struct watchdog *w = watchdog_start(l, f->environ_);
    assert_non_null(w);
    assert_int_equal(count(f), 1); /* at once */
    mono_t began = mono_now();
    unsigned n = 0;
    for (unsigned steps = 0; n < 3 && steps < 1000; steps++) {
        run(l, 0.02);
        n += count(f);
    }
    assert_true(n >= 3);
    assert_true(mono_since(began, mono_now()) >= 280 * DUR_MS); /* a busy machine may be late, never early */
    watchdog_stop(w);
    run(l, 0.15);
    assert_int_equal(count(f), 0);
    loop_free(l);
}

/* It must not keep a loop running that has nothing else to do. */
static void counts_for_nothing(void **state) {
    struct fixture *f = *state;
    struct loop *l = loop_new();
    ask(f, "60000000", NULL);
    struct watchdog *w = watchdog_start(l, f->environ_);
    ev_run(l->ev, 0); /* would take half a minute */
    watchdog_stop(w);
    assert_int_equal(count(f), 1);
    loop_free(l);
}

static void who_is_asked(void **state) {
    struct fixture *f = *state;
    struct loop *l = loop_new();
    char own[32], other[32];
    snprintf(own, sizeof own, "%d", (int)getpid());
    snprintf(other, sizeof other, "%d", (int)getppid());
    static const struct {
        const char *usec;
        int pid; /* 0: not set, 1: ours, 2: another's, 3: junk */
        bool started;
    } cases[] = {{NULL, 0, false},
                 {NULL, 1, false},
                 {"0", 0, false},
                 {"", 0, false},
                 {"-1", 0, false},
                 {"1s", 0, false},
                 {"1000000", 0, true},
                 {"1000000", 1, true},
                 {"1000000", 2, false},
                 {"1000000", 3, false},
                 {"18446744073709551615", 1, true}};
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const char *const pids[] = {NULL, own, other, "x"};
        ask(f, cases[i].usec, pids[cases[i].pid]);
        struct watchdog *w = watchdog_start(l, f->environ_);
        if ((w != NULL) != cases[i].started)
            fail_msg("case %zu", i);
        assert_int_equal(count(f), cases[i].started ? 1 : 0);
        watchdog_stop(w);
    }
    loop_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {FIXTURE_TEST(at_half_the_time), FIXTURE_TEST(counts_for_nothing),
                                       FIXTURE_TEST(who_is_asked)};
    return cmocka_run_group_tests_name("control/watchdog", tests, NULL, NULL);
}
