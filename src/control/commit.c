/*
 * Apps first, then routes, then listeners: whoever arrives finds what the
 * routes lead to.
 */
#include "control/commit.h"

#include "control/boot_report.h"

static void commit_app(struct faucet *f, struct snapshot *next, const struct plan_row *row,
                       struct candidate *candidate) {
    struct app *live = app_find(f->apps, row->name);
    bool wanted = row->to != NULL && row->to->type != APP_STATIC;
    if (!wanted) {
        if (live != NULL)
            app_remove(live);
    } else if (candidate != NULL)
        (void)candidate_commit(candidate);
    else if (live != NULL)
        app_use(live, next, row->to);
    else
        (void)app_start(f->apps, next, row->to);
}

static bool log_differs(const struct daemon_settings *a, const struct daemon_settings *b) {
    const char *from = a->log_file ? a->log_file : "", *to = b->log_file ? b->log_file : "";
    return a->log_level != b->log_level || a->log_format != b->log_format || a->log_max_size != b->log_max_size ||
           strcmp(from, to) != 0;
}

void commit(struct faucet *f, struct snapshot *next, const struct plan *plan, struct candidate **candidates,
            struct listeners_plan *listeners) {
    const struct daemon_settings *d = &next->daemon;
    if (f->snapshot == NULL || log_differs(&f->snapshot->daemon, d))
        log_configure(f->log, (enum log_level)d->log_level, (enum log_format)d->log_format, d->log_file,
                      d->log_max_size);
    apps_use(f->apps, next);
    for (size_t i = 0; i < plan->n; i++)
        commit_app(f, next, &plan->rows[i], candidates != NULL ? candidates[i] : NULL);
    telemetry_use(f->telemetry, next);
    proxy_use(f->proxy, next);
    listeners_commit(listeners, f->proxy);
    struct snapshot *old = f->snapshot;
    f->snapshot = snapshot_ref(next);
    snapshot_unref(old);
    if (f->report != NULL)
        boot_report_reloaded(f->report, next, f->proxy->live, &f->proxy->listeners);
}
