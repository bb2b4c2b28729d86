/*
 * Socket addresses as people write them: "host:port", "[::1]:port",
 * "unix:/path", and IP addresses alone. IPv4 is handled in its own family;
 * v4-mapped IPv6 is turned into IPv4 wherever an address is shown or matched.
 */
#ifndef FAUCET_NET_ADDRESS_H
#define FAUCET_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/check.h"
#include "base/str.h"
#include "config/snapshot.h"

struct address {
    socklen_t length; /* 0: none */
    union {
        struct sockaddr any;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    };
};

/* An IP address alone, 17 bytes: IPv4 as v4-mapped. family AF_UNSPEC: none (a Unix client). */
struct ip {
    uint8_t b[16];
    uint8_t family; /* AF_INET, AF_INET6 or AF_UNSPEC */
};

#define ADDRESS_TEXT_MAX 128
#define IP_TEXT_MAX      46

/* Numeric forms only ("127.0.0.1:80", "[::1]:80", ":80" is refused, "unix:/path" of 107 bytes at most). On false
 * *why is a static text: what is wrong, what is allowed. */
bool address_parse(struct str text, struct address *a, const char **why) MUST_CHECK;
/* Splits "host:port" / "[v6]:port" without resolving; false with *why. Unix paths are refused here. *host borrows from
 * text, without brackets: a name, or a valid IP address. */
bool address_split(struct str text, struct str *host, uint16_t *port, const char **why) MUST_CHECK;
/* Both write at most `size` bytes with NUL and return the length. */
size_t address_format(const struct address *a, char *out, size_t size);
size_t ip_format(const struct ip *ip, char *out, size_t size);
bool ip_parse(struct str text, struct ip *ip) MUST_CHECK; /* also "[::1]", no port, no zone */
struct ip address_ip(const struct address *a);
bool address_is_tcp(const struct address *a);
/* An IPv4 address is in an IPv4 network only, never in ::/0. AF_UNSPEC is in none. */
bool network_contains(const struct network *n, const struct ip *ip);
bool networks_contain(const struct network_list *l, const struct ip *ip);

#endif
