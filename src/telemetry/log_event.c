/* Log events of apps: from a line of JSON to a record; see log_event.h. */
#include "telemetry/log_event.h"

#include <jansson.h>
#include <stdlib.h>

#include "telemetry/columns.h"

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {{"error", LOG_ERROR}, {"warn", LOG_WARN},   {"warning", LOG_WARN},
              {"info", LOG_INFO},   {"debug", LOG_DEBUG}, {"trace", LOG_TRACE}};

static const char *const level_names[] = {
    [LOG_ERROR] = "Error", [LOG_WARN] = "Warn", [LOG_INFO] = "Info", [LOG_DEBUG] = "Debug", [LOG_TRACE] = "Trace"};

static const json_t *scalar(const json_t *event, const char *key) {
    const json_t *v = json_object_get(event, key);

    return json_is_array(v) && json_array_size(v) == 1 ? json_array_get(v, 0) : v;
}

static struct str text(const json_t *event, const char *key) {
    const json_t *v = scalar(event, key);

    return json_is_string(v) ? str_make(json_string_value(v), json_string_length(v)) : STR_NONE;
}

/* An R app says NA and NULL as null, {} or []. */
static bool is_absent(const json_t *v) {
    return v == NULL || json_is_null(v) || (json_is_object(v) && json_object_size(v) == 0) ||
           (json_is_array(v) && json_array_size(v) == 0);
}

static bool level_from(struct str name, enum log_level *level) {
    for (size_t i = 0; i < ARRAY_LENGTH(levels); i++)
        if (str_ieq(name, str_of(levels[i].name))) {
            *level = levels[i].level;
            return true;
        }
    return false;
}

/* False: there is something, and it is no UUID. */
static bool uuid_from(const json_t *event, const char *key, struct uuid *u, bool *has) {
    *has = false;
    if (is_absent(scalar(event, key)))
        return true;
    *has = uuid_parse(text(event, key), u);
    return *has;
}

static bool refuse(const char **why, const char *what) {
    *why = what;
    return false;
}

static bool take(const json_t *j, struct log_event *e, const char **why) {
    bool has_id;

    if (!json_is_object(j))
        return refuse(why, "it must be an object");
    if (!level_from(text(j, "level"), &e->level))
        return refuse(why, "level must be Error, Warn, Info, Debug or Trace");
    e->message = text(j, "message");
    if (e->message.p == NULL)
        return refuse(why, "message must be a string");
    if (!uuid_from(j, "event_id", &e->event_id, &has_id))
        return refuse(why, "event_id must be a UUID");
    if (!uuid_from(j, "parent_event_id", &e->parent, &e->has_parent))
        return refuse(why, "parent_event_id must be a UUID or null");
    if (!uuid_from(j, "request_uuid", &e->request, &e->has_request))
        return refuse(why, "request_uuid must be a UUID or null");
    e->id_text = has_id ? text(j, "event_id") : STR_NONE;
    if (!has_id)
        e->event_id = uuid_v7(wall_now());
    e->event_type = text(j, "event_type");
    e->target = text(j, "target");
    return true;
}

static void take_body(const json_t *j, struct log_event *e) {
    const json_t *body = json_object_get(j, "body");
    bool has;

    if (body == NULL || json_is_null(body))
        return;
    e->body = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    if (!e->has_request && json_is_object(body) && uuid_from(body, "request_uuid", &e->request, &has))
        e->has_request = has;
}

bool log_event_parse(struct str json, struct log_event *e, const char **why) {
    json_error_t error;
    json_t *j = json_loadb(json.p, json.n, JSON_ALLOW_NUL, &error);

    memset(e, 0, sizeof *e);
    if (j == NULL && json_error_code(&error) == json_error_numeric_overflow) /* an integer beyond 64 bits */
        j = json_loadb(json.p, json.n, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (j == NULL)
        return refuse(why, json_error_code(&error) == json_error_premature_end_of_input ? "its JSON ends too early"
                           : json_error_code(&error) == json_error_invalid_utf8         ? "it is not UTF-8"
                           : json_error_code(&error) == json_error_numeric_overflow     ? "a number in it is too large"
                           : json_error_code(&error) == json_error_stack_overflow       ? "it is nested too deeply"
                                                                                        : "it is not JSON");
    if (!take(j, e, why)) {
        json_decref(j);
        return false;
    }
    take_body(j, e);
    e->json = j;
    return true;
}

void log_event_free(struct log_event *e) {
    json_decref(e->json);
    free(e->body);
    memset(e, 0, sizeof *e);
}

void log_event_write(struct record_draft *d, const struct log_event *e, const struct worker_origin *o,
                     struct str namespace, struct str version, struct str instance, wall_t now) {
    record_begin(d, RECORD_LOG);
    record_text(d, COLUMN_OF_LOG_namespace, namespace);
    record_text(d, COLUMN_OF_LOG_version, version);
    record_text(d, COLUMN_OF_LOG_target, e->target.p != NULL ? e->target : o->target);
    record_time(d, COLUMN_OF_LOG_time, now);
    record_uuid(d, COLUMN_OF_LOG_event_id, &e->event_id);
    if (e->has_parent)
        record_uuid(d, COLUMN_OF_LOG_parent_event_id, &e->parent);
    record_text(d, COLUMN_OF_LOG_level, str_of(level_names[e->level]));
    record_text(d, COLUMN_OF_LOG_event_type, e->event_type);
    record_text(d, COLUMN_OF_LOG_message, e->message);
    record_json(d, COLUMN_OF_LOG_body, str_of(e->body));
    record_text(d, COLUMN_OF_LOG_app, o->app);
    record_text(d, COLUMN_OF_LOG_instance, instance);
    record_integer(d, COLUMN_OF_LOG_generation, (int64_t)o->generation);
    record_integer(d, COLUMN_OF_LOG_worker_id, o->worker_id);
    if (e->has_request)
        record_uuid(d, COLUMN_OF_LOG_request_uuid, &e->request);
    record_end(d);
}
