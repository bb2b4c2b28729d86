/*
 * What must hold between the daemon's settings.
 */
#include "config/load.h"
#include "config/settle.h"

static void error(struct build *b, const char *key, const char *message) {
    problem_add(b->problems, PROBLEM_ERROR, scope_where(&b->layers.daemon, key), key, "%s", message);
}

static void warn(struct build *b, const char *key, const char *message) {
    problem_add(b->problems, PROBLEM_WARNING, scope_where(&b->layers.daemon, key), key, "%s", message);
}

static bool is_bad(const struct build *b, const char *key) {
    return scope_slot(&b->layers.daemon, key)->bad;
}

static void check_addresses(struct build *b) {
    struct daemon_settings *d = &b->snapshot->daemon;

    if (d->listen.n == 0 && !is_bad(b, "listen"))
        error(b, "listen", "must name at least one address, such as 127.0.0.1:3838");
    if (d->control.p == NULL)
        return;
    if (!str_starts(d->control, STR("unix:")))
        error(b, "control",
              arena_printf(b->scratch, "must be a Unix socket such as unix:/run/faucet/control.sock, not \"%s\"",
                           d->control.p)
                  .p);
    for (size_t i = 0; i < d->listen.n; i++)
        if (str_eq(d->listen.v[i], d->control))
            error(b, "control", "must not be one of the addresses of listen");
}

static void check_clients(struct build *b) {
    const struct daemon_settings *d = &b->snapshot->daemon;

    if (d->ip_from != IP_FROM_CLIENT && d->trusted_proxies.n == 0 && !is_bad(b, "trusted_proxies"))
        error(b, "ip_from",
              "needs trusted_proxies, the networks of the proxies in front of faucet (such as private_ranges): anybody "
              "else could write that header");
}

static void check_log(struct build *b) {
    const struct daemon_settings *d = &b->snapshot->daemon;

    if (d->log_max_size >= 0 && d->log_file == NULL && !is_bad(b, "log.file"))
        warn(b, "log.max_size", "has no effect without log.file");
}

/* An empty namespace would come from "${NAMESPACE:-}" and be missed in every query; an empty version is none. */
static void check_telemetry(struct build *b) {
    const struct daemon_settings *d = &b->snapshot->daemon;

    if (d->telemetry.sslmode >= 0 && d->telemetry.postgres_string[0] == '\0' && !b->layers.sources->skip_paths &&
        !is_bad(b, "telemetry.postgres_string") &&
        scope_slot(&b->layers.daemon, "telemetry.sslmode")->winner->variable == NULL)
        for (size_t i = 0; i <= b->snapshot->app_count; i++) {
            if (i == b->snapshot->app_count)
                warn(b, "telemetry.sslmode", "has no effect without telemetry.postgres_string");
            else if (b->snapshot->apps[i]->telemetry.postgres_string[0] != '\0')
                break;
        }
}

/* The daemon's value was set from outside, but some apps name their own in the file: those stand. */
static void check_overridden(struct build *b, const char *key) {
    const struct given *winner = scope_slot(&b->layers.daemon, key)->winner;
    struct buf apps = {0};
    size_t n = 0;

    if (winner == NULL || winner->layer == LAYER_FILE)
        return;
    for (size_t i = 0; i < b->layers.app_count; i++) {
        const struct given *own = scope_slot(b->layers.apps[i], key)->winner;
        if (own == NULL || (own->layer != LAYER_FILE && own->layer != LAYER_FILE_DEFAULTS))
            continue;
        buf_printf(&apps, "%s%s", n++ == 0 ? "" : ", ", b->layers.apps[i]->name);
    }
    if (n > 0)
        problem_add(b->problems, PROBLEM_WARNING, winner->node->where, key,
                    "%s %.*s %s, which %s; to set it for every app: --set 'apps.*.%s=%s'", n == 1 ? "app" : "apps",
                    STR_ARG(buf_str(&apps)), n == 1 ? "names its own" : "name their own", n == 1 ? "stands" : "stand",
                    key, winner->node->text.p == NULL ? "…" : winner->node->text.p);
    buf_free(&apps);
}

void check_daemon(struct build *b) {
    check_addresses(b);
    check_clients(b);
    check_log(b);
    check_telemetry(b);
    check_overridden(b, "telemetry.namespace");
    check_overridden(b, "telemetry.version");
}
