/*
 * Types of several texts: lists, routes, hosts, commands, maps. One item may
 * be written without the list.
 */
#include "config/setting.h"
#include "config/shell_words.h"

static json_t *json_strings(const struct setting *s, const void *value) {
    (void)s;
    return setting_strings_json(value);
}

/* Absent, not an empty list: where the default is made by others. */
static json_t *json_strings_or_null(const struct setting *s, const void *value) {
    const struct strings *strings = value;
    return strings->n == 0 ? json_null() : json_strings(s, value);
}

static json_t *schema_one_or_list(const struct setting *s) {
    (void)s;
    return json_pack("{s:[{s:s}, {s:s, s:{s:s}}]}", "anyOf", "type", "string", "type", "array", "items", "type",
                     "string");
}

static void allowed_strings(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a text or a list of texts"));
}

/* Reads one item at a time with `item`: the cleaned text, or NULL after adding a problem. All items are read. */
static bool parse_items(struct setting_parse *p, const struct yaml_node *node, struct strings *out,
                        const char *(*item)(struct setting_parse *p, const struct yaml_node *node)) {
    size_t n = setting_item_count(node);
    bool good = true;

    *out = (struct strings){0, ARENA_ARRAY(p->arena, const char *, n)};
    for (size_t i = 0; i < n; i++) {
        const struct yaml_node *at = setting_item(node, i);
        const char *text = at->type == YAML_SCALAR ? item(p, at) : NULL;
        if (text != NULL)
            out->v[out->n++] = text;
        else
            good = at->type == YAML_SCALAR ? false : setting_refuse(p, at, NULL);
    }
    return good;
}

/* Texts */

static const char *text_item(struct setting_parse *p, const struct yaml_node *node) {
    return arena_strdup(p->arena, node->text.p);
}

static bool parse_strings(struct setting_parse *p, const struct yaml_node *node, void *out) {
    return parse_items(p, node, out, text_item);
}

const struct setting_type setting_type_STRINGS = {.name = "STRINGS",
                                                  .flow = true,
                                                  .size = sizeof(setting_STRINGS),
                                                  .parse = parse_strings,
                                                  .json = json_strings,
                                                  .allowed = allowed_strings,
                                                  .schema = schema_one_or_list};

/* Routes: what a normalised request path can begin with (RFC 3986 pchar, less the percent sign) */

static bool is_route_char(char c) {
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
           (c != '\0' && strchr("-._~!$&'()*+,;=:@/", c) != NULL);
}

static const char *route_wrong(struct str route) {
    if (route.n == 0 || route.p[0] != '/')
        return "it does not begin with /";
    for (size_t i = 0; i < route.n; i++) {
        if (route.p[i] == '%')
            return "write the character itself instead of its % form";
        if (!is_route_char(route.p[i]))
            return "allowed are letters, digits and -._~!$&'()*+,;=:@/";
        if (route.p[i] == '/' && i + 1 < route.n && route.p[i + 1] == '/')
            return "it holds //";
    }
    for (struct str rest = str_from(route, 1); rest.n > 0; rest = str_from(rest, str_chr(rest, '/') + 1)) {
        struct str segment = str_make(rest.p, str_chr(rest, '/'));
        if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return "it holds a . or .. segment";
    }
    return NULL;
}

static const char *route_item(struct setting_parse *p, const struct yaml_node *node) {
    const char *why = route_wrong(node->text);

    if (why != NULL) {
        setting_refuse(p, node, why);
        return NULL;
    }
    return arena_printf(p->arena, "%s%s", node->text.p, str_ends(node->text, STR("/")) ? "" : "/").p;
}

static bool parse_routes(struct setting_parse *p, const struct yaml_node *node, void *out) {
    return parse_items(p, node, out, route_item);
}

static void allowed_routes(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a path prefix such as /sales/, or a list of them"));
}

static json_t *schema_routes(const struct setting *s) {
    (void)s;
    return json_pack("{s:[{s:s, s:s}, {s:s, s:{s:s, s:s}}]}", "anyOf", "type", "string", "pattern", "^(/|\\$)", "type",
                     "array", "items", "type", "string", "pattern", "^(/|\\$)");
}

const struct setting_type setting_type_ROUTES = {.name = "ROUTES",
                                                 .flow = true,
                                                 .size = sizeof(setting_ROUTES),
                                                 .parse = parse_routes,
                                                 .json = json_strings_or_null,
                                                 .allowed = allowed_routes,
                                                 .schema = schema_routes};

/* Hosts: names as a client sends them, without port */

static bool is_host_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '.' || c == '_';
}

static const char *host_wrong(struct str host) {
    bool bracketed = host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';

    if (host.n == 0 || host.n > 255)
        return "it is empty or longer than 255 bytes";
    if (str_starts(host, STR("http://")) || str_starts(host, STR("https://")))
        return "leave http:// away";
    for (size_t i = bracketed ? 1 : 0; i < host.n - (bracketed ? 1 : 0); i++) {
        if (host.p[i] == '*')
            return "there are no wildcards; leave host away to answer every name";
        if (host.p[i] == ':' && !bracketed)
            return "leave the port away (and write an IPv6 address as \"[::1]\")";
        if (!is_host_char(host.p[i]) && !(bracketed && host.p[i] == ':'))
            return "allowed are letters, digits, - and .";
    }
    return NULL;
}

