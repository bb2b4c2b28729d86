/*
 * Reading HTTP dates. A form is a pattern in which a letter stands for a field
 * and any other byte for itself; the three forms of RFC 9110 5.6.7 are three rows.
 * The name of the day must be one, but is not compared with the date.
 */
#include "proxy/http_date.h"

struct moment {
    int64_t year, month, day, hour, minute, second;
    bool short_year;
};

/* a day name, A its long form, b month name, d day, e day padded by a space, Y year, y two digits of it, H M S time */
static const char *const forms[] = {
    "a, d b Y H:M:S GMT", /* Sun, 06 Nov 1994 08:49:37 GMT */
    "A, d-b-y H:M:S GMT", /* Sunday, 06-Nov-94 08:49:37 GMT */
    "a b e H:M:S Y",      /* Sun Nov  6 08:49:37 1994 */
};

static const char *const days[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static bool take_digits(struct str *s, size_t n, int64_t *value) {
    uint64_t v;

    if (s->n < n || !str_to_u64(str_make(s->p, n), &v))
        return false;
    *value = (int64_t)v;
    *s = str_from(*s, n);
    return true;
}

/* length 0: the whole name. Case counts (RFC 9110 5.6.7). */
static bool take_name(struct str *s, const char *const *names, size_t count, size_t length, int64_t *index) {
    for (size_t i = 0; i < count; i++) {
        struct str name = str_of(names[i]);

        if (length > 0)
            name.n = length;
        if (str_starts(*s, name)) {
            *s = str_from(*s, name.n);
            *index = (int64_t)i;
            return true;
        }
    }
    return false;
}

static bool take_field(struct str *s, char field, struct moment *m) {
    int64_t ignored;

    switch (field) {
    case 'a':
        return take_name(s, days, ARRAY_LENGTH(days), 3, &ignored);
    case 'A':
        return take_name(s, days, ARRAY_LENGTH(days), 0, &ignored);
    case 'b':
        return take_name(s, months, ARRAY_LENGTH(months), 3, &m->month);
    case 'd':
        return take_digits(s, 2, &m->day);
    case 'e':
        if (s->n > 0 && s->p[0] == ' ') {
            *s = str_from(*s, 1);
            return take_digits(s, 1, &m->day);
        }
        return take_digits(s, 2, &m->day);
    case 'Y':
        return take_digits(s, 4, &m->year);
    case 'y':
        m->short_year = true;
        return take_digits(s, 2, &m->year);
    case 'H':
        return take_digits(s, 2, &m->hour);
    case 'M':
        return take_digits(s, 2, &m->minute);
    case 'S':
        return take_digits(s, 2, &m->second);
    default:
        WRONG("a field that no form has");
    }
}

static bool is_field(char c) {
    return memchr("aAbdeYyHMS", c, 10) != NULL;
}

/* GMT is the one text in a form whose letters are not fields: M would be. */
static bool take_form(struct str s, const char *form, struct moment *m) {
    *m = (struct moment){0};
    for (; *form != '\0'; form++) {
        if (*form == 'G')
            return str_eq(s, STR("GMT"));
        if (is_field(*form)) {
            if (!take_field(&s, *form, m))
                return false;
        } else if (s.n == 0 || s.p[0] != *form) {
            return false;
        } else {
            s = str_from(s, 1);
        }
    }
    return s.n == 0;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; month 0..11. Years begin in March for the count,
 * so that the leap day is the last of a year. */
static int64_t days_since_1970(int64_t year, int64_t month, int64_t day) {
    int64_t y = month < 2 ? year - 1 : year, from_march = (month + 10) % 12;
    int64_t before = y * 365 + y / 4 - y / 100 + y / 400;

    return before + (from_march * 153 + 2) / 5 + day - 1 - 719468;
}

static int64_t month_length(int64_t year, int64_t month) {
    bool december = month == 11;

    return days_since_1970(december ? year + 1 : year, december ? 0 : month + 1, 1) - days_since_1970(year, month, 1);
}

/* Two digits more than 50 years ahead are a year of the past (RFC 9110 5.6.7). */
static int64_t full_year(int64_t two_digits, wall_t now) {
    int64_t this_year = 1970 + now.us / DUR_S / 31556952; /* mean length of a Gregorian year */
    int64_t year = this_year - this_year % 100 + two_digits;

    return year > this_year + 50 ? year - 100 : year;
}

bool http_date_parse(struct str text, wall_t now, int64_t *seconds) {
    struct moment m;

    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        if (!take_form(text, forms[i], &m))
            continue;
        if (m.short_year)
            m.year = full_year(m.year, now);
        if (m.year == 0 || m.day < 1 || m.day > month_length(m.year, m.month))
            return false;
        if (m.hour > 23 || m.minute > 59 || m.second > 60) /* 60: a leap second */
            return false;
        *seconds = days_since_1970(m.year, m.month, m.day) * 86400 + m.hour * 3600 + m.minute * 60 + m.second;
        return true;
    }
    return false;
}
