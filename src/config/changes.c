/*
 * Two values are the same when their JSON is: what was written otherwise but
 * means the same (60s, 1m) is no change. Each row of settings.def says itself
 * what its change needs; only the exceptions stand here.
 */
#include "config/changes.h"

#include "config/meaning.h"

#define SAME(name) _Static_assert((int)CHANGE_##name == (int)RELOAD_##name, "one order for both")
SAME(HOT);
SAME(RESIZE);
SAME(PROCESS);
SAME(LISTENER);
SAME(RESTART);

#define REDACTED  "<redacted>"
#define ELSEWHERE " (another directory)"

struct walk {
    struct arena *arena;
    const struct app_config *from, *to; /* NULL: the daemon's own */
    struct changes found;
    size_t room;
};

/* Keeps the order: what needs most first, equals as they come. */
static void add(struct walk *w, struct change c) {
    struct changes *f = &w->found;
    size_t i = f->n;

    if (f->n == w->room) {
        w->room = w->room == 0 ? 8 : w->room * 2;
        struct change *bigger = ARENA_ARRAY(w->arena, struct change, w->room);
        if (f->n > 0)
            memcpy(bigger, f->v, f->n * sizeof *bigger);
        f->v = bigger;
    }
    if (c.needs == CHANGE_PROCESS && w->to != NULL && w->from->type == APP_STATIC && w->to->type == APP_STATIC)
        c.needs = CHANGE_HOT;
    for (; i > 0 && f->v[i - 1].needs < c.needs; i--)
        f->v[i] = f->v[i - 1];
    f->v[i] = c;
    f->n++;
}

static bool has(const struct walk *w, const char *key) {
    for (size_t i = 0; i < w->found.n; i++)
        if (strcmp(w->found.v[i].key, key) == 0)
            return true;
    return false;
}

/* ---- values as text ---- */

static const char *flow_text(struct arena *a, const json_t *value) {
    struct buf text = {0};

    if (json_is_null(value))
        return NULL;
    setting_flow_text(value, &text);
    const char *out = arena_str(a, buf_str(&text)).p;
    buf_free(&text);
    return out;
}

static const char *value_of(const struct string_map *map, const char *key) {
    for (size_t i = map->n; i > 0; i--)
        if (strcmp(map->v[i - 1].key, key) == 0)
            return map->v[i - 1].value;
    return NULL;
}

/* The names in `mine` whose value is another one in `other`, or that are not there: "[A, B]"; NULL: none. Values stay
 * unsaid: variables are where passwords are. */
static const char *names_that_differ(struct arena *a, const struct string_map *mine, const struct string_map *other) {
    json_t *names = json_array();

    for (size_t i = 0; i < mine->n; i++) {
        const char *key = mine->v[i].key, *value = value_of(other, key), *own = value_of(mine, key);
        if ((value == NULL || strcmp(value, own) != 0) && own == mine->v[i].value)
            json_array_append_new(names, setting_text_json(key));
    }
    const char *out = json_array_size(names) == 0 ? NULL : flow_text(a, names);
    json_decref(names);
    return out;
}

static const char *secret_text(const json_t *value) {
    return json_is_string(value) && json_string_length(value) > 0 ? REDACTED : NULL;
}

static void add_maps(struct walk *w, const char *key, enum change_needs needs, const struct string_map *was,
                     const struct string_map *now) {
    add(w, (struct change){key, needs, names_that_differ(w->arena, was, now), names_that_differ(w->arena, now, was)});
}

/* ---- settings ---- */

static enum change_needs needs_of(const struct walk *w, const struct setting *s) {
    bool learned = w->to != NULL && (w->from->learns_base_path || w->to->learns_base_path);

    return learned && strcmp(s->key, "route") == 0 ? CHANGE_PROCESS : (enum change_needs)s->reload;
}

static void compare(struct walk *w, const struct setting *s, const void *from, const void *to) {
    json_t *was = s->type->json(s, from), *now = s->type->json(s, to);
    enum change_needs needs = needs_of(w, s);

    if (!json_equal(was, now)) {
        if (s->type == &setting_type_MAP)
            add_maps(w, s->key, needs, from, to);
        else if (s->secret)
            add(w, (struct change){s->key, needs, secret_text(was), secret_text(now)});
        else
            add(w, (struct change){s->key, needs, flow_text(w->arena, was), flow_text(w->arena, now)});
    }
    json_decref(was);
    json_decref(now);
}

static void compare_daemon(struct walk *w, const struct setting *s, const struct daemon_settings *from,
                           const struct daemon_settings *to) {
    compare(w, s, (const char *)from + s->daemon_offset, (const char *)to + s->daemon_offset);
}

static bool means(const struct walk *w, const struct setting *s) {
    return setting_means(s, (enum app_type)w->from->type) || setting_means(s, (enum app_type)w->to->type);
}

/* ---- what is no setting ---- */

