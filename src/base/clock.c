/*
 * Clocks and the three written forms of a moment.
 *
 * Dates are computed here: gmtime_r takes the time zone lock and strftime
 * the locale, and a log line is written for every request. Years outside
 * 0000..9999 cannot be written in these forms: such moments are written as
 * the nearest one that can.
 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#include "base/check.h"

#define DAY_S         ((int64_t)86400)
#define FIRST_SECOND  ((int64_t)-62167219200) /* 0000-01-01T00:00:00Z */
#define LAST_SECOND   ((int64_t)253402300799) /* 9999-12-31T23:59:59Z */
#define DAYS_TO_EPOCH ((int64_t)719468)       /* from 0000-03-01 to 1970-01-01 */
#define DAYS_IN_ERA   ((int64_t)146097)       /* 400 years */

static int64_t read_clock(clockid_t which) {
    struct timespec t;

    XXXASSERT(clock_gettime(which, &t) == 0);
    return (int64_t)t.tv_sec * DUR_S + t.tv_nsec / 1000;
}

mono_t mono_now(void) {
    return (mono_t){read_clock(CLOCK_MONOTONIC)};
}

wall_t wall_now(void) {
    return (wall_t){read_clock(CLOCK_REALTIME)};
}

struct civil {
    int year, month, day;         /* month, day from 1 */
    int hour, minute, second, us; /* UTC, no leap seconds, as POSIX counts */
    int weekday;                  /* 0 is Sunday */
};

/* Proleptic Gregorian calendar. Years are counted from 1 March, so that the leap day is a year's last. */
static struct civil civil_of(wall_t t) {
    struct civil c;
    int64_t second = t.us / DUR_S, us = t.us % DUR_S;
    int64_t day, in_day, era, day_of_era, year_of_era, day_of_year, month;

    if (us < 0) {
        us += DUR_S;
        second--;
    }
    if (second < FIRST_SECOND) {
        second = FIRST_SECOND;
        us = 0;
    } else if (second > LAST_SECOND) {
        second = LAST_SECOND;
        us = DUR_S - 1;
    }
    in_day = (second - FIRST_SECOND) % DAY_S; /* FIRST_SECOND is a midnight, and the difference not negative */
    day = (second - in_day) / DAY_S + DAYS_TO_EPOCH;
    era = (day >= 0 ? day : day - DAYS_IN_ERA + 1) / DAYS_IN_ERA;
    day_of_era = day - era * DAYS_IN_ERA;
    year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (5 * day_of_year + 2) / 153; /* 0 is March; 153 days are five months in a row */
    c.day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    c.month = (int)(month < 10 ? month + 3 : month - 9);
    c.year = (int)(year_of_era + era * 400 + (month >= 10));
    c.hour = (int)(in_day / 3600);
    c.minute = (int)(in_day / 60 % 60);
    c.second = (int)(in_day % 60);
    c.us = (int)us;
    c.weekday = (int)((day + 3 + 7) % 7); /* 0000-03-01 was a Wednesday; day is at least -60 */
    if (c.weekday < 0)
        c.weekday += 7;
    return c;
}

static char *put_digits(char *p, int value, size_t count) {
    for (size_t i = count; i > 0; i--) {
        p[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    return p + count;
}

static char *put_clock(char *p, const struct civil *c) {
    p = put_digits(p, c->hour, 2);
    *p++ = ':';
    p = put_digits(p, c->minute, 2);
    *p++ = ':';
    return put_digits(p, c->second, 2);
}

static char *put_rfc3339(char *p, const struct civil *c) {
    p = put_digits(p, c->year, 4);
    *p++ = '-';
    p = put_digits(p, c->month, 2);
    *p++ = '-';
    p = put_digits(p, c->day, 2);
    *p++ = 'T';
    return put_clock(p, c);
}

static size_t finish(char *out, char *p) {
    *p = '\0';
    return (size_t)(p - out);
}

size_t wall_rfc3339(wall_t t, char out[21]) {
    struct civil c = civil_of(t);
    char *p = put_rfc3339(out, &c);

    *p++ = 'Z';
    return finish(out, p);
}

size_t wall_rfc3339_us(wall_t t, char out[28]) {
    struct civil c = civil_of(t);
    char *p = put_rfc3339(out, &c);

    *p++ = '.';
    p = put_digits(p, c.us, 6);
    *p++ = 'Z';
    return finish(out, p);
}

size_t wall_http_date(wall_t t, char out[30]) {
    static const char days[] = "Sun, Mon, Tue, Wed, Thu, Fri, Sat, ";
    static const char months[] = " Jan  Feb  Mar  Apr  May  Jun  Jul  Aug  Sep  Oct  Nov  Dec ";
    struct civil c = civil_of(t);
    char *p = out;

    memcpy(p, days + 5 * c.weekday, 5);
    p = put_digits(p + 5, c.day, 2);
    memcpy(p, months + 5 * (c.month - 1), 5);
    p = put_digits(p + 5, c.year, 4);
    *p++ = ' ';
    p = put_clock(p, &c);
    memcpy(p, " GMT", 4);
    return finish(out, p + 4);
}
