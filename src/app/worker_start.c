/*
 * What happens within STARTING: an endpoint is chosen, the process spawned,
 * and asked over HTTP until it answers.
 *
 * A free TCP port can only be found by trying; between our look and the
 * worker's bind somebody else may take it. Then the worker exits early, and
 * worker_port_is_taken tells that from a crash.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/environment.h"
#include "app/live.h"
#include "app/socket_place.h"
#include "app/worker.h"
#include "base/miniobj.h"

#define PROBE_EVERY_EARLY (20 * DUR_MS) /* in the first second */
#define PROBE_EVERY       (50 * DUR_MS)
#define PROBE_AT_LEAST    (1 * DUR_S)

/* ---- where it listens -------------------------------------------------------------------------------------------- */

/* Binds a loopback port: the given one, or any (0). The port, or 0 with errno. */
static unsigned try_port(unsigned port) {
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return 0;
    /* Connections in TIME_WAIT are no hindrance, neither here nor to the worker. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    bool bound =
        bind(fd, (const struct sockaddr *)&in, sizeof in) == 0 && getsockname(fd, (struct sockaddr *)&in, &length) == 0;
    int error = errno;
    (void)close(fd);
    errno = error;
    return bound ? ntohs(in.sin_port) : 0;
}

static bool port_is_given(const struct apps *apps, unsigned port) {
    LIST_FOREACH (&apps->list, struct app, a, node) {
        LIST_FOREACH (&a->generations, struct generation, g, node) {
            for (size_t s = 0; s < WORKER_STATES; s++)
                LIST_FOREACH (&g->workers[s], struct worker, w, node) {
                    if (w->port == port)
                        return true;
                }
        }
    }
    return false;
}

static unsigned free_port(const struct apps *apps) {
    unsigned port = 0;

    for (int tries = 0; tries < 20 && (port == 0 || port_is_given(apps, port)); tries++)
        port = try_port(0);
    return port;
}

bool worker_port_is_taken(const struct worker *w) {
    return w->port != 0 && try_port(w->port) == 0 && errno == EADDRINUSE;
}

/* False with errno. */
static bool choose_address(struct worker *w) {
    struct apps *apps = w->generation->app->apps;
    struct address *to = &w->endpoint->address;

    *to = (struct address){0};
    w->socket[0] = '\0';
    w->port = 0;
    if (kind_uses_socket(w->generation->config)) {
        socket_place_next(apps->sockets, w->socket);
        to->un.sun_family = AF_UNIX;
        memcpy(to->un.sun_path, w->socket, strlen(w->socket) + 1);
        to->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(w->socket) + 1);
        return true;
    }
    w->port = free_port(apps);
    to->in.sin_family = AF_INET;
    to->in.sin_port = htons((uint16_t)w->port);
    to->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to->length = sizeof to->in;
    return w->port != 0;
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

static void spawn_reported(void *owner, pid_t pid, int error, const char *step) {
    struct worker *w = owner;
    struct app *a = w->generation->app;

    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    if (pid == 0) {
        char why[256];
        (void)snprintf(why, sizeof why, "%s: %s", step, strerror(error));
        worker_not_started(w, why);
        return;
    }
    w->pid = pid;
    w->starts++;
    char where[ADDRESS_TEXT_MAX];
    (void)address_format(&w->endpoint->address, where, sizeof where);
    log_debug(a->apps->log, "worker %u of %s has pid %d and is to listen on %s", w->id, a->name, (int)pid, where);
    worker_tell(w, worker_event_of("started", NULL));
    if (w->state == WORKER_STARTING)
        worker_probe_begin(w);
}

static void spawn(struct worker *w, int out, int err) {
    struct generation *g = w->generation;
    struct apps *apps = g->app->apps;
    const struct kind_listen listen = {w->socket[0] != '\0' ? w->socket : NULL, w->port};
    struct arena *arena = arena_new(16 * 1024);
    const struct process_spawn s = {
        .argv = g->kind->command(arena, &g->snapshot->daemon, g->config, &listen),
        .envp = environment_build(arena, apps->env.environ_, &g->snapshot->secret_variables, g->config, w->id, &listen),
        .directory = g->config->dir != NULL ? g->config->dir : "/",
        .out = out,
        .err = err,
        .started = spawn_reported,
        .exited = worker_exited,
        .owner = w,
    };

    w->process = keeper_spawn(apps->env.keeper, &s);
    arena_free(arena);
}

void worker_launch(struct start_ticket *ticket) {
    struct worker *w = CONTAINER_OF(ticket, struct worker, ticket);
    struct app *a = w->generation->app;
    int out, err;

    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    ASSERT(w->state == WORKER_STARTING && w->process == NULL);
    w->pid = 0;
    w->spawned = a->apps->loop->now;
    w->requests_before = w->endpoint->requests;
    w->ready_at = MONO_NONE;
    (void)snprintf(w->probe_error, sizeof w->probe_error, "has not been asked yet");
    if (!choose_address(w)) {
        worker_not_started(w, "no free port on 127.0.0.1");
        return;
    }
    if (!worker_output_start(&w->output, w->endpoint->source, &out, &err)) {
        worker_not_started(w, strerror(errno));
        return;
    }
    deadline_set(&w->deadline, w->generation->config->start_timeout);
    spawn(w, out, err);
    (void)close(out);
    (void)close(err);
}

/* ---- is it ready? ------------------------------------------------------------------------------------------------ */

static void ask(struct worker *w) {
    struct app *a = w->generation->app;
    mono_t now = a->apps->loop->now;
    /* Half of what is left: a first answer that takes long (an app that loads its data then) is waited for, and yet a
     * connection that was taken and forgotten does not use up the time. */
    dur_t timeout = mono_since(now, w->deadline.at) / 2;

    int error = probe_start(&w->probe, &w->endpoint->address, timeout > PROBE_AT_LEAST ? timeout : PROBE_AT_LEAST,
                            (size_t)a->snapshot->daemon.limit_header_size);
    if (error == 0)
        return;
    (void)snprintf(w->probe_error, sizeof w->probe_error, "does not listen: %s", strerror(error));
    deadline_set(&w->again, mono_since(w->spawned, now) < DUR_S ? PROBE_EVERY_EARLY : PROBE_EVERY);
}

static void ask_again(struct deadline *d) {
    ask(CONTAINER_OF(d, struct worker, again));
}

static void probe_done(struct probe *p, bool answered, int error, const char *why) {
    struct worker *w = CONTAINER_OF(p, struct worker, probe);

    CHECK_OBJ_NOTNULL(w, WORKER_MAGIC);
    ASSERT(w->state == WORKER_STARTING);
    if (answered) {
        worker_answered(w);
        return;
    }
    (void)snprintf(w->probe_error, sizeof w->probe_error, "%s%s", error != 0 ? "does not listen: " : "", why);
    deadline_set(&w->again, PROBE_EVERY);
}

void worker_start_init(struct worker *w) {
    struct loop *loop = w->generation->app->apps->loop;

    probe_init(&w->probe, loop, probe_done);
    deadline_init(&w->again, loop, ask_again);
}

void worker_probe_begin(struct worker *w) {
    ask(w);
}

void worker_probe_end(struct worker *w) {
    probe_cancel(&w->probe);
    deadline_clear(&w->again);
    start_pacer_leave(&w->generation->app->apps->pacer, &w->ticket);
}
