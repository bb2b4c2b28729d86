/*
 * Connecting. Between two calls of PQconnectPoll libpq may close its socket and
 * open another one with the same number (a second try without TLS): the watcher
 * is stopped after every call and set on what PQsocket says then. Giving up is
 * PQfinish, which writes nothing while a connection is not ready.
 */
#include "telemetry/pg_connect.h"

#include <stdlib.h>

#include "telemetry/connect_once.h"

#define WHY_MAX ((size_t)1024)

static void ignore_notice(void *owner, const char *message) {
    (void)owner; /* libpq's own way is to print it */
    (void)message;
}

static const struct pg_host *host_of(const struct pg_connect *c) {
    return &c->info->hosts[c->host];
}

static void failed(struct pg_connect *c, const char *message) {
    const char *secret = c->pg != NULL ? PQpass(c->pg) : NULL;

    if (buf_length(&c->why) > WHY_MAX)
        return;
    if (buf_length(&c->why) > 0)
        buf_append(&c->why, STR("; "));
    connection_message(&c->why, message, secret != NULL && secret[0] != '\0' ? secret : c->info->password);
}

static void finish_attempt(struct pg_connect *c) {
    if (c->pg == NULL)
        return;
    ev_io_stop(c->loop->ev, &c->io);
    PQfinish(c->pg);
    c->pg = NULL;
}

static void clear(struct pg_connect *c) {
    finish_attempt(c);
    if (c->lookup != NULL)
        lookup_cancel(c->lookup);
    c->lookup = NULL;
    deadline_destroy(&c->deadline);
    free(c->addresses);
    c->addresses = NULL;
    c->n = c->at = 0;
    c->loop = NULL;
}

static void finish(struct pg_connect *c, PGconn *pg) {
    clear(c);
    c->done(c, pg, c->host);
}

static void watch(struct pg_connect *c, int events) {
    ev_io_set(&c->io, PQsocket(c->pg), events); /* set, not modify: the number may stand for another socket */
    ev_io_start(c->loop->ev, &c->io);
}

/* ---- one address ---- */

/* False: it failed at once. a: NULL where libpq needs none. */
static bool attempt(struct pg_connect *c, const struct address *a) {
    const struct pg_conninfo *info = c->info;
    const struct pg_host *h = host_of(c);
    char numeric[IP_TEXT_MAX];
    const char *hostaddr = h->hostaddr;

    if (hostaddr == NULL && a != NULL) {
        struct ip ip = address_ip(a);
        (void)ip_format(&ip, numeric, sizeof numeric);
        hostaddr = numeric;
    }
    const char **keywords = calloc(info->n + PG_KEYWORDS_OF_HOST + 1, sizeof *keywords);
    const char **values = calloc(info->n + PG_KEYWORDS_OF_HOST + 1, sizeof *values);
    XXXASSERT(keywords != NULL && values != NULL);
    memcpy(keywords, info->keywords, info->n * sizeof *keywords);
    memcpy(values, info->values, info->n * sizeof *values);
    keywords[info->n] = "host";
    values[info->n] = h->host;
    keywords[info->n + 1] = "port";
    values[info->n + 1] = h->port;
    if (hostaddr != NULL) {
        keywords[info->n + 2] = "hostaddr";
        values[info->n + 2] = hostaddr;
    }
    c->pg = PQconnectStartParams(keywords, values, 0);
    free(keywords);
    free(values);
    XXXAN(c->pg);
    (void)PQsetNoticeProcessor(c->pg, ignore_notice, NULL);
    if (PQstatus(c->pg) == CONNECTION_BAD || PQsocket(c->pg) < 0) {
        failed(c, PQerrorMessage(c->pg));
        finish_attempt(c);
        return false;
    }
    watch(c, EV_WRITE);
    deadline_set(&c->deadline, c->timeout);
    return true;
}

/* ---- hosts ---- */

static void proceed(struct pg_connect *c);

