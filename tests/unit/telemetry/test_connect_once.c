/* Connection strings: which are refused before libpq sees them, and that no word of them comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "telemetry/connect_once.h"

static void test_good(void **state) {
    static const char *const good[] = {
        "host=/tmp dbname=x",
        "host=a,b port=5432,5433 user=u password='p a@ss/w:rd?' target_session_attrs=read-write",
        "postgresql://",
        "postgres://u:p%40ss%2Fw%3Ard%3F@h:5432/db?sslmode=require",
        "postgresql://u@h1:1,h2:2/db",
        "postgresql://u:p@[::1]:5432/db",
        "postgresql:///db?host=/var/run/postgresql&user=a%40b",
        "postgresql://u:p?x:y@h/db", /* libpq minds only @ and / there */
        "postgresql://%2Fvar%2Frun/db",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(good); i++)
        if (connection_string_problem(good[i]) != NULL)
            fail_msg("%s: %s", good[i], connection_string_problem(good[i]));
}

static void test_bad(void **state) {
    static const char *const bad[] = {
        "postgres://u:hunter2@hunter2@h/db",
        "postgresql://u:hun/hunter2@h/db",
        "postgresql://u:12/hunter2@h/db",
        "password=hunter2 hunter2 host=x",
        "host=x password='hunter2",
        "hunter2",
        "host=x port=hunter2",
        "postgresql://u:p@h/db?password=x&hunter2",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct buf why = {0};
        const char *problem = connection_string_problem(bad[i]);
        if (problem == NULL)
            fail_msg("%s is taken", bad[i]);
        assert_null(connect_once(bad[i], NULL, NULL, &why));
        buf_append_char(&why, '\0');
        assert_non_null(strstr(buf_str(&why).p, problem));
        assert_null(strstr(buf_str(&why).p, "hunter2"));
        buf_free(&why);
    }
}

static void test_message(void **state) {
    struct buf out = {0};
    (void)state;
    connection_message(&out, "connection failed: hunter2 is odd\n\tIs it there?\n", "hunter2");
    assert_true(str_eq(buf_str(&out), STR("connection failed: … is odd; Is it there?")));
    buf_free(&out);
    connection_message(&out, "a database", "a"); /* too short to hide */
    assert_true(str_eq(buf_str(&out), STR("a database")));
    buf_free(&out);
    connection_message(&out, "", NULL);
    assert_int_equal(buf_length(&out), 0);
}

static void test_refused(void **state) {
    struct buf why = {0};
    (void)state;
    assert_null(connect_once("postgresql://u:hunter2@127.0.0.1:1/x", NULL, NULL, &why));
    buf_append_char(&why, '\0');
    assert_non_null(strstr(buf_str(&why).p, "refused"));
    assert_null(strstr(buf_str(&why).p, "hunter2"));
    assert_null(strchr(buf_str(&why).p, '\n'));
    buf_free(&why);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_message), cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
