/*
 * The command line: a command's own flags stand for that command alone, everything else that begins with two dashes is
 * a setting. What is refused is told on standard error, which is read back here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "control/options.h"

static char *const nothing[] = {NULL};

/* Parses; what went to standard error is in `said`. */
static bool parse(struct options *o, const char *command, char *const *environ_, const char *const *words, char *said,
                  size_t room) {
    FILE *f = tmpfile();
    assert_non_null(f);
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
    bool ok = options_parse(o, command, (char *const *)(uintptr_t)words, environ_, false);
    fflush(stderr);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    rewind(f);
    size_t n = fread(said, 1, room - 1, f);
    said[n] = '\0';
    fclose(f);
    return ok;
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void accepted(struct options *o, const char *command, const char *const *words) {
    char said[512];
    bool ok = parse(o, command, nothing, words, said, sizeof said);
    if (!ok)
        fail_msg("refused: %s", said);
    assert_string_equal(said, "");
}

static void refused(const char *command, const char *const *words, const char *why) {
    char said[512];
    struct options o;
    assert_false(parse(&o, command, nothing, words, said, sizeof said));
    if (strstr(said, why) == NULL)
        fail_msg("\"%s\" is not said, but: %s", why, said);
    options_free(&o);
}

static void own_flags(void **state) {
    (void)state;
    struct options o;
    accepted(&o, "check", WORDS("--json", "--strict", "--no-paths"));
    assert_true(o.json && o.strict && o.no_paths);
    assert_false(o.wait_ready || o.markdown || o.help || o.start);
    options_free(&o);
    accepted(&o, "run", WORDS("--wait-ready"));
    assert_true(o.wait_ready);
    options_free(&o);
    accepted(&o, "schema", WORDS("--markdown", "-h"));
    assert_true(o.markdown && o.help);
    options_free(&o);
}

static void own_flags_of_others(void **state) {
    (void)state;
    refused("run", WORDS("--strict"), "--strict");
    refused("config", WORDS("--strict"), "--strict");
    refused("check", WORDS("--wait-ready"), "--wait-ready");
    refused("check", WORDS("--json=yes"), "--json");
    refused("hec", WORDS("--strict"), "--strict"); /* the whole word counts */
    refused("", WORDS("--strict"), "--strict");
    refused("check config", WORDS("--json"), "--json");
}

static void files(void **state) {
    (void)state;
    struct options o;
    char here[4096];
    assert_non_null(getcwd(here, sizeof here));
    accepted(&o, "run", WORDS("-c", "x/f.yaml"));
    assert_string_equal(o.file_as_named, "x/f.yaml");
    assert_true(str_starts(str_of(o.file), str_of(here)) && str_ends(str_of(o.file), STR("/x/f.yaml")));
    options_free(&o);
    accepted(&o, "run", WORDS("--config=/etc/f.yaml"));
    assert_string_equal(o.file, "/etc/f.yaml");
    options_free(&o);
    refused("run", WORDS("-c"), "-c needs a value");
}

static void settings(void **state) {
    (void)state;
    struct options o;
    accepted(&o, "run", WORDS("--log-level", "debug", "--set", "apps.sales.env={A: b=c}", "--shutdown-timeout=5s"));
    assert_int_equal(o.flag_count, 3);
    assert_string_equal(o.flags[0].key, "log.level");
    assert_string_equal(o.flags[0].value, "debug");
    assert_string_equal(o.flags[1].key, "apps.sales.env");
    assert_string_equal(o.flags[1].value, "{A: b=c}");
    assert_string_equal(o.flags[2].key, "shutdown.timeout");
    assert_string_equal(o.flags[2].value, "5s");
    options_free(&o);
    refused("run", WORDS("--set", "novalue"), "KEY=VALUE");
    refused("run", WORDS("--set", "=1"), "KEY=VALUE");
    refused("run", WORDS("--log-level"), "needs a value");
    refused("run", WORDS("--log-levle", "info"), "did you mean --log-level");
    refused("run", WORDS("-x"), "-x");
}

static void words_that_are_left(void **state) {
    (void)state;
    struct options o;
    accepted(&o, "config", WORDS("apps.a.workers", "--json", "-"));
    assert_int_equal(o.arguments.n, 2);
    assert_string_equal(o.arguments.v[0], "apps.a.workers");
    assert_string_equal(o.arguments.v[1], "-");
    assert_true(o.json);
    options_free(&o);
}

static void start_has_settings_of_its_own(void **state) {
    (void)state;
    struct options o;
    accepted(&o, "start", WORDS("--dir", "app", "--workers", "3", "--state-dir", "/s"));
    assert_true(o.start);
    assert_true(str_ends(str_of(o.flags[0].key), STR(".dir"))); /* command_run.c names the app after it */
    assert_true(str_ends(str_of(o.flags[1].key), STR(".workers")));
    assert_string_equal(o.flags[2].key, "state_dir");
    options_free(&o);
    refused("run", WORDS("--workers", "3"), "--workers");
}

static void file_by_default(void **state) {
    (void)state;
    char directory[] = "/tmp/optionsXXXXXX", before[4096];
    assert_non_null(getcwd(before, sizeof before));
    assert_non_null(mkdtemp(directory));
    assert_int_equal(chdir(directory), 0);
    struct options o;
    char *const named[] = {(char[]){"FAUCET_ROUTER_CONF=/x.yaml"}, NULL};
    assert_true(options_parse(&o, "run", nothing, named, true));
    assert_string_equal(o.file, "/x.yaml");
    options_free(&o);
    FILE *f = fopen("faucet.yaml", "w");
    assert_non_null(f);
    fclose(f);
    assert_true(options_parse(&o, "run", nothing, nothing, true));
    assert_string_equal(o.file_as_named, "faucet.yaml");
    options_free(&o);
    assert_int_equal(unlink("faucet.yaml"), 0);
    assert_int_equal(chdir(before), 0);
    assert_int_equal(rmdir(directory), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_flags),
        cmocka_unit_test(own_flags_of_others),
        cmocka_unit_test(files),
        cmocka_unit_test(settings),
        cmocka_unit_test(words_that_are_left),
        cmocka_unit_test(start_has_settings_of_its_own),
        cmocka_unit_test(file_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
