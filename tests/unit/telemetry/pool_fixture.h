/*
 * For the tests of the pool: a private PostgreSQL (served by serve_postgres.py), a queue in memory, a loop whose
 * longest turn is measured, and what is written to standard error (the log) in a file.
 */
#ifndef FAUCET_TESTS_POOL_FIXTURE_H
#define FAUCET_TESTS_POOL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "telemetry/columns.h"
#include "telemetry/pool.h"

#define PYTHON "/usr/bin/python3"
#define SERVER "tests/unit/telemetry/serve_postgres.py"

/* ---- the server ---- */

struct server {
    pid_t pid;
    FILE *in, *out;
    char directory[100], ca[160];
    int port;
};

static inline void server_ask(struct server *s, char *answer, size_t size, const char *command) {
    if (command != NULL) {
        fprintf(s->in, "%s\n", command);
        fflush(s->in);
    }
    if (fgets(answer, (int)size, s->out) == NULL)
        fail_msg("%s: no answer to %s: are postgresql and python3-psycopg2 installed?", SERVER,
                 command != NULL ? command : "its start");
}

static inline void server_do(struct server *s, const char *command) {
    char answer[300];

    server_ask(s, answer, sizeof answer, command);
    if (strncmp(answer, "ok", 2) != 0)
        fail_msg("%s: %s", command, answer);
}

static inline int server_begin(struct server *s, const char *option) {
    int to[2], from[2];
    char answer[400];

    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(to, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from, O_CLOEXEC), 0);
    s->pid = fork();
    assert_true(s->pid >= 0);
    if (s->pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execl(PYTHON, PYTHON, SERVER, option, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    s->in = fdopen(to[1], "w");
    s->out = fdopen(from[0], "r");
    server_ask(s, answer, sizeof answer, NULL);
    return sscanf(answer, "ready %99s %d %159s", s->directory, &s->port, s->ca) == 3 ? 0 : -1;
}

static inline int server_close(struct server *s) {
    int status = 0;

    fclose(s->in);
    fclose(s->out);
    return waitpid(s->pid, &status, 0) == s->pid && status == 0 ? 0 : -1;
}

/* ---- questions to a database, by libpq, blocking ---- */

static inline void sql_noise(void *owner, const char *message) {
    (void)owner;
    (void)message;
}

static inline PGconn *sql_open(const struct server *s, const char *dbname) {
    char string[300];

    snprintf(string, sizeof string, "host=%s port=%d user=postgres dbname=%s application_name=test", s->directory,
             s->port, dbname);
    PGconn *c = PQconnectdb(string);
    if (PQstatus(c) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(c));
    (void)PQsetNoticeProcessor(c, sql_noise, NULL);
    return c;
}

/* First field of the first row, "" where there is none. In a buffer of this thread until the next call. */
static inline const char *sql_on(PGconn *c, const char *sql) {
    static char value[4096];
    PGresult *r = PQexec(c, sql);

    value[0] = '\0';
    if (PQresultStatus(r) != PGRES_COMMAND_OK && PQresultStatus(r) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(c));
    if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) > 0)
        snprintf(value, sizeof value, "%s", PQgetvalue(r, 0, 0));
    PQclear(r);
    return value;
}

static inline const char *sql(const struct server *s, const char *dbname, const char *text) {
    PGconn *c = sql_open(s, dbname);
    const char *value = sql_on(c, text);

    PQfinish(c);
    return value;
}

static inline int sql_int(const struct server *s, const char *text) {
    return atoi(sql(s, "app", text));
}

#define SEED_TABLE                                                                                                     \
    "CREATE TABLE faucet_http_events (request_uuid UUID, namespace TEXT, version TEXT, target TEXT, worker_route "     \
    "TEXT, "                                                                                                           \
    "worker_id INT, ip_addr INET, method TEXT, path TEXT, query_params TEXT, http_version TEXT, status SMALLINT, "     \
    "user_agent TEXT, elapsed BIGINT, time TIMESTAMPTZ NOT NULL);"

/* ---- the pool ---- */

struct fixture {
    struct server *server;
    struct loop *loop;
    struct log *log;
    struct resolver *resolver;
    struct event_queue *queue;
    struct pool *pool;
    struct pool_options options;
    char connection[500];
    ev_timer beat;
    mono_t last_beat;
    dur_t longest; /* between two beats of 2 ms */
    bool drained;
    int stderr_was;
    char log_path[40];
    struct record_draft record;
    uint64_t appended;
    mono_t until;
    bool (*condition)(struct fixture *f);
    bool met;
    void (*each)(struct fixture *f); /* every beat while awaiting; may be NULL */
};

static inline void fixture_ready(void *owner) {
    struct fixture *f = owner;

    if (f->pool != NULL)
        pool_wake(f->pool);
}

