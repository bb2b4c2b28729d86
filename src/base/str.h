/*
 * Text with its length: a pointer never travels without it. A `struct str`
 * borrows; who owns the bytes is said where it is stored. `p` may be NULL only
 * where `n` is 0; such a string means "absent" where the field says so.
 */
#ifndef FAUCET_BASE_STR_H
#define FAUCET_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})
/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *z) {
    return (struct str){z, z ? strlen(z) : 0};
}
static inline struct str str_make(const char *p, size_t n) {
    return (struct str){p, n};
}
static inline bool str_eq(struct str a, struct str b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_starts(struct str s, struct str prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}
static inline bool str_ends(struct str s, struct str suffix) {
    return s.n >= suffix.n && (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}
/* The rest of s from byte `from` on; empty when from >= s.n. */
static inline struct str str_from(struct str s, size_t from) {
    if (s.n == 0) /* no arithmetic on NULL */
        return s;
    return from >= s.n ? (struct str){s.p + s.n, 0} : (struct str){s.p + from, s.n - from};
}
/* ASCII only, whatever the locale. */
static inline char ascii_lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}
bool str_ieq(struct str a, struct str b);
/* Offset of the first `c` in s, or s.n. */
size_t str_chr(struct str s, char c);
/* Without leading and trailing spaces and tabs (RFC 9110 OWS). */
struct str str_trim(struct str s);
/* Takes the next element of a comma-separated list off the front of *list, trimmed; false when none is left.
 * Empty elements are skipped (RFC 9110 5.6.1.2). Quoted strings are not understood. */
bool str_next_element(struct str *list, struct str *element);
/* Decimal digits only (no sign, no space), at least one, all of s; false on anything else or overflow. */
bool str_to_u64(struct str s, uint64_t *value);
/* Is the comma-separated list `list` holding `token`, ASCII case-insensitively? */
bool str_list_has(struct str list, struct str token);
/* How many letters are wrong, missing, too many, or swapped with the next; at most `limit` + 1; for "did you mean".
 * Names beyond 64 bytes are never near (limit + 1). */
size_t str_distance(struct str a, struct str b, size_t limit);
/* Length (1..4) of the well-formed UTF-8 sequence that s begins with (RFC 3629: no overlong form, no surrogate, nothing
 * beyond U+10FFFF); 0 when it begins with anything else or is empty. */
size_t str_utf8(struct str s);

#endif
