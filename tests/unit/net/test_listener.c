/* Listeners: binding, refusals in words, socket files, running out of descriptors, stopping and closing inside
 * callbacks, descriptors from systemd. stderr goes to a file for each test, so that what is logged can be read. */
#include "net_test.h"

#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "net/listener.h"

struct fixture {
    struct loop *loop;
    struct log *log;
    char directory[64], path[80], unix_text[96];
    int stderr_kept, stderr_file;
    int accepted, last_fd;
    struct address last_peer;
    bool done;
    int stop_after; /* in accepted: 0 never */
    bool close_instead;
};

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);

    f->loop = loop_new();
    f->log = log_open_stderr();
    make_directory(f->directory);
    snprintf(f->path, sizeof f->path, "%s/s", f->directory);
    snprintf(f->unix_text, sizeof f->unix_text, "unix:%s", f->path);
    f->stderr_kept = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 100);
    f->stderr_file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(f->stderr_kept >= 0 && f->stderr_file >= 0);
    assert_true(dup2(f->stderr_file, STDERR_FILENO) >= 0);
    f->last_fd = -1;
    *state = f;
    return 0;
}

static int teardown(void **state) {
    struct fixture *f = *state;

    dup2(f->stderr_kept, STDERR_FILENO);
    close(f->stderr_kept);
    close(f->stderr_file);
    log_close(f->log);
    loop_free(f->loop);
    unlink(f->path);
    assert_int_equal(rmdir(f->directory), 0);
    free(f);
    return 0;
}

/* How often `word` stands in what was logged. */
static int logged(struct fixture *f, const char *word) {
    char text[8192];
    ssize_t n = pread(f->stderr_file, text, sizeof text - 1, 0);
    int count = 0;

    assert_true(n >= 0);
    text[n] = '\0';
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += strlen(word))
        count++;
    return count;
}

static void on_accepted(struct listener *l, int fd, const struct address *peer) {
    struct fixture *f = l->owner;

    f->accepted++;
    f->done = true;
    f->last_peer = *peer;
    if (f->last_fd >= 0)
        close(f->last_fd);
    f->last_fd = fd;
    if (f->stop_after == f->accepted) {
        if (f->close_instead)
            listener_close(l);
        else
            listener_stop(l);
    }
}

static struct listener *opened(struct fixture *f, const char *text) {
    char *error = NULL;
    struct listener *l = listener_open(f->loop, f->log, text, 0600, &error);

    if (l == NULL)
        fail_msg("%s", error);
    return l;
}

static void assert_refused(struct fixture *f, const char *text, const char *message) {
    char *error = NULL;
    struct listener *l = listener_open(f->loop, f->log, text, 0600, &error);

    assert_null(l);
    assert_string_equal(error, message);
    free(error);
}

static void test_tcp(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, "127.0.0.1:0");
    int value = 0;
    socklen_t length = sizeof value;
    char text[ADDRESS_TEXT_MAX];

    assert_int_not_equal(ntohs(l->address.in.sin_port), 0);
    snprintf(text, sizeof text, "127.0.0.1:%d", ntohs(l->address.in.sin_port));
    assert_string_equal(l->text, text);
    assert_false(l->inherited);

    int client = plain_connect(&l->address); /* waits in the backlog */
    listener_start(l, on_accepted, f);
    run_until(f->loop, &f->done);
    assert_int_equal(f->accepted, 1);
    assert_true(fcntl(f->last_fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(f->last_fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(f->last_fd, IPPROTO_TCP, TCP_NODELAY, &value, &length), 0);
    assert_int_not_equal(value, 0);

    struct address own = {.length = sizeof own.un};
    char shown[ADDRESS_TEXT_MAX], peer[ADDRESS_TEXT_MAX];
    assert_int_equal(getsockname(client, &own.any, &own.length), 0);
    address_format(&own, shown, sizeof shown);
    address_format(&f->last_peer, peer, sizeof peer);
    assert_string_equal(peer, shown);
    close(client);
    close(f->last_fd);
    listener_close(l);
}

static void test_ipv6_alone(void **state) {
    struct fixture *f = *state;
    char *error = NULL, text[64];
    struct listener *six = listener_open(f->loop, f->log, "[::]:0", 0, &error);

    if (six == NULL) { /* a machine without IPv6 */
        free(error);
        skip();
    }
    /* V6ONLY: the same port is free for IPv4 */
    snprintf(text, sizeof text, "0.0.0.0:%d", ntohs(six->address.in6.sin6_port));
    struct listener *four = opened(f, text);
    listener_close(four);
    listener_close(six);
}

static void test_name(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, "localhost:0");

    assert_int_equal(l->address.any.sa_family, AF_INET);
    assert_int_equal(ntohl(l->address.in.sin_addr.s_addr), INADDR_LOOPBACK);
    listener_close(l);
}

