/*
 * libyaml says "did not find expected node content"; a data scientist needs
 * "needs quotes". Each row of the table knows one of libyaml's complaints and
 * looks at the line in question for the classic mistakes: tabs, `key:value`,
 * and values that YAML reads as something else.
 */
#include "config/yaml_parts.h"

struct look {
    struct arena *arena;
    const struct yaml_source *source;
    struct yaml_fault *fault;
};

#define LINES_LOOKED_BACK 50
#define QUOTE_IT          "needs quotes: \"…\""

/* The character at a place; '\0' at a line's end. */
static char character_at(const struct look *l, struct yaml_place place) {
    struct str rest = yaml_source_from(l->source, place);

    return rest.n > 0 ? rest.p[0] : '\0';
}

/* The line of a place up to that place. */
static struct str before_place(const struct look *l, struct yaml_place place) {
    struct str line = yaml_source_line(l->source, place.line);

    return str_make(line.p, line.n - yaml_source_from(l->source, place).n);
}

/* The last character before a place on its line that is no blank; '\0': none. */
static char last_before(const struct look *l, struct yaml_place place) {
    struct str before = str_trim(before_place(l, place));

    return before.n > 0 ? before.p[before.n - 1] : '\0';
}

static bool is_blank_or_comment(struct str line) {
    line = str_trim(line);
    return line.n == 0 || line.p[0] == '#';
}

/* `port:80`: a colon with text on both sides in a line where no colon is followed by a blank. */
static bool lacks_space_after_colon(struct str line) {
    line = str_trim(line);
    size_t colon = str_chr(line, ':');

    if (colon == 0 || colon + 1 >= line.n || strchr("\"'[{", line.p[0]) != NULL)
        return false;
    for (size_t i = colon; i < line.n; i++)
        if (line.p[i] == ':' && (i + 1 == line.n || line.p[i + 1] == ' ' || line.p[i + 1] == '\t'))
            return false;
    return true;
}

static const char *say_space_after_colon(const struct look *l, struct str line) {
    line = str_trim(line);
    size_t colon = str_chr(line, ':');

    if (str_starts(line, STR("- "))) {
        line = str_from(line, 2);
        colon -= 2;
    }
    return arena_printf(l->arena, "a space is missing after the colon: write \"%s: …\"",
                        yaml_short(l->arena, str_make(line.p, colon)))
        .p;
}

/* ---- one function for each complaint that needs a look ----------------------------------------------------------- */

static const char *tab(struct look *l) {
    (void)l;
    return "a tab is used for indentation; YAML allows only spaces there";
}

static const char *bad_start(struct look *l) {
    char c = character_at(l, l->fault->place);

    if (c == '\t')
        return tab(l);
    return arena_printf(l->arena, "a value that begins with %c " QUOTE_IT, c).p;
}

static const char *no_colon(struct look *l) {
    l->fault->place = l->fault->context_place;
    struct str line = yaml_source_line(l->source, l->fault->place.line);

    if (lacks_space_after_colon(line))
        return say_space_after_colon(l, line);
    return "this line is no `key: value`: the colon is missing (lines that continue a text above must be indented "
           "deeper than its key)";
}

static const char *second_colon(struct look *l) {
    struct str before = before_place(l, l->fault->place);
    size_t colon = str_chr(before, ':');

    for (; colon < before.n; colon++)
        if (before.p[colon] == ':' && colon + 1 < before.n &&
            (before.p[colon + 1] == ' ' || before.p[colon + 1] == '\t'))
            return "a second `: ` in one line; a value that holds a colon and a space " QUOTE_IT;
    /* Not far: each line is looked for from the top. */
    for (size_t line = l->fault->place.line; line-- > 1 && line + LINES_LOOKED_BACK > l->fault->place.line;) {
        struct str above = yaml_source_line(l->source, line);
        if (is_blank_or_comment(above))
            continue;
        if (lacks_space_after_colon(above)) {
            l->fault->place = (struct yaml_place){line, above.n - str_trim(above).n + 1};
            return say_space_after_colon(l, above);
        }
        if (str_chr(above, ':') == above.n)
            return arena_printf(l->arena, "no key may begin here: line %zu above is no `key: value`", line).p;
        return arena_printf(l->arena,
                            "no key may begin here: it is indented as a part of line %zu above, which has a value; "
                            "keys of one map begin in the same column",
                            line)
            .p;
    }
    return "no key may begin here; a value that holds a colon and a space " QUOTE_IT;
}

