/* What is refused and what is only remarked, with the words a person reads. */
#include "fixture.h"

#define APPS "apps: { a: { dir: . } }\n"

static void values(void **state) {
    static const struct {
        const char *file, *said;
    } cases[] = {
        {"apps: { sales: { dir: ., workers: many } }\n",
         "faucet.yaml:1:35: apps.sales.workers: must be a whole number from 1 to 1000, not \"many\""},
        {"apps: { a: { dir: ., workers: 0 } }\n", "from 1 to 1000, not \"0\""},
        {"apps: { a: { dir: ., workers: 1001 } }\n", "from 1 to 1000, not \"1001\""},
        {"apps: { a: { dir: ., workers: [1] } }\n", "from 1 to 1000, not a list"},
        {"defaults: { workers: x }\n" APPS, "defaults.workers: must be a whole number"},
        {"timeouts: { header: 30 }\n" APPS, "write the unit, for example 30s"},
        {"timeouts: { header: 3 weeks }\n" APPS, "units are ms, s, m, h and d"},
        {"timeouts: { header: 2h }\n" APPS, "must be a duration from 10ms to 1h, such as 500ms, 30s or 5m, not \"2h\""},
        {"limits: { header_size: 64k }\n" APPS, "write 64KiB (powers of 1024) or 64KB (powers of 1000)"},
        {"limits: { header_size: 2MiB }\n" APPS, "must be a size from 1KiB to 1MiB"},
        {"limits: { header_size: 64 kilo }\n" APPS, "units are KiB, MiB"},
        {"limits: { connections: none }\n" APPS, "or auto, not \"none\""},
        {"log: { level: inof }\n" APPS,
         "must be one of error, warn, info, debug, trace, not \"inof\": did you mean info?"},
        {"log: { level: { a: b } }\n" APPS, "log.level: must be one of error, warn, info, debug, trace, not a map"},
        {"log: loud\n" APPS, "log: must be a map of level, format, file, max_size, not a text"},
        {"listen: 3838\n" APPS, "the port is missing"},
        {"listen: '*:3838'\n" APPS, "0.0.0.0 stands for every IPv4 address"},
        {"listen: localhost:99999\n" APPS, "the port must be a number from 1 to 65535"},
        {"listen: '::1:80'\n" APPS, "an IPv6 address needs brackets and quotes"},
        {"listen: '[::g]:80'\n" APPS, "it is no IPv6 address"},
        {"listen: /run/x.sock\n" APPS, "write unix: before the path"},
        {"listen: ['127.0.0.1:1', '127.0.0.1:1']\n" APPS, "names 127.0.0.1:1 twice"},
        {"listen: []\n" APPS, "must name at least one address"},
        {"trusted_proxies: [10.0.0.0/33]\n" APPS, "must be a network such as 10.0.0.0/8"},
        {"apps: { a: { upstream: http://10.0.0.1:80 } }\n", "write host:port without http://"},
        {"apps: { a: { dir: ., route: sales } }\n", "it does not begin with /"},
        {"apps: { a: { dir: ., route: /a%20b/ } }\n", "instead of its % form"},
        {"apps: { a: { dir: ., route: /a/../b/ } }\n", ". or .. segment"},
        {"apps: { a: { dir: ., route: /a//b/ } }\n", "it holds //"},
        {"apps: { a: { dir: ., route: \"/a\\x01/\" } }\n", "allowed are letters"},
        {"apps: { a: { dir: ., host: 'x:80' } }\n", "leave the port away"},
        {"apps: { a: { dir: ., host: '*.x' } }\n", "there are no wildcards"},
        {"apps: { a: { dir: ., qmd: ../x.qmd } }\n", "\"..\" would leave the directory"},
        {"apps: { a: { dir: ~/x } }\n", "~ is not expanded"},
        {"apps: { a: { dir: ., cookie: { name: 'a b' } } }\n", "must be a name of letters"},
        {"apps: { a: { dir: ., env: { A: [1] } } }\n", "A must be a text, not a list"},
        {"apps: { a: { command: [python3, {socket}] } }\n", "put the value into double quotes"},
        {"apps: { a: { command: \"python3 'x\" } }\n", "a ' is not closed"},
        {"apps: { a: { command: 'a && b' } }\n", "no shell runs it"},
        {"apps: { a: { command: [] } }\n", "names no program"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        fixture_refused(f, cases[i].file, cases[i].said);
}

static void a_long_socket_path(void **state) {
    struct fixture *f = *state;
    char text[512], path[109];
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[108] = '\0';
    snprintf(text, sizeof(text), "listen: unix:%s\n" APPS, path);
    fixture_refused(f, text, "has 107 bytes at most");
    path[107] = '\0';
    snprintf(text, sizeof(text), "listen: unix:%s\n" APPS, path);
    snapshot_unref(fixture_load(f, text));
}

static void keys(void **state) {
    static const struct {
        const char *file, *said;
    } cases[] = {
        {"lisen: x\n" APPS, "faucet.yaml:1:1: lisen: no such key; did you mean listen?"},
        {"apps: { a: { dri: . } }\n", "apps.a.dri: no such key; did you mean dir?"},
        {"apps:\n  a:\n    dir:apps/a\n",
         "faucet.yaml:3:5: apps.a: a space is missing after the colon: write \"dir: …\""},
        {"apps: { a: ./a }\n",
         "apps.a: must be a map of this app's settings such as { dir: ./sales }, not the text \"./a\""},
        {"apps: { a: \"http://b\" }\n", "not the text \"http://b\""},
        {"apps: { a: { dir: ., wrokers: 1 } }\n", "apps.a.wrokers: no such key; did you mean workers?"},
        {"log: { levle: info }\n" APPS, "log.levle: no such key; did you mean log.level?"},
        {"log.level: info\n" APPS, "log.level: no such key; the parts of a key are nested maps"},
        {"workers: 2\n" APPS, "workers: no such key; it belongs to an app (apps.NAME) or to defaults"},
        {"apps: { a: { dir: ., listen: x } }\n", "apps.a.listen: no such key; it belongs to the top of the file"},
        {"defaults: 3\n" APPS, "defaults: must be a map"},
        {"apps: [a]\n", "apps: must be a map of app names, not a list"},
        {"apps: { a: 3 }\n", "apps.a: must be a map of this app's settings"},
        {"apps: {}\n", "apps: declares no app"},
        {"apps:\n", "faucet.yaml:1:6: apps: declares no app"},
        {"listen: 127.0.0.1:80\n", "apps: declares no app"},
        {"defaults: { workers: x }\n", "defaults.workers: must be"},
        {"apps: { Sales: { dir: . } }\n", "an app's name must begin with a-z or 0-9"},
        {"apps: { a-b: { dir: . }, a_b: { dir: . } }\n", "share the variables FAUCET_APPS_A_B_"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        fixture_refused(f, cases[i].file, cases[i].said);
    snapshot_unref(fixture_load(f, "x-any: { thing: '${NOT:?set}' }\n" APPS));
}

static void all_in_one_go(void **state) {
    struct fixture *f = *state;
    assert_null(fixture_try(f, "listen: x\nlog: { level: x, format: x }\nfoo: 1\n"
                               "apps: { a: { dir: ., workers: x, nope: 1, strategy: rps }, B: { dir: . } }\n"));
    assert_int_equal(f->problems.errors, 8);
}

/* A value whose ${…} could not be expanded says nothing about anything else. */
static void an_unresolved_value_is_one_mistake(void **state) {
    static const char *const files[] = {
        "apps: { a: { dir: '${NO}' } }\n",
        "apps: { a: { dir: '${NO}/x', type: shiny } }\n",
        "apps: { a: { dir: '${NO' } }\n",
        "defaults: { dir: '${NO}' }\napps: { a: { } }\n",
        "apps: { a: { type: '${NO}', dir: . } }\n",
        "apps: { a: { type: upstream, upstream: '${NO}' } }\n",
        "apps: { a: { type: upstream, upstream: ['${NO}'] } }\n",
        "apps: { a: { type: command, command: '${NO}' } }\n",
        "apps: { a: { dir: ., workers: '${NO}' } }\n",
        "apps: { a: { dir: ., env: { A: '${NO}' } } }\n",
        "apps: { a: { dir: ., route: '${NO}' }, b: { dir: ., route: /a/ } }\n",
        "apps: { a: { dir: ., route: /x/, host: '${NO}' }, b: { dir: ., route: /x/ } }\n",
        "listen: '${NO}'\n" APPS,
        "listen: ['${NO}', '127.0.0.1:1']\n" APPS,
        "ip_from: x-real-ip\ntrusted_proxies: '${NO}'\n" APPS,
        "log: { file: '${NO}/log', max_size: 10MiB }\n" APPS,
        "telemetry: { postgres_string: '${NO}', sslmode: require }\n" APPS,
        "telemetry: { postgres_string_file: '${NO}/secret' }\n" APPS,
        "include: '${NO}/x.yaml'\n",
        "include: ['${NO}']\n",
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(files); i++) {
        assert_null(fixture_try(f, files[i]));
        if (f->problems.errors != 1 || f->problems.warnings != 0) {
            fixture_print_problems(f);
            fail_msg("not one mistake: %s", files[i]);
        }
        fixture_reset(f);
    }
    /* what is said above it is read all the same */
    fixture_flag(f, "--set", "apps.a.workers", "many");
    assert_null(fixture_try(f, "apps: { a: { dir: ., workers: '${NO}' } }\n"));
    assert_int_equal(f->problems.errors, 2);
}

static void between_settings(void **state) {
    static const struct {
        const char *file, *said;
    } cases[] = {
        {"ip_from: x-real-ip\n" APPS, "faucet.yaml:1:10: ip_from: needs trusted_proxies"},
        {"control: 127.0.0.1:80\n" APPS, "control: must be a Unix socket"},
        {"listen: unix:/x\ncontrol: unix:/x\n" APPS, "must not be one of the addresses of listen"},
        {"apps: { a: { dir: ., strategy: rps } }\n", "strategy: rps is not there yet"},
        {"apps: { a: { dir: ., type: shiny, command: x } }\n", "is for type command, but type is shiny"},
        {"apps: { a: { dir: ., type: static, upstream: 'a:1' } }\n", "is for type upstream, but type is static"},
        {"apps: { a: { command: x, upstream: 'a:1' } }\n", "command is set too"},
        {"apps: { a: { dir: ., type: command } }\n", "command needs the key command"},
        {"apps: { a: { type: upstream } }\n", "upstream needs the key upstream"},
        {"apps:\n  a: { dir: ., route: /x }\n  b: { dir: ., route: [/y/, /x/] }\n",
         "faucet.yaml:3:23: apps.b.route: /x/ is answered by apps.a already ("},
        {"apps: { a: { dir: ., host: H.x }, b: { dir: ., host: [g, h.x.] } }\n", "/ on host h.x is answered by apps.a"},
        {"apps: { a: { dir: ., route: [/x, /x/] } }\n", "names /x/ twice"},
    };
    static const struct {
        const char *file, *said;
    } warnings[] = {
        {"log: { max_size: 10MiB }\n" APPS, "log.max_size: has no effect without log.file"},
        {"apps: { a: { dir: ., max_rps: 3 } }\n", "max_rps: has no effect"},
        {"apps: { a: { dir: ., type: static, workers: 3 } }\n",
         "apps.a.workers: has no effect on an app of type static"},
        {"apps: { a: { dir: ., type: shiny, qmd: x.qmd } }\n", "apps.a.qmd: has no effect on an app of type shiny"},
        {"apps: { a: { dir: ., type: shiny, cookie: { same_site: none } } }\n", "it must be Secure"},
        {"apps: { a: { command: 'x {scoket}' } }\n", "did you mean \"{socket}\"?"},
        {"telemetry: { sslmode: require }\n" APPS, "telemetry.sslmode: has no effect"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
        fixture_refused(f, cases[i].file, cases[i].said);
    for (size_t i = 0; i < ARRAY_LENGTH(warnings); i++)
        fixture_warned(f, warnings[i].file, warnings[i].said);
    /* What defaults say of all apps is no mistake where one has no use for it. */
    snapshot_unref(fixture_load(f, "defaults: { workers: 2 }\napps: { a: { dir: ., type: static } }\n"));
    assert_int_equal(f->problems.warnings, 0);
}

static void a_good_file(void **state) {
    struct fixture *f = *state;
    struct snapshot *s =
        fixture_load(f, "listen: ['[::1]:3838', unix:run.sock]\ntrusted_proxies: [private_ranges, 10.1.2.3]\n"
                        "ip_from: x-forwarded-for\ntelemetry: { postgres_string: x, version: 1.10 }\n"
                        "apps:\n  a: { dir: ., route: /x, telemetry: { namespace: mine } }\n"
                        "  b: { command: 'python3 \"a b\" {socket}', host: Example.ORG }\n"
                        "  c: { upstream: [h:80] }\n");
    char wanted[2 * PATH_MAX];
    assert_int_equal(s->app_count, 3);
    assert_int_equal(s->daemon.listen.n, 2);
    snprintf(wanted, sizeof(wanted), "unix:%s/run.sock", f->directory);
    assert_string_equal(s->daemon.listen.v[1].p, wanted);
    assert_int_equal(s->daemon.trusted_proxies.n, 8);
    assert_int_equal(s->daemon.trusted_proxies.v[1].prefix, 104);
    assert_int_equal(s->daemon.trusted_proxies.v[1].address[12], 10);
    assert_int_equal(s->daemon.trusted_proxies.v[7].prefix, 128);
    assert_int_equal(s->apps[0]->type, APP_PLUMBER);
    assert_int_equal(s->apps[0]->concurrency, 1);
    assert_int_equal(s->apps[0]->strategy, STRATEGY_ROUND_ROBIN);
    assert_string_equal(s->apps[0]->route.v[0], "/x/");
    assert_string_equal(s->apps[0]->telemetry.namespace, "mine");
    assert_string_equal(s->apps[0]->telemetry.version, "1.10");
    assert_int_equal(s->apps[1]->type, APP_COMMAND);
    assert_int_equal(s->apps[1]->command.n, 3);
    assert_string_equal(s->apps[1]->command.v[1], "a b");
    assert_string_equal(s->apps[1]->host.v[0], "example.org");
    assert_string_equal(s->apps[1]->route.v[0], "/");
    assert_string_equal(s->apps[1]->telemetry.namespace, "faucet");
    assert_int_equal(s->apps[2]->type, APP_UPSTREAM);
    assert_string_equal(s->apps[2]->route.v[0], "/c/");
    assert_non_null(strstr(s->apps[2]->where, "faucet.yaml:8:3"));
    assert_ptr_equal(snapshot_app(s, "b"), s->apps[1]);
    snapshot_unref(s);
}

static void namespace_from_outside(void **state) {
    struct fixture *f = *state;
    fixture_variable(f, "FAUCET_TELEMETRY_NAMESPACE", "prod");
    struct snapshot *s = fixture_load(f, "apps: { a: { dir: ., telemetry: { namespace: mine } }, b: { dir: . } }\n");
    assert_string_equal(s->apps[0]->telemetry.namespace, "mine");
    assert_string_equal(s->apps[1]->telemetry.namespace, "prod");
    fixture_expect(f, PROBLEM_WARNING,
                   "app a names its own, which stands; to set it for every app: "
                   "--set 'apps.*.telemetry.namespace=prod'");
    snapshot_unref(s);
    fixture_flag(f, "--set", "apps.*.telemetry.namespace", "prod");
    problems_free(&f->problems);
    problems_init(&f->problems);
    s = fixture_load(f, NULL);
    assert_string_equal(s->apps[0]->telemetry.namespace, "prod");
    assert_int_equal(f->problems.warnings, 0);
    snapshot_unref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(values),
        FIXTURE_TEST(a_long_socket_path),
        FIXTURE_TEST(keys),
        FIXTURE_TEST(all_in_one_go),
        FIXTURE_TEST(an_unresolved_value_is_one_mistake),
        FIXTURE_TEST(between_settings),
        FIXTURE_TEST(a_good_file),
        FIXTURE_TEST(namespace_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
