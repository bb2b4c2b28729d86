/*
 * Types with a unit: durations and sizes. The unit must be written, since a
 * bare 30 was seconds in one program and milliseconds in the next.
 */
#include "config/setting.h"

static const int64_t absent_amount = -1;

static json_t *json_duration_text(dur_t d) {
    char text[32];
    size_t n = unit_format_duration(d, text);
    return json_stringn(text, n);
}

static json_t *json_size_text(int64_t bytes) {
    char text[32];
    size_t n = unit_format_size(bytes, text);
    return json_stringn(text, n);
}

static bool is_bare_number(struct str text) {
    uint64_t number;
    return str_to_u64(text, &number);
}

/* Durations */

static bool parse_duration(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const struct setting *s = p->setting;
    const char *text = setting_scalar(p, node);
    dur_t d;

    if (text == NULL)
        return false;
    if (!unit_parse_duration(node->text, &d)) {
        const char *hint = is_bare_number(node->text)
                               ? arena_printf(p->problems->arena, "write the unit, for example %ss", text).p
                               : "units are ms, s, m, h and d";
        return setting_refuse(p, node, hint);
    }
    if (s->has_range && (d < s->min || d > s->max))
        return setting_refuse(p, node, NULL);
    *(dur_t *)out = d;
    return true;
}

static json_t *json_duration(const struct setting *s, const void *value) {
    (void)s;
    dur_t d = *(const dur_t *)value;
    return d < 0 ? json_null() : json_duration_text(d);
}

static void allowed_duration(const struct setting *s, struct buf *out) {
    char low[32], high[32];

    if (!s->has_range) {
        buf_append(out, STR("a duration such as 500ms, 30s, 5m or 1h"));
        return;
    }
    unit_format_duration(s->min, low);
    unit_format_duration(s->max, high);
    buf_printf(out, "a duration from %s to %s, such as 500ms, 30s or 5m", low, high);
}

static json_t *schema_duration(const struct setting *s) {
    (void)s;
    return json_pack("{s:[{s:s, s:s}, {s:i}]}", "anyOf", "type", "string", "pattern",
                     "^[0-9]+(\\.[0-9]+)?(us|ms|s|m|h|d)$", "const", 0);
}

const struct setting_type setting_type_DURATION = {.name = "DURATION",
                                                   .size = sizeof(setting_DURATION),
                                                   .absent = &absent_amount,
                                                   .parse = parse_duration,
                                                   .json = json_duration,
                                                   .allowed = allowed_duration,
                                                   .schema = schema_duration};

/* Sizes */

/* "64k" and "64M": 1000 or 1024? */
static const char *size_hint(struct setting_parse *p, struct str text) {
    static const char letters[] = "kKmMgGtT";
    uint64_t number;

    if (text.n > 1 && strchr(letters, text.p[text.n - 1]) != NULL &&
        str_to_u64(str_make(text.p, text.n - 1), &number)) {
        char big = (char)(ascii_lower(text.p[text.n - 1]) & ~0x20);
        return arena_printf(p->problems->arena, "write %llu%ciB (powers of 1024) or %llu%cB (powers of 1000)",
                            (unsigned long long)number, big, (unsigned long long)number, big)
            .p;
    }
    return "units are KiB, MiB, GiB, TiB (powers of 1024) and KB, MB, GB, TB (powers of 1000)";
}

static bool parse_size(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const struct setting *s = p->setting;
    int64_t bytes;

    if (setting_scalar(p, node) == NULL)
        return false;
    if (!unit_parse_size(node->text, &bytes))
        return setting_refuse(p, node, size_hint(p, node->text));
    if (s->has_range && (bytes < s->min || bytes > s->max))
        return setting_refuse(p, node, NULL);
    *(int64_t *)out = bytes;
    return true;
}

static json_t *json_size(const struct setting *s, const void *value) {
    (void)s;
    int64_t bytes = *(const int64_t *)value;
    return bytes < 0 ? json_null() : json_size_text(bytes);
}

static void allowed_size(const struct setting *s, struct buf *out) {
    char low[32], high[32];

    buf_append(out, STR("a size"));
    if (s->has_range && s->min > 0) {
        unit_format_size(s->min, low);
        buf_printf(out, s->max < INT64_MAX ? " from %s" : " of at least %s", low);
    }
    if (s->has_range && s->max < INT64_MAX) {
        unit_format_size(s->max, high);
        buf_printf(out, " to %s", high);
    }
    buf_append(out, STR(", such as 64KiB or 10MiB"));
}

static json_t *schema_size(const struct setting *s) {
    (void)s;
    return json_pack("{s:[{s:s, s:s}, {s:s, s:i}]}", "anyOf", "type", "string", "pattern",
                     "^[0-9]+(B|[KMGT]iB|[kKMGT]B)?$", "type", "integer", "minimum", 0);
}

const struct setting_type setting_type_SIZE = {.name = "SIZE",
                                               .size = sizeof(setting_SIZE),
                                               .absent = &absent_amount,
                                               .parse = parse_size,
                                               .json = json_size,
                                               .allowed = allowed_size,
                                               .schema = schema_size};

static bool parse_size_or_unlimited(struct setting_parse *p, const struct yaml_node *node, void *out) {
    if (node->type == YAML_SCALAR && str_eq(node->text, STR("unlimited"))) {
        *(int64_t *)out = SIZE_UNLIMITED;
        return true;
    }
    return parse_size(p, node, out);
}

static json_t *json_size_or_unlimited(const struct setting *s, const void *value) {
    (void)s;
    return json_size_text(*(const int64_t *)value);
}

static void allowed_size_or_unlimited(const struct setting *s, struct buf *out) {
    allowed_size(s, out);
    buf_append(out, STR(", or unlimited"));
}

static json_t *schema_size_or_unlimited(const struct setting *s) {
    json_t *out = schema_size(s);
    json_array_append_new(json_object_get(out, "anyOf"), json_pack("{s:s}", "const", "unlimited"));
    return out;
}

const struct setting_type setting_type_SIZE_OR_UNLIMITED = {.name = "SIZE_OR_UNLIMITED",
                                                            .size = sizeof(setting_SIZE_OR_UNLIMITED),
                                                            .absent = &absent_amount,
                                                            .parse = parse_size_or_unlimited,
                                                            .json = json_size_or_unlimited,
                                                            .allowed = allowed_size_or_unlimited,
                                                            .schema = schema_size_or_unlimited};
