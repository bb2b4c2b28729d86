/* Expectations for the reader's tests: the whole, every cut in two, and byte by byte must all say the same. */
#ifndef FAUCET_TEST_EXPECT_H
#define FAUCET_TEST_EXPECT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "transcript.h"

/* The transcript of bytes, after all its cuts were seen to agree. Caller frees. */
static inline struct buf same_in_all_cuts(const struct feed *how, struct str bytes) {
    struct buf whole = transcript(how, bytes, bytes.n);
    for (size_t cut = 1; cut <= bytes.n; cut++) {
        struct buf other = transcript(how, bytes, cut == bytes.n ? SIZE_MAX : cut);
        assert_string_equal(whole.data + whole.start, other.data + other.start);
        buf_free(&other);
    }
    return whole;
}

static inline void expect_text(const struct feed *how, struct str bytes, const char *text) {
    struct buf t = same_in_all_cuts(how, bytes);
    assert_string_equal(t.data + t.start, text);
    buf_free(&t);
}

/* Refused with this status and this reason, alone and with another message behind it. */
static inline void expect_bad(const struct feed *how, struct str bytes, unsigned status, const char *why) {
    struct buf expected = {0}, both = {0};
    buf_printf(&expected, "bad %u %s\n", status, why);
    buf_append(&both, bytes);
    buf_append(&both, STR("GET /next HTTP/1.1\r\nHost: next\r\n\r\n"));
    struct buf alone = same_in_all_cuts(how, bytes), followed = same_in_all_cuts(how, buf_str(&both));
    /* after a head, the body may be refused: only the last line counts then */
    const char *begin = alone.data + alone.start, *last = strstr(begin, "bad ");
    assert_non_null(last);
    assert_int_equal(strncmp(last, expected.data, buf_length(&expected)), 0);
    last = strstr(followed.data + followed.start, "bad ");
    assert_non_null(last);
    assert_int_equal(strncmp(last, expected.data, buf_length(&expected)), 0);
    buf_free(&alone);
    buf_free(&followed);
    buf_free(&expected);
    buf_free(&both);
}

#endif
