/* Reading HTTP dates (RFC 9110 5.6.7). Writing them is wall_http_date's work. */
#ifndef FAUCET_PROXY_HTTP_DATE_H
#define FAUCET_PROXY_HTTP_DATE_H

#include "base/check.h"
#include "base/clock.h"
#include "base/str.h"

/* All three forms: IMF-fixdate, RFC 850, asctime. *seconds since 1970; now settles RFC 850's two-digit year. False: not
 * a date. */
bool http_date_parse(struct str text, wall_t now, int64_t *seconds) MUST_CHECK;

#endif
