/*
 * The real frameworks, started by exactly the argv and environment that their
 * kinds build, asked over their Unix sockets: Shiny with a WebSocket, Plumber
 * with its exit hook, FastAPI below a prefix. What is not installed is skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/environment.h"
#include "app/kind_parts.h"
#include "keeper/keeper.h"

#define PATIENCE (60 * DUR_S)

struct fixture {
    struct keeper *keeper;
    struct loop *loop;
    struct log *log;
    struct arena *arena;
    struct problems problems;
    struct daemon_settings daemon;
    struct app_config app;
    char directory[40];
    const char *socket;
    int out;
    struct process *process;
    bool started, exited;
    int error;
    struct process_exit exit;
};

static bool is_set(const struct kind_check *check, const char *key) {
    (void)check;
    (void)key;
    return false;
}

static const char *where(const struct kind_check *check, const char *key) {
    (void)check;
    return key;
}

static void on_lost(void *owner) {
    (void)owner;
    fail_msg("the keeper was lost");
}

static void on_started(void *owner, pid_t pid, int error, const char *step) {
    struct fixture *f = owner;
    (void)pid;
    (void)step;
    f->started = true;
    f->error = error;
}

static void on_exited(void *owner, const struct process_exit *e) {
    struct fixture *f = owner;
    f->exited = true;
    f->exit = *e;
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);
    f->keeper = keeper_fork();
    f->loop = loop_new();
    f->log = log_open_stderr();
    f->arena = arena_new(4096);
    problems_init(&f->problems);
    keeper_attach(f->keeper, f->loop, f->log, on_lost, f);
    f->daemon.rscript = "Rscript";
    f->daemon.uv = "uv";
    f->daemon.quarto = "quarto";
    f->app.name = "test";
    strcpy(f->directory, "/tmp/kind-run-XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    f->app.dir = f->directory;
    f->socket = kind_join(f->arena, f->directory, "w.sock");
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;
    keeper_stop(f->keeper);
    loop_free(f->loop);
    log_close(f->log);
    problems_free(&f->problems);
    (void)!system(arena_printf(f->arena, "rm -rf '%s'", f->directory).p);
    arena_free(f->arena);
    free(f);
    return 0;
}

static void write_file(struct fixture *f, const char *name, const char *text) {
    FILE *file = fopen(kind_join(f->arena, f->directory, name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static char *read_file(struct fixture *f, const char *name) {
    return (char *)(uintptr_t)kind_read(f->arena, kind_join(f->arena, f->directory, name)).p;
}

/* Skips the test where the interpreter is not installed. */
static void start(struct fixture *f, enum app_type type) {
    struct kind_check check = {.arena = f->arena,
                               .daemon = &f->daemon,
                               .app = &f->app,
                               .problems = &f->problems,
                               .is_set = is_set,
                               .where = where};
    const struct strings none = {0, NULL};
    f->app.type = (int)type;
    kind_of(type)->check(&check);
    if (f->app.interpreter.n == 0)
        skip();
    assert_int_equal(f->problems.errors, 0);
    const struct kind_listen listen = {.socket = f->socket};
    f->out = open(kind_join(f->arena, f->directory, "out"), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    struct process_spawn s = {
        .argv = kind_of(type)->command(f->arena, &f->daemon, &f->app, &listen),
        .envp = environment_build(f->arena, environ, &none, &f->app, 1, &listen),
        .directory = f->directory,
        .out = f->out,
        .err = f->out,
        .started = on_started,
        .exited = on_exited,
        .owner = f,
    };
    f->process = keeper_spawn(f->keeper, &s);
    close(f->out);
}

/* Turns the loop a little; false when the patience is over or the process ended. */
static bool turn(struct fixture *f, mono_t since) {
    ev_run(f->loop->ev, EVRUN_NOWAIT);
    (void)poll(NULL, 0, 10);
    return !f->exited && f->error == 0 && mono_since(since, mono_now()) < PATIENCE;
}

static int dial(struct fixture *f) {
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strncpy(un.sun_path, f->socket, sizeof un.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    mono_t begun = mono_now();
    while (connect(fd, (struct sockaddr *)&un, sizeof un) != 0)
        if (!turn(f, begun))
            fail_msg("does not listen; it wrote:\n%s", read_file(f, "out"));
    return fd;
}

/* Sends a request and reads until `expect` was seen or the end. */
static void ask(struct fixture *f, const char *request, const char *expect) {
    static char reply[1 << 20];
    size_t n = 0;
    int fd = dial(f);
    assert_int_equal(write(fd, request, strlen(request)), strlen(request));
    struct pollfd p = {.fd = fd, .events = POLLIN};
    reply[0] = '\0';
    while (strstr(reply, expect) == NULL && n + 1 < sizeof reply && poll(&p, 1, 30000) > 0) {
        ssize_t got = read(fd, reply + n, sizeof reply - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        reply[n] = '\0';
    }
    close(fd);
    if (strstr(reply, expect) == NULL)
        fail_msg("expected \"%s\" in:\n%s\nIt wrote:\n%s", expect, reply, read_file(f, "out"));
}

/* As worker.c does: R may swallow an interrupt, so it is asked again. */
static void stop(struct fixture *f) {
    mono_t begun = mono_now(), asked = {0};
    do {
        if (mono_since(asked, mono_now()) > DUR_S) {
            keeper_kill(f->keeper, f->process, kind_of((enum app_type)f->app.type)->stop_signal, true);
            asked = mono_now();
        }
    } while (turn(f, begun));
    assert_true(f->exited);
    process_release(f->keeper, f->process);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
#define UPGRADE(path)                                                                                                  \
    "GET " path " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

static void test_shiny(void **state) {
    struct fixture *f = *state;
    struct stat st;
    write_file(f, "app.R",
               "library(shiny)\n"
               "onStop(function() writeLines('stopped', 'stopped'))\n"
               "shinyApp(fluidPage('hello', Sys.getenv('FROM_ENV'), Sys.getenv('FROM_PROFILE')),\n"
               "  function(input, output, session) {}, options = list(port = 1, launch.browser = TRUE))\n");
    write_file(f, ".Rprofile", "Sys.setenv(FROM_PROFILE = 'profile-read')\n");
    write_file(f, ".Renviron", "FROM_ENV=renviron-read\n");
    start(f, APP_SHINY);
    ask(f, GET("/"), "hello");
    ask(f, GET("/"), "renviron-read");
    ask(f, GET("/"), "profile-read");
    assert_int_equal(stat(f->socket, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
    ask(f, UPGRADE("/websocket/"), "HTTP/1.1 101");
    stop(f);
    assert_string_equal(read_file(f, "stopped"), "stopped\n");
}

static const char plumber[] =
    "#* @get /sum\n#* @serializer unboxedJSON\nfunction(a, b) list(sum = as.numeric(a) + as.numeric(b))\n"
    "#* @plumber\nfunction(pr) pr$registerHook('exit', function() writeLines('bye', 'bye'))\n";

static void test_plumber(void **state) {
    struct fixture *f = *state;
    write_file(f, "plumber.R", plumber);
    start(f, APP_PLUMBER);
    ask(f, GET("/sum?a=1&b=41"), "{\"sum\":42}");
    ask(f, GET("/openapi.json"), "\"/sum\"");
    stop(f);
    assert_string_equal(read_file(f, "bye"), "bye\n");
}

static void test_plumber_entrypoint_in_app_dir(void **state) {
    struct fixture *f = *state;
    assert_int_equal(mkdir(kind_join(f->arena, f->directory, "api"), 0700), 0);
    write_file(f, "api/routes.R", plumber);
    write_file(f, "api/entrypoint.R", "pr <- plumber::plumb('routes.R')\npr\n");
    f->app.app_dir = "api";
    start(f, APP_PLUMBER);
    ask(f, GET("/sum?a=20&b=3"), "{\"sum\":23}");
    stop(f);
}

static void test_fast_api(void **state) {
    struct fixture *f = *state;
    static const char *routes[] = {"/tools/api/"};
    write_file(f, "main.py",
               "from fastapi import FastAPI, Request, WebSocket\n"
               "service: FastAPI = FastAPI()\n"
               "@service.get('/hello')\n"
               "def hello(request: Request):\n"
               "    return {'from': request.client and request.client.host, 'url': str(request.url_for('hello'))}\n"
               "@service.websocket('/ws')\n"
               "async def ws(socket: WebSocket):\n"
               "    await socket.accept()\n");
    f->app.route = (struct strings){1, routes};
    start(f, APP_FAST_API);
    ask(f, GET("/hello"), "\"url\":\"http://x/tools/api/hello\"");
    ask(f, "GET /hello HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7\r\nConnection: close\r\n\r\n",
        "\"from\":\"192.0.2.7\"");
    ask(f, GET("/docs"), "'/tools/api/openapi.json'"); /* the page asks for it where the browser finds it */
    ask(f, GET("/openapi.json"), "\"servers\":[{\"url\":\"/tools/api\"}]");
    ask(f, UPGRADE("/ws"), "HTTP/1.1 101");
    stop(f);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH(test_shiny),
        WITH(test_plumber),
        WITH(test_plumber_entrypoint_in_app_dir),
        WITH(test_fast_api),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
