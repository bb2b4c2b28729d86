/* The control socket is found whatever else is wrong. */
#include "fixture.h"

static void expect(struct fixture *f, const char *file, const char *wanted) {
    struct arena *a = arena_new(1024);
    fixture_write(f, "faucet.yaml", file);
    const char *found = config_control_address(&f->sources, a);
    if (wanted == NULL)
        assert_null(found);
    else {
        assert_non_null(found);
        assert_string_equal(found, wanted);
    }
    arena_free(a);
}

static void from_files(void **state) {
    struct fixture *f = *state;
    char relative[2 * PATH_MAX];
    snprintf(relative, sizeof(relative), "unix:%s/c.sock", f->directory);
    fixture_variable(f, "RUN", "/run/x");
    expect(f, "control: unix:/a\n", "unix:/a");
    expect(f, "control: unix:c.sock\napps: 3\nfoo: ${NO:?no}\n", relative);
    expect(f, "control: \"unix:${RUN}/y\" # here\n", "unix:/run/x/y");
    expect(f, "apps: { a: { : ]\ncontrol: 'unix:${RUN}/y'  # a comment\n", "unix:/run/x/y");
    expect(f, "listen: x\n", NULL);
    expect(f, "control: 127.0.0.1:80\n", NULL);
    expect(f, "control: [unix:/a]\n", NULL);
    expect(f, "control:\n", NULL);
}

static void from_outside(void **state) {
    struct fixture *f = *state;
    fixture_variable(f, "FAUCET_CONTROL", "unix:e.sock");
    expect(f, "control: unix:/a\n", "unix:/start/e.sock");
    fixture_flag(f, "--control", "control", "unix:/flag");
    expect(f, "control: unix:/a\n", "unix:/flag");
    f->sources.file = NULL;
    expect(f, "", "unix:/flag");
}

int main(void) {
    const struct CMUnitTest tests[] = {FIXTURE_TEST(from_files), FIXTURE_TEST(from_outside)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
