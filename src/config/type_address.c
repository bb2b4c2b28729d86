/*
 * Addresses and networks. Their form is checked here; net/address.h makes
 * sockets of them (config knows nothing of sockets but the length of a Unix
 * path).
 */
#include <arpa/inet.h>

#include "config/setting.h"

#define UNIX_PATH_MAX 107 /* sun_path of unix(7), less the NUL */

static json_t *json_str(struct str s) {
    return s.p == NULL ? json_null() : setting_text_json(s.p);
}

/* "1".."65535" or, where the kernel may choose, "0" */
static const char *port_wrong(struct str port) {
    uint64_t number;

    if (port.n == 0)
        return "the port is missing";
    if (!str_to_u64(port, &number) || number > 65535)
        return "the port must be a number from 1 to 65535";
    return NULL;
}

static const char *name_wrong(struct str host) {
    if (host.n == 0)
        return "the host is missing; 0.0.0.0 stands for every IPv4 address, \"[::]\" for every address";
    if (host.n == 1 && host.p[0] == '*')
        return "* is not understood; 0.0.0.0 stands for every IPv4 address, \"[::]\" for every address";
    for (size_t i = 0; i < host.n; i++) {
        char c = ascii_lower(host.p[i]);
        if (c == ':')
            return "an IPv6 address needs brackets and quotes, as in \"[::1]:3838\"";
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_'))
            return "a host is made of letters, digits, - and .";
    }
    return NULL;
}

static const char *bracketed_wrong(struct str text) {
    char host[INET6_ADDRSTRLEN];
    struct in6_addr ignored;
    size_t close = str_chr(text, ']');

    if (close == text.n)
        return "the ] is missing";
    if (close - 1 >= sizeof(host))
        return "it is no IPv6 address";
    memcpy(host, text.p + 1, close - 1);
    host[close - 1] = '\0';
    if (inet_pton(AF_INET6, host, &ignored) != 1)
        return "it is no IPv6 address";
    if (close + 1 >= text.n || text.p[close + 1] != ':')
        return "the port is missing";
    return port_wrong(str_from(text, close + 2));
}

/* NULL: well formed "host:port" or "[v6]:port". */
static const char *tcp_wrong(struct str text) {
    size_t colon = text.n;

    if (str_starts(text, STR("http://")) || str_starts(text, STR("https://")))
        return "write host:port without http://";
    if (text.n > 0 && text.p[0] == '[')
        return bracketed_wrong(text);
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] == ':')
            colon = i;
    if (colon == text.n)
        return "the port is missing";
    const char *why = name_wrong(str_make(text.p, colon));
    return why != NULL ? why : port_wrong(str_from(text, colon + 1));
}

static bool address_item(struct setting_parse *p, const struct yaml_node *node, struct str *out) {
    if (node->type != YAML_SCALAR)
        return setting_refuse(p, node, NULL);
    if (!str_starts(node->text, STR("unix:"))) {
        const char *why =
            node->text.n > 0 && node->text.p[0] == '/' ? "write unix: before the path" : tcp_wrong(node->text);
        if (why != NULL)
            return setting_refuse(p, node, why);
        *out = arena_str(p->arena, node->text);
        return true;
    }
    const char *path = node->text.p + strlen("unix:");
    if (path[0] == '\0')
        return setting_refuse(p, node, "the path is missing");
    path = setting_absolute(p->arena, node, path);
    if (strlen(path) > UNIX_PATH_MAX)
        return setting_complain(p, node, "a Unix socket's path has %d bytes at most; %s has %zu", UNIX_PATH_MAX, path,
                                strlen(path));
    *out = arena_printf(p->arena, "unix:%s", path);
    return true;
}

/* One */

static bool parse_address(struct setting_parse *p, const struct yaml_node *node, void *out) {
    return address_item(p, node, out);
}

static json_t *json_address(const struct setting *s, const void *value) {
    (void)s;
    return json_str(*(const struct str *)value);
}

static void allowed_address(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("an address such as host:port, \"[::1]:port\" or unix:/path"));
}

static json_t *schema_address(const struct setting *s) {
    (void)s;
    return json_pack("{s:s}", "type", "string");
}

const struct setting_type setting_type_ADDRESS = {.name = "ADDRESS",
                                                  .size = sizeof(setting_ADDRESS),
                                                  .parse = parse_address,
                                                  .json = json_address,
                                                  .allowed = allowed_address,
                                                  .schema = schema_address};

/* Several */

