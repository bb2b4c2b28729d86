/*
 * AF_UNIX datagram; an '@' stands for the abstract namespace. A few lines of
 * our own, as systemd's manual suggests, instead of a library.
 */
#include "control/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/environ.h"

/* Where to send; 0: nowhere. */
static socklen_t notify_address(char *const *environ_, struct sockaddr_un *to) {
    struct str path = str_of(environ_value(environ_, STR("NOTIFY_SOCKET")));

    if (path.n < 2 || path.n >= sizeof to->sun_path || (path.p[0] != '/' && path.p[0] != '@'))
        return 0;
    *to = (struct sockaddr_un){.sun_family = AF_UNIX};
    memcpy(to->sun_path, path.p, path.n);
    if (path.p[0] == '@')
        to->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n);
}

/* systemd takes no STATUS= that is not UTF-8: a character that the end cuts in two goes as a whole. */
static size_t whole_characters(const char *text, size_t n) {
    size_t first = n;

    while (first > 0 && ((unsigned char)text[first - 1] & 0xc0) == 0x80)
        first--;
    if (first == 0 || ((unsigned char)text[first - 1] & 0xc0) != 0xc0)
        return n;
    return str_utf8(str_make(text + first - 1, n - first + 1)) == 0 ? first - 1 : n;
}

static bool must_arrive(struct str text) {
    static const struct str states[] = {{"READY=1", 7}, {"RELOADING=1", 11}, {"STOPPING=1", 10}};

    for (size_t i = 0; i < ARRAY_LENGTH(states); i++)
        if (str_starts(text, states[i]))
            return true;
    return false;
}

static void send_to(const struct sockaddr_un *to, socklen_t length, struct str text) {
    const struct timeval patience = {NOTIFY_PATIENCE_MS / 1000, NOTIFY_PATIENCE_MS % 1000 * 1000L};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    ssize_t sent = sendto(fd, text.p, text.n, MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)to, length);
    if (sent < 0 && errno == EAGAIN && must_arrive(text) &&
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0)
        (void)!sendto(fd, text.p, text.n, MSG_NOSIGNAL, (const struct sockaddr *)to, length);
    close(fd);
}

void notify(char *const *environ_, const char *format, ...) {
    struct sockaddr_un to;
    socklen_t length = notify_address(environ_, &to);
    char text[NOTIFY_MAX + 1];
    va_list args;

    if (length == 0)
        return;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        return;
    send_to(&to, length, str_make(text, (size_t)n < sizeof text ? (size_t)n : whole_characters(text, NOTIFY_MAX)));
}
