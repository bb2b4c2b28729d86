/* Supervision with real processes through the real keeper. */
#include "world_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct worker *first_worker(struct live *l) {
    for (size_t s = 0; s < WORKER_STATES; s++)
        if (!list_empty(&l->generation->workers[s]))
            return CONTAINER_OF(list_first(&l->generation->workers[s]), struct worker, node);
    return NULL;
}

static void start_app(struct live *l, const char **command) {
    size_t n = 0;
    while (command[n] != NULL)
        n++;
    l->config.command = (struct strings){n, command};
    l->app = app_start(l->apps, l->snapshot, &l->config);
    l->generation = l->app->current;
}

static void becomes_ready_and_stops(void **state) {
    static const char *command[] = {PYTHON, "-c", SERVER "print('hello'); sys.stdout.flush(); serve(listen())",
                                    "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    struct stat st;
    (void)state;

    open_world(&w);
    l->config.workers = 2;
    start_app(l, command);
    assert_int_equal(ask_as_nobody(l, &a), LEASE_NO_WORKER);
    assert_true(app_retry_after(l->app) >= 1);
    live_until(l, l->state == APP_STATE_READY);
    assert_int_equal(app_ready_count(l->app), 2);
    struct worker *worker = first_worker(l);
    assert_int_equal(stat(worker->socket, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(l->apps->pacer.under_way.length, 0);
    assert_logged(&w, "is ready after");
    assert_logged(&w, "Worker::sales::1] hello");
    assert_int_equal(ask_as_nobody(l, &a), LEASE_OK);
    struct endpoint *his = a.lease.endpoint;

    apps_stop(l->apps, false); /* the idle one goes at once, the busy one when it is free */
    live_until(l, generation_worker_count(l->generation) == 1);
    assert_int_equal(his->state, ENDPOINT_DRAINING);
    assert_false(l->stopped);
    lease_release(&a.lease);
    live_until(l, l->stopped);
    assert_logged(&w, "was killed by signal 15");
    close_world(&w);
}

static void crash_loops_back_off(void **state) {
    static const char *command[] = {"/bin/sh", "-c", "echo one >&2; echo boom >&2; exit 3", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    start_app(l, command);
    live_until(l, l->state == APP_STATE_BACKOFF);
    assert_non_null(strstr(l->reason, "exited with status 3"));
    assert_non_null(strstr(l->reason, "one | boom"));
    struct worker *worker = first_worker(l);
    mono_t began = mono_now();
    live_until(l, worker->failures == 3);
    /* 250 ms and 500 ms, a quarter less at most */
    assert_true(mono_since(began, mono_now()) >= 550 * DUR_MS);
    assert_true(worker_delay_left(worker) > 500 * DUR_MS);
    assert_true(worker_delay_left(worker) <= 1000 * DUR_MS);
    assert_int_equal(worker->starts, 3);
    assert_int_equal(l->announced, 1);
    assert_non_null(strstr(l->events, "started crashed backoff started crashed backoff"));
    assert_logged(&w, "restart in ");
    assert_logged(&w, "WARN  Worker::sales::1] boom");
    assert_true(app_retry_after(l->app) >= 2);
    close_world(&w);
}

static void what_cannot_be_started_backs_off(void **state) {
    static const char *command[] = {"/nonexistent/program", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    start_app(l, command);
    live_until(l, l->state == APP_STATE_BACKOFF);
    assert_non_null(strstr(l->reason, "could not be started: exec: No such file or directory"));
    assert_int_equal(l->apps->pacer.under_way.length, 0);
    live_until(l, first_worker(l)->failures == 2);
    close_world(&w);
}

static void too_slow_a_start_is_ended(void **state) {
    /* takes the connection, says nothing, ignores SIGTERM */
    static const char *command[] = {
        PYTHON, "-c", SERVER "signal.signal(signal.SIGTERM, signal.SIG_IGN); s = listen(); time.sleep(60)", "{socket}",
        NULL};
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    l->config.start_timeout = 600 * DUR_MS;
    l->snapshot->daemon.timeout_stop = 200 * DUR_MS;
    start_app(l, command);
    live_until(l, l->state == APP_STATE_BACKOFF);
    assert_logged(&w, "did not end when asked to: killing it");
    assert_non_null(strstr(l->reason, "was killed by signal 9"));
    assert_non_null(strstr(l->reason, "did not answer in time"));
    assert_non_null(strstr(l->events, "killed stopped backoff"));
    close_world(&w);
}

static void a_killed_worker_comes_back_elsewhere(void **state) {
    static const char *command[] = {PYTHON, "-c", SERVER "serve(listen())", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0}, b = {0};
    struct client_key client = client_number(1);
    (void)state;

    open_world(&w);
    start_app(l, command);
    live_until(l, l->state == APP_STATE_READY);
    struct worker *worker = first_worker(l);
    char socket[108];
    (void)snprintf(socket, sizeof socket, "%s", worker->socket);
    struct endpoint *old = worker->endpoint;
    ask(l, &a, client);
    endpoint_pin(old, &client);
    ask(l, &b, client);
    assert_int_equal(b.lease.state, LEASE_QUEUED);
    assert_int_equal(kill(worker->pid, SIGKILL), 0);
    live_until(l, b.refused);
    assert_int_equal(b.why, LEASE_NO_WORKER);
    assert_int_equal(old->state, ENDPOINT_RETIRED);
    lease_release(&a.lease);
    live_until(l, l->state == APP_STATE_READY);
    assert_string_not_equal(worker->socket, socket);
    assert_int_equal(access(socket, F_OK), -1);
    assert_ptr_not_equal(worker->endpoint, old);
    ask(l, &a, client); /* the pin to the dead one does not count */
    assert_ptr_equal(a.lease.endpoint, worker->endpoint);
    lease_release(&a.lease);
    endpoint_unpin(old, &client);
    close_world(&w);
}

static void a_worker_that_refuses_is_asked_again(void **state) {
    /* closes its socket for a while at SIGUSR1 */
    static const char *command[] = {PYTHON, "-c",
                                    SERVER "def gap(*_):\n"
                                           "    global s\n"
                                           "    s.close(); os.unlink(sys.argv[1]); time.sleep(0.3); s = listen()\n"
                                           "signal.signal(signal.SIGUSR1, gap)\n"
                                           "s = listen()\n"
                                           "while True:\n"
                                           "    try:\n"
                                           "        serve(s)\n"
                                           "    except OSError:\n"
                                           "        pass\n",
                                    "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    (void)state;

    open_world(&w);
    start_app(l, command);
    live_until(l, l->state == APP_STATE_READY);
    struct worker *worker = first_worker(l);
    pid_t pid = worker->pid;
    assert_int_equal(kill(pid, SIGUSR1), 0);
    live_until(l, access(worker->socket, F_OK) < 0);
    ask_as_nobody(l, &a);
    lease_connect_failed(&a.lease, ENOENT);
    assert_int_equal(worker->state, WORKER_STARTING);
    assert_int_equal(ask_as_nobody(l, &a), LEASE_NO_WORKER);
    live_until(l, worker->state == WORKER_READY);
    assert_int_equal(worker->pid, pid);
    assert_int_equal(worker->failures, 0);
    close_world(&w);
}

static void busy_is_not_refusing(void **state) {
    static const char *command[] = {PYTHON, "-c", SERVER "serve(listen())", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct asker a = {0};
    (void)state;

    open_world(&w);
    start_app(l, command);
    live_until(l, l->state == APP_STATE_READY);
    ask_as_nobody(l, &a);
    lease_connect_failed(&a.lease, ETIMEDOUT);
    assert_int_equal(first_worker(l)->state, WORKER_READY);
    ask_as_nobody(l, &a);
    lease_connect_failed(&a.lease, EMFILE);
    assert_int_equal(first_worker(l)->state, WORKER_READY);
    close_world(&w);
}

static int bind_port(unsigned port) {
    const struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

static void a_taken_port_is_no_crash(void **state) {
    static const char *command[] = {PYTHON, "-c", SERVER "time.sleep(0.3); serve(listen())", "{port}", NULL};
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    start_app(l, command);
    struct worker *worker = first_worker(l);
    live_until(l, worker->pid != 0);
    unsigned taken = worker->port;
    int thief = bind_port(taken);
    live_until(l, worker->starts == 2);
    (void)close(thief);
    assert_int_equal(worker->failures, 0);
    assert_int_not_equal(worker->port, taken);
    live_until(l, l->state == APP_STATE_READY);
    assert_int_equal(worker->failures, 0);
    assert_logged(&w, "is taken, trying another");
    close_world(&w);
}

static void starts_are_paced(void **state) {
    static const char *command[] = {"/bin/sh", "-c", "sleep 0.05; exit 1", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    l->config.workers = 40;
    l->snapshot->daemon.max_parallel_starts = 3;
    start_app(l, command);
    size_t most = 0;
    mono_t began = mono_now();
    while (l->generation->workers[WORKER_STARTING].length > 0 || mono_since(began, mono_now()) < 300 * DUR_MS) {
        size_t running = 0;
        for (size_t s = 0; s < WORKER_STATES; s++)
            LIST_FOREACH (&l->generation->workers[s], struct worker, worker, node) {
                running += worker->process != NULL;
            }
        most = running > most ? running : most;
        assert_true(l->apps->pacer.under_way.length <= 3);
        if (mono_since(began, mono_now()) > 3 * DUR_S)
            break;
        live_once(l);
    }
    assert_int_equal(most, 3);
    close_world(&w);
}

static size_t resident_kib(void) {
    long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &pages, &resident), 2);
    (void)fclose(f);
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

static void a_flood_of_output_costs_no_memory(void **state) {
    /* short lines, and one line of many MB */
    static const char *command[] = {
        "/bin/sh", "-c",
        "yes | head -c 20000000; yes | tr -d '\\n' | head -c 20000000 >&2; touch \"$0.done\"; exec sleep 60",
        "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    (void)state;

    open_world(&w);
    log_configure(l->log, LOG_ERROR, LOG_TEXT, "/dev/null", 0);
    start_app(l, command);
    struct worker *worker = first_worker(l);
    live_until(l, worker->pid != 0);
    char done[128];
    (void)snprintf(done, sizeof done, "%s.done", worker->socket);
    size_t before = resident_kib(), most_buffered = 0;
    mono_t give_up = mono_add(mono_now(), 60 * DUR_S);
    while (access(done, F_OK) < 0 && mono_now().us < give_up.us) {
        live_once(l);
        size_t buffered = worker->output.out.line.capacity + worker->output.err.line.capacity;
        most_buffered = buffered > most_buffered ? buffered : most_buffered;
    }
    assert_int_equal(unlink(done), 0);
    assert_true(most_buffered <= 4 * BUF_BLOCK);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed */
    assert_true(resident_kib() < before + 2048);
#endif
    (void)before;
    close_world(&w);
}

static void resizing_grows_and_drains(void **state) {
    static const char *command[] = {PYTHON, "-c", SERVER "serve(listen())", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    struct asker a[3] = {0};
    (void)state;

    open_world(&w);
    start_app(l, command);
    live_until(l, l->state == APP_STATE_READY);
    generation_resize(l->generation, 3);
    live_until(l, app_ready_count(l->app) == 3);
    for (int i = 0; i < 3; i++)
        ask_as_nobody(l, &a[i]);
    generation_resize(l->generation, 1);
    assert_int_equal(l->generation->workers[WORKER_DRAINING].length, 2);
    assert_int_equal(first_worker(l)->id, 1);
    for (int i = 0; i < 3; i++)
        lease_release(&a[i].lease);
    live_until(l, generation_worker_count(l->generation) == 1);
    live_until(l, l->state == APP_STATE_READY);
    close_world(&w);
}

static void grandchildren_go_too(void **state) {
    static const char *command[] = {"/bin/sh", "-c", "sleep 300 & echo $! > \"$0.pid\"; wait", "{socket}", NULL};
    struct world w;
    struct live *l = &w.live;
    int pid = 0;
    (void)state;

    open_world(&w);
    start_app(l, command);
    live_until(l, first_worker(l)->pid != 0);
    char file[128];
    (void)snprintf(file, sizeof file, "%s.pid", first_worker(l)->socket);
    FILE *f = NULL;
    live_until(l, (f = fopen(file, "r")) != NULL && fscanf(f, "%d", &pid) == 1 ? true : (f ? fclose(f), false : false));
    (void)fclose(f);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(kill(first_worker(l)->pid, SIGKILL), 0); /* the shell alone */
    live_until(l, kill(pid, 0) < 0);
    (void)unlink(file);
    close_world(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(becomes_ready_and_stops),
        cmocka_unit_test(crash_loops_back_off),
        cmocka_unit_test(what_cannot_be_started_backs_off),
        cmocka_unit_test(too_slow_a_start_is_ended),
        cmocka_unit_test(a_killed_worker_comes_back_elsewhere),
        cmocka_unit_test(a_worker_that_refuses_is_asked_again),
        cmocka_unit_test(busy_is_not_refusing),
        cmocka_unit_test(a_taken_port_is_no_crash),
        cmocka_unit_test(starts_are_paced),
        cmocka_unit_test(a_flood_of_output_costs_no_memory),
        cmocka_unit_test(resizing_grows_and_drains),
        cmocka_unit_test(grandchildren_go_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
