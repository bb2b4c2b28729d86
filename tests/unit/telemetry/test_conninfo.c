/* Connection strings taken apart: hosts, what is handed to libpq, and that nothing of a bad one is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "telemetry/pg_conninfo.h"

static const char *value(const struct pg_conninfo *c, const char *keyword) {
    const char *found = NULL;
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->keywords[i], keyword) == 0)
            found = c->values[i]; /* the last one counts */
    return found;
}

static struct pg_conninfo *parse(const char *connection) {
    char *error = NULL;
    struct pg_conninfo *c = pg_conninfo_new(connection, NULL, NULL, &error);
    if (c == NULL)
        fail_msg("%s: %s", connection, error);
    return c;
}

static void test_hosts(void **state) {
    struct pg_conninfo *c = parse("postgresql://u:secret@db1:6000,db2,[::1]:7000/events");
    (void)state;
    assert_int_equal(c->hosts_n, 3);
    assert_string_equal(c->hosts[0].label, "db1:6000");
    assert_string_equal(c->hosts[1].label, "db2:5432");
    assert_string_equal(c->hosts[2].label, "[::1]:7000");
    assert_int_equal(c->hosts[2].port_number, 7000);
    assert_string_equal(c->destination, "db1:6000,db2:5432,[::1]:7000/events as u");
    assert_string_equal(c->password, "secret");
    assert_null(value(c, "host"));
    assert_null(value(c, "port"));
    assert_null(value(c, "hostaddr"));
    pg_conninfo_free(c);

    c = parse("hostaddr=10.0.0.1,10.0.0.2 host=a,b port=99 user=u dbname=d");
    assert_string_equal(c->hosts[1].host, "b");
    assert_string_equal(c->hosts[1].hostaddr, "10.0.0.2");
    assert_string_equal(c->hosts[1].port, "99");
    pg_conninfo_free(c);

    c = parse("host=/run/x user=u dbname=d");
    assert_true(c->hosts[0].is_unix);
    assert_string_equal(c->destination, "/run/x:5432/d as u");
    pg_conninfo_free(c);

    c = parse("user=u");
    assert_true(c->hosts[0].is_unix);
    assert_string_equal(value(c, "dbname"), "u");
    pg_conninfo_free(c);
}

static void test_options(void **state) {
    struct pg_conninfo *c = parse("host=h user=u connect_timeout=7 sslmode=require keepalives_idle=5");
    char *error = NULL;
    (void)state;
    assert_int_equal(c->connect_timeout, 7 * DUR_S);
    assert_string_equal(value(c, "gssencmode"), "disable");
    assert_string_equal(value(c, "target_session_attrs"), "read-write");
    assert_string_equal(value(c, "client_encoding"), "UTF8");
    assert_string_equal(value(c, "sslmode"), "require");
    assert_string_equal(value(c, "keepalives_idle"), "5");
    assert_string_equal(value(c, "keepalives_count"), "3");
    assert_string_equal(value(c, "fallback_application_name"), "faucet");
    pg_conninfo_free(c);

    c = pg_conninfo_new("host=h user=u sslmode=disable gssencmode=prefer target_session_attrs=primary", "verify-full",
                        "/ca.crt", &error);
    assert_non_null(c);
    assert_string_equal(value(c, "sslmode"), "verify-full");
    assert_string_equal(value(c, "sslrootcert"), "/ca.crt");
    assert_string_equal(value(c, "gssencmode"), "prefer");
    assert_string_equal(value(c, "target_session_attrs"), "primary");
    assert_int_equal(c->connect_timeout, 0);
    pg_conninfo_free(c);
}

static void test_service(void **state) {
    char path[] = "/tmp/faucet-service-XXXXXX";
    int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    fputs("[telemetry]\nhost=s1,s2\nport=1,2\nuser=su\ndbname=sd\npassword=hunter2\n", f);
    fclose(f);
    setenv("PGSERVICEFILE", path, 1);
    struct pg_conninfo *c = parse("service=telemetry");
    assert_string_equal(c->destination, "s1:1,s2:2/sd as su");
    assert_null(value(c, "service"));
    assert_string_equal(value(c, "password"), "hunter2");
    pg_conninfo_free(c);
    char *error = NULL;
    assert_null(pg_conninfo_new("service=another", NULL, NULL, &error));
    assert_non_null(strstr(error, "service"));
    free(error);
    unsetenv("PGSERVICEFILE");
    unlink(path);
}

