/*
 * Types of one word: numbers, counts, durations, sizes, texts, choices. They
 * are read from the text as written, quoted or not, because what ${VAR} or
 * the environment brings is always text.
 */
#include <stdlib.h>

#include "config/nearest.h"
#include "config/setting.h"

static const int64_t absent_number = -1;
static const double absent_real = -1;
static const int absent_choice = -1;

/* Whole numbers */

static bool in_range(const struct setting *s, int64_t value) {
    return !s->has_range || (value >= s->min && value <= s->max);
}

static bool parse_integer(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const char *text = setting_scalar(p, node);
    uint64_t value;

    if (text == NULL)
        return false;
    if (!str_to_u64(node->text, &value) || value > INT64_MAX || !in_range(p->setting, (int64_t)value))
        return setting_refuse(p, node, NULL);
    *(int64_t *)out = (int64_t)value;
    return true;
}

static json_t *json_whole(const struct setting *s, const void *value) {
    (void)s;
    int64_t number = *(const int64_t *)value;
    return number < 0 ? json_null() : json_integer(number);
}

static void allowed_integer(const struct setting *s, struct buf *out) {
    buf_append(out, STR("a whole number"));
    if (s->has_range)
        buf_printf(out, " from %lld to %lld", (long long)s->min, (long long)s->max);
}

static json_t *schema_integer(const struct setting *s) {
    return s->has_range ? json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)s->min, "maximum",
                                    (json_int_t)s->max)
                        : json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);
}

const struct setting_type setting_type_INTEGER = {.name = "INTEGER",
                                                  .size = sizeof(setting_INTEGER),
                                                  .absent = &absent_number,
                                                  .parse = parse_integer,
                                                  .json = json_whole,
                                                  .allowed = allowed_integer,
                                                  .schema = schema_integer};

/* Whole numbers, or one word that stands for -1 */

static bool parse_count(struct setting_parse *p, const struct yaml_node *node, const char *word, void *out) {
    if (node->type == YAML_SCALAR && str_eq(node->text, str_of(word))) {
        *(int64_t *)out = -1;
        return true;
    }
    return parse_integer(p, node, out);
}

static bool parse_count_auto(struct setting_parse *p, const struct yaml_node *node, void *out) {
    return parse_count(p, node, "auto", out);
}

static bool parse_count_unlimited(struct setting_parse *p, const struct yaml_node *node, void *out) {
    return parse_count(p, node, "unlimited", out);
}

static json_t *json_count(int64_t value, const char *word) {
    return value < 0 ? json_string(word) : json_integer(value);
}

static json_t *json_count_auto(const struct setting *s, const void *value) {
    (void)s;
    return json_count(*(const int64_t *)value, "auto");
}

static json_t *json_count_unlimited(const struct setting *s, const void *value) {
    (void)s;
    return json_count(*(const int64_t *)value, "unlimited");
}

static void allowed_count_auto(const struct setting *s, struct buf *out) {
    allowed_integer(s, out);
    buf_append(out, STR(", or auto"));
}

static void allowed_count_unlimited(const struct setting *s, struct buf *out) {
    allowed_integer(s, out);
    buf_append(out, STR(", or unlimited"));
}

static json_t *schema_count(const struct setting *s, const char *word) {
    return json_pack("{s:[o, {s:s}]}", "anyOf", schema_integer(s), "const", word);
}

static json_t *schema_count_auto(const struct setting *s) {
    return schema_count(s, "auto");
}

static json_t *schema_count_unlimited(const struct setting *s) {
    return schema_count(s, "unlimited");
}

const struct setting_type setting_type_COUNT_AUTO = {.name = "COUNT_AUTO",
                                                     .size = sizeof(setting_COUNT_AUTO),
                                                     .absent = &absent_number,
                                                     .parse = parse_count_auto,
                                                     .json = json_count_auto,
                                                     .allowed = allowed_count_auto,
                                                     .schema = schema_count_auto};

const struct setting_type setting_type_COUNT_UNLIMITED = {.name = "COUNT_UNLIMITED",
                                                          .size = sizeof(setting_COUNT_UNLIMITED),
                                                          .absent = &absent_number,
                                                          .parse = parse_count_unlimited,
                                                          .json = json_count_unlimited,
                                                          .allowed = allowed_count_unlimited,
                                                          .schema = schema_count_unlimited};

/* Numbers with a fraction: digits and one point, whatever the locale; no sign, no exponent */

static bool parse_decimal(struct str text, double *value) {
    size_t point = str_chr(text, '.');
    struct str whole = str_make(text.p, point), fraction = str_from(text, point + 1);
    uint64_t units, parts = 0;
    double scale = 1;

    if (!str_to_u64(whole, &units))
        return false;
    if (point < text.n && (fraction.n > 15 || !str_to_u64(fraction, &parts)))
        return false;
    for (size_t i = 0; i < fraction.n; i++)
        scale *= 10;
    *value = (double)units + (double)parts / scale;
    return true;
}

