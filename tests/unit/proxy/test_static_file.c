/*
 * Looking files up in a real directory, and every way out of it that we could think of. The way out is tried twice:
 * with openat2 and with the walk that takes its place.
 *
 *   root/index.html, a.txt, "sp ace.txt", "é.txt", sub/index.html, sub/deep/x.txt, empty/, .secret, .git/config,
 *   .well-known/x.txt, .well-known/.y, fifo, and symlinks; outside/secret.txt beside root
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proxy/beneath.h"
#include "proxy/static_file.h"

struct fixture {
    char top[64], root[80];
    int at; /* descriptor of top */
    struct static_lookup found;
};

static void put(struct fixture *f, const char *path, const char *text) {
    int fd = openat(f->at, path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void directory(struct fixture *f, const char *path) {
    assert_int_equal(mkdirat(f->at, path, 0755), 0);
}

static void symlink_to(struct fixture *f, const char *target, const char *path) {
    assert_int_equal(symlinkat(target, f->at, path), 0);
}

static void make_symlinks(struct fixture *f) {
    char text[160];

    symlink_to(f, "a.txt", "root/inside");
    symlink_to(f, "sub/deep/../deep/x.txt", "root/inside-dotdot");
    symlink_to(f, "../a.txt", "root/sub/up");
    symlink_to(f, "sub", "root/dirlink");
    symlink_to(f, "inside", "root/chain");
    symlink_to(f, "../outside/secret.txt", "root/out");
    symlink_to(f, "../outside", "root/outdir");
    symlink_to(f, "../root/a.txt", "root/out-and-in");
    symlink_to(f, "out", "root/chain-out");
    symlink_to(f, "../../outside/secret.txt", "root/sub/out");
    symlink_to(f, "sub/../../outside/secret.txt", "root/out-late");
    symlink_to(f, "loop", "root/loop");
    symlink_to(f, "nowhere", "root/dangling");
    symlink_to(f, "/etc/passwd", "root/passwd");
    symlink_to(f, "/proc/self/root", "root/magic");
    snprintf(text, sizeof text, "%s/a.txt", f->root);
    symlink_to(f, text, "root/absolute-inside");
}

static int setup(void **state) {
    struct fixture *f = calloc(1, sizeof *f);

    snprintf(f->top, sizeof f->top, "/tmp/faucet-test-XXXXXX");
    assert_non_null(mkdtemp(f->top));
    snprintf(f->root, sizeof f->root, "%s/root", f->top);
    f->at = open(f->top, O_PATH | O_DIRECTORY | O_CLOEXEC);
    directory(f, "outside");
    put(f, "outside/secret.txt", "SECRET");
    directory(f, "root");
    put(f, "root/index.html", "<p>home");
    put(f, "root/a.txt", "a");
    put(f, "root/sp ace.txt", "space");
    put(f, "root/\xc3\xa9.txt", "e");
    put(f, "root/100%.txt", "percent");
    put(f, "root/back\\slash.txt", "x");
    put(f, "root/\xff.txt", "latin");
    put(f, "root/.secret", "SECRET");
    directory(f, "root/.git");
    put(f, "root/.git/config", "SECRET");
    directory(f, "root/.well-known");
    put(f, "root/.well-known/x.txt", "known");
    put(f, "root/.well-known/.y", "SECRET");
    directory(f, "root/sub");
    put(f, "root/sub/index.html", "<p>sub");
    directory(f, "root/sub/.well-known");
    put(f, "root/sub/.well-known/x.txt", "SECRET");
    directory(f, "root/sub/deep");
    put(f, "root/sub/deep/x.txt", "deep");
    directory(f, "root/empty");
    directory(f, "root/odd");
    directory(f, "root/odd/index.html");
    assert_int_equal(mkfifoat(f->at, "root/fifo", 0644), 0);
    make_symlinks(f);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state) {
    struct fixture *f = *state;

    if (f->found.fd > 0)
        close(f->found.fd);
    close(f->at);
    assert_int_equal(nftw(f->top, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(f);
    return 0;
}

static unsigned look_up_bytes(struct fixture *f, struct str path) {
    if (f->found.fd > 0)
        close(f->found.fd);
    memset(&f->found, 0, sizeof f->found);
    f->found.root = f->root;
    f->found.path = path;
    static_lookup_prepare(&f->found);
    assert_int_equal(f->found.fd, -1);
    f->found.job.run(&f->found.job);
    assert_int_equal(f->found.fd >= 0, f->found.status == 200);
    return f->found.status;
}

static unsigned look_up(struct fixture *f, const char *path) {
    return look_up_bytes(f, str_of(path));
}

static void assert_content(int fd, const char *text) {
    char got[64];
    ssize_t n = pread(fd, got, sizeof got - 1, 0);

    assert_true(n >= 0);
    got[n] = '\0';
    assert_string_equal(got, text);
}

static void assert_serves(struct fixture *f, const char *path, const char *name, const char *text) {
    unsigned status = look_up(f, path);

    if (status != 200)
        fail_msg("%s: %u", path, status);
    assert_string_equal(f->found.name, name);
    assert_int_equal(f->found.size, strlen(text));
    assert_content(f->found.fd, text);
    assert_true(fcntl(f->found.fd, F_GETFD) & FD_CLOEXEC);
}

static void assert_status(struct fixture *f, const char *path, unsigned expected) {
    unsigned status = look_up(f, path);

    if (status != expected)
        fail_msg("%s: %u instead of %u", path, status, expected);
}

static void test_files(void **state) {
    struct fixture *f = *state;
    struct stat st;

    assert_serves(f, "/a.txt", "a.txt", "a");
    assert_int_equal(fstatat(f->at, "root/a.txt", &st, 0), 0);
    assert_int_equal(f->found.inode, st.st_ino);
    assert_int_equal(f->found.mtime_s, st.st_mtim.tv_sec);
    assert_int_equal(f->found.mtime_ns, st.st_mtim.tv_nsec);
    assert_serves(f, "/sub/deep/x.txt", "x.txt", "deep");
    assert_serves(f, "/sp%20ace.txt", "sp ace.txt", "space");
    assert_serves(f, "/%C3%A9.txt", "\xc3\xa9.txt", "e");
    assert_serves(f, "/100%25.txt", "100%.txt", "percent");
    assert_serves(f, "/%61.txt", "a.txt", "a");
    assert_serves(f, "/.well-known/x.txt", "x.txt", "known");
    assert_status(f, "/none.txt", 404);
    assert_status(f, "/a.txt/", 404);
    assert_status(f, "/a.txt/x", 404);
}

static void test_directories(void **state) {
    struct fixture *f = *state;

    assert_serves(f, "/", "index.html", "<p>home");
    assert_serves(f, "/sub/", "index.html", "<p>sub");
    assert_status(f, "/sub", 308);
    assert_status(f, "/dirlink", 308);
    assert_serves(f, "/dirlink/", "index.html", "<p>sub");
    assert_status(f, "/empty", 308);
    assert_status(f, "/empty/", 404);
    assert_status(f, "/odd/", 404); /* index.html is a directory */
    assert_status(f, "/none/", 404);
}

static void test_hidden(void **state) {
    static const char *const paths[] = {"/.secret",        "/.git/config", "/.git",
                                        "/.git/",          "/%2esecret",   "/%2Egit/config",
                                        "/.well-known/.y", "/...",         "/sub/.well-known/x.txt"};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
        assert_status(f, paths[i], 404);
}

static void test_malformed_paths(void **state) {
    static const char *const paths[] = {
        "",
        "a.txt",
        "//a.txt",
        "/sub//index.html",
        "/sub//",
        "//",
        "/%",
        "/%4",
        "/%zz",
        "/a.txt%",
        "/a.txt%0",
        "/a.txt%00",
        "/a.txt%00.html",
        "/%00",
        "/sub%2Findex.html",
        "/sub%2fdeep/x.txt",
        "/back%5Cslash.txt",
        "/back\\slash.txt",
        "/%FF.txt",
        "/\xff.txt",
        "/%C3.txt",
        "/%C0%AFa.txt",
        "/%ED%A0%80",
        "/%F5%80%80%80",
        "/%E0%80%AF",
        "/%C3",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
        assert_status(f, paths[i], 404);
    assert_int_equal(look_up_bytes(f, STR("/a.txt\0.html")), 404);
    assert_int_equal(look_up_bytes(f, STR("/a.txt\0")), 404);
}

static void test_long_paths(void **state) {
    struct fixture *f = *state;
    char path[3 * PATH_MAX];

    memset(path, 'a', sizeof path);
    path[0] = '/';
    for (size_t n = 250; n < 260; n++)
        assert_int_equal(look_up_bytes(f, str_make(path, n)), 404);
    for (size_t i = 0; i < sizeof path; i += 100)
        path[i] = '/';
    for (size_t n = PATH_MAX - 20; n < PATH_MAX + 20; n++)
        assert_int_equal(look_up_bytes(f, str_make(path, n)), 404);
    assert_int_equal(look_up_bytes(f, str_make(path, sizeof path)), 404);
}

static void test_escapes(void **state) {
    static const char *const paths[] = {
        "/../outside/secret.txt",
        "/..",
        "/../",
        "/sub/../../outside/secret.txt",
        "/%2e%2e/outside/secret.txt",
        "/.%2E/outside/secret.txt",
        "/..%2Foutside%2Fsecret.txt",
        "/..%5Coutside%5Csecret.txt",
        "/%2Fetc/passwd",
        "/out",
        "/outdir",
        "/outdir/",
        "/outdir/secret.txt",
        "/out-and-in",
        "/chain-out",
        "/sub/out",
        "/dirlink/out",
        "/out-late",
        "/passwd",
        "/magic/etc/passwd",
        "/absolute-inside",
        "/loop",
        "/loop/x",
        "/dangling",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(paths); i++)
        assert_status(f, paths[i], 404);
}

static void test_symlinks_inside(void **state) {
    struct fixture *f = *state;

    assert_serves(f, "/inside", "inside", "a");
    assert_serves(f, "/chain", "chain", "a");
    assert_serves(f, "/inside-dotdot", "inside-dotdot", "deep");
    assert_serves(f, "/sub/up", "up", "a");
    assert_serves(f, "/dirlink/deep/x.txt", "x.txt", "deep");
}

/* The root itself may be a symlink: a release directory that is flipped. */
static void test_root_is_a_symlink(void **state) {
    struct fixture *f = *state;

    symlink_to(f, "root", "current");
    snprintf(f->root, sizeof f->root, "%s/current", f->top);
    assert_serves(f, "/a.txt", "a.txt", "a");
    assert_status(f, "/out", 404);
}

/* None of them may block, nor be sent. */
static void test_special_files(void **state) {
    struct fixture *f = *state;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof a.sun_path, "%s/socket", f->root);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    alarm(20);
    assert_status(f, "/fifo", 404);
    assert_status(f, "/socket", 404);
    if (mknodat(f->at, "root/null", S_IFCHR | 0666, makedev(1, 3)) == 0)
        assert_status(f, "/null", look_up(f, "/null") == 403 ? 403 : 404); /* 403 where the mount says nodev */
    alarm(0);
    close(fd);
}

static void test_no_root(void **state) {
    struct fixture *f = *state;

    snprintf(f->root, sizeof f->root, "%s/none", f->top);
    assert_status(f, "/a.txt", 500);
    snprintf(f->root, sizeof f->root, "%s/root/a.txt", f->top);
    assert_status(f, "/a.txt", 500);
}

/* In a child without privilege. */
static void test_permissions(void **state) {
    struct fixture *f = *state;
    int status;

    assert_int_equal(chmod(f->top, 0755), 0);
    assert_int_equal(fchmodat(f->at, "root/a.txt", 0, 0), 0);
    assert_int_equal(fchmodat(f->at, "root/sub", 0600, 0), 0);
    pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
            _exit(99);
        int wrong = look_up(f, "/a.txt") != 403 ? 1 : 0;
        wrong |= look_up(f, "/inside") != 403 ? 2 : 0;
        wrong |= look_up(f, "/sub/index.html") != 403 ? 4 : 0;
        wrong |= look_up(f, "/index.html") != 200 ? 8 : 0;
        _exit(wrong);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(fchmodat(f->at, "root/sub", 0755, 0), 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_out_of_descriptors(void **state) {
    struct fixture *f = *state;
    struct rlimit before, none;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    unsigned status = look_up(f, "/a.txt");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, 503);
}

/* ---- beneath: both ways must agree --------------------------------------------------- */

static void test_both_ways_agree(void **state) {
    static const struct {
        const char *path;
        int error; /* 0: opens */
    } cases[] = {
        {".", 0},
        {"a.txt", 0},
        {"./a.txt", 0},
        {"sub", 0},
        {"sub/", 0},
        {"sub/.", 0},
        {"sub/..", 0},
        {"sub/../a.txt", 0},
        {"sub//deep///x.txt", 0},
        {"sub/deep/../../a.txt", 0},
        {"inside", 0},
        {"chain", 0},
        {"inside-dotdot", 0},
        {"sub/up", 0},
        {"dirlink", 0},
        {"dirlink/", 0},
        {"dirlink/deep/x.txt", 0},
        {"dirlink/..", 0},
        {"fifo", 0},
        {"", ENOENT},
        {"none", ENOENT},
        {"none/x", ENOENT},
        {"dangling", ENOENT},
        {"a.txt/", ENOTDIR},
        {"a.txt/x", ENOTDIR},
        {"a.txt/..", ENOTDIR},
        {"inside/", ENOTDIR},
        {"loop", ELOOP},
        {"loop/x", ELOOP},
        {"..", EXDEV},
        {"../outside/secret.txt", EXDEV},
        {"sub/../..", EXDEV},
        {"dirlink/../../outside", EXDEV},
        {"/etc/passwd", EXDEV},
        {"out", EXDEV},
        {"outdir/secret.txt", EXDEV},
        {"out-and-in", EXDEV},
        {"chain-out", EXDEV},
        {"sub/out", EXDEV},
        {"out-late", EXDEV},
        {"passwd", EXDEV},
        {"magic", EXDEV},
        {"absolute-inside", EXDEV},
    };
    static int (*const ways[])(int, const char *) = {beneath_open, beneath_open_by_walking};
    struct fixture *f = *state;
    int root = openat(f->at, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct stat first = {0}, now;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        for (size_t way = 0; way < ARRAY_LENGTH(ways); way++) {
            int fd = ways[way](root, cases[i].path), error = fd < 0 ? errno : 0;

            if (error != cases[i].error)
                fail_msg("way %d, \"%s\": %s", (int)way, cases[i].path, strerror(error));
            if (fd < 0)
                continue;
            assert_int_equal(fstat(fd, &now), 0);
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
            assert_true(way == 0 || (first.st_ino == now.st_ino && first.st_dev == now.st_dev));
            first = now;
            close(fd);
        }
    }
    close(root);
}

/* In a child whose seccomp filter answers openat2 as old container runtimes do. */
static bool deny_openat2(int error) {
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {ARRAY_LENGTH(filter), filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void test_without_openat2(void **state) {
    static const int errors[] = {ENOSYS, EPERM};
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(errors); i++) {
        pid_t child = fork();
        int status;

        if (child == 0) {
            if (!deny_openat2(errors[i]))
                _exit(99);
            int wrong = look_up(f, "/inside-dotdot") != 200 ? 1 : 0;
            wrong |= look_up(f, "/sub") != 308 ? 2 : 0;
            wrong |= look_up(f, "/out") != 404 ? 4 : 0;
            wrong |= look_up(f, "/magic/etc/passwd") != 404 ? 8 : 0;
            wrong |= look_up(f, "/fifo") != 404 ? 16 : 0;
            _exit(wrong);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 99)
            skip(); /* no seccomp here */
        assert_int_equal(WEXITSTATUS(status), 0);
    }
}

static int lowest_free(void) {
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    return fd;
}

static void test_walk_limits(void **state) {
    struct fixture *f = *state;
    int root = openat(f->at, "root", O_PATH | O_DIRECTORY | O_CLOEXEC), before = lowest_free();
    char path[2 * PATH_MAX], link[32], target[32];

    /* 40 symlinks in a row are followed, 41 are not: as the kernel has it */
    symlink_to(f, "a.txt", "root/l1");
    for (int i = 2; i <= 41; i++) {
        snprintf(target, sizeof target, "l%d", i - 1);
        snprintf(link, sizeof link, "root/l%d", i);
        symlink_to(f, target, link);
    }
    int fd = beneath_open_by_walking(root, "l40");
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(beneath_open_by_walking(root, "l41"), -1);
    assert_int_equal(errno, ELOOP);
    assert_int_equal(beneath_open(root, "l41"), -1);
    assert_int_equal(errno, ELOOP);

    memset(path, 'a', sizeof path);
    path[sizeof path - 1] = '\0';
    assert_int_equal(beneath_open_by_walking(root, path), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    path[300] = '\0';
    assert_int_equal(beneath_open_by_walking(root, path), -1);
    assert_int_equal(errno, ENAMETOOLONG);

    /* up and down a thousand times leaves no descriptor behind */
    for (size_t i = 0; i < 500; i++)
        memcpy(path + i * 7, "sub/../", 7);
    memcpy(path + 3500, "a.txt", 6);
    fd = beneath_open_by_walking(root, path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(lowest_free(), before);
    close(root);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_files),           TEST(test_directories),       TEST(test_hidden),
        TEST(test_malformed_paths), TEST(test_long_paths),        TEST(test_escapes),
        TEST(test_symlinks_inside), TEST(test_root_is_a_symlink), TEST(test_special_files),
        TEST(test_no_root),         TEST(test_permissions),       TEST(test_out_of_descriptors),
        TEST(test_both_ways_agree), TEST(test_without_openat2),   TEST(test_walk_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
