/*
 * Which strings share a queue and a pool: those that come to the same, and no others, at boot, by a reload and after a
 * restart; what was asked for with one string is never sent by another that asks for less.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/miniobj.h"
#include "telemetry/columns.h"
#include "telemetry/pool_parts.h"
#include "telemetry/telemetry_parts.h"

#define AT "host=127.0.0.1 port=1 dbname=d user=u " /* nobody listens there, and nothing is waited for */

struct world {
    char state_dir[64];
    struct telemetry_env env;
    struct telemetry *telemetry;
    struct snapshot *snapshot; /* in use */
};

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static void start(struct world *w) {
    w->telemetry = telemetry_new(&w->env);
}

static void stop(struct world *w) {
    telemetry_free(w->telemetry);
    if (w->snapshot != NULL)
        snapshot_unref(w->snapshot);
    w->telemetry = NULL;
    w->snapshot = NULL;
}

static int setup(void **state) {
    struct world *w = calloc(1, sizeof *w);

    snprintf(w->state_dir, sizeof w->state_dir, "/tmp/faucet-test-targets-XXXXXX");
    if (mkdtemp(w->state_dir) == NULL)
        return -1;
    w->env = (struct telemetry_env){.loop = loop_new(),
                                    .log = log_open_stderr(),
                                    .instance = "test",
                                    .state_dir = w->state_dir,
                                    .state_dir_given = true};
    log_configure(w->env.log, LOG_ERROR, LOG_TEXT, NULL, SIZE_UNLIMITED);
    w->env.resolver = resolver_new(w->env.loop);
    *state = w;
    start(w);
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;

    stop(w);
    resolver_free(w->env.resolver);
    log_close(w->env.log);
    loop_free(w->env.loop);
    (void)nftw(w->state_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    free(w);
    return 0;
}

/* ---- a configuration: the daemon's string and those of apps a, b; NULL: it names none ---- */

struct strings_of {
    const char *daemon, *a, *b;
    int sslmode; /* telemetry.sslmode, one more than its number; 0: not set */
    int pool_size;
};

static struct snapshot *configuration(struct strings_of c) {
    struct snapshot *s = snapshot_empty();
    const char *names[] = {"a", "b"}, *strings[] = {c.a, c.b};

    s->daemon.telemetry.postgres_string = arena_strdup(s->arena, c.daemon != NULL ? c.daemon : "");
    s->daemon.telemetry.queue_size = 1 << 20;
    s->daemon.telemetry.sslmode = c.sslmode - 1;
    if (c.pool_size > 0)
        s->daemon.telemetry.pool_size = c.pool_size;
    s->app_count = 2;
    s->apps = ARENA_ARRAY(s->arena, struct app_config *, s->app_count);
    for (size_t i = 0; i < s->app_count; i++) {
        s->apps[i] = ARENA_NEW(s->arena, struct app_config);
        s->apps[i]->name = names[i];
        s->apps[i]->index = i;
        s->apps[i]->telemetry.postgres_string = arena_strdup(s->arena, strings[i] != NULL ? strings[i] : "");
    }
    return s;
}

static void configure(struct world *w, struct strings_of c) {
    struct snapshot *s = configuration(c);
    char *error = NULL;

    if (!telemetry_prepare(w->telemetry, s, &error))
        fail_msg("%s", error);
    telemetry_use(w->telemetry, s);
    if (w->snapshot != NULL)
        snapshot_unref(w->snapshot);
    w->snapshot = s;
}

static struct destination *of(struct world *w, const char *app) {
    for (size_t i = 0; app != NULL && i < w->snapshot->app_count; i++)
        if (strcmp(w->snapshot->apps[i]->name, app) == 0)
            return telemetry_destination(w->telemetry, w->snapshot, w->snapshot->apps[i]);
    return telemetry_destination(w->telemetry, w->snapshot, NULL);
}

static size_t destinations(const struct world *w) {
    return w->telemetry->destinations.length;
}

static struct destination *named(struct world *w, const char *name) {
    LIST_FOREACH (&w->telemetry->destinations, struct destination, d, node) {
        if (strcmp(d->name, name) == 0)
            return d;
    }
    fail_msg("no %s", name);
    return NULL;
}

/* What its pool would connect with. */
static void expect_option(const struct destination *d, const char *keyword, const char *value) {
    const struct pg_conninfo *info = d->pool->info;
    const char *found = "";

    for (size_t i = 0; i < info->n; i++)
        if (strcmp(info->keywords[i], keyword) == 0)
            found = info->values[i];
    assert_string_equal(found, value);
}

static void put_events(struct destination *d, int n) {
    struct record_draft r = {0};

    for (int i = 0; i < n; i++) {
        record_begin(&r, RECORD_WORKER);
        record_time(&r, COLUMN_OF_WORKER_time, wall_now());
        record_end(&r);
        assert_true(event_queue_append(d->queue, RECORD_WORKER, record_str(&r)));
    }
    record_free(&r);
}

static void take_events(struct destination *d) {
    struct event_batch *b;

    while ((b = event_queue_take(d->queue, RECORD_WORKER, SIZE_MAX)) != NULL)
        event_batch_stored(d->queue, b);
}

/* ---- who shares ---- */

static void test_the_same_string(void **state) {
    struct world *w = *state;

    configure(w, (struct strings_of){.daemon = AT "password=p sslmode=require",
                                     .a = "postgresql://u:p@127.0.0.1:1/d?sslmode=require"});
    assert_int_equal(destinations(w), 1);
    assert_ptr_equal(of(w, NULL), of(w, "a"));
    assert_null(of(w, "b"));
    assert_string_equal(of(w, "a")->name, "127.0.0.1:1/d as u");
    expect_option(of(w, "a"), "sslmode", "require");
}

static void test_strings_that_differ(void **state) {
    static const char *const others[] = {AT "sslmode=verify-full",      AT "sslmode=disable",
                                         AT "password=other",           AT "sslrootcert=/ca.crt",
                                         AT "application_name=another", AT "options='-c search_path=mine'",
                                         AT "hostaddr=127.0.0.1"};
    struct world *w = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(others); i++) {
        configure(w, (struct strings_of){.daemon = AT "password=p", .a = others[i], .b = others[i]});
        assert_ptr_not_equal(of(w, NULL), of(w, "a"));
        assert_ptr_equal(of(w, "a"), of(w, "b"));
        assert_string_equal(of(w, NULL)->name, "127.0.0.1:1/d as u");
        assert_string_equal(of(w, "a")->name, "127.0.0.1:1/d as u (2)");
        assert_string_not_equal(of(w, "a")->directory, of(w, NULL)->directory);
        assert_string_equal(of(w, "a")->pool->info->destination, of(w, "a")->name);
        expect_option(of(w, NULL), "sslmode", "prefer");
        stop(w);
        start(w);
    }
}

