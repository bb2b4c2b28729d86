/*
 * The difference between wanted and actual listeners. A listener that overlaps
 * one of ours would catch connections meant for that one from the moment it is
 * bound (the kernel prefers the more exact address), so it is accepting at once.
 */
#include "control/listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/buf.h"
#include "proxy/client.h"

#define LISTEN_FDS_START   3 /* sd_listen_fds(3) */
#define UNIX_LISTENER_MODE 0666

struct listener_kept {
    struct list_node node;
    struct listener *listener;
};

static bool is_kept(const struct listeners_plan *plan, const struct listener *l) {
    LIST_FOREACH (&plan->kept, struct listener_kept, k, node) {
        if (k->listener == l)
            return true;
    }
    return false;
}

static bool keep(struct listeners_plan *plan, const struct proxy *proxy, const char *text) {
    LIST_FOREACH (&proxy->listeners, struct listener, l, node) {
        if (is_kept(plan, l) || !listener_is_for(l, text))
            continue;
        struct listener_kept *k = calloc(1, sizeof *k);
        XXXAN(k);
        k->listener = l;
        list_append(&plan->kept, &k->node);
        return true;
    }
    return false;
}

static void forget_kept(struct listeners_plan *plan) {
    LIST_FOREACH (&plan->kept, struct listener_kept, k, node) {
        list_remove(&k->node);
        free(k);
    }
}

/* ---- inherited ---- */

struct inherited {
    int count;
    bool *taken;
};

static struct listener *adopt(struct inherited *in, struct proxy *proxy, const char *text) {
    for (int i = 0; i < in->count; i++) {
        struct listener *l = in->taken[i] ? NULL : listener_adopt(proxy->loop, proxy->log, LISTEN_FDS_START + i, text);
        if (l == NULL)
            continue;
        in->taken[i] = true;
        return l;
    }
    return NULL;
}

static void close_unused(struct inherited *in, struct log *log) {
    for (int i = 0; i < in->count; i++) {
        if (in->taken[i])
            continue;
        log_warn(log, "the socket passed as descriptor %d is none of those in `listen`; it is closed",
                 LISTEN_FDS_START + i);
        close(LISTEN_FDS_START + i);
    }
    free(in->taken);
}

/* ---- the plan ---- */

static void bind_one(struct listeners_plan *plan, struct proxy *proxy, struct inherited *in, const char *text,
                     struct buf *errors) {
    if (keep(plan, proxy, text))
        return;
    bool overlaps = false;
    char *error = NULL;
    struct listener *l = adopt(in, proxy, text);
    if (l == NULL)
        l = listener_open_beside(proxy->loop, proxy->log, text, UNIX_LISTENER_MODE, &proxy->listeners, &overlaps,
                                 &error);
    if (l == NULL) {
        buf_printf(errors, "%s%s", buf_length(errors) > 0 ? "; " : "", error);
        free(error);
        return;
    }
    list_append(overlaps ? &plan->overlap : &plan->added, &l->node);
    if (overlaps)
        listener_start(l, client_accept, proxy);
}

bool listeners_prepare(struct listeners_plan *plan, struct proxy *proxy, const struct address_list *wanted,
                       char *const *environ_, char **error) {
    struct inherited in = {environ_ != NULL ? listener_inherited_count(environ_) : 0, NULL};
    in.taken = calloc((size_t)in.count + 1, sizeof *in.taken);
    XXXAN(in.taken);
    list_init(&plan->added);
    list_init(&plan->overlap);
    list_init(&plan->kept);
    struct buf errors = {0};
    for (size_t i = 0; i < wanted->n; i++)
        bind_one(plan, proxy, &in, wanted->v[i].p, &errors);
    close_unused(&in, proxy->log);
    if (buf_length(&errors) == 0)
        return true;
    XXXASSERT(asprintf(error, "listen: %.*s", STR_ARG(buf_str(&errors))) > 0);
    buf_free(&errors);
    listeners_abandon(plan);
    return false;
}

static void start(struct proxy *proxy, struct listener *l) {
    list_remove(&l->node);
    log_info(proxy->log, "listening on %s", l->text);
    proxy_listen(proxy, l);
}

void listeners_commit(struct listeners_plan *plan, struct proxy *proxy) {
    LIST_FOREACH (&proxy->listeners, struct listener, l, node) {
        if (is_kept(plan, l))
            continue;
        log_info(proxy->log, "no longer listening on %s", l->text);
        listener_accept_all(l);
        listener_close(l);
    }
    forget_kept(plan);
    LIST_FOREACH (&plan->added, struct listener, l, node) {
        start(proxy, l);
    }
    LIST_FOREACH (&plan->overlap, struct listener, l, node) {
        start(proxy, l);
        listener_seal(l);
    }
}

void listeners_abandon(struct listeners_plan *plan) {
    if (plan->added.head.next == NULL) /* nothing was prepared */
        return;
    forget_kept(plan);
    LIST_FOREACH (&plan->added, struct listener, l, node) {
        listener_close(l);
    }
    LIST_FOREACH (&plan->overlap, struct listener, l, node) {
        listener_accept_all(l);
        listener_close(l);
        listener_seal(l);
    }
}