static const char *bad_name(struct look *l) {
    l->fault->place = l->fault->context_place;
    return arena_printf(l->arena, "a value that begins with %c " QUOTE_IT, character_at(l, l->fault->place)).p;
}

static const char *in_flow(struct look *l, const char *what, char closes) {
    struct yaml_fault *f = l->fault;
    const char *begun = yaml_where_in_words(l->arena, l->source, f->context_place);
    struct str before = before_place(l, f->place);

    if (character_at(l, f->place) == '{' && str_ends(before, STR("$"))) {
        f->place.column--;
        return "${…} inside of [ ] or { } needs quotes: \"${…}\"";
    }
    if (f->place.line > f->context_place.line || character_at(l, f->place) == '\0') {
        bool at_end = yaml_source_from(l->source, f->place).n == 0;
        size_t line = f->place.line;
        f->place = f->context_place;
        if (at_end)
            return arena_printf(l->arena, "the %s that begins here is not closed: %c is missing", what, closes).p;
        return arena_printf(l->arena, "the %s that begins here is not closed: %c or a comma is missing before line %zu",
                            what, closes, line)
            .p;
    }
    return arena_printf(
               l->arena,
               "a comma or %c is missing in the %s that begins at %s; text that holds any of [ ] { } , or `: ` "
               "needs quotes there",
               closes, what, begun)
        .p;
}

static const char *in_flow_list(struct look *l) {
    return in_flow(l, "list", ']');
}

static const char *in_flow_map(struct look *l) {
    return in_flow(l, "map", '}');
}

static const char *no_content(struct look *l) {
    char c = character_at(l, l->fault->place);

    if (c == ':' && !str_starts(yaml_source_from(l->source, l->fault->place), STR("::")))
        return "a key is missing before the colon";
    if (c == ':')
        return "an IPv6 address needs quotes: \"[::1]:3838\"; so does every value that begins with [ or { and is no "
               "list or map";
    if (c == ',' || ((c == ']' || c == '}') && strstr(l->fault->context, "flow") != NULL))
        return arena_printf(l->arena, "a value is missing before %c", c).p;
    if (c == '\0')
        return strstr(l->fault->context, "flow") == NULL
                   ? "a value is missing here"
                   : "a list or map was opened and not closed before this place: ] or } is missing";
    return arena_printf(l->arena, "a value cannot begin with %c here; text " QUOTE_IT, c).p;
}

static const char *no_key(struct look *l) {
    const struct yaml_place map = l->fault->context_place;
    char last = last_before(l, l->fault->place), next = character_at(l, l->fault->place);

    if (last == '"' || last == '\'')
        return arena_printf(l->arena,
                            "text follows the closing quote; the whole value must stand inside, and a %c in it is "
                            "written %s",
                            last, last == '"' ? "\\\"" : "''")
            .p;
    if (last == '}' || last == ']')
        return arena_printf(l->arena, "text follows the closing %c; a value that begins with %c and goes on " QUOTE_IT,
                            last, last == '}' ? '{' : '[')
            .p;
    if (next == ':')
        return "a key is missing before the colon";
    if (next == ']' || next == '}' || next == ',')
        return arena_printf(l->arena, "%c closes nothing here; a value that holds it " QUOTE_IT, next).p;
    return arena_printf(
               l->arena,
               "the indentation fits no line above: the map of these keys begins at line %zu, column %zu; keys "
               "of one map begin in the same column",
               map.line, map.column)
        .p;
}

