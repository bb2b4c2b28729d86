/* A plan as JSON and as a table. */
#include "../app/live_fixture.h"
#include "control/plan_text.h"

static struct app_config before = {.name = "sales", .workers = 3}, after = {.name = "sales", .workers = 1};

static json_t *rows_of(struct plan_row *row, const struct live *l, enum plan_moment when) {
    const struct plan p = {.n = 1, .rows = row};
    return plan_text_rows(&p, l->apps, when);
}

static void expect_counts(struct plan_row *row, const struct live *l, enum plan_moment when, int exchanges,
                          int tunnels) {
    json_t *rows = rows_of(row, l, when);
    const json_t *only = json_array_get(rows, 0);
    assert_int_equal(json_integer_value(json_object_get(only, "exchanges")), exchanges);
    assert_int_equal(json_integer_value(json_object_get(only, "tunnels")), tunnels);
    json_decref(rows);
}

/* One exchange on each of three workers, two tunnels on the third. */
static void busy(struct live *l, struct asker *askers) {
    const struct client_key client = client_number(1);
    live_open_fake(l, 3, 1, STRATEGY_ROUND_ROBIN);
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask_as_nobody(l, &askers[i]), LEASE_OK);
    /* what app_each_worker shows are workers, or upstream addresses; a fake endpoint stands for the latter */
    for (size_t i = 0; i < 3; i++)
        l->endpoints[i]->upstream = (struct upstream_address *)(void *)l->endpoints[i];
    endpoint_pin(l->endpoints[2], &client);
    endpoint_pin(l->endpoints[2], &client);
}

static void idle(struct live *l, struct asker *askers) {
    const struct client_key client = client_number(1);
    endpoint_unpin(l->endpoints[2], &client);
    endpoint_unpin(l->endpoints[2], &client);
    for (int i = 0; i < 3; i++) {
        l->endpoints[i]->upstream = NULL;
        lease_release(&askers[i].lease);
    }
    live_close(l);
}

static void test_only_who_must_leave_is_counted(void **state) {
    struct live l;
    struct asker askers[3] = {0};
    struct plan_row keep = {PLAN_KEEP, "sales", &before, &before, .key = ""};
    struct plan_row hot = {PLAN_HOT, "sales", &before, &before, .key = "queue.size"};
    struct plan_row grow = {PLAN_RESIZE, "sales", &after, &before, .key = "workers"};
    struct plan_row shrink = {PLAN_RESIZE, "sales", &before, &after, .key = "workers"};
    struct plan_row roll = {PLAN_ROLL, "sales", &before, &before, .key = "env"};
    struct plan_row drop = {PLAN_DROP, "sales", &before, NULL, .key = ""};
    struct plan_row other = {PLAN_ROLL, "nobody", &before, &before, .key = "env"};
    (void)state;
    busy(&l, askers);
    expect_counts(&keep, &l, PLAN_BEFORE, 0, 0);
    expect_counts(&hot, &l, PLAN_BEFORE, 0, 0);
    expect_counts(&grow, &l, PLAN_BEFORE, 0, 0);
    expect_counts(&shrink, &l, PLAN_BEFORE, 2, 2);
    expect_counts(&roll, &l, PLAN_BEFORE, 3, 2);
    expect_counts(&drop, &l, PLAN_BEFORE, 3, 2);
    expect_counts(&other, &l, PLAN_BEFORE, 0, 0);
    idle(&l, askers);
}

static void test_afterwards_those_who_still_drain(void **state) {
    struct live l;
    struct asker askers[3] = {0};
    struct plan_row roll = {PLAN_ROLL, "sales", &before, &before, .key = "env"};
    struct plan_row drop = {PLAN_DROP, "sales", &before, NULL, .key = ""};
    (void)state;
    busy(&l, askers);
    expect_counts(&roll, &l, PLAN_AFTER, 0, 0);
    endpoint_move(l.endpoints[2], ENDPOINT_DRAINING);
    expect_counts(&roll, &l, PLAN_AFTER, 1, 2);
    json_t *rows = rows_of(&drop, &l, PLAN_AFTER);
    assert_true(json_is_null(json_object_get(json_array_get(rows, 0), "exchanges")));
    json_decref(rows);
    idle(&l, askers);
}

