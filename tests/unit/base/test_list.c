/* Intrusive lists: order, length, and removal while walking. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int number;
    struct list_node node;
};

static void assert_order(const struct list *l, const int *numbers, size_t count) {
    size_t i = 0;

    assert_int_equal(l->length, count);
    for (struct list_node *n = list_first(l); n != NULL; n = list_next(l, n))
        assert_int_equal(CONTAINER_OF(n, struct item, node)->number, numbers[i++]);
    assert_int_equal(i, count);
}

static void test_order_and_length(void **state) {
    struct list a, b;
    struct item items[4] = {{1, {0}}, {2, {0}}, {3, {0}}, {4, {0}}};

    (void)state;
    list_init(&a);
    list_init(&b);
    assert_true(list_empty(&a));
    assert_null(list_first(&a));
    assert_null(list_last(&a));
    list_append(&a, &items[1].node);
    list_append(&a, &items[2].node);
    list_prepend(&a, &items[0].node);
    list_insert_before(&a, &items[2].node, &items[3].node);
    assert_order(&a, (int[]){1, 2, 4, 3}, 4);
    list_move(&b, &items[1].node);
    list_move(&b, &items[0].node);
    assert_order(&a, (int[]){4, 3}, 2);
    assert_order(&b, (int[]){2, 1}, 2);
    assert_ptr_equal(list_last(&b), &items[0].node);
    list_move(&b, &items[1].node); /* to the end of its own list */
    assert_order(&b, (int[]){1, 2}, 2);
}

static void test_remove_is_harmless_twice(void **state) {
    struct list l;
    struct item one = {1, {0}};

    (void)state;
    list_init(&l);
    list_append(&l, &one.node);
    list_remove(&one.node);
    list_remove(&one.node);
    assert_int_equal(l.length, 0);
    assert_null(one.node.on);
    list_append(&l, &one.node);
    assert_order(&l, (int[]){1}, 1);
}

static void test_foreach_may_remove_the_item(void **state) {
    struct list l;
    struct item items[6];
    int seen = 0;

    (void)state;
    list_init(&l);
    for (int i = 0; i < 6; i++) {
        items[i] = (struct item){i, {0}};
        list_append(&l, &items[i].node);
    }
    LIST_FOREACH (&l, struct item, item, node) {
        assert_int_equal(item->number, seen++);
        if (item->number % 2 == 0)
            list_remove(&item->node);
    }
    assert_int_equal(seen, 6);
    assert_order(&l, (int[]){1, 3, 5}, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_length),
        cmocka_unit_test(test_remove_is_harmless_twice),
        cmocka_unit_test(test_foreach_may_remove_the_item),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