static void on_resolved(void *owner, const struct address *addresses, size_t n, const char *why) {
    struct pg_connect *c = owner;

    c->lookup = NULL;
    c->n = c->at = 0;
    if (n > 0) {
        c->addresses = malloc(n * sizeof *addresses);
        XXXAN(c->addresses);
        memcpy(c->addresses, addresses, n * sizeof *addresses);
        c->n = n;
    } else {
        struct buf text = {0};
        buf_printf(&text, "%s: %s", host_of(c)->host, why);
        buf_append_char(&text, '\0');
        failed(c, buf_str(&text).p);
        buf_free(&text);
    }
    if (!c->looking)
        proceed(c);
}

/* False: wait. */
static bool look_up(struct pg_connect *c) {
    const struct pg_host *h = host_of(c);

    deadline_set(&c->deadline, c->timeout);
    c->looking = true;
    c->lookup = resolver_lookup(c->resolver, str_of(h->host), h->port_number, on_resolved, c);
    c->looking = false;
    return c->lookup == NULL;
}

/* False: none is left. */
static bool next_host(struct pg_connect *c) {
    if (c->tried == c->info->hosts_n)
        return false;
    c->host = (c->first + c->tried++) % c->info->hosts_n;
    free(c->addresses);
    c->addresses = NULL;
    c->n = c->at = 0;
    return true;
}

static void proceed(struct pg_connect *c) {
    for (;;) {
        while (c->at < c->n)
            if (attempt(c, &c->addresses[c->at++]))
                return;
        if (!next_host(c)) {
            finish(c, NULL);
            return;
        }
        if (host_of(c)->is_unix || host_of(c)->hostaddr != NULL) {
            if (attempt(c, NULL))
                return;
        } else if (!look_up(c))
            return;
    }
}

static void on_io(struct ev_loop *loop, ev_io *w, int events) {
    struct pg_connect *c = CONTAINER_OF(w, struct pg_connect, io);
    PostgresPollingStatusType next = PQconnectPoll(c->pg);

    (void)events;
    ev_io_stop(loop, &c->io);
    if (next == PGRES_POLLING_OK && PQsetnonblocking(c->pg, 1) == 0) {
        PGconn *pg = c->pg;
        c->pg = NULL;
        finish(c, pg);
    } else if (next == PGRES_POLLING_OK || next == PGRES_POLLING_FAILED || PQsocket(c->pg) < 0) {
        failed(c, PQerrorMessage(c->pg));
        finish_attempt(c);
        proceed(c);
    } else
        watch(c, next == PGRES_POLLING_READING ? EV_READ : EV_WRITE);
}

static void on_deadline(struct deadline *d) {
    struct pg_connect *c = CONTAINER_OF(d, struct pg_connect, deadline);

    if (c->pg != NULL || c->lookup != NULL) {
        struct buf text = {0};
        buf_printf(&text, "%s: no %s in %.3g s", host_of(c)->label,
                   c->lookup != NULL ? "answer from the name server" : "connection",
                   (double)c->timeout / (double)DUR_S);
        if (c->at > 0 && c->at <= c->n) {
            char at[ADDRESS_TEXT_MAX];
            (void)address_format(&c->addresses[c->at - 1], at, sizeof at);
            buf_printf(&text, " (%s)", at);
        }
        buf_append_char(&text, '\0');
        failed(c, buf_str(&text).p);
        buf_free(&text);
        finish_attempt(c);
        if (c->lookup != NULL)
            lookup_cancel(c->lookup);
        c->lookup = NULL;
    }
    proceed(c);
}

void pg_connect_start(struct pg_connect *c, struct loop *l, struct resolver *r, const struct pg_conninfo *info,
                      size_t first, dur_t timeout, pg_connected *done) {
    ASSERT(c->loop == NULL);
    c->loop = l;
    c->resolver = r;
    c->info = info;
    c->first = first;
    c->tried = 0;
    c->timeout = info->connect_timeout > 0 ? info->connect_timeout : timeout;
    c->done = done;
    buf_free(&c->why);
    memset(&c->deadline, 0, sizeof c->deadline);
    deadline_init(&c->deadline, l, on_deadline);
    ev_io_init(&c->io, on_io, -1, EV_WRITE);
    deadline_set(&c->deadline, 0);
}

void pg_connect_cancel(struct pg_connect *c) {
    if (c->loop != NULL)
        clear(c);
    buf_free(&c->why);
}
