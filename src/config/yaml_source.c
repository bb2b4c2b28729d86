/*
 * The bytes of a YAML text before libyaml sees them. libyaml would find some
 * of this too, but counts bytes where a person counts lines, and takes UTF-16
 * and control characters in ways that nobody wants in a configuration.
 */
#include "config/yaml_parts.h"

#define TAG_LINES_MAX 16

const char *yaml_where(struct arena *a, const struct yaml_source *source, struct yaml_place place) {
    if (source->name == NULL)
        return source->where;
    return arena_printf(a, "%s:%zu:%zu", source->name, place.line, place.column).p;
}

const char *yaml_where_in_words(struct arena *a, const struct yaml_source *source, struct yaml_place place) {
    if (source->name == NULL && place.line == 1)
        return arena_printf(a, "character %zu", place.column).p;
    return arena_printf(a, "line %zu", place.line).p;
}

static size_t line_end(struct str text, size_t at) {
    while (at < text.n && text.p[at] != '\n' && text.p[at] != '\r')
        at++;
    return at;
}

static size_t after_line_end(struct str text, size_t end) {
    if (end + 1 < text.n && text.p[end] == '\r' && text.p[end + 1] == '\n')
        return end + 2;
    return end < text.n ? end + 1 : end;
}

struct str yaml_source_line(const struct yaml_source *source, size_t line) {
    size_t at = 0;

    for (; line > 1; line--)
        at = after_line_end(source->text, line_end(source->text, at));
    return str_make(source->text.p + at, line_end(source->text, at) - at);
}

struct str yaml_source_from(const struct yaml_source *source, struct yaml_place place) {
    struct str line = yaml_source_line(source, place.line);
    size_t at = 0;

    for (size_t column = 1; at < line.n && column < place.column; column++)
        for (at++; at < line.n && (line.p[at] & 0xc0) == 0x80;)
            at++;
    return str_from(line, at);
}

/* Length of the UTF-8 sequence at the front (RFC 3629: shortest form, no surrogates, to U+10FFFF); 0: it is none. */
static size_t utf8_length(const unsigned char *p, size_t n) {
    static const struct {
        unsigned char first, last, low, high; /* first byte from..to, second byte from..to */
        unsigned char length;
    } forms[] = {
        {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(forms); i++) {
        if (p[0] < forms[i].first || p[0] > forms[i].last)
            continue;
        if (forms[i].length == 1)
            return 1;
        if (n < forms[i].length || p[1] < forms[i].low || p[1] > forms[i].high)
            return 0;
        for (size_t k = 2; k < forms[i].length; k++)
            if ((p[k] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static bool refuse(struct arena *a, const struct yaml_source *source, struct yaml_place place,
                   struct problems *problems, const char *message) {
    problem_add(problems, PROBLEM_ERROR, yaml_where(a, source, place), "", "%s", message);
    return false;
}

/* NULL: fine. */
static const char *judge_character(const unsigned char *p, size_t length) {
    if (length == 0)
        return "this is not UTF-8 text; save the file in the encoding UTF-8";
    if (p[0] == 0)
        return "a NUL byte; only text is allowed";
    if ((p[0] < 0x20 && p[0] != '\t' && p[0] != '\n' && p[0] != '\r') || p[0] == 0x7f)
        return "a control character; only text is allowed (in \"double quotes\" it can be written as \\xNN)";
    if (length == 2 && p[0] == 0xc2 && p[1] < 0xa0 && p[1] != 0x85)
        return "a control character; only text is allowed (in \"double quotes\" it can be written as \\xNN)";
    if (length == 3 && p[0] == 0xef && p[1] == 0xbf && p[2] >= 0xbe)
        return "a character that is none (U+FFFE or U+FFFF); only text is allowed";
    if (length == 3 && p[0] == 0xef && p[1] == 0xbb && p[2] == 0xbf)
        return "a byte order mark in the middle of the text; take it away";
    return NULL;
}

bool yaml_source_check(struct arena *a, struct yaml_source *source, struct problems *problems) {
    struct yaml_place place = {1, 1};
    size_t tag_lines = 0;

    if (str_starts(source->text, STR("\xff\xfe")) || str_starts(source->text, STR("\xfe\xff")))
        return refuse(a, source, place, problems, "this is UTF-16 text; save the file in the encoding UTF-8");
    if (str_starts(source->text, STR("\xef\xbb\xbf"))) /* some Windows editors put it there */
        source->text = str_from(source->text, 3);

    for (size_t at = 0; at < source->text.n;) {
        const unsigned char *p = (const unsigned char *)source->text.p + at;
        size_t left = source->text.n - at, length = utf8_length(p, left);
        const char *wrong = judge_character(p, length);

        if (wrong != NULL)
            return refuse(a, source, place, problems, wrong);
        if (place.column == 1 && str_starts(str_from(source->text, at), STR("%TAG")) && ++tag_lines > TAG_LINES_MAX)
            return refuse(a, source, place, problems, "too many %TAG lines; none is needed here");
        at += length;
        if (p[0] == '\n' || (p[0] == '\r' && (left == 1 || p[1] != '\n'))) {
            place.line++;
            place.column = 1;
        } else {
            place.column++;
        }
    }
    return true;
}

const char *yaml_short(struct arena *a, struct str text) {
    size_t n = YAML_NAME_SHOWN;

    if (text.n <= n)
        return arena_str(a, text).p;
    while (n > 0 && (text.p[n] & 0xc0) == 0x80)
        n--;
    return arena_printf(a, "%.*s…", (int)n, text.p).p;
}

const char *key_path_text(struct arena *a, const struct key_path *path) {
    if (path == NULL || path->up == NULL)
        return "";
    const char *name = yaml_short(a, path->name);
    return path->up->up == NULL ? name : arena_printf(a, "%s.%s", key_path_text(a, path->up), name).p;
}
