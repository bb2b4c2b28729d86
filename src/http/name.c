/*
 * The table of known field names, by length, since this is asked for every
 * field of every message: most names are told apart by their length and one
 * letter.
 */
#include "http/name.h"

#define LONGEST 19
#define ACROSS  5 /* most names of one length, and an empty row */

#define HOP       (HTTP_NAME_HOP | HTTP_NAME_NO_TRAILER)
#define FRAMING   (HTTP_NAME_FRAMING | HTTP_NAME_NO_TRAILER)
#define FORWARDED (HTTP_NAME_SET | HTTP_NAME_KEPT | HTTP_NAME_NO_TRAILER)
#define KEPT      (HTTP_NAME_KEPT | HTTP_NAME_NO_TRAILER)

static const struct http_name_row rows[LONGEST + 1][ACROSS] = {
    [2] = {{"te", HTTP_NAME_OTHER, HOP}},
    [4] = {{"host", HTTP_NAME_HOST, FRAMING}, {"date", HTTP_NAME_DATE, KEPT}},
    [5] = {{"range", HTTP_NAME_OTHER, KEPT}},
    [6] = {{"cookie", HTTP_NAME_OTHER, KEPT}, {"expect", HTTP_NAME_EXPECT, HTTP_NAME_SET | HTTP_NAME_NO_TRAILER}},
    [7] = {{"upgrade", HTTP_NAME_UPGRADE, HOP}, {"trailer", HTTP_NAME_OTHER, HOP}},
    [8] = {{"location", HTTP_NAME_LOCATION, KEPT}},
    [9] = {{"forwarded", HTTP_NAME_OTHER, KEPT}, {"x-real-ip", HTTP_NAME_OTHER, KEPT}},
    [10] = {{"connection", HTTP_NAME_CONNECTION, HOP},
            {"keep-alive", HTTP_NAME_OTHER, HOP},
            {"set-cookie", HTTP_NAME_OTHER, KEPT},
            {"tracestate", HTTP_NAME_OTHER, KEPT}},
    [11] = {{"traceparent", HTTP_NAME_OTHER, FORWARDED}},
    [12] = {{"content-type", HTTP_NAME_OTHER, KEPT}},
    [13] = {{"authorization", HTTP_NAME_OTHER, KEPT},
            {"cache-control", HTTP_NAME_OTHER, KEPT},
            {"content-range", HTTP_NAME_OTHER, KEPT}},
    [14] = {{"content-length", HTTP_NAME_CONTENT_LENGTH, FRAMING}},
    [15] = {{"x-forwarded-for", HTTP_NAME_OTHER, FORWARDED}},
    [16] = {{"x-forwarded-host", HTTP_NAME_OTHER, FORWARDED},
            {"proxy-connection", HTTP_NAME_OTHER, HOP},
            {"content-encoding", HTTP_NAME_OTHER, KEPT}},
    [17] = {{"x-forwarded-proto", HTTP_NAME_OTHER, FORWARDED},
            {"transfer-encoding", HTTP_NAME_TRANSFER_ENCODING, FRAMING}},
    [18] = {{"x-forwarded-prefix", HTTP_NAME_OTHER, FORWARDED}},
    [19] = {{"faucet-request-uuid", HTTP_NAME_OTHER, FORWARDED | HTTP_NAME_SET_REPLY}},
};
static const struct http_name_row other = {"", HTTP_NAME_OTHER, 0};

static char fold(char c) {
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9') ? lower : '-';
}

static bool folds_to(struct str name, const char *text) {
    for (size_t i = 0; i < name.n; i++)
        if (fold(name.p[i]) != text[i])
            return false;
    return true;
}

const struct http_name_row *http_name_find(struct str name) {
    if (name.n == 0 || name.n > LONGEST)
        return &other;
    const struct http_name_row *row = rows[name.n];
    char first = (char)(name.p[0] | 0x20); /* all of them begin with a letter */
    for (; row->text != NULL; row++)
        if (row->text[0] == first && folds_to(name, row->text))
            return row;
    return &other;
}

bool http_name_exact(const struct http_name_row *row, struct str name) {
    for (size_t i = 0; i < name.n; i++)
        if (ascii_lower(name.p[i]) != row->text[i])
            return false;
    return true;
}
