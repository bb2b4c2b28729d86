/*
 * The guard's state machine for start lines and field lines. The hot loops are
 * two spans over a class table (names and values); everything else is one byte
 * a state. A refusal names what was wrong, so that the person who wrote
 * the peer can find it.
 */
#include "http/guard.h"

#include "base/check.h"

/* Bits as in guard.h. Sixteen bytes a line; the first of each line stands at its end. */
/* clang-format off */
const uint8_t http_class[256] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x24, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 00 */
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, /* 10 */
    0x24, 0x67, 0x06, 0x25, 0x67, 0x27, 0x67, 0x67, 0x66, 0x66, 0x67, 0x67, 0x66, 0x67, 0x67, 0x26, /* 20 */
    0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x26, 0x66, 0x26, 0x66, 0x26, 0x26, /* 30 */
    0x26, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, /* 40 */
    0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x26, 0x06, 0x26, 0x27, 0x67, /* 50 */
    0x27, 0x77, 0x77, 0x77, 0x77, 0x77, 0x77, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, /* 60 */
    0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x67, 0x26, 0x27, 0x26, 0x67, 0x00, /* 70 */
    0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, /* 80 */
    0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, /* 90 */
    0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, /* a0 */
    0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, /* b0 */
    0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, /* c0 */
    0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, /* d0 */
    0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, /* e0 */
    0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, 0x24, /* f0 */
};
/* clang-format on */

/* Up to LINE_LF the start line; the order matters for 414 against 431. */
enum state {
    METHOD_FIRST,
    METHOD,
    TARGET_FIRST,
    TARGET,
    VERSION,
    REPLY_VERSION,
    STATUS,
    STATUS_END,
    REASON,
    LINE_CR,
    LINE_LF,
    FIELD_FIRST,
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    FINISHED,
    REFUSED
};

static const uint8_t *span(const uint8_t *p, const uint8_t *end, unsigned classes) {
    while (p < end && (http_class[*p] & classes) != 0)
        p++;
    return p;
}

bool http_all_of(struct str s, unsigned classes) {
    const uint8_t *p = (const uint8_t *)s.p;
    return s.n == 0 || span(p, p + s.n, classes) == p + s.n;
}

void guard_init(struct guard *g, enum guard_kind kind, size_t limit, size_t field_limit) {
    static const uint8_t first[] = {
        [GUARD_REQUEST] = METHOD_FIRST, [GUARD_REPLY] = REPLY_VERSION, [GUARD_TRAILERS] = FIELD_FIRST};
    *g = (struct guard){.kind = (uint8_t)kind, .state = first[kind], .limit = limit, .field_limit = field_limit};
}

static const uint8_t *refuse(struct guard *g, const uint8_t *p, unsigned status, const char *why) {
    g->state = REFUSED;
    g->status = status;
    g->why = why;
    return p;
}

/* "HTTP/1.0" or "HTTP/1.1", a byte at a time; .matched counts. Other versions are told from nonsense (505 against 400).
 */
static const uint8_t *look_version(struct guard *g, const uint8_t *p, const uint8_t *end, enum state next) {
    static const char literal[] = "HTTP/1.";
    enum { MAJOR = 5, MINOR = 7 };
    for (; p < end; p++) {
        bool digit = (http_class[*p] & HTTP_CLASS_DIGIT) != 0;
        if (g->matched == MINOR) {
            if (*p != '0' && *p != '1')
                return refuse(g, p, digit ? 505 : 400, "HTTP version is not 1.0 or 1.1");
            g->matched = 0;
            g->state = (uint8_t)next;
            return p + 1;
        }
        if (*p != (uint8_t)literal[g->matched]) {
            if (g->matched == MAJOR && digit)
                return refuse(g, p, 505, "HTTP version is not 1.0 or 1.1");
            return refuse(g, p, 400, *p == ' ' ? "more than one space in the start line" : "malformed HTTP version");
        }
        g->matched++;
    }
    return p;
}

static const char *bad_target(uint8_t c) {
    return c == '\r' || c == '\n' ? "no HTTP version in the request line (HTTP/0.9)"
           : c == '#'             ? "fragment in the request target"
           : c == ' '             ? "more than one space in the request line"
                                  : "byte not allowed in the request target";
}

static const char *bad_line_end(uint8_t c) {
    return c == '\n' ? "bare line feed" : "more after the HTTP version";
}

static const uint8_t *look_request_line(struct guard *g, const uint8_t *p, const uint8_t *end) {
    switch (g->state) {
    case METHOD_FIRST:
    case METHOD: {
        const uint8_t *stop = span(p, end, HTTP_CLASS_TOKEN);
        if (stop > p)
            g->state = METHOD;
        if (stop == end)
            return stop;
        if (*stop != ' ' || g->state == METHOD_FIRST)
            return refuse(g, stop, 400,
                          *stop == '\r' || *stop == '\n' ? "bare line end" : "byte not allowed in the method");
        g->state = TARGET_FIRST;
        return stop + 1;
    }
    case TARGET_FIRST:
        if ((http_class[*p] & HTTP_CLASS_TARGET) == 0)
            return refuse(g, p, 400, bad_target(*p));
        g->state = TARGET;
        return p + 1;
    case TARGET:
        p = span(p, end, HTTP_CLASS_TARGET);
        if (p == end)
            return p;
        if (*p != ' ')
            return refuse(g, p, 400, bad_target(*p));
        g->state = VERSION;
        return p + 1;
    default:
        return look_version(g, p, end, LINE_CR);
    }
}

