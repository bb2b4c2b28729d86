/*
 * The quoting rules of the POSIX shell (2.2), and nothing else of it. `$` and
 * globs stay what they are: ${VAR} was expanded by the configuration before.
 */
#include "config/shell_words.h"

struct splitter {
    struct str rest; /* still to be read */
    char *word;      /* as long as the line: never too small */
    size_t n;
    bool in_word; /* '' is a word too */
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static char take(struct splitter *s) {
    char c = s->rest.p[0];
    s->rest = str_from(s->rest, 1);
    return c;
}

static void put(struct splitter *s, char c) {
    s->word[s->n++] = c;
    s->in_word = true;
}

static bool single_quoted(struct splitter *s) {
    s->in_word = true;
    while (s->rest.n > 0) {
        char c = take(s);
        if (c == '\'')
            return true;
        put(s, c);
    }
    return false;
}

static bool double_quoted(struct splitter *s) {
    s->in_word = true;
    while (s->rest.n > 0) {
        char c = take(s);
        if (c == '"')
            return true;
        if (c == '\\' && s->rest.n > 0 && strchr("\"\\$`\n", s->rest.p[0]) != NULL) {
            c = take(s);
            if (c == '\n')
                continue;
        }
        put(s, c);
    }
    return false;
}

/* One unquoted character and what it opens. */
static bool step(struct splitter *s, const char **why) {
    char c = take(s);

    switch (c) {
    case '\'':
        *why = "a ' is not closed";
        return single_quoted(s);
    case '"':
        *why = "a \" is not closed";
        return double_quoted(s);
    case '\\':
        *why = "a backslash at the end";
        if (s->rest.n == 0)
            return false;
        c = take(s);
        if (c != '\n')
            put(s, c);
        return true;
    case '|':
    case '&':
    case ';':
    case '<':
    case '>':
    case '`':
        *why = "no shell runs it, so |, &, ;, <, > and ` must be quoted; for a shell write [sh, -c, \"…\"]";
        return false;
    default:
        put(s, c);
        return true;
    }
}

bool shell_words(struct arena *a, struct str line, struct strings *words, const char **why) {
    struct splitter s = {.rest = line, .word = arena_bytes(a, line.n + 1)};
    size_t most = line.n / 2 + 1;

    *words = (struct strings){0, ARENA_ARRAY(a, const char *, most)};
    for (;;) {
        if (s.rest.n == 0 || is_blank(s.rest.p[0])) {
            if (s.in_word)
                words->v[words->n++] = arena_str(a, str_make(s.word, s.n)).p;
            s.n = 0;
            s.in_word = false;
            if (s.rest.n == 0)
                return true;
            take(&s);
        } else if (!step(&s, why))
            return false;
    }
}