static void test_refusals(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, "127.0.0.1:0");
    char text[ADDRESS_TEXT_MAX], message[256];

    memcpy(text, l->text, sizeof text);
    snprintf(message, sizeof message, "%s: the address is in use by another program", text);
    assert_refused(f, text, message);
    listener_close(l);
    assert_refused(f, "192.0.2.1:3838", "192.0.2.1:3838: this machine has no such address");
    assert_refused(f, "127.0.0.1", "127.0.0.1: the port is missing: write host:port, such as 127.0.0.1:3838");
    assert_refused(f, "unix:/nonexistent/s", "unix:/nonexistent/s: the directory does not exist");
    assert_refused(f, "unix:/dev/null/s", "unix:/dev/null/s: a part of the path is not a directory");

    char *error = NULL, long_text[200] = "unix:/";
    memset(long_text + 6, 'x', 150);
    assert_null(listener_open(f->loop, f->log, long_text, 0600, &error));
    assert_non_null(strstr(error, "107 bytes"));
    free(error);
}

/* Without privilege, in a child. */
static void test_low_port(void **state) {
    struct fixture *f = *state;
    FILE *limit = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "re");
    int first = 1024, pipes[2];
    char text[256] = "";

    if (limit != NULL) {
        assert_int_equal(fscanf(limit, "%d", &first), 1);
        fclose(limit);
    }
    if (first < 2)
        skip();
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        char *error = NULL;
        bool dropped = geteuid() != 0 || (setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
        if (dropped && listener_open(f->loop, f->log, "127.0.0.1:1", 0, &error) == NULL)
            dprintf(pipes[1], "%s", error);
        _exit(0);
    }
    close(pipes[1]);
    assert_true(read(pipes[0], text, sizeof text - 1) > 0);
    close(pipes[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_string_equal(text, "127.0.0.1:1: permission denied: ports below 1024 need root or CAP_NET_BIND_SERVICE");
}

static mode_t mode_of(const char *path) {
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISSOCK(st.st_mode));
    return st.st_mode & 0777;
}

static void test_unix(void **state) {
    struct fixture *f = *state;
    mode_t mask = umask(077);
    char *error = NULL;
    struct listener *l = listener_open(f->loop, f->log, f->unix_text, 0666, &error);

    umask(mask);
    assert_non_null(l);
    assert_int_equal(mode_of(f->path), 0666);
    assert_string_equal(l->text, f->unix_text);
    int client = plain_connect(&l->address);
    listener_start(l, on_accepted, f);
    run_until(f->loop, &f->done);
    assert_int_equal(address_ip(&f->last_peer).family, AF_UNSPEC);
    close(client);
    close(f->last_fd);
    listener_close(l);
    assert_int_equal(access(f->path, F_OK), -1);

    mask = umask(0);
    l = opened(f, f->unix_text);
    umask(mask);
    assert_int_equal(mode_of(f->path), 0600);
    listener_close(l);
}

static void test_unix_in_use(void **state) {
    struct fixture *f = *state;
    struct address a = parsed(f->unix_text);
    int living = plain_listener(&a, 0), fd = -1;
    char message[256];

    snprintf(message, sizeof message, "%s: the address is in use by another program", f->unix_text);
    assert_refused(f, f->unix_text, message);
    do { /* with a full backlog it lives as well */
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    } while (connect(fd, &a.any, a.length) == 0);
    assert_int_equal(errno, EAGAIN);
    assert_refused(f, f->unix_text, message);
    close(living);

    struct listener *l = opened(f, f->unix_text); /* dead now */
    close(plain_connect(&l->address));
    listener_close(l);
}

static void test_unix_other_file(void **state) {
    struct fixture *f = *state;
    char message[256];
    int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    close(fd);
    snprintf(message, sizeof message,
             "%s: something that is not a socket stands there: remove it or choose another path", f->unix_text);
    assert_refused(f, f->unix_text, message);
    assert_int_equal(access(f->path, F_OK), 0);

    unlink(f->path);
    struct address a = parsed(f->unix_text);
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &a.any, a.length), 0);
    snprintf(message, sizeof message, "%s: a socket of another kind stands there", f->unix_text);
    assert_refused(f, f->unix_text, message);
    close(fd);
}

/* Somebody put another socket at our path: it is not ours to remove. */
static void test_only_our_file_is_removed(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, f->unix_text);
    struct address a = l->address;
    char aside[96];

    snprintf(aside, sizeof aside, "%s.aside", f->path); /* keeps the inode number from being used again */
    assert_int_equal(rename(f->path, aside), 0);
    int other = plain_listener(&a, 1);
    listener_close(l);
    assert_int_equal(access(f->path, F_OK), 0);
    close(other);
    unlink(aside);
}

