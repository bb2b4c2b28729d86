/*
 * Replies of the control socket, and what came of a reload as JSON.
 */
#include "config/setting.h"
#include "control/control_parts.h"
#include "control/plan_text.h"

static const char *const result_names[] = {"done", "invalid", "refused", "failed", "superseded"};
static const unsigned result_statuses[] = {200, 422, 409, 500, 409};

static void reply(struct control_connection *c, unsigned status, const char *content_type, const char *allow,
                  struct str body) {
    char date[30];
    wall_http_date(wall_now(), date);
    buf_printf(&c->out,
               "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n",
               status, http_reason(status), date, content_type, body.n);
    if (allow != NULL)
        buf_printf(&c->out, "Allow: %s\r\n", allow);
    if (!c->keep_alive)
        buf_append(&c->out, STR("Connection: close\r\n"));
    buf_append(&c->out, STR("\r\n"));
    if (!c->head_method)
        buf_append(&c->out, body);
    c->state = CONTROL_WRITING;
}

static void reply_json(struct control_connection *c, unsigned status, const char *allow, json_t *json) {
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    XXXAN(text);
    json_decref(json);
    struct str body = arena_printf(c->arena, "%s\n", text);
    free(text);
    reply(c, status, "application/json", allow, body);
}

void control_reply_json(struct control_connection *c, unsigned status, json_t *json) {
    reply_json(c, status, NULL, json);
}

void control_reply_text(struct control_connection *c, const char *content_type, struct str body) {
    reply(c, 200, content_type, NULL, body);
}

void control_reply_error(struct control_connection *c, unsigned status, const char *allow, const char *format, ...) {
    va_list args;
    va_start(args, format);
    struct str text = arena_vprintf(c->arena, format, args);
    va_end(args);
    json_t *json = json_object();
    json_object_set_new(json, "error", setting_text_json(text.p));
    reply_json(c, status, allow, json);
}

static json_t *problems_json(const struct problems *problems) {
    json_t *rows = json_array();
    if (problems == NULL)
        return rows;
    LIST_FOREACH (&problems->list, struct problem, p, node) {
        json_t *row = json_object();
        json_object_set_new(row, "level", json_string(p->level == PROBLEM_ERROR ? "error" : "warning"));
        json_object_set_new(row, "where", setting_text_json(p->where));
        json_object_set_new(row, "key", setting_text_json(p->key));
        json_object_set_new(row, "message", setting_text_json(p->message));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *text_or_null(const char *text) {
    return text != NULL ? setting_text_json(text) : json_null();
}

void control_reply_outcome(struct control_connection *c, const struct reload_outcome *o) {
    bool happened = c->wants == CONTROL_WANTS_RELOAD && o->result == RELOAD_DONE;
    json_t *json = json_object();
    json_object_set_new(json, "result", json_string(result_names[o->result]));
    json_object_set_new(json, "config", json_integer((json_int_t)o->config));
    json_object_set_new(json, "hash", text_or_null(o->hash));
    json_object_set_new(json, "took_ms", json_integer((json_int_t)(o->took / DUR_MS)));
    json_object_set_new(json, "plan",
                        o->plan == NULL
                            ? json_array()
                            : plan_text_rows(o->plan, c->socket->faucet->apps, happened ? PLAN_AFTER : PLAN_BEFORE));
    json_object_set_new(json, "daemon_changes", o->plan == NULL ? json_array() : plan_text_changes(&o->plan->daemon));
    json_object_set_new(json, "problems", problems_json(o->problems));
    json_object_set_new(json, "why", text_or_null(o->why));
    json_object_set_new(json, "app", text_or_null(o->failed_app));
    control_reply_json(c, result_statuses[o->result], json);
}
