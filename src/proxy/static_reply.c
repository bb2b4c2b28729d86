/*
 * What is sent for a file that was found: conditions (RFC 9110 13.2.2), one byte
 * range (14.2), the fields that describe it. Nothing here touches the file system.
 *
 * An ETag tells two versions of a file apart by inode, size and mtime to the
 * nanosecond, so it is strong. Wrong conditions and ranges from outside are
 * treated as the RFC says: as if they were not there, or as not fulfilled.
 */
#include <inttypes.h>
#include <stdio.h>

#include "http/message.h"
#include "proxy/http_date.h"
#include "proxy/static_file.h"

#define FIELDS_MAX 9

static const struct {
    struct str extension;
    const char *type;
} content_types[] = {
#define TYPE(extension, type) {STR(extension), type},
#include "proxy/content_types.def"
#undef TYPE
};

const char *static_content_type(struct str name) {
    size_t dot = name.n;

    while (dot > 0 && name.p[dot - 1] != '.')
        dot--;
    struct str extension = str_from(name, dot);
    if (dot > 0)
        for (size_t i = 0; i < ARRAY_LENGTH(content_types); i++)
            if (str_ieq(content_types[i].extension, extension))
                return content_types[i].type;
    return "application/octet-stream";
}

/* ---- the file as conditions see it ------------------------------------------- */

struct version {
    struct str etag; /* with quotes */
    wall_t now;
    int64_t modified; /* seconds, what Last-Modified says: never later than now (RFC 9110 8.8.2.1) */
};

static struct version version_of(const struct static_lookup *found, struct arena *a) {
    struct version v = {.now = wall_now()};
    int64_t now_s = v.now.us / DUR_S;
    uint64_t mtime_ns = (uint64_t)found->mtime_s * 1000000000u + (uint64_t)found->mtime_ns;

    v.etag = arena_printf(a, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", found->inode, found->size, mtime_ns);
    v.modified = found->mtime_s < now_s ? found->mtime_s : now_s;
    return v;
}

/* ---- conditions ---------------------------------------------------------------- */

/* Takes an entity-tag off the front of *list (RFC 9110 8.8.3); its bytes may hold commas, so this is no ordinary list.
 */
static bool take_etag(struct str *list, struct str *etag, bool *weak) {
    struct str s = *list;

    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == ','))
        s = str_from(s, 1);
    *weak = str_starts(s, STR("W/"));
    if (*weak)
        s = str_from(s, 2);
    if (s.n == 0 || s.p[0] != '"')
        return false;
    size_t close = str_chr(str_from(s, 1), '"');
    if (close + 1 == s.n)
        return false;
    *etag = str_make(s.p, close + 2);
    *list = str_from(s, close + 2);
    return true;
}

/* If-Match and If-None-Match may stand in several field lines, which are one list (RFC 9110 5.3). */
static bool etag_listed(const struct http_head *request, struct str name, struct str ours, bool weak_counts) {
    for (size_t i = 0; i < request->field_count; i++) {
        struct str list = request->fields[i].value, etag;
        bool weak;

        if (!str_ieq(request->fields[i].name, name))
            continue;
        if (str_eq(str_trim(list), STR("*")))
            return true;
        while (take_etag(&list, &etag, &weak))
            if ((weak_counts || !weak) && str_eq(etag, ours))
                return true;
    }
    return false;
}

/* The value of a field that may stand once; STR_NONE: absent, or there twice. */
static struct str single_value(const struct http_head *request, struct str name) {
    struct str value = STR_NONE;

    for (size_t i = 0; i < request->field_count; i++) {
        if (!str_ieq(request->fields[i].name, name))
            continue;
        if (value.p != NULL)
            return STR_NONE;
        value = request->fields[i].value;
    }
    return value;
}

static bool date_of(const struct http_head *request, struct str name, wall_t now, int64_t *seconds) {
    struct str value = single_value(request, name);

    return value.p != NULL && http_date_parse(str_trim(value), now, seconds);
}

/* RFC 9110 13.2.2, steps 1 to 4. 200: go on. */
static unsigned precondition(const struct http_head *request, const struct version *v) {
    int64_t date;

    if (http_find(request, STR("If-Match")) != NULL) {
        if (!etag_listed(request, STR("If-Match"), v->etag, false))
            return 412;
    } else if (date_of(request, STR("If-Unmodified-Since"), v->now, &date) && v->modified > date) {
        return 412;
    }
    if (http_find(request, STR("If-None-Match")) != NULL) {
        if (etag_listed(request, STR("If-None-Match"), v->etag, true))
            return 304;
    } else if (date_of(request, STR("If-Modified-Since"), v->now, &date) && v->modified <= date) {
        return 304;
    }
    return 200;
}

/* Step 5: may Range be looked at? */
static bool range_allowed(const struct http_head *request, const struct version *v) {
    struct str value = str_trim(single_value(request, STR("If-Range"))), etag;
    bool weak;
    int64_t date;

    if (http_find(request, STR("If-Range")) == NULL)
        return true;
    if (take_etag(&value, &etag, &weak))
        return !weak && value.n == 0 && str_eq(etag, v->etag);
    /* a date is a strong validator only where the file was left alone for a second since (RFC 9110 8.8.2.2) */
    return http_date_parse(value, v->now, &date) && date == v->modified && v->now.us / DUR_S > v->modified;
}