/* The setting overrides all strings: then nothing differs. */
static void test_sslmode_of_all(void **state) {
    struct world *w = *state;

    configure(w, (struct strings_of){.daemon = AT "sslmode=disable", .a = AT "sslmode=verify-full", .sslmode = 4});
    assert_int_equal(destinations(w), 1);
    expect_option(of(w, "a"), "sslmode", "require");
}

/* ---- changes ---- */

static void test_a_string_that_changes(void **state) {
    struct world *w = *state;

    configure(w, (struct strings_of){.daemon = AT "password=p"});
    struct destination *d = of(w, NULL);
    put_events(d, 3);
    const struct pool *pool = d->pool;
    configure(w, (struct strings_of){.daemon = AT "password=p", .pool_size = 3});
    assert_ptr_equal(d->pool, pool);
    configure(w, (struct strings_of){.daemon = AT "password=q"});
    assert_ptr_equal(of(w, NULL), d);
    expect_option(d, "password", "q");
    configure(w, (struct strings_of){.daemon = AT "password=q sslmode=verify-ca application_name=x"});
    assert_ptr_equal(of(w, NULL), d);
    expect_option(d, "sslmode", "verify-ca");
    assert_int_equal(destinations(w), 1);
    assert_int_equal(destination_queued(d), 3);
}

