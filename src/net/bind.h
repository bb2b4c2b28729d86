/* Making a listening socket, and saying in words why that failed. */
#ifndef FAUCET_NET_BIND_H
#define FAUCET_NET_BIND_H

#include <sys/stat.h>

#include "net/address.h"

/*
 * A bound, listening, nonblocking, CLOEXEC stream socket, or -1: *why is a static text. Unix sockets: the file has
 * `mode` (never more, not even for a moment) and *made is the file's stat, so that only that file is removed later; a
 * dead server's socket file is replaced, a living one's is refused. TCP: *made is zeroed; share_port: with SO_REUSEPORT
 * (socket(7)), which stays set.
 */
int bind_listening(const struct address *a, unsigned mode, bool share_port, struct stat *made,
                   const char **why) MUST_CHECK;
bool bind_share_port(int fd, bool on); /* false with errno */
/* After the option was cleared everywhere: the kernel remembers per port that it was shared, and goes on letting others
 * in, until somebody binds the port without the option (inet_csk_update_fastreuse, Linux 6.18). This does so, for a
 * moment and in the other family, where it is in nobody's way. */
void bind_seal_port(const struct address *a);

/* Removes the socket file at a's path if it is still the one with that device and inode. */
void bind_remove_file(const struct address *a, dev_t device, ino_t inode);

/* "host:port" or "unix:/path" → one address. Asks getaddrinfo for names (may block), and prefers IPv4 there. */
bool bind_resolve(struct str text, struct address *a, const char **why) MUST_CHECK;

#endif
