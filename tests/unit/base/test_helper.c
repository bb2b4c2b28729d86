/* Helper threads: jobs run elsewhere and are done here; the ring is bounded; nothing is lost at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "base/helper.h"

struct test_job {
    struct helper_job job;
    sem_t *started, *may_end; /* NULL: ends at once */
    pthread_t ran_in, done_in;
    int ran, done;
    bool signals_blocked;
    struct helpers *resubmit; /* from done, once */
};

static void wait_for(sem_t *s) {
    while (sem_wait(s) != 0)
        assert_int_equal(errno, EINTR);
}

static void on_run(struct helper_job *job) {
    struct test_job *t = CONTAINER_OF(job, struct test_job, job);
    sigset_t mask;

    t->ran++;
    t->ran_in = pthread_self();
    AZ(pthread_sigmask(SIG_SETMASK, NULL, &mask));
    t->signals_blocked = sigismember(&mask, SIGHUP) == 1 && sigismember(&mask, SIGTERM) == 1;
    if (t->may_end != NULL) {
        AZ(sem_post(t->started));
        wait_for(t->may_end);
    }
}

static void on_done(struct helper_job *job) {
    struct test_job *t = CONTAINER_OF(job, struct test_job, job);
    struct helpers *h = t->resubmit;

    t->done++;
    t->done_in = pthread_self();
    t->resubmit = NULL;
    if (h != NULL)
        assert_true(helper_submit(h, job));
}

static const struct test_job JOB = {.job = {.run = on_run, .done = on_done}};

static void test_jobs_run_elsewhere_and_are_done_here(void **state) {
    struct loop *l = loop_new();
    struct helpers *h = helpers_new(l, 2, 64);
    struct test_job jobs[64];

    (void)state;
    assert_non_null(h);
    ev_run(l->ev, 0); /* idle helpers do not keep it running */
    for (int i = 0; i < 64; i++) {
        jobs[i] = JOB;
        jobs[i].resubmit = i % 8 == 0 ? h : NULL;
        assert_true(helper_submit(h, &jobs[i].job));
    }
    ev_run(l->ev, 0); /* outstanding jobs do */
    for (int i = 0; i < 64; i++) {
        assert_int_equal(jobs[i].ran, i % 8 == 0 ? 2 : 1);
        assert_int_equal(jobs[i].done, jobs[i].ran);
        assert_false(pthread_equal(jobs[i].ran_in, pthread_self()));
        assert_true(pthread_equal(jobs[i].done_in, pthread_self()));
        assert_true(jobs[i].signals_blocked);
    }
    helpers_free(h);
    loop_free(l);
}

static void test_full_ring_refuses(void **state) {
    struct loop *l = loop_new();
    struct helpers *h = helpers_new(l, 1, 2);
    struct test_job jobs[4] = {JOB, JOB, JOB, JOB};
    sem_t started, may_end;

    (void)state;
    AZ(sem_init(&started, 0, 0));
    AZ(sem_init(&may_end, 0, 0));
    jobs[0].started = &started;
    jobs[0].may_end = &may_end;
    assert_true(helper_submit(h, &jobs[0].job));
    wait_for(&started); /* it has left the ring */
    assert_true(helper_submit(h, &jobs[1].job));
    assert_true(helper_submit(h, &jobs[2].job));
    assert_false(helper_submit(h, &jobs[3].job));
    AZ(sem_post(&may_end));
    ev_run(l->ev, 0);
    assert_true(helper_submit(h, &jobs[3].job));
    ev_run(l->ev, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(jobs[i].done, 1);
    helpers_free(h);
    loop_free(l);
    AZ(sem_destroy(&started));
    AZ(sem_destroy(&may_end));
}

static void *release(void *argument) {
    AZ(sem_post(argument));
    return NULL;
}

static void test_free_waits_for_running_and_does_the_rest(void **state) {
    struct loop *l = loop_new();
    struct helpers *h = helpers_new(l, 1, 8);
    struct test_job jobs[5] = {JOB, JOB, JOB, JOB, JOB};
    sem_t started, may_end;
    pthread_t other;

    (void)state;
    AZ(sem_init(&started, 0, 0));
    AZ(sem_init(&may_end, 0, 0));
    jobs[0].started = &started;
    jobs[0].may_end = &may_end;
    for (int i = 0; i < 5; i++)
        assert_true(helper_submit(h, &jobs[i].job));
    wait_for(&started);
    AZ(pthread_create(&other, NULL, release, &may_end));
    helpers_free(h);
    AZ(pthread_join(other, NULL));
    assert_int_equal(jobs[0].ran, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(jobs[i].done, 1);
    ev_run(l->ev, 0); /* and no reference is left on the loop */
    loop_free(l);
    AZ(sem_destroy(&started));
    AZ(sem_destroy(&may_end));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jobs_run_elsewhere_and_are_done_here),
        cmocka_unit_test(test_full_ring_refuses),
        cmocka_unit_test(test_free_waits_for_running_and_does_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
