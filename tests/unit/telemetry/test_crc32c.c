/* CRC-32C against the published vectors (RFC 3720 B.4), and the instruction against the table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/uuid.h"
#include "telemetry/crc32c.h"

static void test_vectors(void **state) {
    unsigned char zeros[32] = {0}, ones[32], up[32], down[32];
    const struct {
        const void *p;
        size_t n;
        uint32_t crc;
    } rows[] = {
        {zeros, 32, 0x8a9136aa}, {ones, 32, 0x62a8ab43},       {up, 32, 0x46dd794e},
        {down, 32, 0x113fdb5c},  {"123456789", 9, 0xe3069283}, {"", 0, 0},
    };

    (void)state;
    for (unsigned i = 0; i < 32; i++) {
        ones[i] = 0xff;
        up[i] = (unsigned char)i;
        down[i] = (unsigned char)(31 - i);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        assert_int_equal(crc32c(0, rows[i].p, rows[i].n), rows[i].crc);
        assert_int_equal(crc32c_portable(0, rows[i].p, rows[i].n), rows[i].crc);
    }
}

static void test_one_against_the_other(void **state) {
    unsigned char bytes[700];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        size_t from = (size_t)random_u64() % 16, n = (size_t)random_u64() % (sizeof bytes - 16), half = n / 3;
        uint32_t begin = (uint32_t)random_u64();
        if (i % 100 == 0)
            random_bytes(bytes, sizeof bytes);
        uint32_t crc = crc32c(begin, bytes + from, n);
        assert_int_equal(crc32c_portable(begin, bytes + from, n), crc);
        assert_int_equal(crc32c(crc32c(begin, bytes + from, half), bytes + from + half, n - half), crc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_one_against_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
