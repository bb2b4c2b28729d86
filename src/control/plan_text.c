/*
 * The counts say whom the plan touches: those on workers that go. Who is on
 * workers that stay notices nothing and is not counted.
 */
#include "control/plan_text.h"

#include "config/setting.h"
#include "control/text_table.h"

#define VALUE_SHOWN_MAX 40 /* code points of an old or new value in the table */

struct touched {
    size_t exchanges, tunnels;
    enum plan_moment when;
    uint64_t last_id; /* PLAN_BEFORE: workers beyond this one go */
};

/* ---- JSON ---- */

static json_t *text_or_null(const char *text) {
    return text != NULL ? setting_text_json(text) : json_null();
}

json_t *plan_text_changes(const struct changes *c) {
    json_t *rows = json_array();
    for (size_t i = 0; i < c->n; i++) {
        json_t *row = json_object();
        json_object_set_new(row, "key", setting_text_json(c->v[i].key));
        json_object_set_new(row, "needs", json_string(change_needs_name(c->v[i].needs)));
        json_object_set_new(row, "was", text_or_null(c->v[i].was));
        json_object_set_new(row, "now", text_or_null(c->v[i].now));
        json_array_append_new(rows, row);
    }
    return rows;
}

static void count_worker(void *owner, const struct worker_status *w) {
    struct touched *t = owner;
    if (t->when == PLAN_AFTER ? w->draining : !w->draining && w->id > t->last_id) {
        t->exchanges += w->busy;
        t->tunnels += w->tunnels;
    }
}

static bool takes_workers_away(enum plan_action a) {
    return a == PLAN_RESIZE || a == PLAN_ROLL || a == PLAN_DROP;
}

static void add_counts(json_t *row, const struct plan_row *r, const struct apps *apps, enum plan_moment when) {
    struct touched t = {.when = when};
    /* app_find changes nothing */
    const struct app *live = takes_workers_away(r->action) ? app_find((struct apps *)(uintptr_t)apps, r->name) : NULL;
    if (live != NULL) {
        if (r->action == PLAN_RESIZE)
            t.last_id = (uint64_t)r->to->workers;
        app_each_worker(live, count_worker, &t);
        if (when == PLAN_BEFORE && r->action == PLAN_DROP)
            t.exchanges += app_queue_length(live);
    }
    bool unknown = when == PLAN_AFTER && r->action == PLAN_DROP;
    json_object_set_new(row, "exchanges", unknown ? json_null() : json_integer((json_int_t)t.exchanges));
    json_object_set_new(row, "tunnels", unknown ? json_null() : json_integer((json_int_t)t.tunnels));
}

json_t *plan_text_rows(const struct plan *p, const struct apps *apps, enum plan_moment when) {
    json_t *rows = json_array();
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_row *r = &p->rows[i];
        json_t *row = json_object();
        json_object_set_new(row, "app", setting_text_json(r->name));
        json_object_set_new(row, "action", json_string(plan_action_name(r->action)));
        json_object_set_new(row, "key", text_or_null(r->key != NULL && r->key[0] != '\0' ? r->key : NULL));
        json_object_set_new(row, "was", text_or_null(r->was));
        json_object_set_new(row, "now", text_or_null(r->now));
        json_object_set_new(row, "changes", plan_text_changes(&r->changes));
        add_counts(row, r, apps, when);
        json_array_append_new(rows, row);
    }
    return rows;
}

/* ---- for people ---- */

static const char *text_of(const json_t *row, const char *key) {
    const char *text = json_string_value(json_object_get(row, key));
    return text != NULL ? text : "";
}

/* As many bytes of it as the table shows. */
static struct str shown(const char *value) {
    struct str all = str_of(value);
    size_t points = 0;
    for (size_t i = 0; i < all.n; i++)
        if (((unsigned char)all.p[i] & 0xc0) != 0x80 && ++points > VALUE_SHOWN_MAX)
            return str_make(all.p, i);
    return all;
}

/* "dir: /a → /b" */
static void append_change(struct buf *out, const json_t *row) {
    const json_t *was = json_object_get(row, "was"), *now = json_object_get(row, "now");
    buf_append(out, str_of(text_of(row, "key")));
    if (!json_is_string(was) && !json_is_string(now))
        return;
    const char *old = json_is_string(was) ? text_of(row, "was") : "(none)";
    const char *new = json_is_string(now) ? text_of(row, "now") : "(none)";
    struct str a = shown(old), b = shown(new);
    buf_printf(out, ": %.*s%s → %.*s%s", STR_ARG(a), a.n < strlen(old) ? "…" : "", STR_ARG(b),
               b.n < strlen(new) ? "…" : "");
}

static void add_reason(struct text_table *t, const json_t *row) {
    struct buf text = {0};
    size_t all = json_array_size(json_object_get(row, "changes"));
    append_change(&text, row);
    if (all > 1)
        buf_printf(&text, " (and %zu more)", all - 1);
    text_table_add(t, "%.*s", STR_ARG(buf_str(&text)));
    buf_free(&text);
}

static void add_count(struct text_table *t, const json_t *row, const char *key) {
    const json_t *n = json_object_get(row, key);
    if (json_is_integer(n))
        text_table_add(t, "%lld", (long long)json_integer_value(n));
    else
        text_table_add(t, "-");
}

static const struct {
    enum change_needs needs;
    const char *sentence;
} sentences[] = {
    {CHANGE_HOT, "changes in place"},
    {CHANGE_RESIZE, "changes in place"},
    {CHANGE_PROCESS, "counts for apps that use it"},
    {CHANGE_LISTENER, "listeners that stay are kept, new ones are bound first"},
    {CHANGE_RESTART, "is used from the next start on: restart faucet to use it now"},
};

static void print_daemon(const json_t *daemon, FILE *to) {
    static const struct text_column columns[] = {{"DAEMON", false}, {"", false}};
    struct text_table t;
    size_t i;
    json_t *row;
    text_table_init(&t, columns, ARRAY_LENGTH(columns));
    json_array_foreach(daemon, i, row) {
        struct buf text = {0};
        append_change(&text, row);
        text_table_add(&t, "%.*s", STR_ARG(buf_str(&text)));
        buf_free(&text);
        const char *sentence = "";
        for (size_t k = 0; k < ARRAY_LENGTH(sentences); k++)
            if (strcmp(change_needs_name(sentences[k].needs), text_of(row, "needs")) == 0)
                sentence = sentences[k].sentence;
        text_table_add(&t, "%s", sentence);
    }
    if (t.count > 0)
        text_table_print(&t, to);
    text_table_free(&t);
}

void plan_text_print(const json_t *rows, const json_t *daemon, FILE *to) {
    static const struct text_column columns[] = {
        {"APP", false}, {"ACTION", false}, {"BECAUSE OF", false}, {"EXCHANGES", true}, {"TUNNELS", true}};
    struct text_table t;
    size_t i;
    json_t *row;
    text_table_init(&t, columns, ARRAY_LENGTH(columns));
    json_array_foreach(rows, i, row) {
        text_table_add(&t, "%s", text_of(row, "app"));
        text_table_add(&t, "%s", text_of(row, "action"));
        add_reason(&t, row);
        add_count(&t, row, "exchanges");
        add_count(&t, row, "tunnels");
    }
    if (t.count > 0)
        text_table_print(&t, to);
    text_table_free(&t);
    print_daemon(daemon, to);
}