/* RFC 9112 4: the space before a missing reason phrase is asked for; many servers leave it out, which harms nobody. */
static const uint8_t *look_status_line(struct guard *g, const uint8_t *p, const uint8_t *end) {
    switch (g->state) {
    case REPLY_VERSION:
        return look_version(g, p, end, STATUS);
    case STATUS: /* a space, then three digits */
        if (g->matched == 0 ? *p != ' ' : (http_class[*p] & HTTP_CLASS_DIGIT) == 0)
            return refuse(g, p, 400, "malformed status code");
        if (++g->matched == 4) {
            g->matched = 0;
            g->state = STATUS_END;
        }
        return p + 1;
    case STATUS_END:
        if (*p != ' ' && *p != '\r')
            return refuse(g, p, 400, *p == '\n' ? "bare line feed" : "malformed status code");
        g->state = *p == ' ' ? REASON : LINE_LF;
        return p + 1;
    default: /* REASON */
        p = span(p, end, HTTP_CLASS_VALUE);
        if (p == end)
            return p;
        if (*p != '\r')
            return refuse(g, p, 400, *p == '\n' ? "bare line feed" : "byte not allowed in the reason phrase");
        g->state = LINE_LF;
        return p + 1;
    }
}

static const uint8_t *look_start_line(struct guard *g, const uint8_t *p, const uint8_t *end) {
    while (p < end && g->state <= LINE_LF) {
        if (g->state == LINE_CR) {
            if (*p != '\r')
                return refuse(g, p, 400, bad_line_end(*p));
            g->state = LINE_LF;
            p++;
        } else if (g->state == LINE_LF) {
            if (*p != '\n')
                return refuse(g, p, 400, "carriage return without line feed");
            g->state = FIELD_FIRST;
            p++;
        } else {
            p = g->kind == GUARD_REQUEST ? look_request_line(g, p, end) : look_status_line(g, p, end);
        }
    }
    return p;
}

static const char *bad_first(const struct guard *g, uint8_t c) {
    if (c == ' ' || c == '\t')
        return g->fields == 0 ? "white space before the first field" : "folded field line (obs-fold)";
    return c == '\n' ? "bare line feed" : c == ':' ? "empty field name" : "byte not allowed in a field name";
}

static const char *bad_name(uint8_t c) {
    return c == ' ' || c == '\t'    ? "space in a field name or before its colon"
           : c == '\r' || c == '\n' ? "field line without colon"
                                    : "byte not allowed in a field name";
}

static const uint8_t *look_fields(struct guard *g, const uint8_t *p, const uint8_t *end) {
    while (p < end) {
        switch (g->state) {
        case FIELD_FIRST:
            if (*p == '\r') {
                g->state = END_LF;
            } else if ((http_class[*p] & HTTP_CLASS_TOKEN) == 0) {
                return refuse(g, p, 400, bad_first(g, *p));
            } else {
                if (g->fields == g->field_limit)
                    return refuse(g, p, 431, "too many fields");
                g->fields++;
                g->state = NAME;
            }
            p++;
            break;
        case NAME:
            p = span(p, end, HTTP_CLASS_TOKEN);
            if (p == end)
                return p;
            if (*p != ':')
                return refuse(g, p, 400, bad_name(*p));
            g->state = VALUE;
            p++;
            break;
        case VALUE:
            p = span(p, end, HTTP_CLASS_VALUE);
            if (p == end)
                return p;
            if (*p != '\r')
                return refuse(g, p, 400, *p == '\n' ? "bare line feed" : "control character in a field value");
            g->state = VALUE_LF;
            p++;
            break;
        default: /* VALUE_LF, END_LF */
            if (*p != '\n')
                return refuse(g, p, 400, "carriage return without line feed");
            p++;
            if (g->state == END_LF) {
                g->state = FINISHED;
                return p;
            }
            g->state = FIELD_FIRST;
            break;
        }
    }
    return p;
}

static void too_long(struct guard *g) {
    if (g->kind == GUARD_TRAILERS)
        (void)refuse(g, NULL, 431, "trailer section too long");
    else if (g->state <= LINE_LF)
        (void)refuse(g, NULL, 414, "request line too long");
    else
        (void)refuse(g, NULL, 431, "head too long");
}

enum guard_verdict guard_look(struct guard *g, struct str bytes) {
    ASSERT(g->state < FINISHED && bytes.n >= g->seen);
    if (bytes.n == 0)
        return GUARD_MORE;
    const uint8_t *base = (const uint8_t *)bytes.p;
    const uint8_t *end = base + (bytes.n < g->limit ? bytes.n : g->limit);
    const uint8_t *p = base + g->seen;
    p = look_start_line(g, p, end);
    if (g->state != REFUSED)
        p = look_fields(g, p, end);
    g->seen = (size_t)(p - base);
    if (g->state == FINISHED)
        return GUARD_DONE;
    if (g->state != REFUSED && g->seen == g->limit)
        too_long(g);
    return g->state == REFUSED ? GUARD_BAD : GUARD_MORE;
}
