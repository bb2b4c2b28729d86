/*
 * The glue around http-parser: the guard passes a head, http-parser splits it,
 * head.c judges it; bodies with a length are sliced here, chunked ones pass the
 * chunk guard and then http-parser, and both must see the same.
 *
 * http-parser gets exactly one message's bytes and nothing after: so its
 * upgrade mode, its next message and its reading to the end of a connection
 * never happen.
 */
/* http-parser has a method HTTP_HEAD, we have an event of that name. */
#define HTTP_HEAD PARSER_METHOD_HEAD
#include <http_parser.h>
#undef HTTP_HEAD

#include "http/reader.h"

#include "base/miniobj.h"
#include "http/chunk.h"
#include "http/guard.h"
#include "http/head.h"

#define BLANK_LINES_MAX   4  /* CRLFs before a request (RFC 9112 2.2) */
#define INFORMATIONAL_MAX 16 /* 1xx heads before a reply */
#define FIELDS_DEFAULT    256
#define TRAILER_FIRST     512 /* bytes, then doubled */

enum read_state { READ_HEAD, READ_LENGTH, READ_CHUNKED, READ_TRAILERS, READ_UNTIL_CLOSE, READ_DONE, READ_DEAD };

/* What http-parser said during one execute, to be compared with what we know. */
struct heard {
    struct str url, reason, body;
    struct http_field *fields; /* room for as many as the guard counted */
    size_t room, count;
    bool overrun, head_complete, message_complete, chunked;
    size_t chunk_heads, bodies;
    uint64_t length;
};

struct http_reader {
    unsigned magic;
#define HTTP_READER_MAGIC 0x4ead4e55
    uint8_t state; /* enum read_state */
    bool request, head_method, upgrade_sent;
    unsigned blank_lines, informational;
    struct arena *arena;
    size_t header_size, field_limit;
    size_t earlier; /* bytes of complete heads, 1xx ones too */
    uint64_t left;  /* READ_LENGTH */
    struct guard guard;
    struct chunk_guard chunk;
    http_parser parser;
    struct heard heard;
    struct http_head head;
    struct http_error error;
    char *trailer; /* the section as it comes in; NULL before its first byte */
    size_t trailer_length, trailer_room;
    struct http_field *trailers;
    size_t trailer_count;
};

static int on_url(http_parser *p, const char *at, size_t n) {
    struct http_reader *r = p->data;
    r->heard.url = str_make(at, n);
    return 0;
}

static int on_status(http_parser *p, const char *at, size_t n) {
    struct http_reader *r = p->data;
    r->heard.reason = str_make(at, n);
    return 0;
}

static int on_field(http_parser *p, const char *at, size_t n) {
    struct heard *h = &((struct http_reader *)p->data)->heard;
    if (h->count == h->room) {
        h->overrun = true;
        return 1;
    }
    h->fields[h->count++].name = str_make(at, n);
    return 0;
}

static int on_value(http_parser *p, const char *at, size_t n) {
    struct heard *h = &((struct http_reader *)p->data)->heard;
    if (h->count == 0 || h->fields[h->count - 1].value.p != NULL) {
        h->overrun = true;
        return 1;
    }
    h->fields[h->count - 1].value = str_trim(str_make(at, n));
    return 0;
}

static int on_head_complete(http_parser *p) {
    struct heard *h = &((struct http_reader *)p->data)->heard;
    h->head_complete = true;
    h->chunked = (p->flags & F_CHUNKED) != 0;
    h->length = p->content_length;
    return 0;
}

static int on_chunk_head(http_parser *p) {
    struct heard *h = &((struct http_reader *)p->data)->heard;
    h->chunk_heads++;
    h->length = p->content_length;
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t n) {
    struct heard *h = &((struct http_reader *)p->data)->heard;
    h->bodies++;
    h->body = str_make(at, n);
    return 0;
}

static int on_message_complete(http_parser *p) {
    ((struct http_reader *)p->data)->heard.message_complete = true;
    return 0;
}

static const http_parser_settings settings = {.on_url = on_url,
                                              .on_status = on_status,
                                              .on_header_field = on_field,
                                              .on_header_value = on_value,
                                              .on_headers_complete = on_head_complete,
                                              .on_chunk_header = on_chunk_head,
                                              .on_body = on_body,
                                              .on_message_complete = on_message_complete};

void http_reader_setup(void) {
    http_parser_set_max_header_size(UINT32_C(1) << 30); /* process-wide; the guard counts for each message */
}

