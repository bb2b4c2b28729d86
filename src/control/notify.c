/*
 * AF_UNIX datagram; an '@' stands for the abstract namespace.
 */
#include "control/notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *notify_socket(char *const *environ_) {
    static const char name[] = "NOTIFY_SOCKET=";
    for (; *environ_ != NULL; environ_++)
        if (strncmp(*environ_, name, sizeof name - 1) == 0)
            return *environ_ + sizeof name - 1;
    return NULL;
}

void notify(char *const *environ_, const char *format, ...) {
    const char *path = notify_socket(environ_);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path != NULL ? strlen(path) : 0;
    if (n < 2 || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    char text[512];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (length < 0)
        return;
    size_t bytes = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, text, bytes, MSG_NOSIGNAL, (const struct sockaddr *)&to,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}
