/*
 * `faucet schema`: JSON Schema of faucet.yaml, draft 7, the newest that the
 * YAML language server supports fully (it completes by it and flags mistakes).
 *
 * A value may always be null (absent) or hold ${…}, which an editor cannot
 * judge; else it must have the form of its type.
 */
#include <stdlib.h>

#include "config/setting.h"

static json_t *describe(json_t *schema, const struct setting *s) {
    json_object_set_new(schema, "description", json_string(s->help));
    return schema;
}

/* The default, typed as an editor would insert it. */
static json_t *fallback_json(const struct setting *s) {
    struct arena *a = arena_new(1024);
    void *value = arena_alloc(a, s->type->size);

    setting_fallback(s, a, value);
    json_t *out = s->type->json(s, value);
    arena_free(a);
    return out;
}

/* Types that are any text hold ${…} already. */
static bool takes_any_text(const json_t *schema) {
    const json_t *type = json_object_get(schema, "type");

    if (json_object_get(schema, "pattern") != NULL)
        return false;
    if (json_is_string(type))
        return strcmp(json_string_value(type), "string") == 0;
    return json_is_array(type) && strcmp(json_string_value(json_array_get(type, 0)), "string") == 0;
}

static json_t *value_schema(const struct setting *s) {
    json_t *any = json_array(), *form = s->type->schema(s);
    json_t *forms = json_object_get(form, "anyOf");
    bool free_text = takes_any_text(form);

    XXXAN(form);
    if (forms == NULL)
        json_array_append_new(any, form);
    else {
        for (size_t i = 0; i < json_array_size(forms); i++) {
            free_text = free_text || takes_any_text(json_array_get(forms, i));
            json_array_append(any, json_array_get(forms, i));
        }
        json_decref(form);
    }
    if (!free_text)
        json_array_append_new(any, json_pack("{s:s}", "$ref", "#/definitions/variable"));
    json_array_append_new(any, json_pack("{s:s}", "type", "null"));

    json_t *out = describe(json_pack("{s:o}", "anyOf", any), s);
    json_t *fallback = s->fallback == NULL ? json_null() : fallback_json(s);
    if (!json_is_null(fallback))
        json_object_set(out, "default", fallback);
    json_decref(fallback);
    return out;
}

static json_t *map_schema(json_t *properties) {
    return json_pack("{s:[s,s], s:o, s:b}", "type", "object", "null", "properties", properties, "additionalProperties",
                     0);
}

/* The properties of the group that `key` is in, made where it is new; *name is the rest of the key. */
static json_t *properties_of(json_t *properties, const char *key, const char **name) {
    struct str whole = str_of(key);
    size_t dot = str_chr(whole, '.');
    char group[32];

    *name = key;
    if (dot == whole.n)
        return properties;
    ASSERT(dot < sizeof(group));
    memcpy(group, key, dot);
    group[dot] = '\0';
    *name = key + dot + 1;
    if (json_object_get(properties, group) == NULL)
        json_object_set_new(properties, group, map_schema(json_object()));
    return json_object_get(json_object_get(properties, group), "properties");
}

static json_t *scope_properties(bool app) {
    json_t *out = json_object();

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        const char *name;
        if (app ? !setting_in_app(s) : !setting_in_daemon(s))
            continue;
        json_t *properties = properties_of(out, s->key, &name);
        json_object_set_new(properties, name, value_schema(s));
        if (s->secret) {
            json_t *file = json_sprintf("%s_file", name);
            json_object_set_new(properties, json_string_value(file),
                                json_pack("{s:[s,s], s:s}", "type", "string", "null", "description",
                                          "A file that holds this value; a newline at its end is cut off."));
            json_decref(file);
        }
    }
    return out;
}

static json_t *top_properties(void) {
    json_t *out = scope_properties(false);

    json_object_set_new(out, "include",
                        json_pack("{s:[{s:s}, {s:s, s:{s:s}}, {s:s}], s:s}", "anyOf", "type", "string", "type", "array",
                                  "items", "type", "string", "type", "null", "description",
                                  "Files that add apps, such as apps.d/*.yaml; one or a list."));
    json_object_set_new(out, "defaults",
                        json_pack("{s:[{s:s}], s:s}", "allOf", "$ref", "#/definitions/app", "description",
                                  "Any app key, for all apps; an app's own key wins."));
    json_object_set_new(out, "apps",
                        json_pack("{s:[s,s], s:{s:s}, s:{s:s}, s:s}", "type", "object", "null", "propertyNames",
                                  "pattern", "^[a-z0-9][a-z0-9_-]{0,62}$", "additionalProperties", "$ref",
                                  "#/definitions/app", "description", "The apps, each under its name."));
    return out;
}

void config_schema(struct buf *out) {
    json_t *schema = json_pack("{s:s, s:s, s:s, s:[s,s], s:o, s:{s:{}}, s:b, s:{s:{s:s, s:s}, s:o}}", "$schema",
                               "http://json-schema.org/draft-07/schema#", "title", "faucet.yaml", "description",
                               "The configuration of faucet.", "type", "object", "null", "properties", top_properties(),
                               "patternProperties", "^x-", "additionalProperties", 0, "definitions", "variable", "type",
                               "string", "pattern", "\\$\\{", "app", map_schema(scope_properties(true)));
    XXXAN(schema);
    char *text = json_dumps(schema, JSON_INDENT(2));

    XXXAN(text);
    buf_append(out, str_of(text));
    buf_append_char(out, '\n');
    free(text);
    json_decref(schema);
}
