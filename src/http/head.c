/*
 * Where requests are smuggled, two readers of one message disagree on its end.
 * So whatever RFC 9112 6 lets a recipient choose is refused here: a length and a
 * coding, repeated lengths (equal ones too), any coding but one `chunked`,
 * a coding in HTTP/1.0. docs/http.md lists it all.
 */
#include "http/head.h"

#include "base/check.h"
#include "http/guard.h"
#include "http/name.h"

/* What the fields that matter say, gathered in one pass. */
struct gathered {
    const struct http_field *host, *length, *coding, *upgrade, *expect, *unknown_coding;
    size_t hosts, lengths, codings, connections, upgrades, expectations;
    bool close, keep_alive, upgrade_option, malformed_connection;
};

struct judge {
    struct http_head *head;
    struct http_error *error;
    const char **at;
};

static bool refuse(struct judge *j, unsigned status, const char *why, const struct http_field *where) {
    j->error->status = status;
    j->error->why = why;
    *j->at = where != NULL ? where->name.p : NULL;
    return false;
}

/* One Connection field. Naming a framing field would make a hop after us lose it, or keep it where another drops it. */
static bool read_connection(struct judge *j, struct gathered *g, const struct http_field *f, size_t *options) {
    struct str list = f->value, option;
    while (str_next_element(&list, &option)) {
        const struct http_name_row *row = http_name_find(option);
        if (++*options > HTTP_CONNECTION_OPTIONS_MAX)
            return refuse(j, 400, "too many options in Connection", f);
        if ((row->flags & HTTP_NAME_FRAMING) != 0)
            return refuse(j, 400, "Connection names Host or a framing field", f);
        if (!http_all_of(option, HTTP_CLASS_TOKEN)) {
            if (j->head->request)
                return refuse(j, 400, "Connection is not a list of tokens", f);
            g->malformed_connection = true;
        } else if (str_ieq(option, STR("close"))) {
            g->close = true;
        } else if (str_ieq(option, STR("keep-alive"))) {
            g->keep_alive = true;
        } else if (str_ieq(option, STR("upgrade"))) {
            g->upgrade_option = true;
        } else if ((row->flags & (HTTP_NAME_HOP | HTTP_NAME_KEPT)) == 0) {
            j->head->connection_names = true;
        }
    }
    return true;
}

/* Is there a well-formed coding other than chunked (501), or only nonsense (400)? */
static bool names_other_coding(struct str list) {
    struct str element;
    while (str_next_element(&list, &element)) {
        struct str name = str_trim(str_make(element.p, str_chr(element, ';')));
        if (name.n > 0 && http_all_of(name, HTTP_CLASS_TOKEN) && !str_ieq(name, STR("chunked")))
            return true;
    }
    return false;
}

/* http-parser, and so httpuv, half takes "Transfer-Encoding-X" for Transfer-Encoding: no frame is settled for such a
 * message. */
static bool begins_like_coding(struct str name) {
    static const struct str coding = {"Transfer-Encoding", 17};
    return name.n > coding.n && str_ieq(str_make(name.p, coding.n), coding);
}

static bool gather(struct judge *j, struct gathered *g) {
    size_t options = 0;
    for (size_t i = 0; i < j->head->field_count; i++) {
        const struct http_field *f = &j->head->fields[i];
        const struct http_name_row *row = http_name_find(f->name);
        if (begins_like_coding(f->name))
            return refuse(j, 400, "field name that begins with Transfer-Encoding", f);
        if (row->id == HTTP_NAME_OTHER || !http_name_exact(row, f->name))
            continue;
        switch (row->id) {
        case HTTP_NAME_HOST:
            g->hosts++;
            g->host = f;
            break;
        case HTTP_NAME_CONTENT_LENGTH:
            g->lengths++;
            g->length = f;
            break;
        case HTTP_NAME_TRANSFER_ENCODING:
            g->codings++;
            g->coding = f;
            if (names_other_coding(f->value))
                g->unknown_coding = f;
            break;
        case HTTP_NAME_CONNECTION:
            g->connections++;
            if (!read_connection(j, g, f, &options))
                return false;
            break;
        case HTTP_NAME_UPGRADE:
            g->upgrades++;
            g->upgrade = f;
            break;
        case HTTP_NAME_EXPECT:
            g->expectations++;
            g->expect = f;
            break;
        default:
            break;
        }
    }
    return true;
}

static bool judge_coding(struct judge *j, const struct gathered *g) {
    if (j->head->minor == 0)
        return refuse(j, 400, "Transfer-Encoding in HTTP/1.0", g->coding);
    if (g->lengths > 0)
        return refuse(j, 400, "Content-Length and Transfer-Encoding", g->coding);
    if (g->unknown_coding != NULL)
        return refuse(j, 501, "transfer coding other than chunked", g->unknown_coding);
    if (g->codings > 1 || !str_ieq(g->coding->value, STR("chunked")))
        return refuse(j, 400, "Transfer-Encoding is not exactly \"chunked\"", g->coding);
    return true;
}

static bool judge_length(struct judge *j, const struct gathered *g) {
    uint64_t n = 0;
    if (g->lengths > 1)
        return refuse(j, 400, "repeated Content-Length", g->length);
    struct str v = g->length->value;
    if (!str_to_u64(v, &n) || n > INT64_MAX)
        return refuse(j, 400, "Content-Length is not a number", g->length);
    if (v.n > 1 && v.p[0] == '0')
        return refuse(j, 400, "leading zeros in Content-Length", g->length);
    j->head->content_length = n;
    return true;
}

