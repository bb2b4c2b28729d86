/*
 * Which destination each connection string of a configuration leads to. Strings
 * that come to the same place, options and passwords share one: one pool for each
 * distinct string, however it is written. Strings to the same place (host, port,
 * database and user) that differ otherwise, say in sslmode or search_path, have a
 * destination each, "… as alice" and "… as alice (2)": what is asked for in one
 * of them holds for its events alone, and none is sent in a way that another
 * asked for.
 *
 * A string that no longer is there, and one that is new, to the same place: it was
 * changed (a new password, a certificate), and the new one takes over the queue of
 * the old. One exception: not by a weaker sslmode, as long as something is queued.
 * That was promised to be sent in no weaker way than the old string says; it drains
 * by the old string, or is left until that is configured again.
 *
 * What an earlier run left is looked at first, since it may be anybody's. On disk
 * no password is known, so any of a place with the same options will do.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "telemetry/telemetry_parts.h"

struct targets {
    const struct snapshot *snapshot;
    size_t n;                   /* the daemon's string, then one an app */
    struct pg_conninfo **infos; /* NULL: telemetry is off */
    struct destination **found;
};

/* How well one fits, the best first. */
enum fit { FIT_SAME, FIT_SAME_ON_DISK, FIT_CHANGED, FITS };

/* ---- the strings ---- */

static const char *connection_of(const struct snapshot *s, size_t i) {
    return i == 0 ? s->daemon.telemetry.postgres_string : s->apps[i - 1]->telemetry.postgres_string;
}

bool telemetry_any_connection(const struct snapshot *s) {
    for (size_t i = 0; i <= s->app_count; i++)
        if (connection_of(s, i)[0] != '\0')
            return true;
    return false;
}

static struct pg_conninfo *info_of(const struct snapshot *s, size_t i, char **error) {
    const struct telemetry_settings *own = &s->daemon.telemetry;
    char *why = NULL;
    struct pg_conninfo *info = pg_conninfo_new(connection_of(s, i), telemetry_sslmode(own), own->sslcert, &why);

    if (info == NULL && i == 0)
        XXXASSERT(asprintf(error, "telemetry.postgres_string: %s", why) >= 0);
    else if (info == NULL)
        XXXASSERT(asprintf(error, "apps.%s.telemetry.postgres_string: %s", s->apps[i - 1]->name, why) >= 0);
    free(why);
    return info;
}

static void targets_free(struct targets *t) {
    for (size_t i = 0; i < t->n; i++)
        pg_conninfo_free(t->infos[i]);
    free(t->infos);
    free(t->found);
}

static bool targets_read(struct targets *t, const struct snapshot *s, char **error) {
    bool good = true;

    *t = (struct targets){.snapshot = s, .n = s->app_count + 1};
    t->infos = calloc(t->n, sizeof t->infos[0]);
    t->found = calloc(t->n, sizeof t->found[0]);
    XXXASSERT(t->infos != NULL && t->found != NULL);
    for (size_t i = 0; good && i < t->n; i++)
        if (connection_of(s, i)[0] != '\0')
            good = (t->infos[i] = info_of(s, i, error)) != NULL;
    if (!good)
        targets_free(t);
    return good;
}

/* ---- whose destination ---- */

static bool is(const char *known, const char *wanted) {
    return known != NULL && strcmp(known, wanted) == 0;
}

/* Where not even the place is known, the directory says it. */
static bool is_at(const struct telemetry *t, const struct destination *d, const struct pg_conninfo *info) {
    if (d->place != NULL || d->directory == NULL)
        return is(d->place, info->destination);
    char *directory = destination_directory(t->queues, info->destination);
    bool same = strcmp(directory, d->directory) == 0;
    free(directory);
    return same;
}

static bool fits(const struct telemetry *t, const struct destination *d, const struct pg_conninfo *info, enum fit fit) {
    bool same = is(d->options, info->options);

    if (!is_at(t, d, info))
        return false;
    switch (fit) {
    case FIT_SAME:
        return same && is(d->secrets, info->secrets);
    case FIT_SAME_ON_DISK:
        return same && d->secrets == NULL;
    case FIT_CHANGED:
        return destination_is_empty(d) || !pg_options_weaker(info->options, d->options);
    case FITS:
        break;
    }
    return false;
}

static bool is_taken(const struct targets *g, const struct destination *d) {
    for (size_t i = 0; i < g->n; i++)
        if (g->found[i] == d)
            return true;
    return false;
}

/* The one in use before one that is left, one in which something waits before others. */
static struct destination *find_fit(const struct telemetry *t, const struct targets *g, size_t i, enum fit fit) {
    static const enum destination_state order[] = {DESTINATION_USED, DESTINATION_PREPARED, DESTINATION_DRAINING,
                                                   DESTINATION_LEFT};
    struct destination *best = NULL;

    for (size_t k = 0; k < ARRAY_LENGTH(order) && best == NULL; k++)
        LIST_FOREACH (&t->destinations, struct destination, d, node) {
            if (d->state == order[k] && !is_taken(g, d) && fits(t, d, g->infos[i], fit) &&
                (best == NULL || (destination_is_empty(best) && !destination_is_empty(d))))
                best = d;
        }
    return best;
}

/* The same as a string before it. */
static size_t first_like(const struct targets *g, size_t i) {
    for (size_t k = 0; k < i; k++)
        if (g->infos[k] != NULL && strcmp(g->infos[k]->destination, g->infos[i]->destination) == 0 &&
            strcmp(g->infos[k]->options, g->infos[i]->options) == 0 &&
            strcmp(g->infos[k]->secrets, g->infos[i]->secrets) == 0)
            return k;
    return i;
}

