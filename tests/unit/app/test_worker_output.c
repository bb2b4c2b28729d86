/* What a worker writes, cut into lines of the log: seen in a real log file. */
#include "live_fixture.h"

#include "app/worker_output.h"

struct world {
    struct live live;
    struct worker_output output;
    int out, err;
    char log_file[80];
};

static void begin(struct world *w) {
    (void)snprintf(w->log_file, sizeof w->log_file, "/tmp/faucet-unit-output-%d", (int)getpid());
    (void)unlink(w->log_file);
    live_open(&w->live, NULL, w->log_file);
    memset(&w->output, 0, sizeof w->output);
    worker_output_init(&w->output, w->live.loop, w->live.log);
    assert_true(worker_output_start(&w->output, "Worker::sales::1", &w->out, &w->err));
}

static void put(int fd, const char *text, size_t n) {
    assert_int_equal(write(fd, text, n), n);
}
#define PUT(fd, literal) put(fd, literal, sizeof(literal) - 1)

static void finish(struct world *w) {
    (void)close(w->out);
    (void)close(w->err);
    worker_output_finish(&w->output);
    live_close(&w->live);
    (void)unlink(w->log_file);
}

static const char *read_log(struct world *w) {
    static char text[1 << 20];
    FILE *f = fopen(w->log_file, "r");
    size_t n = f == NULL ? 0 : fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    if (f != NULL)
        (void)fclose(f);
    return text;
}

#define logged(w, what) live_until(&(w)->live, strstr(read_log(w), what) != NULL)

static void lines_with_their_levels(void **state) {
    struct world w;
    (void)state;

    begin(&w);
    PUT(w.out, "first\r\nsec");
    PUT(w.err, "bad\n\n\nworse\n");
    logged(&w, "INFO  Worker::sales::1] first\n");
    logged(&w, "WARN  Worker::sales::1] bad\n");
    logged(&w, "WARN  Worker::sales::1] worse\n");
    assert_null(strstr(read_log(&w), "sec"));
    PUT(w.out, "ond\nlast without end");
    logged(&w, "] second\n");
    assert_null(strstr(read_log(&w), "last"));
    worker_output_finish(&w.output);
    logged(&w, "] last without end\n");
    assert_null(strstr(read_log(&w), "1] \n"));
    finish(&w);
}

static void long_lines_come_in_pieces(void **state) {
    struct world w;
    enum { LENGTH = 20000 };
    static char line[LENGTH + 1];
    (void)state;

    begin(&w);
    memset(line, 'x', LENGTH);
    line[OUTPUT_LINE_MAX - 1] = '\xc3'; /* an é across the cut */
    line[OUTPUT_LINE_MAX] = '\xa9';
    line[LENGTH] = '\n';
    put(w.out, line, sizeof line);
    PUT(w.out, "then\n");
    logged(&w, "] then\n");
    const char *log = read_log(&w);
    size_t pieces = 0, xs = 0;
    for (const char *p = log; (p = strstr(p, "Worker::sales::1] ")) != NULL; p++)
        pieces++;
    for (const char *p = log; *p != '\0'; p++)
        xs += *p == 'x';
    assert_int_equal(pieces, 4);
    assert_int_equal(xs, LENGTH - 2);
    assert_non_null(strstr(log, "x…\n"));
    assert_non_null(strstr(log, "] …éx"));
    assert_true(w.output.out.line.capacity <= 2 * BUF_BLOCK);
    finish(&w);
}

static void harmful_bytes_are_made_harmless(void **state) {
    struct world w;
    (void)state;

    begin(&w);
    PUT(w.err, "a\x1b[31mred\0nul\xff\n");
    logged(&w, "red");
    const char *log = read_log(&w);
    assert_null(strchr(log, '\x1b'));
    assert_null(strchr(log, '\xff'));
    finish(&w);
}

static void the_last_lines_are_remembered(void **state) {
    struct world w;
    struct buf b = {0};
    (void)state;

    begin(&w);
    worker_output_last(&w.output, &b);
    assert_int_equal(buf_length(&b), 0);
    PUT(w.err, "1\n2\n  3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n\t14\n");
    PUT(w.out, "not this\n");
    worker_output_finish(&w.output);
    worker_output_last(&w.output, &b);
    assert_true(str_eq(buf_str(&b), STR("3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 | 13 | 14")));
    buf_free(&b);
    finish(&w);
}