static inline void fixture_drained(void *owner) {
    ((struct fixture *)owner)->drained = true;
}

static inline void fixture_beat(struct ev_loop *ev, ev_timer *w, int events) {
    struct fixture *f = CONTAINER_OF(w, struct fixture, beat);
    mono_t now = mono_now();

    (void)events;
    if (f->last_beat.us != 0 && mono_since(f->last_beat, now) > f->longest)
        f->longest = mono_since(f->last_beat, now);
    f->last_beat = now;
    if (f->each != NULL)
        f->each(f);
    if (f->condition(f))
        f->met = true;
    if (f->met || now.us > f->until.us)
        ev_break(ev, EVBREAK_ALL);
    f->last_beat = mono_now();
}

/* Runs the loop until the condition holds; false: not within that time. */
static inline bool fixture_await(struct fixture *f, bool (*condition)(struct fixture *f), dur_t most) {
    f->condition = condition;
    f->met = false;
    f->until = mono_add(mono_now(), most);
    f->last_beat = (mono_t){0};
    ev_timer_init(&f->beat, fixture_beat, 0.002, 0.002);
    ev_timer_start(f->loop->ev, &f->beat);
    ev_run(f->loop->ev, 0);
    ev_timer_stop(f->loop->ev, &f->beat);
    return f->met;
}

/* What the log says so far, in memory of its own. */
static inline char *fixture_log(struct fixture *f) {
    FILE *in = fopen(f->log_path, "r");
    char *text = calloc(1, 1 << 20);

    assert_non_null(in);
    assert_non_null(text);
    (void)!fread(text, 1, (1 << 20) - 1, in);
    fclose(in);
    return text;
}

static inline int fixture_count(struct fixture *f, const char *words) {
    char *text = fixture_log(f);
    int n = 0;

    for (char *p = text; (p = strstr(p, words)) != NULL; p += strlen(words))
        n++;
    free(text);
    return n;
}

#define assert_said(f, words)                                                                                          \
    do {                                                                                                               \
        if (fixture_count(f, words) == 0) {                                                                            \
            char *said = fixture_log(f);                                                                               \
            puts(said);                                                                                                \
            free(said);                                                                                                \
            fail_msg("the log does not say: %s", words);                                                               \
        }                                                                                                              \
    } while (0)