static bool parse_addresses(struct setting_parse *p, const struct yaml_node *node, void *out) {
    struct address_list *list = out;
    size_t n = setting_item_count(node);
    bool good = true;

    *list = (struct address_list){0, ARENA_ARRAY(p->arena, struct str, n)};
    for (size_t i = 0; i < n; i++) {
        const struct yaml_node *item = setting_item(node, i);
        if (!address_item(p, item, &list->v[list->n])) {
            good = false;
            continue;
        }
        for (size_t k = 0; k < list->n; k++)
            if (str_eq(list->v[k], list->v[list->n]))
                good = setting_complain(p, item, "names %s twice", list->v[k].p);
        list->n++;
    }
    return good;
}

static json_t *json_addresses(const struct setting *s, const void *value) {
    (void)s;
    const struct address_list *list = value;
    if (list->n == 0)
        return json_null();

    json_t *out = json_array();
    for (size_t i = 0; i < list->n; i++)
        json_array_append_new(out, json_str(list->v[i]));
    return out;
}

static void allowed_addresses(const struct setting *s, struct buf *out) {
    allowed_address(s, out);
    buf_append(out, STR(", or a list of them"));
}

static json_t *schema_addresses(const struct setting *s) {
    (void)s;
    return json_pack("{s:[{s:s}, {s:s, s:{s:s}}]}", "anyOf", "type", "string", "type", "array", "items", "type",
                     "string");
}

const struct setting_type setting_type_ADDRESSES = {.name = "ADDRESSES",
                                                    .flow = true,
                                                    .size = sizeof(setting_ADDRESSES),
                                                    .parse = parse_addresses,
                                                    .json = json_addresses,
                                                    .allowed = allowed_addresses,
                                                    .schema = schema_addresses};

/* Networks */

static const char *const private_ranges[] = {"127.0.0.0/8",   "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",
                                             "100.64.0.0/10", "::1/128",    "fc00::/7"};

/* "10.0.0.0/8", "fc00::/7", or one address; bits beyond the prefix are cleared. */
static bool parse_network(struct str text, struct network *out) {
    char host[INET6_ADDRSTRLEN];
    size_t slash = str_chr(text, '/');
    uint64_t prefix;
    bool v4;

    if (slash >= sizeof(host))
        return false;
    memcpy(host, text.p, slash);
    host[slash] = '\0';
    memset(out, 0, sizeof(*out));
    v4 = inet_pton(AF_INET, host, out->address + 12) == 1;
    if (v4)
        out->address[10] = out->address[11] = 0xff;
    else if (inet_pton(AF_INET6, host, out->address) != 1)
        return false;

    prefix = v4 ? 32 : 128;
    if (slash < text.n) {
        uint64_t most = prefix;
        if (!str_to_u64(str_from(text, slash + 1), &prefix) || prefix > most)
            return false;
    }
    out->prefix = (unsigned)prefix + (v4 ? 96 : 0);
    for (unsigned bit = out->prefix; bit < 128; bit++)
        out->address[bit / 8] &= (uint8_t) ~(0x80U >> (bit % 8));
    return true;
}

static bool parse_networks(struct setting_parse *p, const struct yaml_node *node, void *out) {
    struct network_list *list = out;
    size_t n = setting_item_count(node);
    bool good = true;

    *list = (struct network_list){0, ARENA_ARRAY(p->arena, struct network, n * ARRAY_LENGTH(private_ranges))};
    for (size_t i = 0; i < n; i++) {
        const struct yaml_node *item = setting_item(node, i);
        if (item->type == YAML_SCALAR && str_eq(item->text, STR("private_ranges"))) {
            for (size_t k = 0; k < ARRAY_LENGTH(private_ranges); k++)
                ASSERT(parse_network(str_of(private_ranges[k]), &list->v[list->n++]));
        } else if (item->type != YAML_SCALAR || !parse_network(item->text, &list->v[list->n]))
            good = setting_refuse(p, item, NULL);
        else
            list->n++;
    }
    return good;
}

static json_t *json_networks(const struct setting *s, const void *value) {
    (void)s;
    const struct network_list *list = value;
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    json_t *out = json_array();

    for (size_t i = 0; i < list->n; i++) {
        const struct network *network = &list->v[i];
        char host[INET6_ADDRSTRLEN];
        bool v4 = network->prefix >= 96 && memcmp(network->address, mapped, sizeof(mapped)) == 0;
        inet_ntop(v4 ? AF_INET : AF_INET6, network->address + (v4 ? 12 : 0), host, sizeof(host));
        json_array_append_new(out, json_sprintf("%s/%u", host, network->prefix - (v4 ? 96 : 0)));
    }
    return out;
}

static void allowed_networks(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a network such as 10.0.0.0/8 or fc00::/7, private_ranges, or a list of them"));
}

const struct setting_type setting_type_NETWORKS = {.name = "NETWORKS",
                                                   .flow = true,
                                                   .size = sizeof(setting_NETWORKS),
                                                   .parse = parse_networks,
                                                   .json = json_networks,
                                                   .allowed = allowed_networks,
                                                   .schema = schema_addresses};
