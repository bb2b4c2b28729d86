/*
 * A line is printed when an app's state changes; when the last one is ready,
 * the addresses follow, once. Which apps are waited for, a reload may change
 * meanwhile: those of the newest configuration.
 */
#include "control/boot_report.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

struct boot_report {
    struct snapshot *snapshot; /* whose apps are waited for; NULL once the report was given */
    char *base;                /* "http://127.0.0.1:3838" */
    mono_t began;
    bool *ready; /* by app index */
    size_t ready_count;
    bool done;
};

/* The first TCP listener is what a browser can open. */
static char *base_url(const struct list *listeners) {
    LIST_FOREACH (listeners, struct listener, l, node) {
        char *url = NULL;
        if (address_is_tcp(&l->address)) {
            XXXASSERT(asprintf(&url, "http://%s", l->text) > 0);
            return url;
        }
    }
    char *none = strdup("");
    XXXAN(none);
    return none;
}

/* Of what is served now; nobody is known to be ready. */
static void take(struct boot_report *r, struct snapshot *s, const struct list *listeners) {
    struct snapshot *before = r->snapshot;
    r->snapshot = snapshot_ref(s);
    snapshot_unref(before);
    free(r->base);
    r->base = base_url(listeners);
    free(r->ready);
    r->ready = calloc(s->app_count + 1, sizeof *r->ready);
    XXXAN(r->ready);
    r->ready_count = 0;
}

struct boot_report *boot_report_new(struct snapshot *s, const struct list *listeners) {
    struct boot_report *r = calloc(1, sizeof *r);
    XXXAN(r);
    take(r, s, listeners);
    r->began = mono_now();
    printf("faucet %s: starting %zu apps\n", FAUCET_VERSION, s->app_count);
    fflush(stdout);
    return r;
}

static void print_urls(struct boot_report *r) {
    r->done = true;
    printf("\nAll apps are ready:\n");
    for (size_t i = 0; i < r->snapshot->app_count; i++) {
        const struct app_config *a = r->snapshot->apps[i];
        bool host = a->host.n > 0;
        printf("  %-16s %s%s%s\n", a->name, host ? "http://" : r->base, host ? a->host.v[0] : "", a->route.v[0]);
    }
    printf("\nCtrl-C stops.\n");
    snapshot_unref(r->snapshot); /* nothing is kept for a report that was given */
    r->snapshot = NULL;
}

/* Printing happens in the loop: a line that a full pipe would hold up is left out. */
static bool output_takes(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLOUT) != 0;
}

static void note_ready(struct boot_report *r, size_t index) {
    if (!r->ready[index])
        r->ready_count++;
    r->ready[index] = true;
}

/* A file that declares no app any more (reload --force) has nothing to report. */
static bool all_ready(const struct boot_report *r) {
    return r->snapshot->app_count > 0 && r->ready_count == r->snapshot->app_count;
}

void boot_report_reloaded(struct boot_report *r, struct snapshot *s, struct app *const *live,
                          const struct list *listeners) {
    if (r->done)
        return;
    take(r, s, listeners);
    for (size_t i = 0; i < s->app_count; i++)
        if (live[i] == NULL || app_state(live[i]) == APP_STATE_READY)
            note_ready(r, i);
    if (!all_ready(r) || !output_takes())
        return;
    print_urls(r);
    fflush(stdout);
}

void boot_report_state(struct boot_report *r, const char *app, enum app_state state, const char *reason) {
    const struct app_config *a = r->done ? NULL : snapshot_app(r->snapshot, app);
    if (a == NULL)
        return;
    if (state == APP_STATE_READY)
        note_ready(r, a->index);
    if (!output_takes())
        return;
    double seconds = (double)mono_since(r->began, mono_now()) / (double)DUR_S;
    printf("  %-16s %-9s %5.1f s%s%s\n", app, app_state_name(state), seconds, reason ? "  " : "", reason ? reason : "");
    if (all_ready(r))
        print_urls(r);
    fflush(stdout);
}

void boot_report_free(struct boot_report *r) {
    if (r == NULL)
        return;
    snapshot_unref(r->snapshot);
    free(r->base);
    free(r->ready);
    free(r);
}
