/*
 * Reads .Renviron and .env texts (dotenv.h tells the two apart). A text is
 * bytes from outside: whatever is in it ends in a value or in a problem that
 * names file and line.
 *
 * Odd: while a value is taken over, a literal "${" (in single quotes, or after
 * a backslash) is written "$${", which dotenv_expand turns back.
 */
#include "app/dotenv.h"

#include <ctype.h>
#include <stdio.h>

#include "base/buf.h"

#define EXPAND_DEPTH_MAX 16

struct reader {
    struct arena *arena;
    struct str text;
    size_t at;
    unsigned line;
    enum dotenv_dialect dialect;
    const char *name;
    struct string_map *into;
    struct problems *problems;
    struct buf value;
};

static void complain(struct reader *r, enum problem_level level, unsigned line, const char *message) {
    problem_add(r->problems, level, arena_printf(r->arena, "%s:%u", r->name, line).p, "", "%s", message);
}

static bool more(const struct reader *r) {
    return r->at < r->text.n;
}

static char peek(const struct reader *r, size_t ahead) {
    return r->at + ahead < r->text.n ? r->text.p[r->at + ahead] : '\n';
}

static void skip_blanks(struct reader *r) {
    while (more(r) && (peek(r, 0) == ' ' || peek(r, 0) == '\t' || peek(r, 0) == '\r'))
        r->at++;
}

/* To the first byte of the next line. */
static void skip_line(struct reader *r) {
    while (more(r) && r->text.p[r->at++] != '\n')
        ;
    r->line++;
}

static bool is_name_char(char c, bool first) {
    return isalpha((unsigned char)c) || c == '_' || (!first && (isdigit((unsigned char)c) || c == '.'));
}

/* The name before '='; empty when the line has none. */
static struct str take_name(struct reader *r) {
    size_t begin = r->at;
    while (more(r) && is_name_char(peek(r, 0), r->at == begin))
        r->at++;
    struct str name = str_make(r->text.p + begin, r->at - begin);
    skip_blanks(r);
    if (name.n == 0 || !more(r) || peek(r, 0) != '=')
        return STR_NONE;
    r->at++;
    return name;
}

static void put_literal(struct reader *r) {
    if (peek(r, 0) == '$' && peek(r, 1) == '{')
        buf_append_char(&r->value, '$');
    buf_append_char(&r->value, peek(r, 0));
    r->at++;
}

/* After a backslash in double quotes of a .env. */
static void take_escape(struct reader *r) {
    static const char from[] = "nrt\"\\", to[] = "\n\r\t\"\\";
    const char *found = memchr(from, peek(r, 1), sizeof from - 1);
    if (found != NULL) {
        buf_append_char(&r->value, to[found - from]);
        r->at += 2;
    } else if (peek(r, 1) == '$') {
        r->at++;
        put_literal(r);
    } else { /* any other backslash is one */
        buf_append_char(&r->value, '\\');
        r->at++;
    }
}

/* A quoted section, the opening quote being next. False: it never ends. */
static bool take_quoted(struct reader *r) {
    const char quote = peek(r, 0);
    bool env = r->dialect == DOTENV_ENV;
    for (r->at++; more(r) && peek(r, 0) != quote;) {
        char c = peek(r, 0);
        if (c == '\n') {
            if (!env)
                return false;
            r->line++;
        }
        if (c == '\\' && env && quote == '"' && r->at + 1 < r->text.n) {
            take_escape(r);
        } else if (c == '\\' && !env && peek(r, 1) == quote) {
            r->at++;
            put_literal(r);
        } else if (env && quote == '\'') {
            put_literal(r);
        } else {
            buf_append_char(&r->value, c);
            r->at++;
        }
    }
    if (!more(r))
        return false;
    r->at++;
    return true;
}

/* Outside quotes, up to the line's end: trailing blanks go. False: a quote is not closed. */
static bool take_value(struct reader *r) {
    size_t keep = 0; /* bytes that trimming must leave */
    bool env = r->dialect == DOTENV_ENV, blank = true;
    buf_free(&r->value);
    skip_blanks(r);
    while (more(r) && peek(r, 0) != '\n') {
        char c = peek(r, 0);
        if ((c == '"' || c == '\'') && (!env || keep == 0)) {
            if (!take_quoted(r))
                return false;
            keep = buf_length(&r->value);
            blank = false;
            if (env) { /* one quoted text is the value; what may follow is a comment */
                skip_blanks(r);
                return !more(r) || peek(r, 0) == '\n' || peek(r, 0) == '#';
            }
            continue;
        }
        if (env && c == '#' && blank)
            break;
        if (c == '\\' && !env && peek(r, 1) != '\n') {
            r->at++;
            c = peek(r, 0);
        }
        buf_append_char(&r->value, c);
        r->at++;
        blank = c == ' ' || c == '\t' || c == '\r';
        if (!blank)
            keep = buf_length(&r->value);
    }
    r->value.end = r->value.start + keep;
    return true;
}

