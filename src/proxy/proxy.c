/*
 * The proxy as a whole: its lists, its snapshot, listening, and how it ends.
 */
#include "proxy/proxy.h"

#include <sys/resource.h>

#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/former_routes.h"
#include "proxy/recycle.h"
#include "proxy/session.h"
#include "proxy/tunnel.h"

struct proxy *proxy_new(struct loop *l, struct log *log, struct helpers *helpers, struct apps *apps) {
    struct proxy *p;
    ALLOC_OBJ(p, PROXY_MAGIC);
    p->loop = l;
    p->log = log;
    p->helpers = helpers;
    p->apps = apps;
    list_init(&p->idle);
    list_init(&p->busy);
    list_init(&p->lingers);
    list_init(&p->tunnels);
    list_init(&p->undecided);
    deadline_init(&p->word, l, sessions_waited);
    list_init(&p->orphans);
    list_init(&p->listeners);
    list_init(&p->former);
    return p;
}

void proxy_free(struct proxy *p) {
    CHECK_OBJ_NOTNULL(p, PROXY_MAGIC);
    ASSERT(proxy_client_count(p) == 0 && list_empty(&p->orphans) && list_empty(&p->listeners));
    former_routes_free(p);
    free(p->live);
    recycle_free_all(p);
    snapshot_unref(p->snapshot);
    FREE_OBJ(p);
}

int64_t proxy_descriptors_needed(const struct snapshot *s, int64_t connections) {
    int64_t kept = 64;
    for (size_t i = 0; i < s->app_count; i++)
        kept += 4 * s->apps[i]->workers;
    return kept + 2 * connections;
}

static int64_t connection_limit(const struct snapshot *s) {
    if (s->daemon.limit_connections != COUNT_IS_AUTO)
        return s->daemon.limit_connections;
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
        return 100000;
    int64_t limit = ((int64_t)r.rlim_cur - proxy_descriptors_needed(s, 0)) / 2;
    return limit < 16 ? 16 : limit;
}

void proxy_use(struct proxy *p, struct snapshot *s) {
    CHECK_OBJ_NOTNULL(p, PROXY_MAGIC);
    CHECK_OBJ_NOTNULL(s, SNAPSHOT_MAGIC);
    struct snapshot *old = p->snapshot;
    struct route_table *old_routes = p->routes;
    struct app **old_live = p->live;
    p->snapshot = snapshot_ref(s);
    if (s != old) /* the same again: an app was restarted */
        p->routes = route_table_new(s);
    p->limits.header_size = (size_t)s->daemon.limit_header_size;
    p->connection_limit = connection_limit(s);
    p->live = calloc(s->app_count ? s->app_count : 1, sizeof *p->live);
    XXXAN(p->live);
    for (size_t i = 0; i < s->app_count; i++)
        p->live[i] = app_find(p->apps, s->apps[i]->name);
    if (s != old)
        former_routes_keep(p, old, old_routes, old_live);
    free(old_live);
    snapshot_unref(old);
    proxy_ended(p); /* limits.connections may be higher now */
}

void proxy_listen(struct proxy *p, struct listener *l) {
    list_append(&p->listeners, &l->node);
    if (p->accept_paused)
        listener_stop(l);
    else
        listener_start(l, client_accept, p);
}

size_t proxy_client_count(const struct proxy *p) {
    return p->idle.length + p->busy.length + p->lingers.length + p->tunnels.length;
}

/* The one just accepted is idle too, but it shall not make room for the next before it could say a word. */
void proxy_began(struct proxy *p) {
    if ((int64_t)proxy_client_count(p) < p->connection_limit || p->idle.length > 1 || p->accept_paused || p->draining)
        return;
    p->accept_paused = true;
    LIST_FOREACH (&p->listeners, struct listener, l, node) {
        listener_stop(l);
    }
    if (!p->limit_said)
        log_warn(p->log, "limits.connections: %lld connections are in use, more clients wait until one ends",
                 (long long)p->connection_limit);
    p->limit_said = true;
}

/* Is there room for a client, or one between two requests that can make room? It is the last on the list when it has
 * just got there. */
static bool may_accept(const struct proxy *p) {
    const struct list_node *latest = list_last(&p->idle);
    return (int64_t)proxy_client_count(p) < p->connection_limit ||
           (latest != NULL && CONTAINER_OF(latest, struct client, node)->wait == CLIENT_WAIT_REQUEST);
}

void proxy_ended(struct proxy *p) {
    if (p->limit_said && (int64_t)proxy_client_count(p) <= p->connection_limit - p->connection_limit / 4)
        p->limit_said = false;
    if (p->accept_paused && may_accept(p)) {
        p->accept_paused = false;
        LIST_FOREACH (&p->listeners, struct listener, l, node) {
            listener_start(l, client_accept, p);
        }
    }
    if (p->draining && p->drained != NULL && list_empty(&p->busy) && list_empty(&p->tunnels)) {
        void (*drained)(void *owner) = p->drained;
        p->drained = NULL;
        drained(p->drained_owner);
    }
}

static void close_listeners(struct proxy *p) {
    LIST_FOREACH (&p->listeners, struct listener, l, node) {
        list_remove(&l->node);
        listener_close(l);
    }
}

void proxy_drain(struct proxy *p, void (*drained)(void *owner), void *owner) {
    p->draining = true;
    p->drained = drained;
    p->drained_owner = owner;
    close_listeners(p);
    LIST_FOREACH (&p->idle, struct client, c, node) {
        if (c->reader == NULL)
            client_close_idle(c, CLOSE_SHUTDOWN);
    }
    proxy_ended(p);
}

void proxy_close_all(struct proxy *p) {
    p->draining = true;
    close_listeners(p);
    LIST_FOREACH (&p->tunnels, struct tunnel, t, node) {
        tunnel_cut(t, 1001, "the server is going away", CLOSE_SHUTDOWN);
    }
    LIST_FOREACH (&p->busy, struct client, c, node) {
        exchange_client_left(c->exchange, CLOSE_SHUTDOWN);
    }
    LIST_FOREACH (&p->orphans, struct exchange, x, node) {
        exchange_release_upstream(x, false, CLOSE_SHUTDOWN);
        exchange_resume(x, STEP_FINISH);
    }
    LIST_FOREACH (&p->idle, struct client, c, node) {
        client_close_idle(c, CLOSE_SHUTDOWN);
    }
    LIST_FOREACH (&p->lingers, struct client, c, node) {
        client_close(c, CLOSE_SHUTDOWN, false);
    }
    proxy_ended(p);
}

void proxy_end_tunnels(struct proxy *p) {
    LIST_FOREACH (&p->tunnels, struct tunnel, t, node) {
        tunnel_expired(t);
    }
    sessions_decide(p);
}

void proxy_end(struct proxy *p) {
    p->drained = NULL;
    proxy_close_all(p);
    proxy_end_tunnels(p);
    deadline_destroy(&p->word);
    apps_drop_idle(p->apps);
}

void proxy_endpoint_drained(struct proxy *p, struct endpoint *e) {
    LIST_FOREACH (&p->tunnels, struct tunnel, t, node) {
        if (t->endpoint == e)
            tunnel_cut(t, 1012, "this app was updated", CLOSE_DRAIN_TIMEOUT);
    }
}

void proxy_app_gone(struct proxy *p, struct app *a) {
    former_routes_forget_app(p, a);
}

void proxy_endpoint_retired(struct endpoint *e) {
    LIST_FOREACH (&e->idle, struct upstream, u, node) {
        upstream_close(u, CLOSE_WORKER_GONE);
    }
}