static bool parse_number(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const struct setting *s = p->setting;
    double value;

    if (setting_scalar(p, node) == NULL)
        return false;
    if (!parse_decimal(node->text, &value) || (s->has_range && (value < (double)s->min || value > (double)s->max)))
        return setting_refuse(p, node, NULL);
    *(double *)out = value;
    return true;
}

static json_t *json_number_(const struct setting *s, const void *value) {
    (void)s;
    double number = *(const double *)value;
    return number < 0 ? json_null() : json_real(number);
}

static void allowed_number(const struct setting *s, struct buf *out) {
    buf_append(out, STR("a number"));
    if (s->has_range)
        buf_printf(out, " from %lld to %lld", (long long)s->min, (long long)s->max);
}

static json_t *schema_number(const struct setting *s) {
    json_t *out = schema_integer(s);
    json_object_set_new(out, "type", json_string("number"));
    return out;
}

const struct setting_type setting_type_NUMBER = {.name = "NUMBER",
                                                 .size = sizeof(setting_NUMBER),
                                                 .absent = &absent_real,
                                                 .parse = parse_number,
                                                 .json = json_number_,
                                                 .allowed = allowed_number,
                                                 .schema = schema_number};

/* Yes or no */

static bool parse_bool(struct setting_parse *p, const struct yaml_node *node, void *out) {
    if (setting_scalar(p, node) == NULL)
        return false;
    if (str_eq(node->text, STR("true")))
        *(bool *)out = true;
    else if (str_eq(node->text, STR("false")))
        *(bool *)out = false;
    else
        return setting_refuse(p, node, NULL);
    return true;
}

static json_t *json_bool(const struct setting *s, const void *value) {
    (void)s;
    return json_boolean(*(const bool *)value);
}

static void allowed_bool(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("true or false"));
}

static json_t *schema_bool(const struct setting *s) {
    (void)s;
    return json_pack("{s:s}", "type", "boolean");
}

const struct setting_type setting_type_BOOL = {.name = "BOOL",
                                               .size = sizeof(setting_BOOL),
                                               .parse = parse_bool,
                                               .json = json_bool,
                                               .allowed = allowed_bool,
                                               .schema = schema_bool};

/* One of some words */

/* Other spellings that users of the original, or of the frameworks, will try. */
static const struct choice_alias {
    const char *key, *written, *meant;
} choice_aliases[] = {
    {"type", "fastapi", "fast-api"},
    {"type", "quarto", "quarto-shiny"},
    {"log.level", "warning", "warn"},
};

static int choice_of(const struct setting *s, struct str text) {
    for (size_t i = 0; i < ARRAY_LENGTH(choice_aliases); i++)
        if (strcmp(choice_aliases[i].key, s->key) == 0 && str_eq(text, str_of(choice_aliases[i].written)))
            text = str_of(choice_aliases[i].meant);
    for (int i = 0; s->choices[i] != NULL; i++)
        if (str_eq(text, str_of(s->choices[i])))
            return i;
    return -1;
}

static bool parse_enum(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const struct setting *s = p->setting;

    if (setting_scalar(p, node) == NULL)
        return false;
    int choice = choice_of(s, node->text);
    if (choice < 0) {
        struct nearest near;
        nearest_init(&near, node->text);
        for (size_t i = 0; s->choices[i] != NULL; i++)
            nearest_offer(&near, s->choices[i]);
        if (near.best == NULL)
            return setting_refuse(p, node, NULL);
        return setting_refuse(p, node, arena_printf(p->problems->arena, "did you mean %s?", near.best).p);
    }
    *(int *)out = choice;
    return true;
}

static json_t *json_enum(const struct setting *s, const void *value) {
    int choice = *(const int *)value;
    return choice < 0 ? json_null() : json_string(s->choices[choice]);
}

static void allowed_enum(const struct setting *s, struct buf *out) {
    buf_append(out, STR("one of "));
    for (size_t i = 0; s->choices[i] != NULL; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", s->choices[i]);
}

static json_t *schema_enum(const struct setting *s) {
    json_t *choices = json_array();

    for (size_t i = 0; s->choices[i] != NULL; i++)
        json_array_append_new(choices, json_string(s->choices[i]));
    for (size_t i = 0; i < ARRAY_LENGTH(choice_aliases); i++)
        if (strcmp(choice_aliases[i].key, s->key) == 0)
            json_array_append_new(choices, json_string(choice_aliases[i].written));
    return json_pack("{s:o}", "enum", choices);
}

const struct setting_type setting_type_ENUM = {.name = "ENUM",
                                               .size = sizeof(setting_ENUM),
                                               .absent = &absent_choice,
                                               .parse = parse_enum,
                                               .json = json_enum,
                                               .allowed = allowed_enum,
                                               .schema = schema_enum};