static void map_put(struct arena *a, struct string_map *map, struct str key, struct str value) {
    const char *v = arena_str(a, value).p;
    for (size_t i = 0; i < map->n; i++)
        if (str_eq(str_of(map->v[i].key), key)) {
            map->v[i].value = v;
            return;
        }
    struct string_map more_ = {.n = map->n + 1, .v = arena_alloc(a, (map->n + 1) * sizeof *map->v)};
    if (map->n > 0)
        memcpy(more_.v, map->v, map->n * sizeof *map->v);
    more_.v[map->n].key = arena_str(a, key).p;
    more_.v[map->n].value = v;
    *map = more_;
}

static void take_line(struct reader *r) {
    unsigned line = r->line;
    skip_blanks(r);
    if (!more(r) || peek(r, 0) == '\n' || peek(r, 0) == '#') {
        skip_line(r);
        return;
    }
    if (r->dialect == DOTENV_ENV && str_starts(str_from(r->text, r->at), STR("export"))) {
        size_t begin = r->at;
        r->at += 6;
        skip_blanks(r);
        if (r->at == begin + 6 || peek(r, 0) == '=') /* a variable of that name */
            r->at = begin;
    }
    struct str name = take_name(r);
    if (name.n == 0) {
        complain(r, PROBLEM_WARNING, line, "is not NAME=value; the line is ignored");
        skip_line(r);
        return;
    }
    if (take_value(r))
        map_put(r->arena, r->into, name, buf_str(&r->value));
    else
        complain(r, PROBLEM_ERROR, line, "a quote is not closed, or something follows the closing one");
    skip_line(r);
}

void dotenv_parse(struct arena *a, struct str text, enum dotenv_dialect dialect, const char *name,
                  struct string_map *into, struct problems *problems) {
    struct reader r = {
        .arena = a, .text = text, .line = 1, .dialect = dialect, .name = name, .into = into, .problems = problems};
    if (text.n > 0 && memchr(text.p, '\0', text.n) != NULL) {
        complain(&r, PROBLEM_ERROR, 1, "holds a NUL byte: this is no text file");
        return;
    }
    if (str_starts(text, STR("\xef\xbb\xbf")))
        r.at = 3; /* a byte order mark */
    while (more(&r))
        take_line(&r);
    buf_free(&r.value);
}

/* ---- ${…}
 * ----------------------------------------------------------------------------------------------------------*/

struct expansion {
    struct arena *arena;
    const char *(*lookup)(const void *of, struct str name);
    const void *of;
};

/* Offset of the '}' that closes the "${" at the front of s; s.n: none. */
static size_t closing(struct str s) {
    size_t depth = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '$' && i + 1 < s.n && s.p[i + 1] == '{') {
            depth++;
            i++;
        } else if (s.p[i] == '}' && --depth == 0) {
            return i;
        }
    }
    return s.n;
}

static void expand(const struct expansion *x, struct str s, unsigned depth, struct buf *out);

/* What stands between "${" and "}". */
static void expand_one(const struct expansion *x, struct str inside, unsigned depth, struct buf *out) {
    size_t dash = str_chr(inside, '-');
    struct str name = str_make(inside.p, dash);
    if (dash < inside.n && str_ends(name, STR(":")))
        name.n--;
    const char *value = x->lookup(x->of, name);
    if (value != NULL && *value != '\0')
        buf_append(out, str_of(value));
    else if (dash < inside.n)
        expand(x, str_from(inside, dash + 1), depth + 1, out);
}

static void expand(const struct expansion *x, struct str s, unsigned depth, struct buf *out) {
    for (size_t i = 0; i < s.n;) {
        struct str rest = str_from(s, i);
        if (str_starts(rest, STR("$${"))) {
            buf_append(out, STR("${"));
            i += 3;
            continue;
        }
        size_t end = str_starts(rest, STR("${")) && depth < EXPAND_DEPTH_MAX ? closing(rest) : rest.n;
        if (end < rest.n) {
            expand_one(x, str_make(rest.p + 2, end - 2), depth, out);
            i += end + 1;
        } else {
            buf_append_char(out, s.p[i++]);
        }
    }
}

const char *dotenv_expand(struct arena *a, const char *template_,
                          const char *(*lookup)(const void *of, struct str name), const void *of) {
    if (strstr(template_, "${") == NULL)
        return template_;
    struct expansion x = {.arena = a, .lookup = lookup, .of = of};
    struct buf out = {0};
    expand(&x, str_of(template_), 0, &out);
    const char *text = arena_str(a, buf_str(&out)).p;
    buf_free(&out);
    return text;
}