/* Sets framing by the fields alone; HTTP_NO_BODY where there are none. */
static bool judge_framing(struct judge *j, const struct gathered *g) {
    j->head->framing = HTTP_NO_BODY;
    if (g->codings > 0) {
        j->head->framing = HTTP_CHUNKED;
        return judge_coding(j, g);
    }
    if (g->lengths > 0) {
        j->head->framing = HTTP_LENGTH;
        return judge_length(j, g);
    }
    return true;
}

static void judge_connection(struct judge *j, const struct gathered *g) {
    struct http_head *h = j->head;
    h->keep_alive = !g->close && !g->malformed_connection && (h->minor == 1 || g->keep_alive);
    if (g->upgrades != 1) /* several: nobody sends that; no upgrade then */
        return;
    h->upgrade_tokens = g->upgrade->value;
    h->upgrade = g->upgrade_option && h->upgrade_tokens.n > 0;
}

static bool judge_host(struct judge *j, const struct gathered *g) {
    const char *why = NULL;
    if (g->hosts > 1)
        return refuse(j, 400, "more than one Host", g->host);
    if (g->hosts == 0 && j->head->minor > 0)
        return refuse(j, 400, "no Host", NULL);
    if (g->hosts == 1) {
        if (!http_host_valid(g->host->value) && (j->head->minor > 0 || g->host->value.n > 0))
            return refuse(j, 400, "malformed Host", g->host);
        j->head->host = g->host->value;
    }
    if (http_split_target(j->head, &why))
        return true;
    (void)refuse(j, 400, why, NULL);
    *j->at = j->head->target.p;
    return false;
}

/* RFC 9110 9.2.1, 9.2.2 */
static void judge_method(struct http_head *h) {
    static const struct {
        struct str method;
        bool safe;
    } idempotent[] = {{{"GET", 3}, true},   {{"HEAD", 4}, true}, {{"OPTIONS", 7}, true},
                      {{"TRACE", 5}, true}, {{"PUT", 3}, false}, {{"DELETE", 6}, false}};
    for (size_t i = 0; i < ARRAY_LENGTH(idempotent); i++)
        if (str_eq(h->method, idempotent[i].method)) {
            h->idempotent = true;
            h->safe = idempotent[i].safe;
        }
    h->head_method = str_eq(h->method, STR("HEAD"));
}

bool http_judge_request(struct http_head *h, struct http_error *e, const char **at) {
    struct judge j = {h, e, at};
    struct gathered g = {0};
    judge_method(h);
    if (!gather(&j, &g) || !judge_framing(&j, &g) || !judge_host(&j, &g))
        return false;
    bool body = h->framing == HTTP_CHUNKED || (h->framing == HTTP_LENGTH && h->content_length > 0);
    if (body && str_eq(h->method, STR("TRACE")))
        return refuse(&j, 400, "TRACE with a body", NULL);
    judge_connection(&j, &g);
    /* An upgrade asked for in any other way is no upgrade: the writer leaves the field out. */
    h->upgrade = h->upgrade && h->minor == 1 && str_eq(h->method, STR("GET"));
    if (h->upgrade && body)
        return refuse(&j, 400, "Upgrade with a body", g.upgrade);
    if (g.expectations > 0 && h->minor == 1) {
        if (g.expectations > 1 || !str_ieq(g.expect->value, STR("100-continue")))
            return refuse(&j, 417, "Expect is not 100-continue", g.expect);
        h->expect_continue = body;
    }
    return true;
}

/* RFC 9112 6.3: what a status says of the body goes before what the fields say. */
static bool judge_bodiless(struct judge *j, const struct gathered *g) {
    struct http_head *h = j->head;
    bool announced = h->framing == HTTP_CHUNKED || (h->framing == HTTP_LENGTH && h->content_length > 0);
    if (h->status < 200 && announced)
        return refuse(j, 502, "body announced in a 1xx reply", g->coding != NULL ? g->coding : g->length);
    h->framing = HTTP_NO_BODY;
    /* httpuv sends the body after all, to HEAD, and apart from the head: it must not be taken for the next reply. */
    if (announced)
        h->keep_alive = false;
    return true;
}

bool http_judge_reply(struct http_head *h, bool head_method, struct http_error *e, const char **at) {
    struct judge j = {h, e, at};
    struct gathered g = {0};
    bool fine = h->status >= 100 ? gather(&j, &g) && judge_framing(&j, &g) : refuse(&j, 502, "status below 100", NULL);
    if (fine) {
        judge_connection(&j, &g);
        if (h->status < 200 || h->status == 204 || h->status == 304 || head_method) {
            fine = judge_bodiless(&j, &g);
        } else if (h->framing == HTTP_NO_BODY) {
            h->framing = HTTP_UNTIL_CLOSE;
            h->keep_alive = false;
        }
    }
    e->status = 502;
    return fine;
}

bool http_judge_trailers(const struct http_field *fields, size_t n, struct http_error *e, const char **at) {
    for (size_t i = 0; i < n; i++)
        if ((http_name_find(fields[i].name)->flags & HTTP_NAME_NO_TRAILER) != 0) {
            e->status = 400;
            e->why = "field not allowed in trailers";
            *at = fields[i].name.p;
            return false;
        }
    return true;
}