static void connect_many(const struct address *a, int *fds, int n) {
    for (int i = 0; i < n; i++)
        fds[i] = plain_connect(a);
}
static void close_many(int *fds, int n) {
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static void test_stop_inside_accepted(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, "127.0.0.1:0");
    int clients[5];

    connect_many(&l->address, clients, 5);
    f->stop_after = 2;
    listener_start(l, on_accepted, f);
    run_until(f->loop, &f->done);
    f->done = false;
    assert_false(run_for(f->loop, &f->done, 20 * DUR_MS));
    assert_int_equal(f->accepted, 2); /* the rest waits in the backlog */
    f->stop_after = 5;
    listener_start(l, on_accepted, f);
    run_until(f->loop, &f->done);
    assert_int_equal(f->accepted, 5);
    close_many(clients, 5);
    close(f->last_fd);
    listener_close(l);
}

static void test_close_inside_accepted(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, f->unix_text);
    int clients[3];

    connect_many(&l->address, clients, 3);
    f->stop_after = 2;
    f->close_instead = true;
    listener_start(l, on_accepted, f);
    run_until(f->loop, &f->done);
    assert_int_equal(f->accepted, 2);
    assert_int_equal(access(f->path, F_OK), -1);
    close_many(clients, 3);
    close(f->last_fd);
}

/* A turn accepts some and lets others have theirs; none is lost. */
static void test_many(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, "127.0.0.1:0");
    enum { COUNT = 150 };
    int clients[COUNT];

    connect_many(&l->address, clients, COUNT);
    listener_start(l, on_accepted, f);
    ev_run(f->loop->ev, EVRUN_ONCE);
    assert_in_range(f->accepted, 1, COUNT - 1);
    while (f->accepted < COUNT) {
        f->done = false;
        run_until(f->loop, &f->done);
    }
    close_many(clients, COUNT);
    close(f->last_fd);
    listener_close(l);
}

static void test_out_of_descriptors(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, "127.0.0.1:0");
    int client = plain_connect(&l->address);
    struct rlimit before, none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    listener_start(l, on_accepted, f);
    ev_run(f->loop->ev, EVRUN_NOWAIT); /* libev has its own by now */
    f->accepted = 0;
    int second = plain_connect(&l->address);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    f->done = false;
    bool got = run_for(f->loop, &f->done, 350 * DUR_MS); /* several rests */
    int turns = 0;
    for (mono_t start = mono_now(); mono_since(start, mono_now()) < 50 * DUR_MS; turns++) {
        ev_timer tick;
        ev_timer_init(&tick, wake_up, 0.01, 0.);
        ev_timer_start(f->loop->ev, &tick);
        ev_run(f->loop->ev, EVRUN_ONCE);
        ev_timer_stop(f->loop->ev, &tick);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_false(got);
    assert_true(turns < 20); /* it does not spin */
    assert_int_equal(logged(f, "no file descriptor left"), 1);
    assert_int_equal(logged(f, "accepted again"), 0);
    run_until(f->loop, &f->done);
    assert_int_equal(f->accepted, 1);
    assert_int_equal(logged(f, "accepted again"), 1);
    assert_int_equal(logged(f, "WARN"), 1);
    close(client);
    close(second);
    close(f->last_fd);
    listener_close(l);
}

static void test_stop_while_resting(void **state) {
    struct fixture *f = *state;
    struct listener *l = opened(f, "127.0.0.1:0");
    struct rlimit before, none;

    listener_start(l, on_accepted, f);
    ev_run(f->loop->ev, EVRUN_NOWAIT);
    int client = plain_connect(&l->address);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    (void)run_for(f->loop, &f->done, 20 * DUR_MS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    listener_stop(l);
    assert_false(run_for(f->loop, &f->done, 150 * DUR_MS));
    listener_start(l, on_accepted, f);
    run_until(f->loop, &f->done);
    close(client);
    close(f->last_fd);
    listener_close(l);
}

/* ---- inherited ---------------------------------------------------------------- */

static void test_adopt(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("127.0.0.1:0");
    int fd = plain_listener(&a, 8);
    char text[ADDRESS_TEXT_MAX];

    address_format(&a, text, sizeof text);
    assert_null(listener_adopt(f->loop, f->log, fd, "127.0.0.1:1"));
    assert_null(listener_adopt(f->loop, f->log, fd, "unix:/run/x"));
    assert_null(listener_adopt(f->loop, f->log, STDERR_FILENO, text));
    struct listener *l = listener_adopt(f->loop, f->log, fd, text);
    assert_non_null(l);
    assert_true(l->inherited);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    int client = plain_connect(&a);
    listener_start(l, on_accepted, f);
    run_until(f->loop, &f->done);
    close(client);
    close(f->last_fd);
    listener_close(l);
}

static void test_adopt_refuses(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("127.0.0.1:0");
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, but not listening */
    char text[ADDRESS_TEXT_MAX];

    assert_int_equal(bind(fd, &a.any, a.length), 0);
    assert_int_equal(getsockname(fd, &a.any, &a.length), 0);
    address_format(&a, text, sizeof text);
    assert_null(listener_adopt(f->loop, f->log, fd, text));
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, &a.any, a.length), 0);
    assert_null(listener_adopt(f->loop, f->log, fd, text));
    close(fd);
}