static const char *no_dash(struct look *l) {
    const struct yaml_place list = l->fault->context_place;

    return arena_printf(l->arena,
                        "this line stands in the list that begins at line %zu, column %zu, but does not begin with "
                        "`- `; keys that follow a list begin in the column of the list's key",
                        list.line, list.column)
        .p;
}

static const char *open_quote(struct look *l) {
    l->fault->place = l->fault->context_place;
    return arena_printf(l->arena, "the quote %c that opens here is never closed", character_at(l, l->fault->place)).p;
}

static const char *bad_escape(struct look *l) {
    (void)l;
    return "in \"double quotes\" a \\ begins an escape such as \\n or \\\", and this is none; write \\\\ for the "
           "character itself, or use 'single quotes'";
}

/* Finds libyaml's words by their parts; the first row that fits. */
static const struct {
    const char *context, *problem; /* NULL: any */
    const char *(*look)(struct look *l);
    const char *text; /* where there is nothing to look at */
} rows[] = {
    {NULL, "found character that cannot start any token", bad_start, NULL},
    {NULL, "found a tab character", tab, NULL},
    {NULL, "could not find expected ':'", no_colon, NULL},
    {NULL, "mapping values are not allowed", second_colon, NULL},
    {NULL, "block sequence entries are not allowed", NULL,
     "a list cannot begin here: `- ` items stand on lines of their own below the key, and in one line a list is "
     "written "
     "[a, b]; text that begins with `- ` " QUOTE_IT},
    {NULL, "mapping keys are not allowed", NULL, "a value that begins with `? ` " QUOTE_IT},
    {"scanning an alias", NULL, bad_name, NULL},
    {"scanning an anchor", NULL, bad_name, NULL},
    {"flow sequence", "did not find expected ',' or ']'", in_flow_list, NULL},
    {"flow mapping", "did not find expected ',' or '}'", in_flow_map, NULL},
    {NULL, "did not find expected node content", no_content, NULL},
    {"block mapping", "did not find expected key", no_key, NULL},
    {NULL, "did not find expected '-' indicator", no_dash, NULL},
    {"quoted scalar", "found unexpected end of stream", open_quote, NULL},
    {"quoted scalar", "found unexpected document indicator", open_quote, NULL},
    {"quoted scalar", NULL, bad_escape, NULL},
    {"block scalar", NULL, NULL,
     "after | or > the text begins on the next line, indented; a value that begins with | or > " QUOTE_IT},
    {"directive", NULL, NULL, "a line that begins with % is a YAML directive; none is needed here"},
    {"TAG", NULL, NULL, "%TAG lines are not allowed"},
    {" tag", NULL, bad_name, NULL},
    {NULL, "tag handle", bad_name, NULL},
    {NULL, "incompatible YAML document", NULL, "this YAML version is not known; 1.1 and 1.2 are allowed"},
    {NULL, "%YAML directive", NULL, "%YAML may stand in a file once"},
    {NULL, "<document start>", NULL,
     "the text goes on after the value has ended; a value that begins with a quote, [ or { ends with its counterpart"},
};

static bool fits(const char *part, const char *said) {
    return part == NULL || (said != NULL && strstr(said, part) != NULL);
}

const char *yaml_fault_explain(struct arena *a, const struct yaml_source *source, struct yaml_fault *fault) {
    struct look look = {a, source, fault};
    const char *said = fault->problem == NULL ? "this cannot be read" : fault->problem, *message = NULL;

    for (size_t i = 0; message == NULL && i < ARRAY_LENGTH(rows); i++)
        if (fits(rows[i].context, fault->context) && fits(rows[i].problem, fault->problem))
            message = rows[i].look != NULL ? rows[i].look(&look) : rows[i].text;
    if (message == NULL)
        message = fault->context == NULL ? said
                                         : arena_printf(a, "%s %s that begins at %s", said, fault->context,
                                                        yaml_where_in_words(a, source, fault->context_place))
                                               .p;
    if (source->name != NULL)
        return message;
    return arena_printf(a, "%s (at %s)", message, yaml_where_in_words(a, source, fault->place)).p;
}