static const char *directory_text(struct arena *a, const char *target, uint64_t device, uint64_t inode, bool by_name) {
    if (inode == 0)
        return NULL;
    return by_name && target != NULL
               ? target
               : arena_printf(a, "device %llu, inode %llu", (unsigned long long)device, (unsigned long long)inode).p;
}

/* The same path leads elsewhere. Names tell a person more than numbers, where they differ. */
static void compare_directories(struct walk *w) {
    const struct app_config *from = w->from, *to = w->to;
    bool by_name = from->dir_target != NULL && to->dir_target != NULL && strcmp(from->dir_target, to->dir_target) != 0;

    if (has(w, "type") || has(w, "dir"))
        return;
    if (from->dir_device != to->dir_device || from->dir_inode != to->dir_inode)
        add(w, (struct change){"dir" ELSEWHERE, CHANGE_PROCESS,
                               directory_text(w->arena, from->dir_target, from->dir_device, from->dir_inode, by_name),
                               directory_text(w->arena, to->dir_target, to->dir_device, to->dir_inode, by_name)});
    else if (!has(w, "app_dir") &&
             (from->app_dir_device != to->app_dir_device || from->app_dir_inode != to->app_dir_inode))
        add(w, (struct change){"app_dir" ELSEWHERE, CHANGE_PROCESS,
                               directory_text(w->arena, NULL, from->app_dir_device, from->app_dir_inode, false),
                               directory_text(w->arena, NULL, to->app_dir_device, to->app_dir_inode, false)});
}

static const char *time_text(struct arena *a, int64_t ns) {
    char text[28];

    if (ns == 0)
        return NULL;
    wall_rfc3339_us((wall_t){ns / 1000}, text);
    return arena_strdup(a, text);
}

static bool same_strings(const struct strings *a, const struct strings *b) {
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->v[i], b->v[i]) == 0;
    return same;
}

/* Order counts: a value may use ${…} of one above. */
static bool same_map(const struct string_map *a, const struct string_map *b) {
    bool same = a->n == b->n;

    for (size_t i = 0; same && i < a->n; i++)
        same = strcmp(a->v[i].key, b->v[i].key) == 0 && strcmp(a->v[i].value, b->v[i].value) == 0;
    return same;
}

static const char *strings_text(struct arena *a, const struct strings *strings) {
    json_t *value = setting_strings_json(strings);
    const char *out = strings->n == 0 ? NULL : flow_text(a, value);

    json_decref(value);
    return out;
}

static bool needs_process(const struct walk *w) {
    return w->found.n > 0 && w->found.v[0].needs >= CHANGE_PROCESS;
}

static void compare_found(struct walk *w) {
    const struct app_config *from = w->from, *to = w->to;

    compare_directories(w);
    bool elsewhere = has(w, "type") || has(w, "dir") || has(w, "dir" ELSEWHERE);
    if (!elsewhere && from->restart_mtime_ns != to->restart_mtime_ns)
        add(w, (struct change){"dir/restart.txt", CHANGE_PROCESS, time_text(w->arena, from->restart_mtime_ns),
                               time_text(w->arena, to->restart_mtime_ns)});
    if (!elsewhere && !same_map(&from->dotenv, &to->dotenv))
        add_maps(w, ".env or .Renviron", CHANGE_PROCESS, &from->dotenv, &to->dotenv);
    if (!needs_process(w) && !same_strings(&from->interpreter, &to->interpreter))
        add(w, (struct change){"interpreter", CHANGE_PROCESS, strings_text(w->arena, &from->interpreter),
                               strings_text(w->arena, &to->interpreter)});
}

struct changes changes_app(struct arena *a, const struct daemon_settings *from_daemon, const struct app_config *from,
                           const struct daemon_settings *to_daemon, const struct app_config *to) {
    struct walk w = {.arena = a, .from = from, .to = to};

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (setting_in_app(s) && means(&w, s))
            compare(&w, s, (const char *)from + s->app_offset, (const char *)to + s->app_offset);
    }
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (!setting_in_app(s) && s->reload == RELOAD_PROCESS && means(&w, s))
            compare_daemon(&w, s, from_daemon, to_daemon);
    }
    compare_found(&w);
    return w.found;
}

struct changes changes_daemon(struct arena *a, const struct daemon_settings *from, const struct daemon_settings *to) {
    struct walk w = {.arena = a};

    for (size_t i = 0; i < setting_count; i++)
        if (setting_in_daemon(&setting_table[i]))
            compare_daemon(&w, &setting_table[i], from, to);
    return w.found;
}

const char *change_warning(struct arena *a, const struct change *c) {
    if (c->needs != CHANGE_RESTART)
        return NULL;
    return arena_printf(a, "%s changed from %s to %s: restart faucet to use it", c->key,
                        c->was == NULL ? "its default" : c->was, c->now == NULL ? "its default" : c->now)
        .p;
}

const char *change_needs_name(enum change_needs needs) {
    return setting_reload_name((enum setting_reload)needs);
}
