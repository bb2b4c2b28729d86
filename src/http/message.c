/* Looking things up in a head. Fields are few and short: a walk is faster than an index. */
#include "http/message.h"

#include "base/check.h"

const struct http_field *http_find(const struct http_head *h, struct str name) {
    for (size_t i = 0; i < h->field_count; i++)
        if (str_ieq(h->fields[i].name, name))
            return &h->fields[i];
    return NULL;
}

struct str http_value(const struct http_head *h, struct str name) {
    const struct http_field *f = http_find(h, name);
    return f == NULL ? STR_NONE : f->value;
}

static bool find_pair(struct str pairs, struct str name, struct str *value) {
    while (pairs.n > 0) {
        size_t end = str_chr(pairs, ';');
        struct str pair = str_trim(str_make(pairs.p, end));
        size_t equals = str_chr(pair, '=');
        if (equals < pair.n && str_eq(str_make(pair.p, equals), name)) {
            *value = str_from(pair, equals + 1);
            return true;
        }
        pairs = str_from(pairs, end + 1);
    }
    return false;
}

struct str http_cookie(const struct http_head *h, struct str name) {
    struct str value;
    for (size_t i = 0; i < h->field_count; i++)
        if (str_ieq(h->fields[i].name, STR("Cookie")) && find_pair(h->fields[i].value, name, &value))
            return value;
    return STR_NONE;
}

/* RFC 9110 15, RFC 6585 and the rest of the registry that a web app may send. */
static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

const char *http_reason(unsigned status) {
    for (size_t i = 0; i < ARRAY_LENGTH(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}
