/*
 * Most paths are in normal form already, and then nothing is copied. The
 * others are rewritten segment by segment; a percent-encoding is read exactly
 * once, so that %252e stays what it is.
 */
#include "route/path.h"

enum { PLAIN, ENCODE, PERCENT, CONTROL };

/* '?' and '#' never come here from the reader; encoded they do no harm. */
static int class_of(unsigned char c) {
    if (c < 0x20 || c == 0x7f)
        return CONTROL;
    if (c == '%')
        return PERCENT;
    return c > 0x7f || memchr(" \"<>\\^`{|}?#", c, 12) != NULL ? ENCODE : PLAIN;
}

static bool is_unreserved(unsigned char c) {
    char lower = ascii_lower((char)c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

static int hex_value(char c) {
    char lower = ascii_lower(c);
    return lower >= '0' && lower <= '9' ? lower - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Room that the normal form needs at most; 0 with *why: refused. *plain: it is the normal form. */
static size_t survey(struct str path, bool *plain, const char **why) {
    size_t room = path.n;
    *plain = true;
    for (size_t i = 0; i < path.n; i++) {
        switch (class_of((unsigned char)path.p[i])) {
        case CONTROL:
            *why = "control character in the path";
            return 0;
        case PERCENT:
            *plain = false;
            if (path.n - i < 3 || hex_value(path.p[i + 1]) < 0 || hex_value(path.p[i + 2]) < 0) {
                *why = "malformed percent-encoding in the path";
                return 0;
            }
            if (path.p[i + 1] == '0' && path.p[i + 2] == '0') {
                *why = "NUL in the path";
                return 0;
            }
            break;
        case ENCODE:
            *plain = false;
            room += 2;
            break;
        default: /* "/." begins what may be a dot segment */
            if (path.p[i] == '.' && path.p[i - 1] == '/')
                *plain = false;
            break;
        }
    }
    return room;
}

static char *put_encoded(char *out, unsigned char c) {
    static const char hex[] = "0123456789ABCDEF";
    *out++ = '%';
    *out++ = hex[c >> 4];
    *out++ = hex[c & 15];
    return out;
}

/* One segment without its '/'; *taken: bytes of it in the path. */
static char *put_segment(char *out, struct str path, size_t *taken) {
    size_t i = 0;
    while (i < path.n && path.p[i] != '/') {
        unsigned char c = (unsigned char)path.p[i];
        if (c == '%') {
            c = (unsigned char)((unsigned)hex_value(path.p[i + 1]) << 4 | (unsigned)hex_value(path.p[i + 2]));
            i += 3;
            if (!is_unreserved(c)) {
                out = put_encoded(out, c);
                continue;
            }
        } else {
            i++;
        }
        if (class_of(c) == ENCODE)
            out = put_encoded(out, c);
        else
            *out++ = (char)c;
    }
    *taken = i;
    return out;
}

static struct str rewrite(char *begin, struct str path) {
    char *out = begin;
    for (size_t at = 0; at < path.n;) {
        char *slash = out;
        size_t taken;
        *out++ = '/';
        out = put_segment(out, str_from(path, at + 1), &taken);
        at += 1 + taken;
        struct str segment = str_make(slash + 1, (size_t)(out - slash) - 1);
        bool up = str_eq(segment, STR(".."));
        if (!up && !str_eq(segment, STR(".")))
            continue;
        out = slash;
        if (up) { /* RFC 3986 5.2.4: the segment before goes too; above the root there is only the root */
            while (out > begin && *--out != '/')
                continue;
        }
        if (at >= path.n)
            *out++ = '/';
    }
    return str_make(begin, (size_t)(out - begin));
}

struct str path_normalise(struct arena *a, struct str path, const char **why) {
    bool plain;
    if (path.n == 0 || path.p[0] != '/') {
        *why = "path does not begin with a slash";
        return STR_NONE;
    }
    size_t room = survey(path, &plain, why);
    if (room == 0)
        return STR_NONE;
    if (plain)
        return path;
    return rewrite(arena_bytes(a, room + 1), path);
}

struct str host_normalise(struct arena *a, struct str host) {
    size_t n = host.n;
    if (n > 0 && host.p[0] == '[') {
        size_t close = str_chr(host, ']');
        n = close < host.n ? close + 1 : host.n;
    } else {
        n = str_chr(host, ':');
        if (n > 1 && host.p[n - 1] == '.')
            n--;
    }
    char *out = arena_bytes(a, n + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = ascii_lower(host.p[i]);
    out[n] = '\0';
    return str_make(out, n);
}
