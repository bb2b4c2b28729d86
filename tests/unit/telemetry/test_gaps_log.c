/* What the log says of events that are dropped at the door: when it begins, when it is over, and not again and again.
 */
#include "gap_fixture.h"

#include "telemetry/queue_parts.h"

static char log_path[40];
static int stderr_was;

static int begin_log(void **state) {
    (void)state;
    snprintf(log_path, sizeof log_path, "/tmp/faucet-test-gaps-XXXXXX");
    int fd = mkstemp(log_path);
    stderr_was = dup(2);
    dup2(fd, 2);
    close(fd);
    return fd >= 0 && stderr_was >= 0 ? 0 : -1;
}

static int end_log(void **state) {
    (void)state;
    dup2(stderr_was, 2);
    close(stderr_was);
    return unlink(log_path);
}

static int count(const char *words) {
    char text[8192];
    int n = 0;
    FILE *in = fopen(log_path, "re");

    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    for (const char *p = text; (p = strstr(p, words)) != NULL; p++)
        n++;
    return n;
}

/* Runs the loop until the log says so. */
static void await_line(struct fixture *f, const char *words) {
    mono_t began = mono_now();

    while (count(words) == 0) {
        assert_true(mono_since(began, mono_now()) < 10 * DUR_S);
        ev_run(f->options.loop->ev, EVRUN_NOWAIT);
    }
}

static void test_log_of_a_full_queue(void **state) {
    struct fixture f;
    char name[] = "db1:5432/faucet as alice";

    (void)state;
    begin_with_loop(&f);
    f.options.log = log_open_stderr();
    f.options.name = name;
    struct event_queue *q = fixture_open(&f);
    fill(&f, q);
    assert_int_equal(count("to db1:5432/faucet as alice: the queue is full with 1MiB"), 1);
    assert_int_equal(count("telemetry.queue_size"), 1);
    for (int i = 0; i < 1000; i++)
        assert_false(append(&f, q, RECORD_HTTP, clock_us));
    assert_int_equal(count("\n"), 1);
    store(q, RECORD_HTTP);
    assert_int_equal(count("takes events again; 1001 were dropped since 2023-11-14T22:13:20Z"), 1);
    for (int i = 0; i < 50; i++) { /* to and fro: said once, later */
        clock_us += DUR_S;
        fill(&f, q);
        store(q, RECORD_HTTP);
        store(q, RECORD_GAP);
        ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    }
    assert_int_equal(count("\n"), 2);
    deadline_set(&q->full.later, 0); /* ten minutes are over */
    await_line(&f, "full more than once in between; 50 were dropped since 2023-11-14T22:13:21Z");
    q->full.said.us -= 10 * DUR_MIN;
    fill(&f, q);
    assert_int_equal(count("is full with"), 2);
    store(q, RECORD_HTTP);
    assert_int_equal(count("takes events again; 1 was dropped"), 1);
    fill(&f, q); /* full for long */
    q->full.said.us -= 10 * DUR_MIN;
    deadline_set(&q->full.later, 0);
    ev_run(f.options.loop->ev, EVRUN_NOWAIT);
    store(q, RECORD_HTTP);
    assert_int_equal(count("is full with"), 3);
    assert_int_equal(count("takes events again; 1 was dropped"), 2);
    assert_int_equal(count("\n"), 7);
    event_queue_close(q);
    log_close(f.options.log);
    loop_free(f.options.loop);
    fixture_end(&f);
}

static void test_log_of_a_record_too_long(void **state) {
    struct fixture f;
    char *text = calloc(1, EVENT_RECORD_MAX + 1);

    (void)state;
    begin(&f);
    f.options.log = log_open_stderr();
    struct event_queue *q = fixture_open(&f);
    for (int i = 0; i < 5; i++)
        assert_false(event_queue_append(q, RECORD_LOG, str_make(text, EVENT_RECORD_MAX + 1)));
    assert_int_equal(count("an event for faucet_log_events takes 131073 bytes, more than the 131072"), 1);
    assert_int_equal(count("\n"), 1);
    event_queue_close(q);
    log_close(f.options.log);
    free(text);
    fixture_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_log_of_a_full_queue, begin_log, end_log),
        cmocka_unit_test_setup_teardown(test_log_of_a_record_too_long, begin_log, end_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