static void test_bad(void **state) {
    static const char *const bad[] = {
        "host=a,b port=1,2,3 user=u password=hunter2",
        "hostaddr=10.0.0.1 host=a,b user=u password=hunter2",
        "host=a port=70000 password=hunter2",
        "host=a sslmode=hunter2",
        "host=a target_session_attrs=hunter2",
        "host=a password='hunter2",
        "postgresql://u:hunter2@x@h/d",
        "hunter2",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        char *error = NULL;
        if (pg_conninfo_new(bad[i], NULL, NULL, &error) != NULL)
            fail_msg("%s is taken", bad[i]);
        assert_non_null(error);
        assert_int_equal(strncmp(error, "the connection string ", 22), 0);
        if (strstr(error, "hunter2") != NULL)
            fail_msg("%s: %s", bad[i], error);
        free(error);
    }
}

static void expect_problem(const char *connection, bool string_only, const char *said) {
    char *problem = pg_conninfo_problem(connection, string_only);
    if (said == NULL ? problem != NULL : problem == NULL || strstr(problem, said) == NULL)
        fail_msg("%s: %s, not %s", connection, problem != NULL ? problem : "nothing", said != NULL ? said : "nothing");
    if (problem != NULL)
        assert_null(strstr(problem, "hunter2"));
    free(problem);
}

/* The string alone is judged without the machine it is for; what it takes from there is then not known. */
static void test_problem(void **state) {
    static const struct {
        const char *connection, *alone, *here; /* here: with all that this machine adds */
    } cases[] = {
        {"host=a,b port=5432 user=u password=hunter2", NULL, NULL},
        {"service=nowhere password=hunter2", NULL, "names a service"},
        {"service=nowhere port=1,2 password=hunter2", NULL, "names a service"},
        {"host=a sslmode=hunter2", "verify-full", "verify-full"},
        {"host=a target_session_attrs=hunter2", "read-write", "read-write"},
        {"host=a,b port=1,2,3 password=hunter2", "another number of ports", "another number of ports"},
        {"host=a port=70000 password=hunter2", "from 1 to 65535", "from 1 to 65535"},
        {"host=a password='hunter2", "not understood", "not understood"},
        {"postgresql://u:hunter2@x@h/d", "%40", "%40"},
    };
    (void)state;
    setenv("PGSERVICEFILE", "/nowhere/pg_service.conf", 1);
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        expect_problem(cases[i].connection, true, cases[i].alone);
        expect_problem(cases[i].connection, false, cases[i].here);
    }
    unsetenv("PGSERVICEFILE");
}

static bool has_line(const char *lines, const char *line) {
    const char *at = strstr(lines, line);
    return at != NULL && (at == lines || at[-1] == '\n') && at[strlen(line)] == '\n';
}

/* What tells two strings apart: nothing that is only written differently. */
static void test_options_as_text(void **state) {
    char *error = NULL;
    struct pg_conninfo *a =
        pg_conninfo_new("postgresql://u:one@h/d?sslmode=require&application_name=x%0Ay", NULL, NULL, &error);
    struct pg_conninfo *b = pg_conninfo_new(
        "port=5432 application_name='x\ny' host=h user=u dbname=d sslmode=require password=one", NULL, NULL, &error);
    struct pg_conninfo *c =
        pg_conninfo_new("host=h user=u dbname=d password=two sslmode=require sslpassword=three application_name='x\ny'",
                        "verify-full", "/ca.crt", &error);
    (void)state;
    assert_string_equal(a->destination, b->destination);
    assert_string_equal(a->options, b->options);
    assert_string_equal(a->secrets, b->secrets);
    assert_true(has_line(a->options, "sslmode=require") && has_line(a->options, "application_name=x?y"));
    assert_null(strstr(a->options, "one"));
    assert_string_equal(c->destination, "h:5432/d as u");
    assert_true(has_line(c->options, "sslmode=verify-full") && has_line(c->options, "sslrootcert=/ca.crt"));
    assert_null(strstr(c->options, "two"));
    assert_null(strstr(c->options, "three"));
    assert_string_not_equal(a->secrets, c->secrets);
    assert_true(pg_options_weaker(a->options, c->options));
    assert_false(pg_options_weaker(c->options, a->options));
    assert_false(pg_options_weaker(a->options, b->options));
    assert_false(pg_options_weaker(a->options, NULL));
    pg_conninfo_free(a);
    pg_conninfo_free(b);
    pg_conninfo_free(c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts), cmocka_unit_test(test_options), cmocka_unit_test(test_service),
        cmocka_unit_test(test_bad),   cmocka_unit_test(test_problem), cmocka_unit_test(test_options_as_text),
    };
    unsetenv("PGSERVICE");
    unsetenv("PGHOST");
    unsetenv("PGPORT");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