#define assert_await(f, condition, most)                                                                               \
    do {                                                                                                               \
        if (!fixture_await(f, condition, most)) {                                                                      \
            char *said = fixture_log(f);                                                                               \
            puts(said);                                                                                                \
            free(said);                                                                                                \
            fail_msg("%s did not come true", #condition);                                                              \
        }                                                                                                              \
    } while (0)

/* No pool yet. */
static inline void fixture_init(struct fixture *f, struct server *s) {
    char *error = NULL;

    memset(f, 0, sizeof *f);
    f->server = s;
    snprintf(f->log_path, sizeof f->log_path, "/tmp/faucet-test-pool-XXXXXX");
    int fd = mkstemp(f->log_path);
    assert_true(fd >= 0);
    f->stderr_was = dup(2);
    dup2(fd, 2);
    close(fd);
    f->loop = loop_new();
    assert_non_null(f->loop);
    f->log = log_open_stderr();
    f->resolver = resolver_new(f->loop);
    assert_non_null(f->resolver);
    const struct event_queue_options o = {
        .loop = f->loop, .log = f->log, .size = 256 << 20, .now = wall_now, .ready = fixture_ready, .owner = f};
    f->queue = event_queue_open(&o, &error);
    assert_non_null(f->queue);
    snprintf(f->connection, sizeof f->connection, "host=%s port=%d user=postgres dbname=app", s->directory, s->port);
    f->options = (struct pool_options){.loop = f->loop,
                                       .log = f->log,
                                       .resolver = f->resolver,
                                       .queue = f->queue,
                                       .size = 2,
                                       .flush_interval = 20 * DUR_MS,
                                       .connect_timeout = 2 * DUR_S,
                                       .batch_bytes = 1 << 20,
                                       .drained = fixture_drained,
                                       .owner = f};
}

static inline void fixture_pool(struct fixture *f) {
    char *error = NULL;

    f->options.connection = f->connection;
    f->pool = pool_new(&f->options, &error);
    if (f->pool == NULL)
        fail_msg("%s", error);
}

static inline void fixture_free(struct fixture *f) {
    if (f->pool != NULL)
        pool_free(f->pool);
    f->pool = NULL;
    event_queue_close(f->queue);
    resolver_free(f->resolver);
    loop_free(f->loop);
    log_close(f->log);
    record_free(&f->record);
    fflush(stderr);
    dup2(f->stderr_was, 2);
    close(f->stderr_was);
    unlink(f->log_path);
}

static inline void fixture_append_at(struct fixture *f, const char *path, int status, wall_t time) {
    struct uuid u = uuid_v7(wall_now());
    struct ip ip;

    assert_true(ip_parse(STR("10.0.0.1"), &ip));
    record_begin(&f->record, RECORD_HTTP);
    record_uuid(&f->record, COLUMN_OF_HTTP_request_uuid, &u);
    record_text(&f->record, COLUMN_OF_HTTP_namespace, STR("test"));
    record_text(&f->record, COLUMN_OF_HTTP_target, STR("Worker::a::1"));
    record_text(&f->record, COLUMN_OF_HTTP_worker_route, STR("/a"));
    record_integer(&f->record, COLUMN_OF_HTTP_worker_id, 1);
    record_ip(&f->record, COLUMN_OF_HTTP_ip_addr, &ip);
    record_text(&f->record, COLUMN_OF_HTTP_method, STR("GET"));
    record_text(&f->record, COLUMN_OF_HTTP_path, str_of(path));
    record_text(&f->record, COLUMN_OF_HTTP_http_version, STR("HTTP/1.1"));
    record_text(&f->record, COLUMN_OF_HTTP_user_agent, STR("Mozilla/5.0 (X11; Linux x86_64) \xc3\xa9"));
    record_time(&f->record, COLUMN_OF_HTTP_time, time);
    record_text(&f->record, COLUMN_OF_HTTP_app, STR("a"));
    record_integer(&f->record, COLUMN_OF_HTTP_status, status);
    record_integer(&f->record, COLUMN_OF_HTTP_elapsed, (int64_t)f->appended);
    record_integer(&f->record, COLUMN_OF_HTTP_total_us, 1234);
    record_end(&f->record);
    assert_true(event_queue_append(f->queue, RECORD_HTTP, record_str(&f->record)));
    f->appended++;
    if (f->pool != NULL)
        pool_wake(f->pool);
}

static inline void fixture_append(struct fixture *f, const char *path, int status) {
    fixture_append_at(f, path, status, wall_now());
}

static inline void fixture_append_many(struct fixture *f, size_t n) {
    for (size_t i = 0; i < n; i++)
        fixture_append(f, "/path/of/some/length", 200);
}

static inline void fixture_append_log(struct fixture *f, const char *message) {
    struct uuid u = uuid_v4();

    record_begin(&f->record, RECORD_LOG);
    record_time(&f->record, COLUMN_OF_LOG_time, wall_now());
    record_uuid(&f->record, COLUMN_OF_LOG_event_id, &u);
    record_text(&f->record, COLUMN_OF_LOG_message, str_of(message));
    record_json(&f->record, COLUMN_OF_LOG_body, STR("{\"n\": [1, null, \"x\"]}"));
    record_end(&f->record);
    assert_true(event_queue_append(f->queue, RECORD_LOG, record_str(&f->record)));
    if (f->pool != NULL)
        pool_wake(f->pool);
}

static inline bool is_all_stored(struct fixture *f) {
    return event_queue_account(f->queue, RECORD_HTTP)->stored == f->appended;
}

static inline bool is_nothing_queued(struct fixture *f) {
    for (size_t kind = 0; kind < RECORD_KINDS; kind++)
        if (event_queue_account(f->queue, (enum record_kind)kind)->queued > 0)
            return false;
    return true;
}

static inline bool is_in_trouble(struct fixture *f) {
    struct pool_status s;

    pool_status(f->pool, &s);
    return s.error != NULL;
}

static inline bool is_drained(struct fixture *f) {
    return f->drained;
}

static inline bool never(struct fixture *f) {
    (void)f;
    return false;
}

/* ---- a test: a database of its own, empty but for what the statements make (NULL: nothing) ---- */

static inline int fixture_begin_test(void **state, struct server *server, const char *statements) {
    struct fixture *f = calloc(1, sizeof *f);

    sql(server, "postgres", "DROP DATABASE IF EXISTS app WITH (FORCE)");
    sql(server, "postgres", "CREATE DATABASE app TEMPLATE template0");
    if (statements != NULL)
        sql(server, "app", statements);
    fixture_init(f, server);
    *state = f;
    return 0;
}

static inline int fixture_end_test(void **state) {
    fixture_free(*state);
    free(*state);
    return 0;
}

/* Of the loop, on a machine that does much else; libpq's own waiting would be seconds. */
#define TURN_MAX (500 * DUR_MS)

/* Each event is there, once, and nothing held the loop up. */
static inline void fixture_assert_once(struct fixture *f, struct server *server) {
    assert_int_equal(sql_int(server, "SELECT count(*) FROM faucet_http_events"), f->appended);
    assert_int_equal(sql_int(server, "SELECT count(DISTINCT request_uuid) FROM faucet_http_events"), f->appended);
    if (f->longest > TURN_MAX)
        fail_msg("a turn took %.0f ms", (double)f->longest / 1e3);
}

#endif
