/* Log events of apps: what R and Python write, and what is refused with which hint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "telemetry/columns.h"
#include "telemetry/log_event.h"

#define UUID   "0198c7a2-0000-7000-8000-00000000000a"
#define PARENT "0198c7a2-0000-7000-8000-00000000000b"

static struct log_event parsed(const char *json) {
    struct log_event e;
    const char *why = NULL;

    if (!log_event_parse(str_of(json), &e, &why))
        fail_msg("%s: %s", json, why);
    return e;
}

static void scalars_and_arrays_of_one(void **state) {
    (void)state;
    static const char *const forms[] = {
        "{\"target\":\"t\",\"event_id\":\"" UUID "\",\"level\":\"Info\",\"parent_event_id\":\"" PARENT
        "\",\"event_type\":\"x\",\"message\":\"m\",\"body\":{\"a\":[1,2]}}",
        "{\"target\":[\"t\"],\"event_id\":[\"" UUID "\"],\"level\":[\"info\"],\"parent_event_id\":[\"" PARENT
        "\"],\"event_type\":[\"x\"],\"message\":[\"m\"],\"body\":{\"a\":[1,2]}}"};

    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        struct log_event e = parsed(forms[i]);
        char text[37];
        uuid_format(&e.event_id, text);
        assert_string_equal(text, UUID);
        assert_true(e.has_parent);
        uuid_format(&e.parent, text);
        assert_string_equal(text, PARENT);
        assert_int_equal(e.level, LOG_INFO);
        assert_true(str_eq(e.message, STR("m")) && str_eq(e.event_type, STR("x")) && str_eq(e.target, STR("t")));
        assert_string_equal(e.body, "{\"a\":[1,2]}");
        log_event_free(&e);
    }
}

static void what_may_be_missing(void **state) {
    (void)state;
    struct log_event e = parsed("{\"level\":\"Warn\",\"message\":\"m\",\"parent_event_id\":{},\"event_id\":[]}");

    assert_false(e.has_parent);
    assert_int_equal(e.event_id.b[6] >> 4, 7); /* made up */
    assert_null(e.event_type.p);
    assert_null(e.body);
    log_event_free(&e);
    e = parsed("{\"level\":\"Warn\",\"message\":\"m\",\"body\":{\"request_uuid\":[\"" UUID "\"]}}");
    assert_true(e.has_request);
    log_event_free(&e);
    e = parsed("{\"level\":\"Warn\",\"message\":\"m\",\"body\":123456789012345678901234567890}");
    assert_non_null(e.body);
    log_event_free(&e);
}

static void refused_with_a_hint(void **state) {
    static const struct {
        const char *json, *hint;
    } cases[] = {
        {"", "ends too early"},
        {"{\"level\":", "ends too early"},
        {"hello", "not JSON"},
        {"[1]", "must be an object"},
        {"{\"level\":\"Loud\",\"message\":\"m\"}", "level must be"},
        {"{\"level\":[\"Info\",\"Warn\"],\"message\":\"m\"}", "level must be"},
        {"{\"level\":\"Info\",\"message\":7}", "message must be"},
        {"{\"level\":\"Info\",\"message\":\"m\",\"event_id\":\"7\"}", "event_id must be"},
        {"{\"level\":\"Info\",\"message\":\"m\",\"parent_event_id\":\"7\"}", "parent_event_id must be"},
        {"{\"level\":\"Info\",\"message\":\"\xff\"}", "UTF-8"},
        {"{\"level\":\"Info\",\"message\":\"m\",\"body\":1e999}", "too large"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct log_event e;
        const char *why = NULL;
        assert_false(log_event_parse(str_of(cases[i].json), &e, &why));
        if (strstr(why, cases[i].hint) == NULL)
            fail_msg("%s: %s", cases[i].json, why);
    }
}

static void as_a_record(void **state) {
    struct log_event e = parsed("{\"level\":\"Error\",\"message\":\"a\\u0000b\",\"body\":{\"k\":\"\\u0000\"}}");
    const struct worker_origin o = {STR("sales"), STR("Worker::sales::1"), 2, 1};
    struct record_draft b = {0};
    struct str s;
    (void)state;

    log_event_write(&b, &e, &o, STR("ns"), STR_NONE, STR("i"), (wall_t){5});
    assert_true(record_find(record_str(&b), COLUMN_OF_LOG_target, &s) && str_eq(s, o.target));
    assert_true(record_find(record_str(&b), COLUMN_OF_LOG_message, &s) && str_eq(s, STR("a\xef\xbf\xbd"
                                                                                        "b")));
    assert_true(record_find(record_str(&b), COLUMN_OF_LOG_body, &s) && str_eq(s, STR("\1{\"k\":\"\\ufffd\"}")));
    assert_true(record_find(record_str(&b), COLUMN_OF_LOG_level, &s) && str_eq(s, STR("Error")));
    assert_true(record_find(record_str(&b), COLUMN_OF_LOG_time, &s) && record_get_time(s).us == 5);
    assert_false(record_find(record_str(&b), COLUMN_OF_LOG_version, &s));
    assert_false(record_find(record_str(&b), COLUMN_OF_LOG_request_uuid, &s));
    record_free(&b);
    log_event_free(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scalars_and_arrays_of_one),
                                       cmocka_unit_test(what_may_be_missing), cmocka_unit_test(refused_with_a_hint),
                                       cmocka_unit_test(as_a_record)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
