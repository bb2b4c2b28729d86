/* What the daemon says of itself: as JSON and as Prometheus' text. */
#include "../app/live_fixture.h"
#include "control/metrics.h"
#include "control/process_memory.h"
#include "control/status.h"

struct daemon {
    struct live live;
    struct proxy proxy;
    struct app_config files;
    struct app_config *apps[2];
    struct faucet faucet;
};

/* "sales" with that many ready upstream-like endpoints, and "files", which is static. */
static void open_daemon(struct daemon *d, size_t endpoints) {
    live_open_fake(&d->live, endpoints, 1, STRATEGY_ROUND_ROBIN);
    for (size_t i = 0; i < endpoints; i++)
        d->live.endpoints[i]->upstream = (struct upstream_address *)(void *)d->live.endpoints[i];
    d->live.config.telemetry = (struct app_telemetry){.namespace = "shop", .version = "1.4.2"};
    d->live.config.workers = 2;
    d->files = (struct app_config){.name = "files", .type = APP_STATIC};
    d->apps[0] = &d->live.config;
    d->apps[1] = &d->files;
    d->live.snapshot->apps = d->apps;
    d->live.snapshot->app_count = 2;
    d->live.snapshot->number = 7;
    d->live.snapshot->file = "/srv/faucet.yaml";
    d->proxy = (struct proxy){.magic = PROXY_MAGIC, .requests = 42};
    struct list *lists[] = {&d->proxy.idle,    &d->proxy.busy,    &d->proxy.lingers,
                            &d->proxy.tunnels, &d->proxy.orphans, &d->proxy.listeners};
    for (size_t i = 0; i < ARRAY_LENGTH(lists); i++)
        list_init(lists[i]);
    d->faucet = (struct faucet){.magic = FAUCET_MAGIC,
                                .log = d->live.log,
                                .loop = d->live.loop,
                                .apps = d->live.apps,
                                .proxy = &d->proxy,
                                .snapshot = d->live.snapshot,
                                .started = mono_now()};
}

static void close_daemon(struct daemon *d) {
    for (size_t i = 0; i < LIVE_ENDPOINTS; i++)
        if (d->live.endpoints[i] != NULL)
            d->live.endpoints[i]->upstream = NULL;
    d->live.snapshot->app_count = 0;
    live_close(&d->live);
}

static long long at(const json_t *json, const char *key) {
    const json_t *n = json_object_get(json, key);
    assert_true(json_is_integer(n));
    return (long long)json_integer_value(n);
}

static const char *text_at(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    assert_non_null(text);
    return text;
}

static void test_daemon(void **state) {
    struct daemon d;
    (void)state;
    open_daemon(&d, 1);
    json_t *json = status_json(&d.faucet);
    const json_t *daemon = json_object_get(json, "daemon");
    assert_int_equal(at(json, "config"), 7);
    assert_int_equal(at(daemon, "config"), 7);
    assert_int_equal(at(daemon, "requests"), 42);
    assert_int_equal(at(daemon, "pid"), getpid());
    assert_string_equal(text_at(daemon, "file"), "/srv/faucet.yaml");
    assert_true(json_is_null(json_object_get(daemon, "control")));
    assert_int_equal(json_array_size(json_object_get(json, "apps")), 2);
    json_decref(json);
    close_daemon(&d);
}