static const char *host_item(struct setting_parse *p, const struct yaml_node *node) {
    char *host = arena_strdup(p->arena, node->text.p);

    for (char *c = host; *c != '\0'; c++)
        *c = ascii_lower(*c);
    if (node->text.n > 1 && host[node->text.n - 1] == '.')
        host[node->text.n - 1] = '\0';
    const char *why = host_wrong(str_of(host));
    if (why != NULL) {
        setting_refuse(p, node, why);
        return NULL;
    }
    return host;
}

static bool parse_hosts(struct setting_parse *p, const struct yaml_node *node, void *out) {
    return parse_items(p, node, out, host_item);
}

static void allowed_hosts(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a host name such as sales.example.org, or a list of them"));
}

const struct setting_type setting_type_HOSTS = {.name = "HOSTS",
                                                .flow = true,
                                                .size = sizeof(setting_HOSTS),
                                                .parse = parse_hosts,
                                                .json = json_strings_or_null,
                                                .allowed = allowed_hosts,
                                                .schema = schema_one_or_list};

/* Commands */

static bool parse_command(struct setting_parse *p, const struct yaml_node *node, void *out) {
    struct strings *words = out;

    if (node->type == YAML_SCALAR) {
        const char *why = NULL;
        if (!shell_words(p->arena, node->text, words, &why))
            return setting_refuse(p, node, why);
    } else if (node->type == YAML_MAP || !parse_items(p, node, words, text_item))
        return node->type == YAML_MAP ? setting_refuse(p, node, NULL) : false;
    if (words->n == 0 || words->v[0][0] == '\0')
        return setting_complain(
            p, node, "names no program: must be a list such as [python3, serve.py, \"{socket}\"], or a text");
    return true;
}

static void allowed_command(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a list of words such as [python3, serve.py, \"{socket}\"], or one text"));
}

static json_t *schema_command(const struct setting *s) {
    (void)s;
    return json_pack("{s:[{s:s}, {s:s, s:{s:[s,s,s]}, s:i}]}", "anyOf", "type", "string", "type", "array", "items",
                     "type", "string", "number", "boolean", "minItems", 1);
}

const struct setting_type setting_type_COMMAND = {.name = "COMMAND",
                                                  .flow = true,
                                                  .size = sizeof(setting_COMMAND),
                                                  .parse = parse_command,
                                                  .json = json_strings_or_null,
                                                  .allowed = allowed_command,
                                                  .schema = schema_command};

/* Maps of text: what is there already stays unless it is named again; a null takes its key away */

static void map_put(struct string_map *map, const char *key, const char *value) {
    size_t i = 0;

    while (i < map->n && strcmp(map->v[i].key, key) != 0)
        i++;
    if (value == NULL) {
        if (i < map->n) {
            memmove(&map->v[i], &map->v[i + 1], (map->n - i - 1) * sizeof(map->v[0]));
            map->n--;
        }
        return;
    }
    map->v[i].key = key;
    map->v[i].value = value;
    if (i == map->n)
        map->n++;
}

static bool parse_map(struct setting_parse *p, const struct yaml_node *node, void *out) {
    struct string_map *map = out;
    bool good = true;

    if (node->type != YAML_MAP)
        return setting_refuse(p, node, NULL);

    struct string_map merged = {.n = map->n, .v = arena_alloc(p->arena, (map->n + node->n) * sizeof(map->v[0]))};
    if (map->n > 0)
        memcpy(merged.v, map->v, map->n * sizeof(map->v[0]));
    for (size_t i = 0; i < node->n; i++) {
        const struct yaml_node *key = node->pairs[i].key, *value = node->pairs[i].value;
        if (str_chr(key->text, '=') < key->text.n) {
            good = setting_complain(p, key, "holds the name \"%s\": a name must hold no =", key->text.p);
        } else if (value->type == YAML_LIST || value->type == YAML_MAP) {
            good = setting_complain(p, value, "%s must be a text, not a %s%s", key->text.p,
                                    value->type == YAML_LIST ? "list" : "map",
                                    yaml_is_unquoted_brace(value) ? ": put braces into double quotes" : "");
        } else {
            map_put(&merged, arena_strdup(p->arena, key->text.p),
                    value->type == YAML_NULL ? NULL : arena_strdup(p->arena, value->text.p));
        }
    }
    *map = merged;
    return good;
}

static json_t *json_map(const struct setting *s, const void *value) {
    (void)s;
    const struct string_map *map = value;
    json_t *out = json_object();

    for (size_t i = 0; i < map->n; i++) {
        json_t *key = setting_text_json(map->v[i].key);
        json_object_set_new(out, json_string_value(key), setting_text_json(map->v[i].value));
        json_decref(key);
    }
    return out;
}

static void allowed_map(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a map of texts such as { KEY: value }"));
}

static json_t *schema_map(const struct setting *s) {
    (void)s;
    return json_pack("{s:s, s:{s:[s,s,s,s]}}", "type", "object", "additionalProperties", "type", "string", "number",
                     "boolean", "null");
}

const struct setting_type setting_type_MAP = {.name = "MAP",
                                              .flow = true,
                                              .merges = true,
                                              .size = sizeof(setting_MAP),
                                              .parse = parse_map,
                                              .json = json_map,
                                              .allowed = allowed_map,
                                              .schema = schema_map};
