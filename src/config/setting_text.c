/*
 * What all types share: complaints about a value, and values as text. The
 * complaint names what is allowed before what was found, because that is what
 * a person has to type next.
 */
#include <stdio.h>

#include "base/json.h"
#include "config/setting.h"

#define SHOWN_MAX 60 /* bytes of a wrong value that a message repeats */

bool setting_complain(struct setting_parse *p, const struct yaml_node *node, const char *format, ...) {
    va_list args;

    va_start(args, format);
    struct str text = arena_vprintf(p->problems->arena, format, args);
    va_end(args);
    problem_add(p->problems, PROBLEM_ERROR, node->where, p->key, "%.*s", STR_ARG(text));
    return false;
}

/* "\"many\"", "a list", "a map"; a secret is not repeated. */
static void describe(const struct setting *s, const struct yaml_node *node, struct buf *out) {
    switch (node->type) {
    case YAML_NULL:
        buf_append(out, STR("nothing"));
        return;
    case YAML_LIST:
        buf_append(out, STR("a list"));
        return;
    case YAML_MAP:
        buf_append(out, STR("a map"));
        return;
    case YAML_SCALAR:
        break;
    }
    if (s->secret)
        buf_append(out, STR("this"));
    else if (node->text.n <= SHOWN_MAX)
        json_append_string(out, node->text);
    else {
        json_append_string(out, str_make(node->text.p, SHOWN_MAX));
        buf_append(out, STR("…"));
    }
}

bool setting_refuse(struct setting_parse *p, const struct yaml_node *node, const char *hint) {
    struct buf text = {0};

    buf_append(&text, STR("must be "));
    p->setting->type->allowed(p->setting, &text);
    buf_append(&text, STR(", not "));
    describe(p->setting, node, &text);
    if (hint == NULL && yaml_is_unquoted_brace(node))
        hint = "braces make a map in YAML; put the value into double quotes";
    if (hint != NULL) {
        buf_append(&text, STR(": "));
        buf_append(&text, str_of(hint));
    }
    setting_complain(p, node, "%.*s", STR_ARG(buf_str(&text)));
    buf_free(&text);
    return false;
}

const char *setting_scalar(struct setting_parse *p, const struct yaml_node *node) {
    if (node->type == YAML_SCALAR)
        return node->text.p;
    setting_refuse(p, node, NULL);
    return NULL;
}

const char *setting_absolute(struct arena *a, const struct yaml_node *node, const char *path) {
    struct str whole =
        path[0] == '/' ? str_of(path) : arena_printf(a, "%s/%s", node->origin == NULL ? "" : node->origin, path);
    char *out = arena_bytes(a, whole.n + 2);
    size_t n = 0;

    for (size_t i = 0; i < whole.n;) {
        while (i < whole.n && whole.p[i] == '/')
            i++;
        size_t end = i;
        while (end < whole.n && whole.p[end] != '/')
            end++;
        if (end > i && !(end == i + 1 && whole.p[i] == '.')) {
            out[n++] = '/';
            memcpy(out + n, whole.p + i, end - i);
            n += end - i;
        }
        i = end;
    }
    if (n == 0)
        out[n++] = '/';
    out[n] = '\0';
    return out;
}

/* Would YAML read it back as the same text in flow style, without quotes? */
static bool is_plain_safe(const char *text) {
    static const char *const words[] = {"null", "~", "true", "false", "yes", "no"};

    if (text[0] == '\0' || strchr("-?:,[]{}#&*!|>'\"%@`= ", text[0]) != NULL)
        return false;
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        if (str_ieq(str_of(text), str_of(words[i])))
            return false;
    for (const char *p = text; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || strchr(",[]{}#\"\\", *p) != NULL)
            return false;
        if (*p == ':' && (p[1] == '\0' || p[1] == ' '))
            return false;
    }
    return true;
}

static void flow_string(const char *text, struct buf *out) {
    if (is_plain_safe(text))
        buf_append(out, str_of(text));
    else
        json_append_string(out, str_of(text));
}

static void flow_number(const json_t *value, struct buf *out) {
    if (json_is_integer(value))
        buf_printf(out, "%lld", (long long)json_integer_value(value));
    else
        buf_printf(out, "%.15g", json_real_value(value));
}

void setting_flow_text(const json_t *value, struct buf *out) {
    const char *key, *between = "";
    json_t *item;
    size_t i;

    switch (json_typeof(value)) {
    case JSON_NULL:
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        buf_append(out, json_is_true(value) ? STR("true") : STR("false"));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        flow_number(value, out);
        break;
    case JSON_STRING:
        flow_string(json_string_value(value), out);
        break;
    case JSON_ARRAY:
        buf_append_char(out, '[');
        json_array_foreach(value, i, item) {
            buf_append(out, str_of(between));
            setting_flow_text(item, out);
            between = ", ";
        }
        buf_append_char(out, ']');
        break;
    case JSON_OBJECT:
        buf_append_char(out, '{');
        for (void *at = json_object_iter((json_t *)(uintptr_t)value); at != NULL;
             at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
            key = json_object_iter_key(at);
            buf_append(out, str_of(between));
            flow_string(key, out);
            buf_append(out, STR(": "));
            setting_flow_text(json_object_iter_value(at), out);
            between = ", ";
        }
        buf_append_char(out, '}');
        break;
    }
}

json_t *setting_text_json(const char *text) {
    json_t *out = json_string(text);
    if (out != NULL)
        return out;

    struct buf clean = {0};
    for (struct str rest = str_of(text); rest.n > 0;) {
        size_t n = str_utf8(rest);
        if (n == 0)
            buf_printf(&clean, "\\x%02x", (unsigned char)rest.p[0]);
        else
            buf_append(&clean, str_make(rest.p, n));
        rest = str_from(rest, n == 0 ? 1 : n);
    }
    struct str s = buf_str(&clean);
    out = json_stringn(s.p == NULL ? "" : s.p, s.n);
    XXXAN(out);
    buf_free(&clean);
    return out;
}

json_t *setting_strings_json(const struct strings *strings) {
    json_t *out = json_array();

    for (size_t i = 0; i < strings->n; i++)
        json_array_append_new(out, setting_text_json(strings->v[i]));
    return out;
}

json_t *setting_node_json(const struct yaml_node *node) {
    json_t *out = NULL;

    switch (node->type) {
    case YAML_NULL:
        return json_null();
    case YAML_SCALAR:
        out = setting_text_json(node->text.p);
        break;
    case YAML_LIST:
        out = json_array();
        for (size_t i = 0; i < node->n; i++)
            json_array_append_new(out, setting_node_json(node->items[i]));
        break;
    case YAML_MAP:
        out = json_object();
        for (size_t i = 0; i < node->n; i++)
            json_object_set_new(out, node->pairs[i].key->text.p, setting_node_json(node->pairs[i].value));
        break;
    }
    return out;
}