static void test_adopted_file_stays(void **state) {
    struct fixture *f = *state;
    struct address a = parsed(f->unix_text);
    int fd = plain_listener(&a, 8);
    struct listener *l = listener_adopt(f->loop, f->log, fd, f->unix_text);

    assert_non_null(l);
    listener_close(l);
    assert_int_equal(access(f->path, F_OK), 0);
}

static void test_adopt_dual_stack(void **state) {
    struct fixture *f = *state;
    struct address a = parsed("[::]:0");
    int off = 0, on = 1, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char text[64];

    if (fd < 0)
        skip();
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off), 0);
    assert_int_equal(bind(fd, &a.any, a.length), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, &a.any, &a.length), 0);
    snprintf(text, sizeof text, "0.0.0.0:%d", ntohs(a.in6.sin6_port));
    struct listener *l = listener_adopt(f->loop, f->log, fd, text);
    assert_non_null(l);
    listener_close(l);

    a = parsed("[::]:0");
    fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
    assert_int_equal(bind(fd, &a.any, a.length), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, &a.any, &a.length), 0);
    snprintf(text, sizeof text, "0.0.0.0:%d", ntohs(a.in6.sin6_port));
    assert_null(listener_adopt(f->loop, f->log, fd, text));
    close(fd);
}

static int inherited(const char *pid, const char *count) {
    char pid_line[64], count_line[64], other[] = "LISTEN_FDNAMES=a:b";
    char *environment[] = {other, pid_line, count_line, NULL};

    snprintf(pid_line, sizeof pid_line, "LISTEN_PID=%s", pid);
    snprintf(count_line, sizeof count_line, "LISTEN_FDS=%s", count);
    return listener_inherited_count(environment);
}

/* In a child, which gives descriptors 3 and 4 away. */
static void test_inherited_count(void **state) {
    char own[32], other[32];
    char *empty[] = {NULL};

    (void)state;
    snprintf(other, sizeof other, "%d", (int)getpid());
    pid_t child = fork();
    if (child == 0) {
        int failed = 0;

        snprintf(own, sizeof own, "%d", (int)getpid());
        dup2(STDERR_FILENO, 3);
        dup2(STDERR_FILENO, 4);
        close(5);
        failed |= listener_inherited_count(empty) != 0 ? 1 : 0;
        failed |= inherited(other, "2") != 0 ? 2 : 0;
        failed |= inherited(own, "") != 0 || inherited(own, "x") != 0 || inherited(own, "-1") != 0 ? 4 : 0;
        failed |= inherited(own, "0") != 0 || inherited(own, "99999999999") != 0 ? 8 : 0;
        failed |= fcntl(3, F_GETFD) & FD_CLOEXEC ? 16 : 0;
        failed |= inherited(own, "2") != 2 ? 32 : 0;
        failed |= !(fcntl(3, F_GETFD) & FD_CLOEXEC) || !(fcntl(4, F_GETFD) & FD_CLOEXEC) ? 64 : 0;
        failed |= inherited(own, "3") != 0 ? 128 : 0; /* 5 is not open */
        _exit(failed);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_tcp),
        TEST(test_ipv6_alone),
        TEST(test_name),
        TEST(test_refusals),
        TEST(test_low_port),
        TEST(test_unix),
        TEST(test_unix_in_use),
        TEST(test_unix_other_file),
        TEST(test_only_our_file_is_removed),
        TEST(test_stop_inside_accepted),
        TEST(test_close_inside_accepted),
        TEST(test_many),
        TEST(test_out_of_descriptors),
        TEST(test_stop_while_resting),
        TEST(test_adopt),
        TEST(test_adopt_refuses),
        TEST(test_adopted_file_stays),
        TEST(test_adopt_dual_stack),
        TEST(test_inherited_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
