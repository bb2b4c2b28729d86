/*
 * Candidates; see candidate.h. A candidate is a generation that is not current
 * yet: balancing looks at the current one only, and nobody can be pinned to
 * what he never reached, so being beside is all it takes to be unseen. A new
 * app is hidden until commit: app_find passes it by, its state is not told.
 */
#include "app/candidate.h"

#include "app/live.h"
#include "app/upstream_health.h"
#include "base/miniobj.h"

enum candidate_state { CANDIDATE_PREPARING, CANDIDATE_READY, CANDIDATE_FAILED };

struct candidate {
    unsigned magic;
#define CANDIDATE_MAGIC 0xca9d1da7
    struct list_node node; /* on apps->candidates */
    struct app *app;
    struct generation *generation;
    enum candidate_state state;
    bool begun; /* all its parts are made */
    bool told;
    char *note; /* the last reason of a part that cannot serve, NULL: none */
    char *why;  /* FAILED */
    void (*done)(void *owner, struct candidate *c, const char *why);
    void *owner;
};

struct candidate *candidate_start(struct apps *apps, struct app *existing, struct snapshot *s,
                                  const struct app_config *config,
                                  void (*done)(void *owner, struct candidate *c, const char *why), void *owner) {
    struct candidate *c;

    CHECK_OBJ_NOTNULL(apps, APPS_MAGIC);
    ALLOC_OBJ(c, CANDIDATE_MAGIC);
    c->done = done;
    c->owner = owner;
    c->app = existing;
    if (existing == NULL) {
        c->app = app_new(apps, s, config);
        c->app->hidden = true;
    }
    ASSERT(!c->app->removed);
    list_append(&apps->candidates, &c->node);
    start_pacer_set_limit(&apps->pacer, (size_t)s->daemon.max_parallel_starts);
    c->generation = generation_new(c->app, s, config);
    c->generation->candidate = c;
    if (apps->stopping) {
        candidate_fail(c, "faucet is stopping");
    } else {
        generation_start(c->generation);
        c->begun = true;
        candidate_look(c);
    }
    return c;
}

/* ---- is it ready? ------------------------------------------------------------------------------------------------ */

static void decide(struct candidate *c, enum candidate_state state) {
    c->state = state;
    apps_wake(c->app->apps);
}

bool candidate_is_preparing(const struct candidate *c) {
    return c != NULL && c->state == CANDIDATE_PREPARING;
}

void candidate_look(struct candidate *c) {
    if (!candidate_is_preparing(c) || !c->begun)
        return;
    CHECK_OBJ(c, CANDIDATE_MAGIC);
    if (c->generation->config->type == APP_UPSTREAM) {
        if (upstreams_asking(c->generation))
            return;
        if (candidate_ready(c) == 0)
            candidate_fail(c, c->note != NULL ? c->note : "it has no upstream address");
        else
            decide(c, CANDIDATE_READY);
    } else if (candidate_ready(c) == candidate_wanted(c)) {
        decide(c, CANDIDATE_READY);
    }
}

void candidate_note(struct candidate *c, const char *reason) {
    CHECK_OBJ_NOTNULL(c, CANDIDATE_MAGIC);
    free(c->note);
    c->note = strdup(reason);
    XXXAN(c->note);
}

void candidate_fail(struct candidate *c, const char *why) {
    CHECK_OBJ_NOTNULL(c, CANDIDATE_MAGIC);
    if (c->state == CANDIDATE_FAILED)
        return;
    c->why = strdup(why);
    XXXAN(c->why);
    decide(c, CANDIDATE_FAILED);
}

void candidates_fail(struct apps *apps, const char *why) {
    LIST_FOREACH (&apps->candidates, struct candidate, c, node) {
        if (!c->told)
            candidate_fail(c, why);
    }
}

static struct candidate *next_to_tell(const struct apps *apps) {
    LIST_FOREACH (&apps->candidates, struct candidate, c, node) {
        if (c->state != CANDIDATE_PREPARING && !c->told)
            return c;
    }
    return NULL;
}

/* done() may abandon or commit any of them. */
void candidates_tell(struct apps *apps) {
    struct candidate *c;

    while ((c = next_to_tell(apps)) != NULL) {
        c->told = true;
        if (c->state == CANDIDATE_FAILED)
            generation_stop(c->generation);
        c->done(c->owner, c, c->why);
    }
}

size_t candidate_ready(const struct candidate *c) {
    CHECK_OBJ_NOTNULL(c, CANDIDATE_MAGIC);
    return generation_ready(c->generation);
}

size_t candidate_wanted(const struct candidate *c) {
    CHECK_OBJ_NOTNULL(c, CANDIDATE_MAGIC);
    const struct generation *g = c->generation;
    if (g->config->type == APP_UPSTREAM)
        return g->config->upstream.n;
    return g->kind->has_workers ? (size_t)g->config->workers : 0;
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void candidate_free(struct candidate *c) {
    list_remove(&c->node);
    free(c->note);
    free(c->why);
    FREE_OBJ(c);
}

void candidates_free(struct apps *apps) {
    LIST_FOREACH (&apps->candidates, struct candidate, c, node) {
        c->generation->candidate = NULL;
        candidate_free(c);
    }
}

void candidate_abandon(struct candidate *c) {
    CHECK_OBJ_NOTNULL(c, CANDIDATE_MAGIC);
    struct app *a = c->app;
    struct apps *apps = a->apps;

    c->generation->candidate = NULL;
    a->removed |= a->hidden;
    generation_stop(c->generation);
    candidate_free(c);
    if (list_empty(&apps->candidates))
        start_pacer_set_limit(&apps->pacer, apps->parallel_starts);
}

/* Who drains says how many keep it alive. */
static void drain_others(struct app *a) {
    LIST_FOREACH (&a->generations, struct generation, g, node) {
        if (g == a->current || g->candidate != NULL || g->draining)
            continue;
        log_info(a->apps->log, "generation %llu of %s serves now, generation %llu drains: %zu requests and %zu tunnels",
                 (unsigned long long)a->current->number, a->name, (unsigned long long)g->number, a->leases, a->tunnels);
        generation_drain(g);
    }
}

struct app *candidate_commit(struct candidate *c) {
    CHECK_OBJ_NOTNULL(c, CANDIDATE_MAGIC);
    ASSERT(c->state == CANDIDATE_READY);
    struct app *a = c->app;
    struct generation *g = c->generation;
    struct snapshot *before = a->snapshot;

    ASSERT(!a->removed);
    a->snapshot = snapshot_ref(g->snapshot);
    snapshot_unref(before);
    a->config = g->config;
    a->kind = g->kind;
    a->hidden = false;
    a->current = g;
    g->candidate = NULL;
    app_set_reason(a, c->note != NULL ? c->note : "");
    candidate_free(c);
    lease_reroute_all(a); /* who waits goes along; pinned clients go on waiting where they are */
    drain_others(a);
    app_changed(a);
    return a;
}
