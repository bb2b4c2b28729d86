/*
 * Preloaded into faucet by tests: once the file that KILL_AFTER_SEND names is not empty, the process is killed as if by
 * kill -9 the moment it has given the kernel the beginning of a 200 reply for a TCP client, and before it can do
 * anything else. No timing of a signal from outside hits that instant.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const volatile char *armed; /* one byte, shared with the test */

static __attribute__((constructor)) void begin(void) {
    const char *path = getenv("KILL_AFTER_SEND");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;

    if (fd >= 0) {
        void *p = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
        armed = p != MAP_FAILED ? p : NULL;
        close(fd);
    }
    unsetenv("LD_PRELOAD"); /* not for the workers */
}

static void sent(int fd, ssize_t n, const void *data, size_t length) {
    static const char reply[] = "HTTP/1.1 200 ";
    int domain = 0;
    socklen_t size = sizeof domain;

    if (armed != NULL && *armed == '1' && n > 0 && length >= sizeof reply - 1 &&
        memcmp(data, reply, sizeof reply - 1) == 0 && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
        domain == AF_INET)
        kill(getpid(), SIGKILL);
}

ssize_t send(int fd, const void *data, size_t length, int flags) {
    static ssize_t (*real)(int, const void *, size_t, int);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "send");
    ssize_t n = real(fd, data, length, flags);
    sent(fd, n, data, length);
    return n;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
    static ssize_t (*real)(int, const struct msghdr *, int);
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "sendmsg");
    ssize_t n = real(fd, m, flags);
    if (m->msg_iovlen > 0)
        sent(fd, n, m->msg_iov[0].iov_base, m->msg_iov[0].iov_len);
    return n;
}
