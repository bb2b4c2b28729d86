/*
 * Live apps with real processes: the real keeper, tiny Python servers, a log
 * that can be read.
 */
#ifndef FAUCET_TESTS_WORLD_FIXTURE_H
#define FAUCET_TESTS_WORLD_FIXTURE_H

#include "live_fixture.h"

#define PYTHON "/usr/bin/python3"

/* Answers every request with 503: any status is an answer. `exec`ed code may come first. */
#define SERVER                                                                                                         \
    "import os, signal, socket, sys, time\n"                                                                           \
    "def listen():\n"                                                                                                  \
    "    a = sys.argv[1]\n"                                                                                            \
    "    if '/' in a:\n"                                                                                               \
    "        s = socket.socket(socket.AF_UNIX)\n"                                                                      \
    "        s.bind(a)\n"                                                                                              \
    "    else:\n"                                                                                                      \
    "        s = socket.socket()\n"                                                                                    \
    "        s.bind(('127.0.0.1', int(a)))\n"                                                                          \
    "    s.listen(50)\n"                                                                                               \
    "    return s\n"                                                                                                   \
    "def serve(s):\n"                                                                                                  \
    "    while True:\n"                                                                                                \
    "        c, _ = s.accept()\n"                                                                                      \
    "        c.recv(65536)\n"                                                                                          \
    "        c.sendall(b'HTTP/1.1 503 No\\r\\nContent-Length: 0\\r\\n\\r\\n')\n"                                       \
    "        c.close()\n"

struct world {
    struct live live;
    char log_file[80];
};

static inline void open_world(struct world *w) {
    struct keeper *k = keeper_fork();
    assert_non_null(k);
    (void)snprintf(w->log_file, sizeof w->log_file, "/tmp/faucet-unit-log-%d", (int)getpid());
    (void)unlink(w->log_file);
    live_open(&w->live, k, w->log_file);
    keeper_attach(k, w->live.loop, w->live.log, NULL, NULL);
}

static inline void close_world(struct world *w) {
    struct live *l = &w->live;
    if (!l->stopped) {
        apps_stop(l->apps, true);
        live_until(l, l->stopped);
    }
    struct keeper *k = l->keeper;
    char sockets[80];
    (void)snprintf(sockets, sizeof sockets, "%s/w", l->directory);
    apps_free(l->apps);
    assert_int_equal(access(sockets, F_OK), -1);
    keeper_stop(k);
    resolver_free(l->resolver);
    snapshot_unref(l->snapshot);
    loop_free(l->loop);
    log_close(l->log);
    assert_int_equal(rmdir(l->directory), 0);
    (void)unlink(w->log_file);
}

static inline const char *read_log(const struct world *w) {
    static char text[1 << 20];
    FILE *f = fopen(w->log_file, "r");
    if (f == NULL)
        return "";
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    (void)fclose(f);
    return text;
}

/* The log is written by a thread. */
static inline void assert_logged(struct world *w, const char *what) {
    live_until(&w->live, strstr(read_log(w), what) != NULL);
}

#endif
