/*
 * X-Forwarded-* come from the connection, and from the client's own fields only
 * where its address is among trusted_proxies. Lists are read from the right:
 * the rightmost address that is not a trusted proxy's is the client.
 */
#include "proxy/forwarded.h"

#include <stdio.h>

/* A Unix client is a local process; it counts as a proxy where proxies are expected at all. */
static bool peer_trusted(const struct exchange *x) {
    const struct network_list *trusted = &x->snapshot->daemon.trusted_proxies;
    return x->client->peer_unix ? trusted->n > 0 : networks_contain(trusted, &x->client->peer);
}

static bool counts(const struct http_field *f, struct str name) {
    return f->value.n > 0 && str_ieq(f->name, name);
}

/* Every field of that name as one list, in order (RFC 9110 5.3). Measured first: copying anew for each of 256 fields
 * would cost megabytes. */
static struct str joined(const struct exchange *x, struct str name) {
    const struct http_field *fields = x->request->fields;
    size_t n = 0, length = 0;
    for (size_t i = 0; i < x->request->field_count; i++)
        length += counts(&fields[i], name) ? fields[i].value.n + 2 : 0;
    if (length == 0)
        return STR_NONE;
    char *all = arena_bytes(x->arena, length);
    for (size_t i = 0; i < x->request->field_count; i++) {
        if (!counts(&fields[i], name))
            continue;
        if (n > 0) {
            all[n++] = ',';
            all[n++] = ' ';
        }
        memcpy(all + n, fields[i].value.p, fields[i].value.n);
        n += fields[i].value.n;
    }
    return str_make(all, n);
}

/* Takes the last element off a comma-separated list. */
static bool last_element(struct str *list, struct str *element) {
    if (list->n == 0)
        return false;
    size_t comma = list->n;
    while (comma > 0 && list->p[comma - 1] != ',')
        comma--;
    *element = str_trim(str_from(*list, comma));
    list->n = comma > 0 ? comma - 1 : 0;
    return true;
}

static struct ip rightmost_untrusted(const struct exchange *x, struct str list) {
    struct ip found = x->client->peer, ip;
    struct str element;
    while (last_element(&list, &element)) {
        if (!ip_parse(element, &ip)) /* garbage: nothing to its left can be believed */
            break;
        found = ip;
        if (!networks_contain(&x->snapshot->daemon.trusted_proxies, &ip))
            break;
    }
    return found;
}

void forwarded_client(struct exchange *x) {
    const struct client *c = x->client;
    bool trusted = peer_trusted(x);
    struct str list = trusted ? joined(x, STR("X-Forwarded-For")) : STR_NONE;
    x->client_ip = c->peer;
    if (trusted && x->snapshot->daemon.ip_from == IP_FROM_X_FORWARDED_FOR)
        x->client_ip = rightmost_untrusted(x, list);
    else if (trusted && x->snapshot->daemon.ip_from == IP_FROM_X_REAL_IP) {
        struct ip ip;
        if (ip_parse(str_trim(http_value(x->request, STR("X-Real-IP"))), &ip))
            x->client_ip = ip;
    }

    char text[IP_TEXT_MAX];
    struct str peer = c->peer_unix ? STR_NONE : str_make(text, ip_format(&c->peer, text, sizeof text));
    if (list.n > 0 && peer.n > 0)
        x->forwarded_for = arena_printf(x->arena, "%.*s, %.*s", STR_ARG(list), STR_ARG(peer));
    else
        x->forwarded_for = arena_str(x->arena, list.n > 0 ? list : peer);

    struct str proto = trusted ? http_value(x->request, STR("X-Forwarded-Proto")) : STR_NONE;
    x->forwarded_proto = str_ieq(proto, STR("https")) ? STR("https") : STR("http");
    struct str host = trusted ? http_value(x->request, STR("X-Forwarded-Host")) : STR_NONE;
    x->forwarded_host = host.n > 0 ? host : x->request->host;
}

void forwarded_prefix(struct exchange *x) {
    struct str ours = x->prefix;
    ours.n = ours.n > 0 ? ours.n - 1 : 0; /* without its last slash */
    struct str before = peer_trusted(x) ? http_value(x->request, STR("X-Forwarded-Prefix")) : STR_NONE;
    while (before.n > 0 && before.p[before.n - 1] == '/')
        before.n--;
    x->forwarded_prefix = before.n == 0 ? ours : arena_printf(x->arena, "%.*s%.*s", STR_ARG(before), STR_ARG(ours));
}

static bool lower_hex(struct str s) {
    bool other_than_zero = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        other_than_zero |= c != '0';
    }
    return other_than_zero;
}

/* version 00: "00-" 32 hex "-" 16 hex "-" 2 hex; all zeros is invalid */
static bool traceparent_valid(struct str t) {
    if (t.n != 55 || t.p[2] != '-' || t.p[35] != '-' || t.p[52] != '-' || !str_starts(t, STR("00")))
        return false;
    char flags[2] = {t.p[53], t.p[54]};
    for (size_t i = 0; i < 2; i++)
        if (!((flags[i] >= '0' && flags[i] <= '9') || (flags[i] >= 'a' && flags[i] <= 'f')))
            return false;
    return lower_hex(str_make(t.p + 3, 32)) && lower_hex(str_make(t.p + 36, 16));
}

void forwarded_trace(struct exchange *x) {
    struct str theirs = http_value(x->request, STR("traceparent"));
    if (!traceparent_valid(theirs)) {
        static const char digits[] = "0123456789abcdef";
        char *p = arena_bytes(x->arena, 55);
        uint8_t span[8];
        random_bytes(span, sizeof span);
        memcpy(p, "00-", 3);
        for (size_t i = 0; i < 16; i++) {
            p[3 + 2 * i] = digits[x->uuid.b[i] >> 4];
            p[4 + 2 * i] = digits[x->uuid.b[i] & 15];
        }
        p[35] = '-';
        for (size_t i = 0; i < 8; i++) {
            p[36 + 2 * i] = digits[span[i] >> 4];
            p[37 + 2 * i] = digits[span[i] & 15];
        }
        memcpy(p + 52, "-00", 3);
        theirs = str_make(p, 55);
    }
    x->traceparent = theirs;
    x->trace_id = str_make(theirs.p + 3, 32);
}
