/*
 * Text with its length: the parts that are more than a line.
 *
 * Nothing here looks at the locale: protocol text is ASCII (RFC 9110 5.6),
 * everything else is bytes.
 */
#include "base/str.h"

#include "base/check.h"

bool str_ieq(struct str a, struct str b) {
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
            return false;
    return true;
}

size_t str_chr(struct str s, char c) {
    const char *found = s.n == 0 ? NULL : memchr(s.p, c, s.n);

    return found == NULL ? s.n : (size_t)(found - s.p);
}

static bool is_ows(char c) {
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s) {
    while (s.n > 0 && is_ows(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_ows(s.p[s.n - 1]))
        s.n--;
    return s;
}

bool str_next_element(struct str *list, struct str *element) {
    while (list->n > 0) {
        size_t comma = str_chr(*list, ',');

        *element = str_trim(str_make(list->p, comma));
        *list = str_from(*list, comma + 1);
        if (element->n > 0)
            return true;
    }
    *element = STR_NONE;
    return false;
}

bool str_to_u64(struct str s, uint64_t *value) {
    uint64_t v = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, (uint64_t)10, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *value = v;
    return true;
}

bool str_list_has(struct str list, struct str token) {
    struct str element;

    while (str_next_element(&list, &element))
        if (str_ieq(element, token))
            return true;
    return false;
}

#define DISTANCE_NAME_MAX 64

static size_t min2(size_t a, size_t b) {
    return a < b ? a : b;
}

size_t str_distance(struct str a, struct str b, size_t limit) {
    size_t row[DISTANCE_NAME_MAX + 1];          /* the matrix, one row at a time */
    size_t before[DISTANCE_NAME_MAX + 1] = {0}; /* the row above the one above: where swapped letters began */

    if (a.n > DISTANCE_NAME_MAX || b.n > DISTANCE_NAME_MAX)
        return limit + 1;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        size_t diagonal = row[0], corner = 0; /* corner: before[j - 2] */
        size_t least = row[0] = i;

        for (size_t j = 1; j <= b.n; j++) {
            size_t substituted = diagonal + (a.p[i - 1] != b.p[j - 1]);

            bool swapped = i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1];
            size_t two_back = before[j - 1];

            before[j - 1] = diagonal;
            diagonal = row[j];
            row[j] = min2(substituted, min2(row[j], row[j - 1]) + 1);
            if (swapped)
                row[j] = min2(row[j], corner + 1);
            corner = two_back;
            least = min2(least, row[j]);
        }
        if (least > limit) /* rows never get smaller */
            return limit + 1;
    }
    return min2(row[b.n], limit + 1);
}

size_t str_utf8(struct str s) {
    /* RFC 3629 section 4: the first byte decides the length and the range of the second; the rest are 80..BF. */
    static const struct {
        unsigned char first, last, second_low, second_high, length;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    const unsigned char *p = (const unsigned char *)s.p;

    if (s.n == 0)
        return 0;
    for (size_t f = 0; f < ARRAY_LENGTH(forms); f++) {
        if (p[0] < forms[f].first || p[0] > forms[f].last)
            continue;
        if (s.n < forms[f].length)
            return 0;
        if (forms[f].length > 1 && (p[1] < forms[f].second_low || p[1] > forms[f].second_high))
            return 0;
        for (size_t i = 2; i < forms[f].length; i++)
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        return forms[f].length;
    }
    return 0;
}
