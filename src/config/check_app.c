/*
 * One app: what type it is, whether its keys fit together, what its kind says.
 */
#include "config/load.h"
#include "config/meaning.h"
#include "config/nearest.h"

/* What a check of one app needs at hand; kind_check.private_. */
struct app_check {
    struct build *build;
    struct scope *scope;
    struct kind_check kind;
};

static struct app_check *of_kind_check(const struct kind_check *k) {
    return k->private_;
}

static bool kind_is_set(const struct kind_check *k, const char *key) {
    return scope_is_set(of_kind_check(k)->scope, key);
}

static const char *kind_where(const struct kind_check *k, const char *key) {
    return scope_where(of_kind_check(k)->scope, key);
}

static const char *type_name(enum app_type type) {
    return setting_find(STR("type"), true)->choices[type];
}

static void say(struct app_check *c, enum problem_level level, const char *key, const char *format, ...)
    PRINTF_LIKE(4, 5);
static void say(struct app_check *c, enum problem_level level, const char *key, const char *format, ...) {
    va_list args;

    va_start(args, format);
    struct str text = arena_vprintf(c->build->scratch, format, args);
    va_end(args);
    problem_add(c->build->problems, level, scope_where(c->scope, key),
                arena_printf(c->build->scratch, "%s%s", c->scope->prefix, key).p, "%s", text.p);
}

static bool is_bad(const struct app_check *c, const char *key) {
    return scope_slot(c->scope, key)->bad;
}

/* Explicit; else told by command or upstream; else found out by the kinds. APP_AUTO: an error was added. */
static enum app_type resolve_type(struct app_check *c) {
    const struct app_config *app = c->kind.app;
    bool command = scope_is_set(c->scope, "command"), upstream = scope_is_set(c->scope, "upstream");
    enum app_type type = app->type > APP_AUTO ? (enum app_type)app->type : APP_AUTO;

    if (command && upstream) {
        say(c, PROBLEM_ERROR, "upstream", "command is set too (%s); an app has one of them",
            scope_where(c->scope, "command"));
        return APP_AUTO;
    }
    if (type == APP_AUTO && (command || upstream))
        return command ? APP_COMMAND : APP_UPSTREAM;
    if (command && type != APP_COMMAND) {
        say(c, PROBLEM_ERROR, "command", "is for type command, but type is %s (%s); remove one of them",
            type_name(type), scope_where(c->scope, "type"));
        return APP_AUTO;
    }
    if (upstream && type != APP_UPSTREAM) {
        say(c, PROBLEM_ERROR, "upstream", "is for type upstream, but type is %s (%s); remove one of them",
            type_name(type), scope_where(c->scope, "type"));
        return APP_AUTO;
    }
    if (type == APP_COMMAND && !command) {
        say(c, PROBLEM_ERROR, "type", "command needs the key command, such as [python3, serve.py, \"{socket}\"]");
        return APP_AUTO;
    }
    if (type == APP_UPSTREAM && !upstream) {
        say(c, PROBLEM_ERROR, "type", "upstream needs the key upstream, such as \"10.0.0.7:8000\"");
        return APP_AUTO;
    }
    return type;
}

/* "{scoket}" goes to the program as it is, which is rarely meant. */
static void check_placeholder(struct app_check *c, struct str word) {
    size_t open = str_chr(word, '{');
    struct str inner = str_from(word, open + 1);
    struct nearest near;

    inner.n = str_chr(inner, '}');
    if (open == word.n || inner.p + inner.n == word.p + word.n || str_eq(inner, STR("socket")) ||
        str_eq(inner, STR("port")))
        return;
    nearest_init(&near, inner);
    nearest_offer(&near, "socket");
    nearest_offer(&near, "port");
    if (near.best != NULL)
        say(c, PROBLEM_WARNING, "command", "\"{%.*s}\" stands for nothing; did you mean \"{%s}\"?", STR_ARG(inner),
            near.best);
}

static void check_command(struct app_check *c) {
    for (size_t i = 0; i < c->kind.app->command.n; i++)
        check_placeholder(c, str_of(c->kind.app->command.v[i]));
}

/* A key of this very app that its type has no use for; `defaults:` are for all and may well. */
static void check_meaning(struct app_check *c) {
    enum app_type type = (enum app_type)c->kind.app->type;

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        const struct given *winner = setting_in_app(s) ? c->scope->slots[i].winner : NULL;
        bool own = winner != NULL && (winner->layer == LAYER_FILE || winner->layer == LAYER_ENVIRONMENT ||
                                      winner->layer == LAYER_FLAG || c->build->layers.sources->app_name != NULL);
        if (own && !setting_means(s, type))
            say(c, PROBLEM_WARNING, s->key, "has no effect on an app of type %s", type_name(type));
    }
}

static void check_strategy(struct app_check *c) {
    const struct app_config *app = c->kind.app;
    const struct given *rps = scope_slot(c->scope, "max_rps")->winner;

    if (app->strategy == STRATEGY_RPS)
        say(c, PROBLEM_ERROR, "strategy", "rps is not there yet; use round-robin, least-busy, ip-hash or cookie-hash");
    else if (rps != NULL && rps->layer != LAYER_FILE_DEFAULTS)
        say(c, PROBLEM_WARNING, "max_rps", "has no effect: only strategy rps, which is not there yet, will read it");
    if (app->strategy == STRATEGY_COOKIE_HASH && app->cookie_same_site == SAME_SITE_NONE)
        say(c, PROBLEM_WARNING, "cookie.same_site",
            "browsers take a SameSite=None cookie over HTTPS only (it must be Secure): put TLS in front of faucet, or "
            "use "
            "lax");
}

static const struct kind_row *kind_row_of(const struct kind_table *kinds, enum app_type type) {
    for (size_t i = 0; i < kinds->n; i++)
        if (kinds->rows[i].type == type)
            return &kinds->rows[i];
    return NULL;
}

/* APP_AUTO after an error. */
static enum app_type find_type(struct app_check *c) {
    struct problems *problems = c->build->problems;

    if (is_bad(c, "type") || is_bad(c, "dir") || is_bad(c, "app_dir") || is_bad(c, "qmd") || is_bad(c, "command") ||
        is_bad(c, "upstream"))
        return APP_AUTO; /* reported where they were read; what a kind looks for would be looked for elsewhere */

    size_t errors = problems->errors;
    enum app_type type = resolve_type(c);
    if (problems->errors > errors)
        return APP_AUTO;
    /* Whether dir is there is the kinds' business, as is what must be in it. */
    if (type == APP_AUTO)
        type = c->build->kinds->detect(&c->kind);
    return type;
}

void check_app(struct build *b, size_t index) {
    struct app_check c = {.build = b, .scope = b->layers.apps[index]};

    c.kind = (struct kind_check){.arena = b->snapshot->arena,
                                 .daemon = &b->snapshot->daemon,
                                 .app = b->snapshot->apps[index],
                                 .problems = b->problems,
                                 .skip_paths = b->layers.sources->skip_paths,
                                 .is_set = kind_is_set,
                                 .where = kind_where,
                                 .private_ = &c};
    enum app_type type = find_type(&c);
    if (type != APP_AUTO) {
        const struct kind_row *row = kind_row_of(b->kinds, type);
        AN(row);
        c.kind.app->type = (int)type;
        c.kind.app->learns_base_path = row->learns_base_path;
        if (type == APP_COMMAND)
            check_command(&c);
        row->check(&c.kind);
        check_meaning(&c);
    }
    check_strategy(&c);
}