static struct http_reader *reader_new(struct arena *a, const struct http_limits *limits, bool request) {
    struct http_reader *r = ARENA_NEW(a, struct http_reader);
    r->magic = HTTP_READER_MAGIC;
    r->arena = a;
    r->request = request;
    r->header_size = limits->header_size;
    r->field_limit = limits->fields > 0 ? limits->fields : FIELDS_DEFAULT;
    guard_init(&r->guard, request ? GUARD_REQUEST : GUARD_REPLY, r->header_size, r->field_limit);
    return r;
}

struct http_reader *http_request_reader(struct arena *a, const struct http_limits *limits) {
    return reader_new(a, limits, true);
}

struct http_reader *http_reply_reader(struct arena *a, const struct http_limits *limits, bool head_method,
                                      bool upgrade_sent) {
    struct http_reader *r = reader_new(a, limits, false);
    r->head_method = head_method;
    r->upgrade_sent = upgrade_sent;
    return r;
}

static enum http_event fail(struct http_reader *r, unsigned status, const char *why, size_t offset) {
    r->state = READ_DEAD;
    r->error = (struct http_error){r->request ? status : 502, why, offset};
    return HTTP_BAD;
}

/* ---- heads ---- */

/* http-parser's own refusals that have a better word than its own, or another status than 400. */
static enum http_event refused_by_parser(struct http_reader *r, size_t offset) {
    static const struct {
        enum http_errno error;
        unsigned status;
        const char *why;
    } words[] = {
        {HPE_INVALID_METHOD, 501, "unknown method"},
        {HPE_UNEXPECTED_CONTENT_LENGTH, 400, "repeated Content-Length, or one beside Transfer-Encoding"},
        {HPE_INVALID_CONTENT_LENGTH, 400, "Content-Length is not a number"},
        {HPE_INVALID_URL, 400, "malformed request target"},
    };
    enum http_errno error = HTTP_PARSER_ERRNO(&r->parser);
    for (size_t i = 0; i < ARRAY_LENGTH(words); i++)
        if (words[i].error == error)
            return fail(r, words[i].status, words[i].why, offset);
    return fail(r, 400, error == HPE_OK ? "the guard and http-parser disagree" : http_errno_description(error), offset);
}

static void listen(struct http_reader *r, size_t fields) {
    r->heard = (struct heard){.room = fields};
    r->heard.fields = ARENA_ARRAY(r->arena, struct http_field, fields);
}

static void fill_head(struct http_reader *r, struct str bytes) {
    struct http_head *h = &r->head;
    *h = (struct http_head){
        .request = r->request, .minor = r->parser.http_minor, .fields = r->heard.fields, .field_count = r->heard.count};
    if (r->request) {
        h->target = r->heard.url;
        h->method = str_make(bytes.p, (size_t)(h->target.p - bytes.p) - 1); /* one space: the guard saw to it */
    } else {
        h->status = r->parser.status_code;
        h->reason = r->heard.reason;
    }
}

/* Does http-parser see the same frame? 1xx, 204, 304 and replies to HEAD are judged by their status, not by their
 * fields. */
static bool frames_agree(const struct http_reader *r) {
    const struct http_head *h = &r->head;
    const struct heard *heard = &r->heard;
    if (heard->count != heard->room)
        return false;
    switch (h->framing) {
    case HTTP_CHUNKED:
        return heard->chunked;
    case HTTP_LENGTH:
        return !heard->chunked && heard->length == h->content_length;
    case HTTP_UNTIL_CLOSE:
        return !heard->chunked && heard->length == UINT64_MAX;
    case HTTP_NO_BODY:
        break;
    }
    return !r->request || (!heard->chunked && heard->length == UINT64_MAX);
}

static enum http_event begin_body(struct http_reader *r) {
    static const uint8_t next[] = {[HTTP_NO_BODY] = READ_DONE,
                                   [HTTP_LENGTH] = READ_LENGTH,
                                   [HTTP_CHUNKED] = READ_CHUNKED,
                                   [HTTP_UNTIL_CLOSE] = READ_UNTIL_CLOSE};
    r->state = next[r->head.framing];
    r->left = r->head.content_length;
    return HTTP_HEAD;
}

static enum http_event informational(struct http_reader *r) {
    if (r->head.status == 101) {
        if (!r->upgrade_sent)
            return fail(r, 502, "101 that nobody asked for", 0);
        if (!r->head.upgrade || r->head.minor == 0)
            return fail(r, 502, "101 without Upgrade", 0);
        r->state = READ_DONE;
        return HTTP_UPGRADED;
    }
    if (++r->informational > INFORMATIONAL_MAX)
        return fail(r, 502, "too many 1xx replies", 0);
    guard_init(&r->guard, GUARD_REPLY, r->header_size, r->field_limit);
    return HTTP_INFORMATIONAL;
}

