/* Lines and timeouts, without any app. */
#include "live_fixture.h"

static struct queue queue;
static struct lease *gone[64];
static size_t gone_count;

static void note(struct lease *l) {
    gone[gone_count++] = l;
}

static void begin(struct live *l) {
    live_open(l, NULL, NULL);
    queue_init(&queue, l->loop, note);
    gone_count = 0;
}

static void finish(struct live *l) {
    struct lease *left;
    while ((left = queue_any(&queue)) != NULL)
        queue_leave(&queue, left);
    queue_destroy(&queue);
    live_close(l);
}

static void wait_in(struct live *l, struct list *line, struct lease *lease, dur_t timeout) {
    lease->asked = l->loop->now;
    lease->timeout = timeout;
    queue_wait(&queue, line, lease);
}

static void oldest_first_in_every_line(void **state) {
    struct live l;
    struct lease a = {0}, b = {0}, c = {0};
    struct list other;
    (void)state;

    begin(&l);
    list_init(&other);
    wait_in(&l, &other, &a, DUR_S);
    l.loop->now.us += 5;
    wait_in(&l, &queue.order, &b, DUR_S);
    l.loop->now.us += 5;
    wait_in(&l, &queue.order, &c, DUR_S);
    assert_int_equal(queue.length, 3);
    queue_wait(&queue, &queue.order, &a); /* routed anew: before those who came later */
    assert_int_equal(queue.length, 3);
    assert_ptr_equal(list_first(&queue.order), &a.node);
    assert_ptr_equal(list_last(&queue.order), &c.node);
    queue_leave(&queue, &b);
    queue_leave(&queue, &b);
    assert_int_equal(queue.length, 2);
    finish(&l);
}

static void each_timeout_in_its_time(void **state) {
    struct live l;
    struct lease slow = {0}, fast = {0}, middle = {0};
    (void)state;

    begin(&l);
    wait_in(&l, &queue.order, &slow, 150 * DUR_MS);
    wait_in(&l, &queue.order, &fast, 20 * DUR_MS); /* later in line, earlier in time */
    wait_in(&l, &queue.order, &middle, 80 * DUR_MS);
    live_until(&l, gone_count == 3);
    assert_ptr_equal(gone[0], &fast);
    assert_ptr_equal(gone[1], &middle);
    assert_ptr_equal(gone[2], &slow);
    assert_int_equal(queue.length, 0);
    assert_int_equal(queue.timeouts.length, 3);
    struct lease again = {0};
    wait_in(&l, &queue.order, &again, 7 * DUR_S); /* an unused list serves another value */
    assert_int_equal(queue.timeouts.length, 3);
    finish(&l);
}

static void the_head_may_leave_early(void **state) {
    struct live l;
    struct lease a = {0}, b = {0};
    (void)state;

    begin(&l);
    wait_in(&l, &queue.order, &a, 30 * DUR_MS);
    live_until(&l, mono_since(a.asked, l.loop->now) > 15 * DUR_MS);
    wait_in(&l, &queue.order, &b, 30 * DUR_MS);
    queue_leave(&queue, &a);
    live_until(&l, gone_count == 1);
    assert_ptr_equal(gone[0], &b);
    assert_true(mono_since(b.asked, l.loop->now) >= 30 * DUR_MS);
    finish(&l);
}

static void no_patience_at_all(void **state) {
    struct live l;
    struct lease a = {0};
    (void)state;

    begin(&l);
    wait_in(&l, &queue.order, &a, 0);
    assert_int_equal(gone_count, 0); /* never from inside queue_wait */
    live_until(&l, gone_count == 1);
    finish(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oldest_first_in_every_line),
        cmocka_unit_test(each_timeout_in_its_time),
        cmocka_unit_test(the_head_may_leave_early),
        cmocka_unit_test(no_patience_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