static void events_have_their_own_level(void **state) {
    struct world w;
    (void)state;

    begin(&w);
    PUT(w.err, "{{ faucet_event }}: {\"level\":\"Error\",\"message\":\"it broke\"}\n");
    PUT(w.err, "{{ faucet_event }}: {\"level\":[\"Info\"],\"message\":[\"all well\"],\"event_type\":[\"x\"]}\n");
    PUT(w.err, "{{ faucet_event }}: {\"level\":\n");
    PUT(w.err, "{{ faucet_event }}: [1]\n");
    PUT(w.err, "{{ faucet_event }}: {\"level\":\"Loud\",\"message\":\"m\"}\n");
    PUT(w.err, "{{ faucet_event }}: {\"level\":\"Warn\",\"message\":7}\n");
    logged(&w, "ERROR Worker::sales::1] it broke\n");
    logged(&w, "INFO  Worker::sales::1] all well\n");
    logged(&w, "WARN  Worker::sales::1] {{ faucet_event }}: {\"level\": [not a log event: ");
    logged(&w, "[1] [not a log event: ");
    logged(&w, "[not a log event: level must be");
    logged(&w, "[not a log event: message must be");
    finish(&w);
}

static unsigned events_seen;
static void count_event(struct worker_output *o, const struct log_event *e) {
    (void)o;
    assert_int_equal(e->level, LOG_INFO);
    assert_true(e->message.n > 0);
    events_seen++;
}

static void long_events_come_whole(void **state) {
    static char line[OUTPUT_EVENT_MAX + 1000];
    static const char head[] = "{{ faucet_event }}: {\"level\":\"Info\",\"message\":\"";
    struct world w;
    (void)state;

    begin(&w);
    events_seen = 0;
    w.output.event = count_event;
    memset(line, 'y', sizeof line);
    memcpy(line, head, sizeof head - 1);
    memcpy(line + OUTPUT_EVENT_MAX - 100, "\"}\n", 3);
    put(w.err, line, OUTPUT_EVENT_MAX / 2);
    live_until(&w.live, w.output.err.line.end > 0);
    put(w.err, line + OUTPUT_EVENT_MAX / 2, OUTPUT_EVENT_MAX / 2 - 97);
    live_until(&w.live, events_seen == 1);
    PUT(w.err, "{{ faucet_event }}: {\"level\":\"Info\",\"message\":\"short\"}\n");
    live_until(&w.live, events_seen == 2);
    memset(line, 'z', sizeof line);
    memcpy(line, head, sizeof head - 1);
    put(w.err, line, OUTPUT_EVENT_MAX / 2);
    live_until(&w.live, w.output.err.line.end > 0);
    put(w.err, line, OUTPUT_EVENT_MAX / 2);
    live_until(&w.live, buf_length(&w.output.err.line) == OUTPUT_EVENT_MAX);
    PUT(w.err, "zzzzzz\"}\nthen\n");
    logged(&w, "longer than 64 KiB");
    logged(&w, "] then\n");
    assert_int_equal(events_seen, 2);
    finish(&w);
}

static void closed_pipes_are_fine(void **state) {
    struct world w;
    (void)state;

    begin(&w);
    (void)close(w.out);
    live_until(&w.live, w.output.out.fd < 0);
    PUT(w.err, "still here\n");
    logged(&w, "] still here");
    assert_int_equal(w.output.err.line.capacity, 0); /* idle: no memory */
    w.out = -1;
    finish(&w);
}

static size_t turns;
static void count_turn(struct ev_loop *ev, ev_check *c, int events) {
    (void)ev;
    (void)c;
    (void)events;
    turns++;
}
/* A full pipe is emptied over several turns, not in one. */
static void one_bounded_read_a_turn(void **state) {
    struct world w;
    static char text[65536];
    ev_check check;
    (void)state;

    begin(&w);
    memset(text, 'y', sizeof text);
    for (size_t i = 79; i < sizeof text; i += 80)
        text[i] = '\n';
    put(w.out, text, sizeof text);
    turns = 0;
    ev_check_init(&check, count_turn);
    ev_check_start(w.live.loop->ev, &check);
    PUT(w.err, "quiet one\n");
    (void)ev_run(w.live.loop->ev, EVRUN_ONCE);
    (void)ev_run(w.live.loop->ev, EVRUN_ONCE);
    assert_int_equal(w.output.last_count, 1); /* was not kept waiting */
    for (size_t left = 1; left > 0 && turns < 100;) {
        int pending = 0;
        (void)ev_run(w.live.loop->ev, EVRUN_NOWAIT);
        fd_set set;
        FD_ZERO(&set);
        FD_SET(w.output.out.fd, &set);
        struct timeval none = {0, 0};
        pending = select(w.output.out.fd + 1, &set, NULL, NULL, &none);
        left = (size_t)pending;
    }
    assert_in_range(turns, 8, 20);
    ev_check_stop(w.live.loop->ev, &check);
    finish(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_with_their_levels),         cmocka_unit_test(long_lines_come_in_pieces),
        cmocka_unit_test(harmful_bytes_are_made_harmless), cmocka_unit_test(the_last_lines_are_remembered),
        cmocka_unit_test(events_have_their_own_level),     cmocka_unit_test(long_events_come_whole),
        cmocka_unit_test(closed_pipes_are_fine),           cmocka_unit_test(one_bounded_read_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