static void test_app(void **state) {
    struct daemon d;
    struct asker first, second, third;
    const struct client_key client = client_number(1);
    (void)state;
    open_daemon(&d, 2);
    assert_int_equal(ask_as_nobody(&d.live, &first), LEASE_OK);
    assert_int_equal(ask_as_nobody(&d.live, &second), LEASE_OK);
    assert_int_equal(ask_as_nobody(&d.live, &third), LEASE_OK); /* waits */
    endpoint_pin(d.live.endpoints[1], &client);
    json_t *json = status_app_json(&d.live.config, d.live.app);
    assert_string_equal(text_at(json, "name"), "sales");
    assert_string_equal(text_at(json, "type"), "command");
    assert_string_equal(text_at(json, "namespace"), "shop");
    assert_string_equal(text_at(json, "version"), "1.4.2");
    assert_int_equal(at(json, "leases"), 2);
    assert_int_equal(at(json, "tunnels"), 1);
    assert_int_equal(at(json, "generations"), 1);
    assert_int_equal(at(json_object_get(json, "queue"), "length"), 1);
    assert_int_equal(at(json_object_get(json, "queue"), "size"), 100);
    const json_t *workers = json_object_get(json, "workers");
    assert_int_equal(json_array_size(workers), 2);
    const json_t *worker = json_array_get(workers, 1);
    assert_int_equal(at(worker, "id"), 2);
    assert_int_equal(at(worker, "busy"), 1);
    assert_int_equal(at(worker, "tunnels"), 1);
    assert_int_equal(at(worker, "restarts"), 0);
    assert_true(json_is_null(json_object_get(worker, "pid")));
    assert_true(json_is_null(json_object_get(worker, "rss_kib")));
    json_decref(json);
    endpoint_unpin(d.live.endpoints[1], &client);
    lease_cancel(&third.lease);
    lease_release(&first.lease);
    lease_release(&second.lease);
    close_daemon(&d);
}

static void test_files_need_nothing(void **state) {
    struct daemon d;
    (void)state;
    open_daemon(&d, 1);
    json_t *json = status_app_json(&d.files, NULL);
    assert_string_equal(text_at(json, "state"), "ready");
    assert_int_equal(json_array_size(json_object_get(json, "workers")), 0);
    assert_int_equal(at(json, "generations"), 0);
    json_decref(json);
    close_daemon(&d);
}

static void expect_state(const struct daemon *d, const char *wanted) {
    json_t *json = status_json(&d->faucet);
    assert_string_equal(text_at(json, "state"), wanted);
    json_decref(json);
}

static void test_state_is_that_of_the_worst_app(void **state) {
    struct daemon d;
    (void)state;
    open_daemon(&d, 1);
    d.live.app->state = APP_STATE_READY;
    expect_state(&d, "ready");
    d.live.app->state = APP_STATE_DEGRADED;
    expect_state(&d, "degraded");
    d.live.app->state = APP_STATE_STARTING;
    expect_state(&d, "degraded");
    d.faucet.stopping = true;
    expect_state(&d, "stopping");
    close_daemon(&d);
}

/* It comes after those of the configuration, with what is under way there, and does not make the whole worse. */
static void test_a_removed_app_is_draining(void **state) {
    struct daemon d;
    const struct client_key client = client_number(1);
    (void)state;
    open_daemon(&d, 2);
    app_hold(d.live.app);
    app_hold(d.live.app);
    endpoint_pin(d.live.endpoints[1], &client);
    d.live.snapshot->apps = &d.apps[1];
    d.live.snapshot->app_count = 1;
    app_remove(d.live.app);
    json_t *json = status_json(&d.faucet);
    const json_t *apps = json_object_get(json, "apps"), *sales = json_array_get(apps, 1);
    assert_string_equal(text_at(json, "state"), "ready");
    assert_int_equal(json_array_size(apps), 2);
    assert_string_equal(text_at(json_array_get(apps, 0), "name"), "files");
    assert_string_equal(text_at(sales, "name"), "sales");
    assert_string_equal(text_at(sales, "state"), "draining");
    assert_int_equal(at(sales, "exchanges"), 2);
    assert_int_equal(at(sales, "tunnels"), 1);
    assert_int_equal(at(sales, "wanted"), 0);
    json_decref(json);
    d.live.app->stopping = true; /* a stop ends it like any other */
    app_changed(d.live.app);
    json = status_json(&d.faucet);
    assert_string_equal(text_at(json_array_get(json_object_get(json, "apps"), 1), "state"), "stopping");
    json_decref(json);
    endpoint_unpin(d.live.endpoints[1], &client);
    close_daemon(&d);
}