static struct change changes[] = {{"env", CHANGE_PROCESS, "A", "B"}, {"queue.size", CHANGE_HOT, "100", "7"}};

static void test_json(void **state) {
    struct plan_row rows[] = {
        {PLAN_ROLL, "sales", &before, &after, "env", "A", "B", {2, changes}},
        {PLAN_START, "new", NULL, &after, "", NULL, NULL, {0, NULL}},
    };
    const struct plan p = {.n = 2, .rows = rows};
    struct live l;
    (void)state;
    live_open(&l, NULL, NULL);
    json_t *json = plan_text_rows(&p, l.apps, PLAN_BEFORE),
           *wanted = json_loads(
               "[{\"app\": \"sales\", \"action\": \"roll\", \"key\": \"env\", \"was\": \"A\", \"now\": \"B\", "
               "\"exchanges\": 0, \"tunnels\": 0,"
               "  \"changes\": [{\"key\": \"env\", \"needs\": \"process\", \"was\": \"A\", \"now\": \"B\"},"
               "                {\"key\": \"queue.size\", \"needs\": \"hot\", \"was\": \"100\", \"now\": \"7\"}]},"
               " {\"app\": \"new\", \"action\": \"start\", \"key\": null, \"was\": null, \"now\": null, \"exchanges\": "
               "0, \"tunnels\": 0,"
               "  \"changes\": []}]",
               0, NULL);
    assert_non_null(wanted);
    assert_true(json_equal(json, wanted));
    json_decref(json);
    json_decref(wanted);
    live_close(&l);
}

static void expect_print(const char *rows, const char *daemon, const char *wanted) {
    char *text = NULL;
    size_t n;
    json_t *r = json_loads(rows, 0, NULL), *d = json_loads(daemon, 0, NULL);
    FILE *to = open_memstream(&text, &n);
    assert_non_null(r);
    assert_non_null(d);
    assert_non_null(to);
    plan_text_print(r, d, to);
    fclose(to);
    assert_string_equal(text, wanted);
    free(text);
    json_decref(r);
    json_decref(d);
}

static void test_table(void **state) {
    (void)state;
    expect_print(
        "[{\"app\": \"sales\", \"action\": \"roll\", \"key\": \"env\", \"was\": \"A\", \"now\": null, \"exchanges\": 3,"
        "  \"tunnels\": 12, \"changes\": [{}, {}, {}]},"
        " {\"app\": \"old\", \"action\": \"drop\", \"key\": null, \"was\": null, \"now\": null, \"exchanges\": null,"
        "  \"tunnels\": null, \"changes\": []}]",
        "[{\"key\": \"state_dir\", \"needs\": \"restart\", \"was\": \"/a\", \"now\": \"/b\"}]",
        "APP    ACTION  BECAUSE OF                    EXCHANGES  TUNNELS\n"
        "sales  roll    env: A → (none) (and 2 more)          3       12\n"
        "old    drop                                          -        -\n"
        "DAEMON\n"
        "state_dir: /a → /b  is used from the next start on: restart faucet to use it now\n");
}

static void test_nothing_to_print(void **state) {
    (void)state;
    expect_print("[]", "[]", "");
}

static void test_long_values_are_cut(void **state) {
    (void)state;
    expect_print("[{\"app\": \"a\", \"action\": \"roll\", \"key\": \"dir\", \"exchanges\": 0, \"tunnels\": 0,"
                 "  \"was\": \"äääääääääääääääääääääääääääääääääääääääää\", \"now\": \"b\", \"changes\": [{}]}]",
                 "[]",
                 "APP  ACTION  BECAUSE OF                                          EXCHANGES  TUNNELS\n"
                 "a    roll    dir: ääääääääääääääääääääääääääääääääääääääää… → b          0        0\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_who_must_leave_is_counted),
        cmocka_unit_test(test_afterwards_those_who_still_drain),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_nothing_to_print),
        cmocka_unit_test(test_long_values_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