static bool is_used(const struct telemetry *t, const char *name) {
    char *directory = t->queues != NULL ? destination_directory(t->queues, name) : NULL;
    bool used = false;

    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        used = used || strcmp(d->name, name) == 0 || (directory != NULL && is(d->directory, directory));
    }
    free(directory);
    return used;
}

/* Why it is not simply the place's: said, because people will look for it under the plain name. */
static void say_own(const struct telemetry *t, const struct targets *g, size_t i, const struct destination *own) {
    const struct pg_conninfo *info = g->infos[i];
    const struct destination *kept = NULL;

    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        if (!is_taken(g, d) && is_at(t, d, info) && pg_options_weaker(info->options, d->options))
            kept = d;
    }
    const char *app = i == 0 ? "telemetry" : g->snapshot->apps[i - 1]->name;
    log_info(t->env.log, "telemetry to %s: a queue and connections of its own, since %s%s%s %s %s%s", own->name,
             i == 0 ? "" : "apps.", app, i == 0 ? ".postgres_string" : ".telemetry.postgres_string",
             kept != NULL ? "asks for a weaker sslmode than what is queued for" : "differs in its options from that to",
             kept != NULL ? kept->name : info->destination,
             kept != NULL ? "; those events are sent as they were to be, or wait" : "");
}

static struct destination *make(struct telemetry *t, const struct targets *g, size_t i) {
    const struct pg_conninfo *info = g->infos[i];
    unsigned number = 1;
    char *name = destination_name(info->destination, number);

    while (is_used(t, name)) {
        free(name);
        name = destination_name(info->destination, ++number);
    }
    struct destination *d = destination_new(&t->env, name, info, t->queues, g->snapshot->daemon.telemetry.queue_size);
    if (number > 1)
        say_own(t, g, i, d);
    list_append(&t->destinations, &d->node);
    return d;
}

static void assign(struct telemetry *t, struct targets *g) {
    for (enum fit fit = FIT_SAME; fit < FITS; fit++)
        for (size_t i = 0; i < g->n; i++) {
            if (g->infos[i] == NULL || g->found[i] != NULL)
                continue;
            g->found[i] = g->found[first_like(g, i)];
            if (g->found[i] == NULL)
                g->found[i] = find_fit(t, g, i, fit);
        }
    for (size_t i = 0; i < g->n; i++) {
        if (g->infos[i] == NULL)
            continue;
        if (g->found[i] == NULL)
            g->found[i] = g->found[first_like(g, i)];
        if (g->found[i] == NULL)
            g->found[i] = make(t, g, i);
        else if (g->found[i]->queue == NULL)
            destination_open_again(g->found[i], g->snapshot->daemon.telemetry.queue_size);
    }
}

/* ---- what earlier runs left ---- */

/* In order of names, so that of two that differ in their passwords alone each finds its own again. */
static void add_left(struct telemetry *t, struct destination *left) {
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        if (strcmp(left->name, d->name) < 0) {
            list_insert_before(&t->destinations, &d->node, &left->node);
            return;
        }
    }
    list_append(&t->destinations, &left->node);
}

static void find_left(struct telemetry *t, int64_t size) {
    DIR *dir = opendir(t->queues);

    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        add_left(t, destination_find_left(&t->env, t->queues, e->d_name, size));
    }
    closedir(dir);
}

static void settle_left(struct telemetry *t, const struct targets *g) {
    LIST_FOREACH (&t->destinations, struct destination, d, node) {
        if (d->state == DESTINATION_LEFT && !is_taken(g, d))
            destination_settle_left(d);
    }
}

/* ---- the whole ---- */

static struct epoch *epoch_of(const struct targets *g) {
    struct epoch *e = calloc(1, sizeof *e + (g->n - 1) * sizeof e->apps[0]);

    XXXAN(e);
    e->app_count = g->n - 1;
    e->daemon = g->found[0];
    for (size_t i = 0; i < e->app_count; i++)
        e->apps[i] = g->found[i + 1];
    return e;
}

struct epoch *telemetry_aim(struct telemetry *t, const struct snapshot *s, char **error) {
    struct targets targets;

    if (!targets_read(&targets, s, error))
        return NULL;
    bool first = t->lock < 0;
    struct epoch *e = NULL;
    if (telemetry_open_state_dir(t, error)) {
        first = first && t->queues != NULL;
        if (first)
            find_left(t, s->daemon.telemetry.queue_size);
        assign(t, &targets);
        if (first)
            settle_left(t, &targets);
        e = epoch_of(&targets);
    }
    targets_free(&targets);
    return e;
}

struct destination *telemetry_find(const struct telemetry *t, const struct snapshot *s, const struct app_config *app) {
    size_t i = app != NULL ? app->index + 1 : 0;
    struct targets one = {.snapshot = s, .n = 1};
    struct pg_conninfo *info;
    struct destination *d = NULL, *found = NULL;
    char *error = NULL;

    if (connection_of(s, i)[0] == '\0')
        return NULL;
    info = info_of(s, i, &error);
    free(error);
    if (info == NULL)
        return NULL;
    one.infos = &info;
    one.found = &found;
    d = find_fit(t, &one, 0, FIT_SAME);
    pg_conninfo_free(info);
    return d;
}
