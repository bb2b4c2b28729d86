/*
 * Helper threads. One mutex guards two short lists (waiting, finished); it is
 * held for a few pointer writes, never while a job runs, so the loop does not
 * wait for a disk. Finished jobs are announced with an ev_async.
 *
 * The async watcher keeps ev_run running only while jobs are outstanding.
 */
#include "base/helper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/miniobj.h"

struct helpers {
    unsigned magic;
#define HELPERS_MAGIC 0x4e19e450
    struct loop *loop;
    ev_async finished_some;
    size_t capacity;
    size_t outstanding; /* submitted, not yet done; the loop's */
    pthread_mutex_t mutex;
    pthread_cond_t work;           /* waiting is not empty, or stopping */
    struct list waiting, finished; /* of struct helper_job */
    bool stopping;
    unsigned thread_count;
    pthread_t threads[];
};

static void *helper_main(void *argument) {
    struct helpers *h = argument;

    AZ(pthread_mutex_lock(&h->mutex));
    while (!h->stopping) {
        struct list_node *n = list_first(&h->waiting);
        struct helper_job *job;

        if (n == NULL) {
            AZ(pthread_cond_wait(&h->work, &h->mutex));
            continue;
        }
        list_remove(n);
        AZ(pthread_mutex_unlock(&h->mutex));
        job = CONTAINER_OF(n, struct helper_job, node);
        job->run(job);
        AZ(pthread_mutex_lock(&h->mutex));
        list_append(&h->finished, n);
        ev_async_send(h->loop->ev, &h->finished_some);
    }
    AZ(pthread_mutex_unlock(&h->mutex));
    return NULL;
}

static struct helper_job *take_first(struct helpers *h, struct list *from) {
    struct list_node *n;

    AZ(pthread_mutex_lock(&h->mutex));
    n = list_first(from);
    if (n != NULL)
        list_remove(n);
    AZ(pthread_mutex_unlock(&h->mutex));
    return n == NULL ? NULL : CONTAINER_OF(n, struct helper_job, node);
}

static void report_done(struct helpers *h, struct helper_job *job) {
    ASSERT(h->outstanding > 0);
    if (--h->outstanding == 0)
        ev_unref(h->loop->ev);
    job->done(job); /* may submit again, may free the job */
}

static void on_finished(struct ev_loop *ev, ev_async *w, int events) {
    struct helpers *h = CONTAINER_OF(w, struct helpers, finished_some);
    size_t turn;

    (void)ev;
    (void)events;
    CHECK_OBJ(h, HELPERS_MAGIC);
    AZ(pthread_mutex_lock(&h->mutex));
    turn = h->finished.length; /* those that finish meanwhile have sent again */
    AZ(pthread_mutex_unlock(&h->mutex));
    while (turn-- > 0)
        report_done(h, take_first(h, &h->finished));
}

static void stop_threads(struct helpers *h) {
    AZ(pthread_mutex_lock(&h->mutex));
    h->stopping = true;
    AZ(pthread_cond_broadcast(&h->work));
    AZ(pthread_mutex_unlock(&h->mutex));
    for (unsigned i = 0; i < h->thread_count; i++)
        AZ(pthread_join(h->threads[i], NULL));
}

static void destroy(struct helpers *h) {
    if (h->outstanding == 0)
        ev_ref(h->loop->ev);
    ev_async_stop(h->loop->ev, &h->finished_some);
    AZ(pthread_cond_destroy(&h->work));
    AZ(pthread_mutex_destroy(&h->mutex));
    FREE_OBJ(h);
}

/* Signals are the loop's: a thread starts with all of them blocked. */
static int start_threads(struct helpers *h, unsigned threads) {
    sigset_t all, before;
    int error = 0;

    (void)sigfillset(&all);
    AZ(pthread_sigmask(SIG_SETMASK, &all, &before));
    while (error == 0 && h->thread_count < threads) {
        error = pthread_create(&h->threads[h->thread_count], NULL, helper_main, h);
        if (error == 0)
            h->thread_count++;
    }
    AZ(pthread_sigmask(SIG_SETMASK, &before, NULL));
    return error;
}

struct helpers *helpers_new(struct loop *loop, unsigned threads, size_t capacity) {
    struct helpers *h = calloc(1, sizeof *h + threads * sizeof h->threads[0]);
    int error;

    XXXAN(h);
    ASSERT(threads > 0 && capacity > 0);
    h->magic = HELPERS_MAGIC;
    h->loop = loop;
    h->capacity = capacity;
    AZ(pthread_mutex_init(&h->mutex, NULL));
    AZ(pthread_cond_init(&h->work, NULL));
    list_init(&h->waiting);
    list_init(&h->finished);
    ev_async_init(&h->finished_some, on_finished);
    ev_async_start(loop->ev, &h->finished_some);
    ev_unref(loop->ev);
    error = start_threads(h, threads);
    if (error != 0) {
        stop_threads(h);
        destroy(h);
        errno = error;
        return NULL;
    }
    return h;
}

bool helper_submit(struct helpers *h, struct helper_job *job) {
    bool accepted;

    CHECK_OBJ_NOTNULL(h, HELPERS_MAGIC);
    AZ(pthread_mutex_lock(&h->mutex));
    accepted = !h->stopping && h->waiting.length < h->capacity;
    if (accepted) {
        list_append(&h->waiting, &job->node);
        AZ(pthread_cond_signal(&h->work));
    }
    AZ(pthread_mutex_unlock(&h->mutex));
    if (accepted && h->outstanding++ == 0)
        ev_ref(h->loop->ev);
    return accepted;
}

void helpers_free(struct helpers *h) {
    struct helper_job *job;

    CHECK_OBJ_NOTNULL(h, HELPERS_MAGIC);
    stop_threads(h);
    while ((job = take_first(h, &h->finished)) != NULL)
        report_done(h, job);
    while ((job = take_first(h, &h->waiting)) != NULL)
        report_done(h, job);
    AZ(h->outstanding);
    destroy(h);
}
