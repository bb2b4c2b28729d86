/*
 * Request targets (RFC 9112 3.2) and the syntax of hosts (RFC 3986 3.2.2).
 * Browsers send raw '|', '{', '"' and the like in queries, so any visible
 * ASCII but '#' came through the guard; here only the form is judged.
 */
#include <arpa/inet.h>

#include "http/guard.h"
#include "http/head.h"

static bool port_valid(struct str port) {
    uint64_t n = 0;
    return port.n == 0 || (port.n <= 5 && str_to_u64(port, &n) && n <= 65535);
}

static bool ipv6_valid(struct str s) {
    char text[INET6_ADDRSTRLEN];
    struct in6_addr address;
    if (s.n == 0 || s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return strlen(text) == s.n && inet_pton(AF_INET6, text, &address) == 1;
}

static bool name_valid(struct str s) {
    for (size_t i = 0; i < s.n; i++) {
        if ((http_class[(uint8_t)s.p[i]] & HTTP_CLASS_HOST) != 0)
            continue;
        if (s.p[i] != '%' || s.n - i < 3 || !http_all_of(str_make(s.p + i + 1, 2), HTTP_CLASS_HEX))
            return false;
        i += 2;
    }
    return s.n > 0;
}

bool http_host_valid(struct str host) {
    if (host.n > 0 && host.p[0] == '[') {
        size_t close = str_chr(host, ']');
        if (close == host.n || !ipv6_valid(str_make(host.p + 1, close - 1)))
            return false;
        struct str rest = str_from(host, close + 1);
        return rest.n == 0 || (rest.p[0] == ':' && port_valid(str_from(rest, 1)));
    }
    size_t colon = str_chr(host, ':');
    return name_valid(str_make(host.p, colon)) && port_valid(str_from(host, colon + 1));
}

static void split_query(struct http_head *h, struct str rest) {
    size_t mark = str_chr(rest, '?');
    h->path = str_make(rest.p, mark);
    h->query = mark < rest.n ? str_from(rest, mark + 1) : STR_NONE;
}

static size_t after_scheme(struct str target) {
    static const struct str schemes[] = {{"http://", 7}, {"https://", 8}};
    for (size_t i = 0; i < ARRAY_LENGTH(schemes); i++)
        if (target.n >= schemes[i].n && str_ieq(str_make(target.p, schemes[i].n), schemes[i]))
            return schemes[i].n;
    return 0;
}

/* RFC 9112 3.2.2: the authority of an absolute-form replaces Host. */
static bool split_absolute(struct http_head *h, const char **why) {
    size_t scheme = after_scheme(h->target);
    if (scheme == 0) {
        *why = "request target is neither a path nor an http URL";
        return false;
    }
    struct str rest = str_from(h->target, scheme);
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    h->host = str_make(rest.p, n);
    if (str_chr(h->host, '@') < h->host.n) {
        *why = "user information in the request target";
        return false;
    }
    if (!http_host_valid(h->host)) {
        *why = "malformed host in the request target";
        return false;
    }
    split_query(h, str_from(rest, n));
    if (h->path.n == 0) /* RFC 9112 3.2.4: OPTIONS of a whole server */
        h->path = str_eq(h->method, STR("OPTIONS")) && h->query.p == NULL ? STR("*") : STR("/");
    return true;
}

bool http_split_target(struct http_head *h, const char **why) {
    if (h->target.p[0] == '/') {
        split_query(h, h->target);
        return true;
    }
    if (!str_eq(h->target, STR("*")))
        return split_absolute(h, why);
    h->path = h->target;
    h->query = STR_NONE;
    if (str_eq(h->method, STR("OPTIONS")))
        return true;
    *why = "\"*\" is for OPTIONS only";
    return false;
}