static enum http_event parse_head(struct http_reader *r, struct str raw) {
    struct str bytes = arena_str(r->arena, raw);
    const char *at = NULL;
    http_parser_init(&r->parser, r->request ? HTTP_REQUEST : HTTP_RESPONSE);
    r->parser.data = r;
    listen(r, r->guard.fields);
    size_t parsed = http_parser_execute(&r->parser, &settings, bytes.p, bytes.n);
    enum http_errno error = HTTP_PARSER_ERRNO(&r->parser);
    if (r->request && r->parser.method == HTTP_CONNECT && error != HPE_INVALID_METHOD)
        return fail(r, 501, "CONNECT", 0);
    if (!r->heard.head_complete)
        return refused_by_parser(r, parsed);
    fill_head(r, bytes);
    if (r->request ? !http_judge_request(&r->head, &r->error, &at)
                   : !http_judge_reply(&r->head, r->head_method, &r->error, &at))
        return fail(r, r->error.status, r->error.why, at == NULL ? 0 : (size_t)(at - bytes.p));
    if (error != HPE_OK || parsed != bytes.n || !frames_agree(r))
        return refused_by_parser(r, parsed);
    return !r->request && r->head.status < 200 ? informational(r) : begin_body(r);
}

/* False: more than a few; harmless ones are taken. */
static bool skip_blank_lines(struct http_reader *r, struct str *in) {
    while (r->guard.seen == 0 && in->n >= 2 && in->p[0] == '\r' && in->p[1] == '\n') {
        *in = str_from(*in, 2);
        if (++r->blank_lines > BLANK_LINES_MAX)
            return false;
    }
    return true;
}

static enum http_event read_head(struct http_reader *r, struct str *in) {
    if (r->request) {
        if (!skip_blank_lines(r, in))
            return fail(r, 400, "too many empty lines before the request", 0);
        if (r->guard.seen == 0 && in->n == 1 && in->p[0] == '\r')
            return HTTP_MORE;
    }
    switch (guard_look(&r->guard, *in)) {
    case GUARD_MORE:
        return HTTP_MORE;
    case GUARD_BAD:
        r->earlier += r->guard.seen + 1;
        return fail(r, r->guard.status, r->guard.why, r->guard.seen);
    case GUARD_DONE:
        break;
    }
    r->earlier += r->guard.seen;
    struct str raw = str_make(in->p, r->guard.seen);
    *in = str_from(*in, raw.n);
    return parse_head(r, raw);
}

/* ---- bodies ---- */

static enum http_event read_length(struct http_reader *r, struct str *in, struct str *body) {
    if (r->left == 0) {
        r->state = READ_DONE;
        return HTTP_DONE;
    }
    if (in->n == 0)
        return HTTP_MORE;
    *body = str_make(in->p, r->left < in->n ? (size_t)r->left : in->n);
    *in = str_from(*in, body->n);
    r->left -= body->n;
    return HTTP_BODY;
}

/* Has http-parser seen the trailer section end, with as many fields as the guard? */
static enum http_event finish_trailers(struct http_reader *r, struct str section) {
    const char *at = NULL;
    listen(r, r->guard.fields);
    size_t parsed = http_parser_execute(&r->parser, &settings, section.p, section.n);
    struct heard *h = &r->heard;
    if (parsed != section.n || HTTP_PARSER_ERRNO(&r->parser) != HPE_OK || !h->message_complete || h->bodies > 0 ||
        h->chunk_heads > 0 || h->count != h->room)
        return refused_by_parser(r, 0);
    if (!http_judge_trailers(h->fields, h->count, &r->error, &at))
        return fail(r, r->error.status, r->error.why, 0);
    r->trailers = h->fields;
    r->trailer_count = h->count;
    r->state = READ_DONE;
    return HTTP_DONE;
}

/* Takes what belongs to the section into memory of our own: the caller need not keep it. */
static void keep_trailer(struct http_reader *r, struct str bytes) {
    if (r->trailer_room - r->trailer_length < bytes.n) {
        size_t room = r->trailer_room == 0 ? TRAILER_FIRST : r->trailer_room * 2;
        while (room - r->trailer_length < bytes.n)
            room *= 2;
        char *larger = arena_bytes(r->arena, room);
        if (r->trailer_length > 0)
            memcpy(larger, r->trailer, r->trailer_length);
        r->trailer = larger;
        r->trailer_room = room;
    }
    memcpy(r->trailer + r->trailer_length, bytes.p, bytes.n);
    r->trailer_length += bytes.n;
}

