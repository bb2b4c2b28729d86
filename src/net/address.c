/*
 * Socket addresses and networks, as people write and read them. Odd: an IPv4
 * address that arrives in its v4-mapped IPv6 form becomes IPv4 here, so that a
 * rule or a log line about 10.0.0.7 means the same host on every listener.
 */
#include "net/address.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

#define UNIX_PREFIX         STR("unix:")
#define UNIX_PATH_MAX       (sizeof(((struct sockaddr_un *)0)->sun_path) - 1) /* 107 */
#define HOST_NAME_MAX_BYTES 253                                               /* RFC 1035 2.3.4, in text form */

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_mapped(const uint8_t b[16]) {
    return memcmp(b, mapped_prefix, sizeof mapped_prefix) == 0;
}

static struct ip ip_from_bytes6(const void *bytes) {
    struct ip ip;

    memcpy(ip.b, bytes, 16);
    ip.family = is_mapped(ip.b) ? AF_INET : AF_INET6;
    return ip;
}

static struct ip ip_from_bytes4(const void *bytes) {
    struct ip ip;

    memcpy(ip.b, mapped_prefix, sizeof mapped_prefix);
    memcpy(ip.b + 12, bytes, 4);
    ip.family = AF_INET;
    return ip;
}

/* inet_pton wants a C string; the longest numeric form is 45 bytes. */
static bool ip_from_text(int family, struct str text, struct ip *ip) {
    char z[IP_TEXT_MAX];
    uint8_t b[16];

    if (text.n == 0 || text.n >= sizeof z || memchr(text.p, '\0', text.n) != NULL)
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(family, z, b) != 1)
        return false;
    *ip = family == AF_INET ? ip_from_bytes4(b) : ip_from_bytes6(b);
    return true;
}

bool ip_parse(struct str text, struct ip *ip) {
    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        return ip_from_text(AF_INET6, str_make(text.p + 1, text.n - 2), ip);
    return ip_from_text(AF_INET, text, ip) || ip_from_text(AF_INET6, text, ip);
}

static bool port_parse(struct str text, uint16_t *port, const char **why) {
    uint64_t value;

    if (text.n == 0) {
        *why = "the port is missing: write host:port, such as 127.0.0.1:3838";
        return false;
    }
    if (text.n > 5 || (text.p[0] == '0' && text.n > 1) || !str_to_u64(text, &value) || value > 65535) {
        *why = "the port must be a number from 1 to 65535 (0 lets the kernel choose)";
        return false;
    }
    *port = (uint16_t)value;
    return true;
}