/* A candidate's app that was let go of was never anybody's. */
static void test_an_abandoned_app_is_not_shown(void **state) {
    struct daemon d;
    (void)state;
    open_daemon(&d, 1);
    d.live.app->hidden = d.live.app->removed = true;
    d.live.snapshot->apps = &d.apps[1];
    d.live.snapshot->app_count = 1;
    json_t *json = status_json(&d.faucet);
    assert_int_equal(json_array_size(json_object_get(json, "apps")), 1);
    json_decref(json);
    close_daemon(&d);
}

/* ---- metrics ---- */

static char *metrics(const struct daemon *d) {
    struct buf out = {0};
    metrics_write(&d->faucet, &out);
    buf_append_char(&out, '\0');
    return out.data + out.start; /* start is 0 */
}

static size_t occurrences(const char *text, const char *word) {
    size_t n = 0;
    for (const char *found = strstr(text, word); found != NULL; found = strstr(found + 1, word))
        n++;
    return n;
}

static void test_metrics(void **state) {
    struct daemon d;
    (void)state;
    open_daemon(&d, 2);
    d.faucet.reloads.ended[1] = 3;
    d.faucet.reloads.last_failed = true;
    char *text = metrics(&d);
    assert_non_null(strstr(text, "\nfaucet_http_requests_total 42\n"));
    assert_non_null(strstr(text, "\nfaucet_worker_up{app=\"sales\",worker=\"2\"} 1\n"));
    assert_non_null(strstr(text, "\nfaucet_config_reloads_total{result=\"invalid\"} 3\n"));
    assert_non_null(strstr(text, "\nfaucet_config_last_reload_success 0\n"));
    assert_non_null(strstr(text, ",config=\"7\"} 1\n"));
    assert_int_equal(occurrences(text, "# TYPE faucet_worker_up gauge\n"), 1);
    assert_null(strstr(text, "app=\"files\""));
    free(text);
    close_daemon(&d);
}

/* Prometheus refuses a page on which a sample stands twice. */
static void test_a_worker_is_counted_once(void **state) {
    struct daemon d;
    (void)state;
    open_daemon(&d, 2);
    const struct client_key client = client_number(1);
    struct endpoint *old = d.live.endpoints[1];
    endpoint_pin(old, &client);
    endpoint_move(old, ENDPOINT_DRAINING);
    struct endpoint *new = endpoint_new(d.live.generation, NULL, 2);
    new->upstream = old->upstream;
    endpoint_move(new, ENDPOINT_READY);
    char *text = metrics(&d);
    assert_int_equal(occurrences(text, "faucet_worker_up{app=\"sales\",worker=\"2\"}"), 1);
    assert_non_null(strstr(text, "\nfaucet_worker_up{app=\"sales\",worker=\"2\"} 1\n"));
    assert_non_null(strstr(text, "\nfaucet_app_workers_draining{app=\"sales\"} 1\n"));
    free(text);
    new->upstream = old->upstream = NULL;
    d.live.endpoints[1] = NULL;
    endpoint_unpin(old, &client);
    close_daemon(&d);
}

static void test_labels_are_escaped(void **state) {
    struct daemon d;
    (void)state;
    open_daemon(&d, 1);
    d.live.config.name = "a\"b\\c\nd";
    free(d.live.app->name);
    d.live.app->name = strdup(d.live.config.name);
    char *text = metrics(&d);
    assert_non_null(strstr(text, "{app=\"a\\\"b\\\\c\\nd\",worker=\"1\"}"));
    free(text);
    d.live.config.name = "sales";
    close_daemon(&d);
}

static void test_memory_of_a_process(void **state) {
    (void)state;
    assert_true(process_memory_kib(getpid()) > 500);
    assert_int_equal(process_memory_kib(0), -1);
    assert_int_equal(process_memory_kib(0x3fffffff), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_daemon),
        cmocka_unit_test(test_app),
        cmocka_unit_test(test_files_need_nothing),
        cmocka_unit_test(test_state_is_that_of_the_worst_app),
        cmocka_unit_test(test_a_removed_app_is_draining),
        cmocka_unit_test(test_an_abandoned_app_is_not_shown),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_a_worker_is_counted_once),
        cmocka_unit_test(test_labels_are_escaped),
        cmocka_unit_test(test_memory_of_a_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