static void test_a_weaker_sslmode(void **state) {
    struct world *w = *state;

    configure(w, (struct strings_of){.daemon = AT "sslmode=verify-full"});
    struct destination *strict = of(w, NULL);
    configure(w, (struct strings_of){.daemon = AT "sslmode=require"}); /* nothing is queued */
    assert_ptr_equal(of(w, NULL), strict);
    put_events(strict, 3);
    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer"});
    struct destination *lax = of(w, NULL);
    assert_ptr_not_equal(lax, strict);
    assert_int_equal(strict->state, DESTINATION_DRAINING);
    expect_option(strict, "sslmode", "require");
    expect_option(lax, "sslmode", "prefer");
    put_events(lax, 2);
    configure(w, (struct strings_of){.daemon = AT "sslmode=require"}); /* as it was */
    assert_ptr_equal(of(w, NULL), strict);
    assert_int_equal(lax->state, DESTINATION_DRAINING);
    configure(w, (struct strings_of){.daemon = AT "sslmode=verify-full", .a = AT "sslmode=verify-ca"});
    expect_option(strict, "sslmode", "verify-full"); /* what may be sent in a stricter way, may */
    assert_ptr_equal(of(w, "a"), lax);
    assert_int_equal(destination_queued(of(w, NULL)) + destination_queued(of(w, "a")), 5);
}

/* Each keeps its own, whose ever it is now. */
static void test_strings_that_change_places(void **state) {
    static const char *const two[] = {AT "password=p", AT "password=q"};
    static const char *const names[] = {AT "application_name=x", AT "application_name=y"};
    struct world *w = *state;

    configure(w, (struct strings_of){.daemon = two[0], .a = two[1]});
    struct destination *p = of(w, NULL), *q = of(w, "a");
    put_events(p, 1);
    put_events(q, 2);
    configure(w, (struct strings_of){.daemon = two[1], .a = two[0]});
    assert_ptr_equal(of(w, NULL), q);
    assert_ptr_equal(of(w, "a"), p);
    take_events(p);
    take_events(q);
    configure(w, (struct strings_of){.daemon = names[0], .a = names[1]});
    put_events(of(w, NULL), 1);
    put_events(of(w, "a"), 2);
    stop(w);
    start(w);
    configure(w, (struct strings_of){.daemon = names[1], .a = names[0]});
    assert_int_equal(destination_queued(of(w, NULL)), 2);
    assert_int_equal(destination_queued(of(w, "a")), 1);
}

/* One of two goes: the other does not get what is queued for it. */
static void test_a_string_that_goes(void **state) {
    struct world *w = *state;

    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer", .a = AT "sslmode=verify-full"});
    struct destination *strict = of(w, "a");
    put_events(strict, 2);
    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer"});
    assert_int_equal(strict->state, DESTINATION_DRAINING);
    assert_int_equal(destination_queued(of(w, NULL)), 0);
    expect_option(strict, "sslmode", "verify-full");
    stop(w);
    start(w);
    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer"});
    assert_int_equal(destinations(w), 2);
    struct destination *left = named(w, "127.0.0.1:1/d as u (2)");
    assert_int_equal(left->state, DESTINATION_LEFT);
    assert_int_equal(destination_queued(left), 2);
    assert_null(left->pool);
    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer", .b = AT "sslmode=verify-full"});
    assert_ptr_equal(of(w, "b"), left);
}

static void test_an_abandoned_change(void **state) {
    struct world *w = *state;
    char *error = NULL;

    configure(w, (struct strings_of){.daemon = AT "password=p"});
    struct destination *d = of(w, NULL);
    put_events(d, 1);
    struct snapshot *s =
        configuration((struct strings_of){.daemon = AT "password=q", .a = AT "password=p sslmode=disable"});
    assert_true(telemetry_prepare(w->telemetry, s, &error));
    assert_ptr_equal(telemetry_destination(w->telemetry, s, NULL), d); /* its workers speak already */
    assert_int_equal(telemetry_destination(w->telemetry, s, s->apps[0])->state, DESTINATION_PREPARED);
    telemetry_abandon(w->telemetry);
    assert_int_equal(destinations(w), 1);
    expect_option(d, "password", "p");
    snapshot_unref(s);
    s = configuration((struct strings_of){.daemon = AT "password=p", .a = "nonsense"});
    assert_false(telemetry_prepare(w->telemetry, s, &error));
    assert_non_null(strstr(error, "apps.a.telemetry.postgres_string: the connection string "));
    free(error);
    assert_int_equal(destinations(w), 1);
    snapshot_unref(s);
}