static bool is_name_byte(char c) {
    char l = ascii_lower(c);

    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* A host name, or an IPv4 address. */
static bool host_check(struct str host, const char **why) {
    struct ip ip;
    size_t label = 0;

    if (host.n > HOST_NAME_MAX_BYTES) {
        *why = "the host name is longer than 253 bytes";
        return false;
    }
    for (size_t i = 0; i < host.n; i++) {
        if (!is_name_byte(host.p[i])) {
            *why = "the host may hold letters, digits, '-', '_' and '.' only";
            return false;
        }
        if (host.p[i] == '.' && i + 1 < host.n)
            label = i + 1;
    }
    /* A name whose last label is a number can only be a mistyped IPv4 address (RFC 1123 2.1). */
    bool digits = true;
    for (size_t i = label; i < host.n; i++)
        digits = digits && ((host.p[i] >= '0' && host.p[i] <= '9') || host.p[i] == '.');
    if (digits && !ip_from_text(AF_INET, host, &ip)) {
        *why = "the host is not a valid IPv4 address: four numbers from 0 to 255 are needed, such as 127.0.0.1";
        return false;
    }
    return true;
}

static bool split_bracketed(struct str text, struct str *host, struct str *port, const char **why) {
    size_t close = str_chr(text, ']');
    struct ip ip;

    if (close == text.n) {
        *why = "']' is missing: an IPv6 address is written \"[::1]:80\"";
        return false;
    }
    *host = str_make(text.p + 1, close - 1);
    if (!ip_from_text(AF_INET6, *host, &ip)) {
        *why = "between '[' and ']' an IPv6 address is needed (without a zone), such as \"[::1]:80\"";
        return false;
    }
    if (close + 1 < text.n && text.p[close + 1] != ':') {
        *why = "after ']' a colon and the port are needed, such as \"[::1]:80\"";
        return false;
    }
    *port = str_from(text, close + 2);
    return true;
}

bool address_split(struct str text, struct str *host, uint16_t *port, const char **why) {
    struct str port_text;

    if (str_starts(text, UNIX_PREFIX)) {
        *why = "a Unix socket cannot stand here: write host:port";
        return false;
    }
    if (text.n > 0 && text.p[0] == '[') {
        if (!split_bracketed(text, host, &port_text, why))
            return false;
        return port_parse(port_text, port, why);
    }

    size_t colon = str_chr(text, ':');
    port_text = str_from(text, colon + 1);
    *host = str_make(text.p, colon);
    if (str_chr(port_text, ':') < port_text.n) {
        *why = "an IPv6 address needs brackets: write \"[::1]:80\"";
        return false;
    }
    if (host->n == 0) {
        *why = "the host is missing: write 127.0.0.1:80 for this machine only, 0.0.0.0:80 or \"[::]:80\" for every "
               "address";
        return false;
    }
    return host_check(*host, why) && port_parse(port_text, port, why);
}

static bool unix_parse(struct str path, struct address *a, const char **why) {
    if (path.n == 0 || path.p[0] != '/') {
        *why = "the path of a Unix socket must begin with '/', such as unix:/run/faucet.sock";
        return false;
    }
    if (path.n > UNIX_PATH_MAX) {
        *why = "the path of a Unix socket may have 107 bytes at most";
        return false;
    }
    if (memchr(path.p, '\0', path.n) != NULL) {
        *why = "the path of a Unix socket holds a NUL byte";
        return false;
    }
    a->un.sun_family = AF_UNIX;
    memcpy(a->un.sun_path, path.p, path.n);
    a->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return true;
}

bool address_parse(struct str text, struct address *a, const char **why) {
    struct str host;
    struct ip ip;
    uint16_t port;

    memset(a, 0, sizeof *a);
    if (str_starts(text, UNIX_PREFIX))
        return unix_parse(str_from(text, UNIX_PREFIX.n), a, why);
    if (!address_split(text, &host, &port, why))
        return false;
    if (!ip_parse(host, &ip)) {
        *why = "an IP address is needed here, not a name, such as 127.0.0.1:80 or \"[::1]:80\"";
        return false;
    }
    if (ip.family == AF_INET) {
        a->in.sin_family = AF_INET;
        a->in.sin_port = htons(port);
        memcpy(&a->in.sin_addr, ip.b + 12, 4);
        a->length = sizeof a->in;
    } else {
        a->in6.sin6_family = AF_INET6;
        a->in6.sin6_port = htons(port);
        memcpy(&a->in6.sin6_addr, ip.b, 16);
        a->length = sizeof a->in6;
    }
    return true;
}

static size_t put(char *out, size_t size, const char *p, size_t n) {
    if (size == 0)
        return 0;
    if (n > size - 1)
        n = size - 1;
    memcpy(out, p, n);
    out[n] = '\0';
    return n;
}

/* Not by inet_ntop: its sprintf is among the dearest calls of a request, which shows its client twice. */
static void format4(const uint8_t *b, char *text) {
    for (int i = 0; i < 4; i++) {
        unsigned v = b[i];
        if (i > 0)
            *text++ = '.';
        if (v >= 100)
            *text++ = (char)('0' + v / 100);
        if (v >= 10)
            *text++ = (char)('0' + v / 10 % 10);
        *text++ = (char)('0' + v % 10);
    }
    *text = '\0';
}

size_t ip_format(const struct ip *ip, char *out, size_t size) {
    char text[IP_TEXT_MAX] = "";

    if (ip->family == AF_INET)
        format4(ip->b + 12, text);
    else if (ip->family == AF_INET6)
        AN(inet_ntop(AF_INET6, ip->b, text, sizeof text));
    return put(out, size, text, strlen(text));
}

/* Unnamed (a client's end), named, or abstract (its first byte is NUL and the length counts), unix(7). */
static int unix_format(const struct address *a, char *out, size_t size) {
    size_t n =
        a->length > offsetof(struct sockaddr_un, sun_path) ? a->length - offsetof(struct sockaddr_un, sun_path) : 0;

    if (n == 0)
        return snprintf(out, size, "unix:");
    if (a->un.sun_path[0] == '\0')
        return snprintf(out, size, "unix:@%.*s", (int)(n - 1), a->un.sun_path + 1);
    return snprintf(out, size, "unix:%.*s", (int)strnlen(a->un.sun_path, n), a->un.sun_path);
}

size_t address_format(const struct address *a, char *out, size_t size) {
    char text[ADDRESS_TEXT_MAX] = "", host[IP_TEXT_MAX];
    int n = 0;

    if (a->length > 0 && a->any.sa_family == AF_UNIX) {
        n = unix_format(a, text, sizeof text);
    } else if (address_is_tcp(a)) {
        struct ip ip = address_ip(a);
        unsigned port = ntohs(a->any.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);

        ip_format(&ip, host, sizeof host);
        n = snprintf(text, sizeof text, ip.family == AF_INET ? "%s:%u" : "[%s]:%u", host, port);
    }
    ASSERT(n >= 0 && (size_t)n < sizeof text);
    return put(out, size, text, (size_t)n);
}

struct ip address_ip(const struct address *a) {
    struct ip none = {{0}, AF_UNSPEC};

    if (a->length > 0 && a->any.sa_family == AF_INET)
        return ip_from_bytes4(&a->in.sin_addr);
    if (a->length > 0 && a->any.sa_family == AF_INET6)
        return ip_from_bytes6(&a->in6.sin6_addr);
    return none;
}

bool address_is_tcp(const struct address *a) {
    return a->length > 0 && (a->any.sa_family == AF_INET || a->any.sa_family == AF_INET6);
}

bool network_contains(const struct network *n, const struct ip *ip) {
    unsigned whole = n->prefix / 8, bits = n->prefix % 8;

    ASSERT(n->prefix <= 128);
    if (ip->family == AF_UNSPEC)
        return false;
    /* ::/0 means every IPv6 address; who means IPv4 too says 0.0.0.0/0 (trust is not to be widened by an encoding) */
    if (ip->family == AF_INET && n->prefix < 96)
        return false;
    if (memcmp(n->address, ip->b, whole) != 0)
        return false;
    return bits == 0 || ((n->address[whole] ^ ip->b[whole]) >> (8 - bits)) == 0;
}

bool networks_contain(const struct network_list *l, const struct ip *ip) {
    for (size_t i = 0; i < l->n; i++)
        if (network_contains(&l->v[i], ip))
            return true;
    return false;
}
