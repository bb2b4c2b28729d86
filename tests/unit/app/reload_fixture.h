/*
 * Reloads of live apps: snapshots after snapshots, each with its own copy of
 * the app's settings in its arena, so that a use of what an old one left
 * behind is a use of freed memory.
 */
#ifndef FAUCET_TESTS_RELOAD_FIXTURE_H
#define FAUCET_TESTS_RELOAD_FIXTURE_H

#include "app/candidate.h"
#include "world_fixture.h"

#include <errno.h>
#include <signal.h>

/* Serves until it is told to stop. */
#define SERVE SERVER "serve(listen())"

/* What a candidate's owner was told. */
struct outcome {
    unsigned told;
    bool ready;
    char why[2048];
    struct candidate *candidate;
    struct candidate *abandon[2]; /* from inside done() */
};

/* l->config as it stands now, under a new snapshot; the caller owns one reference. */
static inline struct snapshot *next_snapshot(struct live *l, const struct app_config **config) {
    struct snapshot *s = snapshot_empty();
    struct app_config *copy = arena_alloc(s->arena, sizeof *copy);
    s->daemon = l->snapshot->daemon;
    *copy = l->config;
    copy->name = arena_strdup(s->arena, l->config.name);
    *config = copy;
    return s;
}

static inline void set_command(struct live *l, const char **command) {
    size_t n = 0;
    while (command[n] != NULL)
        n++;
    l->config.command = (struct strings){n, command};
}

/* Boots l->config with this command and waits until it is ready. */
static inline void boot_app(struct live *l, const char **command) {
    const struct app_config *config;
    set_command(l, command);
    struct snapshot *s = next_snapshot(l, &config);
    l->app = app_start(l->apps, s, config);
    l->generation = l->app->current;
    snapshot_unref(s);
    live_until(l, l->state == APP_STATE_READY);
}

static inline void outcome_done(void *owner, struct candidate *c, const char *why) {
    struct outcome *o = owner;
    o->told++;
    o->ready = why == NULL;
    o->candidate = c;
    (void)snprintf(o->why, sizeof o->why, "%s", why != NULL ? why : "");
    for (size_t i = 0; i < ARRAY_LENGTH(o->abandon); i++)
        if (o->abandon[i] != NULL)
            candidate_abandon(o->abandon[i]);
}

/* A candidate from l->config; nothing but it keeps the snapshot. */
static inline struct candidate *prepare(struct live *l, struct app *existing, struct outcome *o) {
    const struct app_config *config;
    struct snapshot *s = next_snapshot(l, &config);
    *o = (struct outcome){0};
    struct candidate *c = candidate_start(l->apps, existing, s, config, outcome_done, o);
    snapshot_unref(s);
    assert_int_equal(o->told, 0); /* not from inside */
    return c;
}

/* l->config becomes a new generation of l->app, or a new app when there is none. */
static inline void roll(struct live *l) {
    struct outcome o;
    struct candidate *c = prepare(l, l->app, &o);
    live_until(l, o.told);
    assert_string_equal(o.why, "");
    l->app = candidate_commit(c);
    l->generation = l->app->current;
}

/* l->config in place. */
static inline void use(struct live *l) {
    const struct app_config *config;
    struct snapshot *s = next_snapshot(l, &config);
    app_use(l->app, s, config);
    snapshot_unref(s);
}

static inline struct worker *worker_numbered(const struct generation *g, unsigned id) {
    for (size_t s = 0; s < WORKER_GONE; s++)
        LIST_FOREACH (&g->workers[s], struct worker, w, node) {
            if (w->id == id)
                return w;
        }
    return NULL;
}

static inline bool is_alive(pid_t pid) {
    return kill(pid, 0) == 0;
}

/* A tunnel: the client is pinned to e. */
static inline void open_tunnel(struct live *l, struct endpoint *e, unsigned client) {
    (void)l;
    const struct client_key key = client_number(client);
    endpoint_pin(e, &key);
}
static inline void close_tunnel(struct live *l, struct endpoint *e, unsigned client) {
    (void)l;
    const struct client_key key = client_number(client);
    endpoint_unpin(e, &key);
}

#endif