static enum http_event read_trailers(struct http_reader *r, struct str *in) {
    if (in->n == 0)
        return HTTP_MORE;
    if (r->trailer_length == 0 && str_starts(*in, STR("\r\n"))) {
        struct str section = str_make(in->p, 2);
        *in = str_from(*in, 2);
        return finish_trailers(r, section);
    }
    /* Not more than the section may hold is copied before the guard has seen its end. */
    size_t room = r->header_size - r->trailer_length;
    size_t before = r->trailer_length;
    keep_trailer(r, str_make(in->p, in->n < room ? in->n : room));
    enum guard_verdict verdict = guard_look(&r->guard, str_make(r->trailer, r->trailer_length));
    *in = str_from(*in, r->guard.seen - before);
    if (verdict == GUARD_BAD)
        return fail(r, r->guard.status, r->guard.why, 0);
    if (verdict == GUARD_MORE)
        return HTTP_MORE;
    return finish_trailers(r, str_make(r->trailer, r->guard.seen));
}

/* Gives http-parser a piece that the chunk guard passed. Did it hear what the guard saw? */
static bool chunk_agrees(struct http_reader *r, struct str piece, enum chunk_event event) {
    struct heard *h = &r->heard;
    h->chunk_heads = h->bodies = 0;
    h->message_complete = false;
    if (http_parser_execute(&r->parser, &settings, piece.p, piece.n) != piece.n ||
        HTTP_PARSER_ERRNO(&r->parser) != HPE_OK || h->message_complete)
        return false;
    if (event == CHUNK_DATA)
        return h->chunk_heads == 0 && h->bodies == 1 && h->body.p == piece.p && h->body.n == piece.n;
    if (h->bodies > 0)
        return false;
    return event == CHUNK_MORE ? h->chunk_heads == 0 : h->chunk_heads == 1 && h->length == r->chunk.size;
}

static enum http_event read_chunked(struct http_reader *r, struct str *in, struct str *body) {
    for (;;) {
        size_t n;
        enum chunk_event event = chunk_next(&r->chunk, *in, &n);
        struct str piece = str_make(in->p, n);
        if (event == CHUNK_BAD)
            return fail(r, 400, r->chunk.why, 0);
        if (n > 0) {
            if (!chunk_agrees(r, piece, event))
                return refused_by_parser(r, 0);
            *in = str_from(*in, n);
        }
        if (event == CHUNK_MORE)
            return HTTP_MORE;
        if (event == CHUNK_DATA) {
            *body = piece;
            return HTTP_BODY;
        }
        if (event == CHUNK_LAST) {
            guard_init(&r->guard, GUARD_TRAILERS, r->header_size, r->field_limit);
            r->state = READ_TRAILERS;
            return read_trailers(r, in);
        }
    }
}

static enum http_event read_until_close(struct str *in, struct str *body) {
    if (in->n == 0)
        return HTTP_MORE;
    *body = *in;
    *in = str_from(*in, in->n);
    return HTTP_BODY;
}

enum http_event http_reader_next(struct http_reader *r, struct str *in, struct str *body) {
    CHECK_OBJ_NOTNULL(r, HTTP_READER_MAGIC);
    switch ((enum read_state)r->state) {
    case READ_HEAD:
        return read_head(r, in);
    case READ_LENGTH:
        return read_length(r, in, body);
    case READ_CHUNKED:
        return read_chunked(r, in, body);
    case READ_TRAILERS:
        return read_trailers(r, in);
    case READ_UNTIL_CLOSE:
        return read_until_close(in, body);
    case READ_DONE:
        return HTTP_DONE;
    case READ_DEAD:
        break;
    }
    return HTTP_BAD;
}

enum http_event http_reader_eof(struct http_reader *r, bool bytes_pending) {
    CHECK_OBJ_NOTNULL(r, HTTP_READER_MAGIC);
    if (r->state == READ_HEAD && !bytes_pending && http_reader_progress(r) == 0)
        return HTTP_MORE;
    if (r->state == READ_UNTIL_CLOSE || (r->state == READ_LENGTH && r->left == 0))
        r->state = READ_DONE;
    if (r->state == READ_DONE)
        return HTTP_DONE;
    if (r->state == READ_DEAD)
        return HTTP_BAD;
    return fail(r, 400,
                r->state == READ_HEAD ? "connection closed inside the head" : "connection closed inside the body", 0);
}

const struct http_head *http_reader_head(const struct http_reader *r) {
    return &r->head;
}

const struct http_field *http_reader_trailers(const struct http_reader *r, size_t *n) {
    *n = r->trailer_count;
    return r->trailers;
}

const struct http_error *http_reader_error(const struct http_reader *r) {
    return &r->error;
}

size_t http_reader_progress(const struct http_reader *r) {
    return r->earlier + (r->state == READ_HEAD ? r->guard.seen : 0);
}
