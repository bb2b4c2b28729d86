/*
 * The directory of the workers' sockets, <runtime>/w, mode 0700. sun_path has
 * room for 107 bytes, and httpuv silently cuts longer ones; where the runtime
 * directory is too long, a directory in /tmp takes its place.
 */
#ifndef FAUCET_APP_SOCKET_PLACE_H
#define FAUCET_APP_SOCKET_PLACE_H

#include <stdbool.h>

#include "base/check.h"

struct socket_place;
/* Sockets left there by a daemon that was killed are removed. NULL with *error (allocated, caller frees). */
struct socket_place *socket_place_new(const char *runtime_dir, char **error);
/* Removes the directory if nothing is left in it. NULL is fine. */
void socket_place_free(struct socket_place *p);
const char *socket_place_directory(const struct socket_place *p);
/* True: it had to be made in /tmp. */
bool socket_place_is_elsewhere(const struct socket_place *p);
/* A path never given before. */
void socket_place_next(struct socket_place *p, char path[108]);

#endif