/* ---- one byte range --------------------------------------------------------------- */

enum range { RANGE_NONE, RANGE_PART, RANGE_BEYOND };

/* Digits, at least one; what is too big for 64 bits is as big as can be. */
static bool position(struct str s, uint64_t *value) {
    *value = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.p[i] - '0');
        *value = *value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : *value * 10 + digit;
    }
    return s.n > 0;
}

static enum range suffix_range(uint64_t size, uint64_t wanted, uint64_t *offset, uint64_t *length) {
    if (wanted == 0)
        return RANGE_BEYOND;
    if (size == 0)
        return RANGE_NONE; /* satisfiable, and not to be said by a Content-Range */
    *length = wanted < size ? wanted : size;
    *offset = size - *length;
    return RANGE_PART;
}

/* "bytes=first-last", "bytes=first-", "bytes=-suffix"; several ranges, another unit or a malformed one: the whole. */
static enum range range_parse(struct str value, uint64_t size, uint64_t *offset, uint64_t *length) {
    struct str set, spec, more;
    uint64_t first, last = UINT64_MAX;
    size_t equals = str_chr(value, '=');

    if (!str_ieq(str_make(value.p, equals), STR("bytes")))
        return RANGE_NONE;
    set = str_from(value, equals + 1);
    if (!str_next_element(&set, &spec) || str_next_element(&set, &more))
        return RANGE_NONE;
    size_t dash = str_chr(spec, '-');
    if (dash == spec.n)
        return RANGE_NONE;
    struct str left = str_make(spec.p, dash), right = str_from(spec, dash + 1);
    if (left.n == 0)
        return position(right, &last) ? suffix_range(size, last, offset, length) : RANGE_NONE;
    if (!position(left, &first) || (right.n > 0 && !position(right, &last)) || last < first)
        return RANGE_NONE;
    if (first >= size)
        return RANGE_BEYOND;
    *offset = first;
    *length = (last < size ? last + 1 : size) - first;
    return RANGE_PART;
}

/* ---- the reply ---------------------------------------------------------------------- */

static void add(struct static_reply *r, struct str name, struct str value) {
    ASSERT(r->head.field_count < FIELDS_MAX);
    r->head.fields[r->head.field_count++] = (struct http_field){name, value};
}

static void set_status(struct static_reply *r, unsigned status) {
    r->status = r->head.status = status;
    r->head.reason = str_of(http_reason(status));
}

static void add_version(struct static_reply *r, const struct version *v, struct arena *a) {
    char date[30];

    (void)wall_http_date((wall_t){v->modified * DUR_S}, date);
    add(r, STR("ETag"), v->etag);
    add(r, STR("Last-Modified"), arena_str(a, str_of(date)));
    /* kept, but asked about before each use: a file that was replaced shows at once */
    add(r, STR("Cache-Control"), STR("no-cache"));
}

static void add_content(struct static_reply *r, const struct static_lookup *found) {
    add(r, STR("Content-Type"), str_of(static_content_type(str_of(found->name))));
    add(r, STR("X-Content-Type-Options"), STR("nosniff"));
    add(r, STR("Accept-Ranges"), STR("bytes"));
}

static void decide_range(struct static_reply *r, const struct static_lookup *found, const struct http_head *request,
                         const struct version *v, struct arena *a) {
    struct str value = single_value(request, STR("Range"));

    r->length = found->size;
    if (value.p == NULL || !range_allowed(request, v))
        return;
    switch (range_parse(str_trim(value), found->size, &r->offset, &r->length)) {
    case RANGE_NONE:
        break;
    case RANGE_PART:
        set_status(r, 206);
        add(r, STR("Content-Range"),
            arena_printf(a, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, r->offset, r->offset + r->length - 1,
                         found->size));
        break;
    case RANGE_BEYOND:
        set_status(r, 416);
        r->length = 0;
        add(r, STR("Content-Range"), arena_printf(a, "bytes */%" PRIu64, found->size));
        break;
    }
}

void static_reply_decide(struct static_reply *r, const struct static_lookup *found, const struct http_head *request,
                         struct arena *a) {
    ASSERT(found->status == 200);
    *r = (struct static_reply){.head = {.minor = 1, .keep_alive = true, .framing = HTTP_LENGTH}};
    r->head.fields = ARENA_ARRAY(a, struct http_field, FIELDS_MAX);
    if (!request->head_method && !str_eq(request->method, STR("GET"))) {
        set_status(r, 405);
        add(r, STR("Allow"), STR("GET, HEAD"));
        return;
    }

    struct version v = version_of(found, a);
    set_status(r, precondition(request, &v));
    if (r->status == 412)
        return;
    add_version(r, &v, a);
    if (r->status == 304) {
        r->head.framing = HTTP_NO_BODY; /* a Content-Length here would have to be the file's (RFC 9110 8.6) */
        return;
    }
    if (!request->head_method) /* Range is defined for GET alone (RFC 9110 14.2) */
        decide_range(r, found, request, &v, a);
    else
        r->length = found->size;
    if (r->status != 416)
        add_content(r, found);
    r->head.content_length = r->length;
    r->send_body = !request->head_method && r->length > 0;
    if (request->head_method)
        r->length = 0;
}
