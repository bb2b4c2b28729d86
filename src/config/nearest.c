/*
 * Near is: two letters wrong in a short word (two that were swapped are one),
 * a third of a long one. '-', '_' and '.' are the same, and so is the case.
 */
#include "config/nearest.h"

#define WORD_MAX 64

static struct str folded(struct str s, char out[WORD_MAX]) {
    size_t n = s.n < WORD_MAX ? s.n : WORD_MAX;

    for (size_t i = 0; i < n; i++)
        out[i] = s.p[i] == '_' || s.p[i] == '.' ? '-' : ascii_lower(s.p[i]);
    return str_make(out, n);
}

void nearest_init(struct nearest *n, struct str word) {
    size_t wrong = word.n < 4 ? 1 : word.n <= 8 ? 2 : word.n / 3;

    *n = (struct nearest){.word = word, .best = NULL, .distance = (wrong > 4 ? 4 : wrong) + 1};
}

void nearest_offer(struct nearest *n, const char *name) {
    char a[WORD_MAX], b[WORD_MAX];
    struct str word = folded(n->word, a), other = folded(str_of(name), b);

    if (n->distance == 0 || word.n == 0)
        return;
    size_t distance = str_distance(word, other, n->distance - 1);
    /* A word of two letters is near to every other one: all of it must not be wrong. */
    if (distance < n->distance && distance < other.n && distance < word.n) {
        n->distance = distance;
        n->best = name;
    }
}