/* ---- over a restart ---- */

static void test_restart(void **state) {
    struct world *w = *state;

    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer",
                                     .a = AT "sslmode=verify-full password=p",
                                     .b = AT "sslmode=disable"});
    put_events(of(w, NULL), 1);
    put_events(of(w, "a"), 2);
    put_events(of(w, "b"), 3);
    stop(w);
    start(w); /* in another order */
    configure(w, (struct strings_of){.daemon = AT "sslmode=disable",
                                     .a = AT "sslmode=prefer",
                                     .b = AT "sslmode=verify-full password=p"});
    assert_int_equal(destinations(w), 3);
    assert_int_equal(destination_queued(of(w, "a")), 1);
    assert_int_equal(destination_queued(of(w, "b")), 2);
    assert_int_equal(destination_queued(of(w, NULL)), 3);
    take_events(of(w, "a"));
    stop(w);
    start(w); /* the strings that are gone: what is empty goes, one is changed, one waits for its like */
    configure(w, (struct strings_of){.daemon = AT "sslmode=require password=q"});
    assert_int_equal(destinations(w), 2);
    assert_int_equal(destination_queued(of(w, NULL)), 3);
    expect_option(of(w, NULL), "sslmode", "require");
    LIST_FOREACH (&w->telemetry->destinations, struct destination, d, node) {
        assert_true(d == of(w, NULL) || (d->state == DESTINATION_LEFT && destination_queued(d) == 2));
    }
}

/* As after a power cut: the file that names it is empty. The directory says where it leads. */
static void test_restart_without_a_name(void **state) {
    struct world *w = *state;
    char path[200];

    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer"});
    put_events(of(w, NULL), 4);
    snprintf(path, sizeof path, "%s/destination", of(w, NULL)->directory);
    stop(w);
    assert_int_equal(truncate(path, 0), 0);
    start(w);
    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer"});
    assert_int_equal(destinations(w), 1);
    assert_int_equal(destination_queued(of(w, NULL)), 4);
    stop(w);
    start(w); /* it is named again */
    configure(w, (struct strings_of){.daemon = AT "sslmode=prefer"});
    assert_string_equal(of(w, NULL)->name, "127.0.0.1:1/d as u");
}

static bool found_secret;
static int look_for_secret(const char *path, const struct stat *st, int type, struct FTW *at) {
    static char bytes[1 << 21];

    (void)st;
    (void)at;
    FILE *in = type == FTW_F ? fopen(path, "re") : NULL;
    size_t n = in != NULL ? fread(bytes, 1, sizeof bytes, in) : 0;
    found_secret |= memmem(bytes, n, "s3cret", 6) != NULL || strstr(path, "s3cret") != NULL;
    if (in != NULL)
        fclose(in);
    return 0;
}

static void test_no_secret_on_disk(void **state) {
    struct world *w = *state;

    configure(w, (struct strings_of){.daemon = AT "password=s3cret",
                                     .a = AT "password=s3cret2 sslpassword=s3cret3 sslkey=/k",
                                     .b = "postgresql://u:s3cret4@127.0.0.1:1/d"});
    assert_int_equal(destinations(w), 3);
    put_events(of(w, "a"), 1);
    stop(w);
    found_secret = false;
    assert_int_equal(nftw(w->state_dir, look_for_secret, 8, FTW_PHYS), 0);
    assert_false(found_secret);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_the_same_string),        TEST(test_strings_that_differ), TEST(test_sslmode_of_all),
        TEST(test_a_string_that_changes),  TEST(test_a_weaker_sslmode),    TEST(test_strings_that_change_places),
        TEST(test_a_string_that_goes),     TEST(test_an_abandoned_change), TEST(test_restart),
        TEST(test_restart_without_a_name), TEST(test_no_secret_on_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
