/* The loop: the just-freed list, the clock of a turn, deadlines that move. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/loop.h"

struct thing {
    struct loop *loop;
    struct loop_freed freed;
    struct thing *also; /* given away while this one is destroyed */
    int *destroyed;
};

static void thing_destroy(void *object) {
    struct thing *t = object;

    ++*t->destroyed;
    if (t->also != NULL)
        loop_free_later(t->loop, &t->also->freed, thing_destroy, t->also);
    free(t);
}

static struct thing *thing_new(struct loop *l, struct thing *also, int *destroyed) {
    struct thing *t = calloc(1, sizeof *t);

    assert_non_null(t);
    *t = (struct thing){.loop = l, .also = also, .destroyed = destroyed};
    return t;
}

struct turn {
    ev_timer timer, next;
    struct loop *loop;
    int destroyed;
    int seen_in_callback, seen_in_next;
};

static void on_next(struct ev_loop *ev, ev_timer *w, int events) {
    struct turn *turn = CONTAINER_OF(w, struct turn, next);

    (void)ev;
    (void)events;
    turn->seen_in_next = turn->destroyed;
}

static void on_first(struct ev_loop *ev, ev_timer *w, int events) {
    struct turn *turn = CONTAINER_OF(w, struct turn, timer);
    struct thing *t = thing_new(turn->loop, thing_new(turn->loop, NULL, &turn->destroyed), &turn->destroyed);

    (void)events;
    loop_free_later(turn->loop, &t->freed, thing_destroy, t);
    turn->seen_in_callback = turn->destroyed;
    ev_timer_set(&turn->next, 0., 0.);
    ev_timer_start(ev, &turn->next);
}

static void test_freed_after_the_turn(void **state) {
    struct turn turn = {.loop = loop_new(), .seen_in_callback = -1, .seen_in_next = -1};

    (void)state;
    assert_non_null(turn.loop);
    ev_timer_init(&turn.timer, on_first, 0., 0.);
    ev_timer_init(&turn.next, on_next, 0., 0.);
    ev_timer_start(turn.loop->ev, &turn.timer);
    ev_run(turn.loop->ev, 0);
    assert_int_equal(turn.seen_in_callback, 0);
    assert_int_equal(turn.seen_in_next, 2); /* both, the one given away by the first too */
    loop_free(turn.loop);
}

static void test_loop_free_drains(void **state) {
    struct loop *l = loop_new();
    int destroyed = 0;
    struct thing *t = thing_new(l, thing_new(l, NULL, &destroyed), &destroyed);

    (void)state;
    loop_free_later(l, &t->freed, thing_destroy, t);
    assert_int_equal(destroyed, 0);
    loop_free(l);
    assert_int_equal(destroyed, 2);
}

struct probe {
    struct deadline d;
    int fired;
    mono_t fired_at, wanted;
    dur_t again; /* set anew from the callback; 0: no */
};

static void on_expired(struct deadline *d) {
    struct probe *p = CONTAINER_OF(d, struct probe, d);

    p->fired++;
    p->fired_at = mono_now();
    assert_true(p->fired_at.us >= p->wanted.us);
    assert_true(d->loop->now.us >= p->wanted.us);
    assert_int_equal(d->at.us, MONO_NONE.us);
    if (p->again > 0) {
        deadline_set(d, p->again);
        p->wanted = d->at;
        p->again = 0;
    }
}

static void probe_set(struct probe *p, dur_t after) {
    deadline_set(&p->d, after);
    p->wanted = p->d.at;
}

static void test_deadline_fires_once_and_not_early(void **state) {
    struct loop *l = loop_new();
    struct probe p[40];

    (void)state;
    memset(p, 0, sizeof p);
    for (int i = 0; i < 40; i++) {
        deadline_init(&p[i].d, l, on_expired);
        probe_set(&p[i], (i - 1) * 777); /* one negative, fractions of a millisecond */
    }
    ev_run(l->ev, 0);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(p[i].fired, 1);
        deadline_destroy(&p[i].d);
    }
    loop_free(l);
}

static void test_deadline_moves_later_without_the_heap(void **state) {
    struct loop *l = loop_new();
    struct probe p = {0};
    mono_t armed;

    (void)state;
    deadline_init(&p.d, l, on_expired);
    probe_set(&p, 5 * DUR_MS);
    armed = p.d.armed;
    for (int i = 6; i < 30; i++) {
        probe_set(&p, i * DUR_MS);
        assert_int_equal(p.d.armed.us, armed.us);
    }
    ev_run(l->ev, 0);
    assert_int_equal(p.fired, 1);
    deadline_destroy(&p.d);
    loop_free(l);
}

