/* The hash is pinned: a value that changes would send every client to another worker after an upgrade. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/hash.h"

/* Made with libxxhash 0.8.1 (XXH64) over bytes i * 7 + 3. */
static const struct {
    size_t n;
    uint64_t seed, hash;
} vectors[] = {
    {0, 0, 0xef46db3751d8e999u},
    {1, 0, 0x1f25c8d0bc1f4bb6u},
    {3, 0, 0x31d2363f52e564c9u},
    {4, 0, 0x9bb64b7d66ee9fdau},
    {5, 0, 0xc7608efddb7051feu},
    {7, 0, 0x9a7b149959ce60d8u},
    {8, 0, 0xdab99d95c6f90092u},
    {11, 0, 0x7a52cc9457cf1a1fu},
    {15, 0, 0x1b47cb8243cc8e32u},
    {16, 0, 0x434850232b787be2u},
    {31, 0, 0xa2aa5f33cc4a6119u},
    {32, 0, 0x23c3c17ef790fd97u},
    {33, 0, 0x50a7cfc7ba588784u},
    {63, 0, 0x5e3e54b431c7493cu},
    {64, 0, 0x0eb64b3ef6eeb01fu},
    {100, 0, 0xa61f8d4c170fe531u},
    {200, 0, 0xa6cb3c09bc829b24u},
    {0, 0x9e3779b1, 0xac75fda2929b17efu},
    {14, 0x9e3779b1, 0x51341a138b098941u},
    {37, 0x9e3779b1, 0x40817834d64099c5u},
    {200, 0x9e3779b1, 0xfb1dd7eaa8eb8a3cu},
};

static void test_vectors(void **state) {
    unsigned char bytes[200];

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 7 + 3);
    for (size_t i = 0; i < ARRAY_LENGTH(vectors); i++)
        assert_int_equal(hash_bytes(vectors[i].seed, bytes, vectors[i].n), vectors[i].hash);
    assert_int_equal(hash_bytes(0, "abc", 3), 0x44bc2cf5ad770999u); /* published */
    assert_int_equal(hash_bytes(0, NULL, 0), 0xef46db3751d8e999u);
}

/* What rendezvous hashing asks of it: neighbouring worker numbers share the clients evenly. */
static void test_spread(void **state) {
    size_t won[4] = {0};

    (void)state;
    for (uint32_t client = 0; client < 40000; client++) {
        uint64_t best = 0;
        size_t winner = 0;

        for (uint64_t worker = 1; worker <= 4; worker++) {
            uint64_t h = hash_bytes(worker, &client, sizeof client);

            if (h > best) {
                best = h;
                winner = (size_t)worker - 1;
            }
        }
        won[winner]++;
    }
    for (size_t i = 0; i < 4; i++)
        assert_in_range(won[i], 9600, 10400);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors), cmocka_unit_test(test_spread)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
