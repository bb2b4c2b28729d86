/* Paths: what comes out is in normal form, without dot segments, and stays the same. */
#include "base/check.h"
#include "route/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct arena *a = arena_new(256);
    const char *why = NULL;
    struct str out = path_normalise(a, str_make((const char *)data, size), &why);
    ASSERT((out.p == NULL) == (why != NULL));
    if (out.p != NULL) {
        ASSERT(out.n > 0 && out.p[0] == '/' && str_eq(path_normalise(a, out, &why), out));
        for (struct str rest = out; rest.n > 0;) {
            rest = str_from(rest, 1);
            struct str segment = str_make(rest.p, str_chr(rest, '/'));
            ASSERT(!str_eq(segment, STR(".")) && !str_eq(segment, STR("..")));
            rest = str_from(rest, segment.n);
        }
    }
    (void)host_normalise(a, str_make((const char *)data, size));
    arena_free(a);
    return 0;
}
