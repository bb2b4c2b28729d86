/* Following frames: in any cut of the bytes the same boundaries are found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "http/websocket.h"

struct stream {
    struct buf bytes;
    size_t boundaries[64];
    size_t count;
};

static void add_frame(struct stream *s, uint8_t first, uint64_t payload, unsigned form, bool masked) {
    uint8_t header[14] = {first};
    size_t n = 2;
    uint8_t short_length = form == 8 ? 127 : form == 2 ? 126 : (uint8_t)payload;
    header[1] = (uint8_t)(short_length | (masked ? 0x80 : 0));
    for (unsigned i = 0; i < form; i++)
        header[n++] = (uint8_t)(payload >> 8 * (form - 1 - i));
    for (unsigned i = 0; masked && i < 4; i++)
        header[n++] = (uint8_t)(0xa0 + i);
    buf_append(&s->bytes, str_make((const char *)header, n));
    for (uint64_t i = 0; i < payload; i++)
        buf_append_char(&s->bytes, (char)(0x88 + i)); /* looks like headers */
    s->boundaries[s->count++] = buf_length(&s->bytes);
}

static struct stream mixed(void) {
    struct stream s = {.count = 0};
    add_frame(&s, 0x81, 0, 0, false);
    add_frame(&s, 0x81, 5, 0, false);
    add_frame(&s, 0x82, 0, 0, true);
    add_frame(&s, 0x01, 125, 0, true);
    add_frame(&s, 0x89, 3, 0, false);
    add_frame(&s, 0x80, 126, 2, true);
    add_frame(&s, 0x82, 300, 2, false);
    add_frame(&s, 0x82, 300, 8, true);
    add_frame(&s, 0x82, 7, 8, false);
    add_frame(&s, 0x88, 2, 0, true);
    return s;
}

static size_t last_boundary(const struct stream *s, size_t from, size_t to) {
    size_t last = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->boundaries[i] > from && s->boundaries[i] <= to)
            last = s->boundaries[i] - from;
    return last;
}

static bool is_boundary(const struct stream *s, size_t at) {
    return at == 0 || last_boundary(s, at - 1, at) == 1;
}

static void every_cut(void **state) {
    (void)state;
    struct stream s = mixed();
    struct str all = buf_str(&s.bytes);
    for (size_t cut = 0; cut <= all.n; cut++) {
        struct ws_follower f = {0};
        assert_int_equal(ws_follow(&f, str_make(all.p, cut)), last_boundary(&s, 0, cut));
        assert_true(ws_at_boundary(&f) == is_boundary(&s, cut));
        assert_int_equal(ws_follow(&f, str_from(all, cut)), last_boundary(&s, cut, all.n));
        assert_true(ws_at_boundary(&f) && f.close_seen && !f.broken);
    }
    struct ws_follower f = {0};
    for (size_t i = 0; i < all.n; i++) {
        assert_int_equal(ws_follow(&f, str_make(all.p + i, 1)), is_boundary(&s, i + 1) ? 1 : 0);
        /* the last frame's two header bytes say it */
        assert_true(f.close_seen == (i > s.boundaries[s.count - 2]));
    }
    buf_free(&s.bytes);
}

static void huge_payload(void **state) {
    (void)state;
    struct ws_follower f = {0};
    static const char header[] = "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff";
    assert_int_equal(ws_follow(&f, str_make(header, 10)), 0);
    assert_true(f.payload_left == (uint64_t)INT64_MAX + 4 && !f.broken && !ws_at_boundary(&f));
}

static void reserved_length_bit_breaks(void **state) {
    (void)state;
    struct ws_follower f = {0};
    static const char header[] = "\x82\x7f\x80\0\0\0\0\0\0\0\x88\x00";
    assert_int_equal(ws_follow(&f, str_make(header, 12)), 0);
    assert_true(f.broken && !ws_at_boundary(&f) && !f.close_seen);
    assert_int_equal(ws_follow(&f, STR("\x88\x00")), 0);
}

static void writes_a_close(void **state) {
    (void)state;
    struct buf b = {0};
    ws_write_close(&b, 1012, STR("restart"), false);
    assert_true(str_eq(buf_str(&b), STR("\x88\x09\x03\xf4restart")));
    struct ws_follower f = {0};
    assert_int_equal(ws_follow(&f, buf_str(&b)), 11);
    assert_true(f.close_seen);
    buf_free(&b);
}

static void masks_towards_a_server(void **state) {
    (void)state;
    bool differs = false;
    char first[4] = {0};
    for (int round = 0; round < 8; round++) {
        struct buf b = {0};
        ws_write_close(&b, 1001, STR("bye"), true);
        const uint8_t *p = (const uint8_t *)b.data;
        assert_int_equal(buf_length(&b), 2 + 4 + 5);
        assert_int_equal(p[0], 0x88);
        assert_int_equal(p[1], 0x80 | 5);
        static const uint8_t plain[] = {1001 >> 8, 1001 & 0xff, 'b', 'y', 'e'};
        for (size_t i = 0; i < sizeof plain; i++)
            assert_int_equal(p[6 + i] ^ p[2 + i % 4], plain[i]);
        if (round == 0)
            memcpy(first, p + 2, 4);
        differs = differs || memcmp(first, p + 2, 4) != 0;
        buf_free(&b);
    }
    assert_true(differs);
}

static void longest_reason(void **state) {
    (void)state;
    char text[123];
    memset(text, 'x', sizeof text);
    struct buf b = {0};
    ws_write_close(&b, 1000, str_make(text, sizeof text), true);
    assert_int_equal(buf_length(&b), 2 + 4 + 125);
    buf_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut),
        cmocka_unit_test(huge_payload),
        cmocka_unit_test(reserved_length_bit_breaks),
        cmocka_unit_test(writes_a_close),
        cmocka_unit_test(masks_towards_a_server),
        cmocka_unit_test(longest_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
