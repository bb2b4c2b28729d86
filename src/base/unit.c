/*
 * Durations and sizes as people write them: a number, one unit, no space.
 *
 * A duration may have decimals ("1.5s") where they come out as whole
 * microseconds; a size is whole. The tables are ordered from the largest
 * unit down, as the way back needs them.
 */
#include "base/unit.h"

#include <stdio.h>

#include "base/check.h"

struct unit {
    struct str name;
    int64_t scale;
};

#define KIB ((int64_t)1024)
#define KB  ((int64_t)1000)

static const struct unit duration_units[] = {
    {STR("d"), 24 * DUR_H}, {STR("h"), DUR_H},   {STR("m"), DUR_MIN},
    {STR("s"), DUR_S},      {STR("ms"), DUR_MS}, {STR("us"), 1},
};
/* The first five are written; the rest are understood. */
static const struct unit size_units[] = {
    {STR("TiB"), KIB *KIB *KIB *KIB},
    {STR("GiB"), KIB *KIB *KIB},
    {STR("MiB"), KIB *KIB},
    {STR("KiB"), KIB},
    {STR(""), 1},
    {STR("B"), 1},
    {STR("TB"), KB *KB *KB *KB},
    {STR("GB"), KB *KB *KB},
    {STR("MB"), KB *KB},
    {STR("KB"), KB},
    {STR("kB"), KB},
};
#define SIZE_UNITS_WRITTEN 5
#define DURATION_MAX       (36525 * 24 * DUR_H) /* 100 years of 365.25 days */

static const struct unit *find_unit(const struct unit *units, size_t count, struct str name) {
    for (size_t i = 0; i < count; i++)
        if (str_eq(units[i].name, name))
            return &units[i];
    return NULL;
}

static size_t count_digits(struct str s) {
    size_t n = 0;

    while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
        n++;
    return n;
}

/* whole * scale, not above `max`. */
static bool scaled(struct str digits, int64_t scale, int64_t max, int64_t *value) {
    uint64_t whole;

    if (!str_to_u64(digits, &whole) || whole > (uint64_t)(max / scale))
        return false;
    *value = (int64_t)whole * scale;
    return true;
}

/* The decimals' share of `scale`; false when it is not a whole number. */
static bool fraction(struct str digits, int64_t scale, int64_t *value) {
    *value = 0;
    for (size_t i = 0; i < digits.n; i++) {
        int64_t digit = digits.p[i] - '0';

        if (digit == 0)
            continue;
        /* scale is cut to a tenth with each place; a place that does not divide makes the value inexact */
        int64_t place = 1;

        for (size_t k = 0; k <= i; k++) {
            if (place > scale)
                return false;
            place *= 10;
        }
        if (digit * scale % place != 0)
            return false;
        *value += digit * scale / place;
    }
    return true;
}

bool unit_parse_duration(struct str s, dur_t *value) {
    struct str whole = str_make(s.p, count_digits(s)), rest = str_from(s, whole.n), decimals = STR_NONE;
    const struct unit *unit;
    int64_t part;

    if (str_eq(s, STR("0"))) {
        *value = 0;
        return true;
    }
    if (rest.n > 0 && rest.p[0] == '.') {
        rest = str_from(rest, 1);
        decimals = str_make(rest.p, count_digits(rest));
        rest = str_from(rest, decimals.n);
        if (decimals.n == 0)
            return false;
    }
    unit = find_unit(duration_units, ARRAY_LENGTH(duration_units), rest);
    if (unit == NULL || !scaled(whole, unit->scale, DURATION_MAX, value) || !fraction(decimals, unit->scale, &part))
        return false;
    *value += part;
    return *value <= DURATION_MAX;
}

bool unit_parse_size(struct str s, int64_t *bytes) {
    struct str whole = str_make(s.p, count_digits(s));
    const struct unit *unit = find_unit(size_units, ARRAY_LENGTH(size_units), str_from(s, whole.n));

    return unit != NULL && scaled(whole, unit->scale, INT64_MAX, bytes);
}

/* In the largest unit that leaves a whole number. */
static size_t format_in(const struct unit *units, size_t count, int64_t value, char out[32]) {
    size_t i = 0;
    int n;

    while (i < count - 1 && value % units[i].scale != 0)
        i++;
    n = snprintf(out, 32, "%lld%s", (long long)(value / units[i].scale), units[i].name.p);
    ASSERT(n > 0 && n < 32);
    return (size_t)n;
}

static size_t format_word(struct str word, char out[32]) {
    memcpy(out, word.p, word.n);
    out[word.n] = '\0';
    return word.n;
}

size_t unit_format_duration(dur_t d, char out[32]) {
    if (d == 0)
        return format_word(STR("0"), out);
    return format_in(duration_units, ARRAY_LENGTH(duration_units), d, out);
}

size_t unit_format_size(int64_t bytes, char out[32]) {
    if (bytes == SIZE_UNLIMITED)
        return format_word(STR("unlimited"), out);
    if (bytes == 0)
        return format_word(STR("0"), out);
    return format_in(size_units, SIZE_UNITS_WRITTEN, bytes, out);
}