static void test_deadline_moves_earlier(void **state) {
    struct loop *l = loop_new();
    struct probe p = {0};
    mono_t begun = mono_now();

    (void)state;
    deadline_init(&p.d, l, on_expired);
    probe_set(&p, DUR_H);
    probe_set(&p, 2 * DUR_MS);
    ev_run(l->ev, 0);
    assert_int_equal(p.fired, 1);
    assert_true(mono_since(begun, mono_now()) < DUR_MIN);
    deadline_destroy(&p.d);
    loop_free(l);
}

/* A cleared one neither fires nor keeps the loop running, and can be set again. */
static void test_deadline_cleared(void **state) {
    struct loop *l = loop_new();
    struct probe p = {0}, other = {0};

    (void)state;
    deadline_init(&p.d, l, on_expired);
    deadline_init(&other.d, l, on_expired);
    deadline_clear(&p.d);
    probe_set(&p, DUR_H);
    deadline_clear(&p.d);
    deadline_clear(&p.d);
    ev_run(l->ev, 0); /* returns at once */
    probe_set(&p, 1 * DUR_MS);
    deadline_clear(&p.d);
    probe_set(&other, 20 * DUR_MS); /* past the moment where the dormant timer fires */
    ev_run(l->ev, 0);
    assert_int_equal(p.fired, 0);
    assert_int_equal(other.fired, 1);
    probe_set(&p, 1 * DUR_MS);
    ev_run(l->ev, 0);
    assert_int_equal(p.fired, 1);
    probe_set(&p, DUR_H);
    deadline_clear(&p.d);
    deadline_destroy(&p.d);
    probe_set(&other, 1 * DUR_MS); /* the count of active watchers is right: this one keeps the loop running */
    ev_run(l->ev, 0);
    assert_int_equal(other.fired, 2);
    deadline_destroy(&other.d);
    loop_free(l);
}

static void test_deadline_set_from_its_callback(void **state) {
    struct loop *l = loop_new();
    struct probe p = {0};

    (void)state;
    deadline_init(&p.d, l, on_expired);
    p.again = 3 * DUR_MS;
    probe_set(&p, 0);
    ev_run(l->ev, 0);
    assert_int_equal(p.fired, 2);
    deadline_destroy(&p.d);
    loop_free(l);
}

/* Two that fire in one turn; whichever runs first puts the other off, clears it, or both. */
struct pair {
    struct deadline d;
    struct pair *other;
    int fired;
    enum { PUT_OFF, CLEAR, CLEAR_AND_SET } what;
};

static void on_pair(struct deadline *d) {
    struct pair *p = CONTAINER_OF(d, struct pair, d);

    p->fired++;
    if (p->other->fired > 0)
        return;
    if (p->what != PUT_OFF)
        deadline_clear(&p->other->d);
    if (p->what != CLEAR)
        deadline_set(&p->other->d, 2 * DUR_MS);
}

static void test_deadlines_of_one_turn(void **state) {
    (void)state;
    for (int what = PUT_OFF; what <= CLEAR_AND_SET; what++) {
        struct loop *l = loop_new();
        struct pair a = {0}, b = {0};

        deadline_init(&a.d, l, on_pair);
        deadline_init(&b.d, l, on_pair);
        a.other = &b;
        b.other = &a;
        a.what = b.what = (unsigned)what;
        deadline_set(&a.d, 0);
        deadline_set(&b.d, 0);
        ev_run(l->ev, 0);
        assert_int_equal(a.fired + b.fired, what == CLEAR ? 1 : 2);
        deadline_destroy(&a.d);
        deadline_destroy(&b.d);
        loop_free(l);
    }
}

static void test_now_is_fresh_in_each_turn(void **state) {
    struct loop *l = loop_new();
    struct probe p = {0};
    mono_t before = l->now;

    (void)state;
    deadline_init(&p.d, l, on_expired);
    probe_set(&p, 10 * DUR_MS);
    ev_run(l->ev, 0);
    assert_true(mono_since(before, l->now) >= 10 * DUR_MS);
    assert_true(mono_since(l->now, p.fired_at) < 10 * DUR_S);
    deadline_destroy(&p.d);
    loop_free(l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_freed_after_the_turn),
        cmocka_unit_test(test_loop_free_drains),
        cmocka_unit_test(test_deadline_fires_once_and_not_early),
        cmocka_unit_test(test_deadline_moves_later_without_the_heap),
        cmocka_unit_test(test_deadline_moves_earlier),
        cmocka_unit_test(test_deadline_cleared),
        cmocka_unit_test(test_deadline_set_from_its_callback),
        cmocka_unit_test(test_deadlines_of_one_turn),
        cmocka_unit_test(test_now_is_fresh_in_each_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
