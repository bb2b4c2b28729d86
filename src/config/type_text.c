/*
 * Types that are one text: free strings, tokens, paths, programs. A path is
 * made absolute here, from where it was written; nothing is looked up.
 */
#include "config/setting.h"

static json_t *json_text(const struct setting *s, const void *value) {
    (void)s;
    const char *text = *(const char *const *)value;
    return text == NULL ? json_null() : setting_text_json(text);
}

static json_t *schema_text(const struct setting *s) {
    (void)s;
    return json_pack("{s:s}", "type", "string");
}

/* Any text */

static bool parse_string(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const char *text = setting_scalar(p, node);

    if (text == NULL)
        return false;
    *(const char **)out = arena_strdup(p->arena, text);
    return true;
}

static void allowed_string(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a text"));
}

/* 1.10 is written without quotes and stays "1.10" here, but is a number to an editor. */
static json_t *schema_string(const struct setting *s) {
    (void)s;
    return json_pack("{s:[s,s,s]}", "type", "string", "number", "boolean");
}

const struct setting_type setting_type_STRING = {.name = "STRING",
                                                 .text = true,
                                                 .size = sizeof(setting_STRING),
                                                 .parse = parse_string,
                                                 .json = json_text,
                                                 .allowed = allowed_string,
                                                 .schema = schema_string};

/* A token (RFC 9110 5.6.2) */

static bool is_token_char(char c) {
    return (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool parse_token(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const char *text = setting_scalar(p, node);

    if (text == NULL)
        return false;
    for (size_t i = 0; i < node->text.n; i++)
        if (!is_token_char(text[i]))
            return setting_refuse(p, node, NULL);
    *(const char **)out = arena_strdup(p->arena, text);
    return true;
}

static void allowed_token(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a name of letters, digits and !#$%&'*+-.^_`|~"));
}

static json_t *schema_token(const struct setting *s) {
    (void)s;
    return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$");
}

const struct setting_type setting_type_TOKEN = {.name = "TOKEN",
                                                .size = sizeof(setting_TOKEN),
                                                .parse = parse_token,
                                                .json = json_text,
                                                .allowed = allowed_token,
                                                .schema = schema_token};

/* Paths */

static bool has_control(struct str text) {
    for (size_t i = 0; i < text.n; i++)
        if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
            return true;
    return false;
}

static bool parse_path(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const char *text = setting_scalar(p, node);

    if (text == NULL)
        return false;
    if (has_control(node->text))
        return setting_refuse(p, node, "it holds a control character");
    if (text[0] == '~' && (text[1] == '/' || text[1] == '\0'))
        return setting_refuse(p, node, "~ is not expanded; write the directory in full, or ${HOME} in the file");
    *(const char **)out = setting_absolute(p->arena, node, text);
    return true;
}

static void allowed_path(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a path"));
}

const struct setting_type setting_type_PATH = {.name = "PATH",
                                               .size = sizeof(setting_PATH),
                                               .parse = parse_path,
                                               .json = json_text,
                                               .allowed = allowed_path,
                                               .schema = schema_text};

static bool climbs(struct str path) {
    while (path.n > 0) {
        size_t end = str_chr(path, '/');
        if (str_eq(str_make(path.p, end), STR("..")))
            return true;
        path = str_from(path, end + 1);
    }
    return false;
}

static bool parse_path_in_dir(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const char *text = setting_scalar(p, node);

    if (text == NULL)
        return false;
    if (has_control(node->text))
        return setting_refuse(p, node, "it holds a control character");
    if (climbs(node->text))
        return setting_refuse(p, node, "\"..\" would leave the directory");
    if (text[0] == '/') {
        *(const char **)out = setting_absolute(p->arena, node, text);
        return true;
    }
    /* Cleaned like an absolute one, then without the slash that this put in front; "." alone is dir itself. */
    const struct yaml_node at_root = {.type = YAML_SCALAR, .origin = "/"};
    const char *clean = setting_absolute(p->arena, &at_root, text) + 1;
    *(const char **)out = clean[0] == '\0' ? "." : clean;
    return true;
}

static void allowed_path_in_dir(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("a path inside dir"));
}

const struct setting_type setting_type_PATH_IN_DIR = {.name = "PATH_IN_DIR",
                                                      .size = sizeof(setting_PATH_IN_DIR),
                                                      .parse = parse_path_in_dir,
                                                      .json = json_text,
                                                      .allowed = allowed_path_in_dir,
                                                      .schema = schema_text};

/* Programs */

static bool parse_command_name(struct setting_parse *p, const struct yaml_node *node, void *out) {
    const char *text = setting_scalar(p, node);

    if (text == NULL)
        return false;
    if (has_control(node->text))
        return setting_refuse(p, node, "it holds a control character");
    *(const char **)out =
        strchr(text, '/') == NULL ? arena_strdup(p->arena, text) : setting_absolute(p->arena, node, text);
    return true;
}

static void allowed_command_name(const struct setting *s, struct buf *out) {
    (void)s;
    buf_append(out, STR("the name of a program on PATH, or a path"));
}

const struct setting_type setting_type_COMMAND_NAME = {.name = "COMMAND_NAME",
                                                       .size = sizeof(setting_COMMAND_NAME),
                                                       .parse = parse_command_name,
                                                       .json = json_text,
                                                       .allowed = allowed_command_name,
                                                       .schema = schema_text};
