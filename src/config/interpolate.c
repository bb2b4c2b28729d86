/*
 * ${VAR} in values: after the parse and once, so that nothing in the
 * environment can change the structure of the file or name further variables.
 */
#include "base/buf.h"
#include "base/environ.h"
#include "config/yaml_parts.h"

struct interpolation {
    struct arena *arena;
    char *const *environ_;
    struct strings *used; /* NULL: nobody asks */
    struct problems *problems;
    size_t made; /* bytes, against YAML_EXPANDED_MAX */
    bool full;   /* YAML_EXPANDED_MAX was said */
};

/* One ${…} taken apart; all parts borrow from the text. */
struct reference {
    struct str name;
    enum { REFERENCE_BARE, REFERENCE_DEFAULT, REFERENCE_REQUIRED } form;
    struct str word; /* the default, the message */
    size_t length;   /* of the whole */
};

#define FORMS_ALLOWED "allowed are ${VAR}, ${VAR:-default} and ${VAR:?message}; a literal ${ is written $${"

static bool name_begins(char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool name_goes_on(char c) {
    return name_begins(c) || (c >= '0' && c <= '9');
}

/* text begins with "${". NULL, or what is wrong. */
static const char *reference_parse(struct str text, struct reference *r) {
    size_t at = 2, open = 0;

    while (at < text.n && name_goes_on(text.p[at]))
        at++;
    r->name = str_make(text.p + 2, at - 2);
    if (at == text.n)
        return "${ is not closed by }";
    if (r->name.n == 0)
        return "${ is not followed by the name of a variable";
    if (!name_begins(r->name.p[0]))
        return "the name of a variable does not begin with a digit";
    r->form = REFERENCE_BARE;
    r->word = STR_NONE;
    r->length = at + 1;
    if (text.p[at] == '}')
        return NULL;

    struct str rest = str_from(text, at);
    if (str_starts(rest, STR(":-")))
        r->form = REFERENCE_DEFAULT;
    else if (str_starts(rest, STR(":?")))
        r->form = REFERENCE_REQUIRED;
    else
        return "what follows the name of the variable is not understood";
    for (size_t i = at += 2; i < text.n; i++) {
        if (text.p[i] == '{' && text.p[i - 1] == '$')
            return "${ inside of another ${ } is not expanded";
        if (text.p[i] == '{')
            open++;
        if (text.p[i] == '}' && open-- == 0) {
            r->word = str_make(text.p + at, i - at);
            r->length = i + 1;
            return NULL;
        }
    }
    return "${ is not closed by }";
}

/* Room doubles whenever n is a power of two: struct strings has no field for it. */
static void strings_add_once(struct arena *a, struct strings *list, struct str name) {
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(str_of(list->v[i]), name))
            return;
    if ((list->n & (list->n - 1)) == 0) {
        const char **bigger = ARENA_ARRAY(a, const char *, list->n == 0 ? 1 : list->n * 2);
        if (list->n > 0)
            memcpy(bigger, list->v, list->n * sizeof *bigger);
        list->v = bigger;
    }
    list->v[list->n++] = arena_str(a, name).p;
}

/* What the reference stands for; false after adding a problem. */
static bool reference_value(struct interpolation *in, const struct yaml_node *node, const struct key_path *path,
                            const struct reference *r, struct str *value) {
    *value = str_of(environ_value(in->environ_, r->name)); /* .p NULL: not set */
    if (r->form == REFERENCE_BARE && value->p != NULL)
        return true;
    if (value->n > 0)
        return true;
    switch (r->form) {
    case REFERENCE_DEFAULT:
        *value = r->word;
        return true;
    case REFERENCE_REQUIRED:
        problem_add(in->problems, PROBLEM_ERROR, node->where, key_path_text(in->arena, path),
                    "the environment variable %.*s is %s%s%.*s", STR_ARG(r->name),
                    value->p == NULL ? "not set" : "empty", r->word.n > 0 ? ": " : "",
                    STR_ARG(r->word.n > 0 ? r->word : STR("")));
        return false;
    case REFERENCE_BARE:
        break;
    }
    problem_add(in->problems, PROBLEM_ERROR, node->where, key_path_text(in->arena, path),
                "the environment variable %.*s is not set; set it, or give a default: ${%.*s:-…}", STR_ARG(r->name),
                STR_ARG(r->name));
    return false;
}

/* One step at text[at]; returns how many bytes of the text it took, 0 where the rest of the value cannot be read. After
 * adding a problem the node is unresolved. */
static size_t expand_one(struct interpolation *in, struct yaml_node *node, const struct key_path *path, size_t at,
                         struct buf *out) {
    struct str rest = str_from(node->text, at), value;
    struct reference r;

    if (str_starts(rest, STR("$${"))) {
        buf_append(out, STR("${"));
        return 3;
    }
    if (!str_starts(rest, STR("${"))) {
        size_t n = 1 + str_chr(str_from(rest, 1), '$');
        buf_append(out, str_make(rest.p, n));
        return n;
    }
    const char *wrong = reference_parse(rest, &r);
    if (wrong != NULL) {
        problem_add(in->problems, PROBLEM_ERROR, node->where, key_path_text(in->arena, path), "%s; " FORMS_ALLOWED,
                    wrong);
        node->unresolved = true;
        return 0;
    }
    strings_add_once(in->arena, &node->variables, r.name);
    if (in->used != NULL)
        strings_add_once(in->arena, in->used, r.name);
    if (reference_value(in, node, path, &r, &value))
        buf_append(out, value);
    else
        node->unresolved = true;
    return r.length;
}

static void expand_scalar(struct interpolation *in, struct yaml_node *node, const struct key_path *path) {
    struct buf out = {.data = NULL};

    if (str_chr(node->text, '$') == node->text.n)
        return;
    if (in->full) {
        node->unresolved = true;
        return;
    }
    for (size_t at = 0; at < node->text.n;) {
        size_t taken = expand_one(in, node, path, at, &out);
        if (taken == 0) {
            buf_free(&out);
            return;
        }
        at += taken;
        if (buf_length(&out) > YAML_EXPANDED_MAX - in->made) {
            problem_add(in->problems, PROBLEM_ERROR, node->where, key_path_text(in->arena, path),
                        "the variables of this file make more than %zu MiB of text; that is the most",
                        YAML_EXPANDED_MAX / (1024 * 1024));
            in->full = true;
            node->unresolved = true;
            buf_free(&out);
            return;
        }
    }
    in->made += buf_length(&out);
    node->text = arena_str(in->arena, buf_length(&out) == 0 ? STR("") : buf_str(&out));
    buf_free(&out);
}

static void expand_node(struct interpolation *in, struct yaml_node *node, const struct key_path *path) {
    switch (node->type) {
    case YAML_NULL:
        break;
    case YAML_SCALAR:
        expand_scalar(in, node, path);
        break;
    case YAML_LIST:
        for (size_t i = 0; i < node->n; i++) {
            expand_node(in, node->items[i], path);
            node->unresolved |= node->items[i]->unresolved;
        }
        break;
    case YAML_MAP:
        for (size_t i = 0; i < node->n; i++) {
            const struct key_path below = {path, node->pairs[i].key->text};
            expand_node(in, node->pairs[i].value, &below);
            node->unresolved |= node->pairs[i].value->unresolved;
        }
        break;
    }
}

void yaml_interpolate(struct arena *a, struct yaml_node *node, char *const *environ_, struct strings *used,
                      struct problems *problems) {
    struct interpolation in = {.arena = a, .environ_ = environ_, .used = used, .problems = problems};
    const struct key_path top = {NULL, STR("")};

    expand_node(&in, node, &top);
}
