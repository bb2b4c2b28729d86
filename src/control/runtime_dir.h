/*
 * A directory of this process alone for sockets: <base>/<pid>, mode 0700, where
 * base is $RUNTIME_DIRECTORY, else $XDG_RUNTIME_DIR/faucet, else /run/faucet for
 * root, else /tmp/faucet-<uid>. Directories of processes that are gone (kill -9)
 * are swept away. A lock on the directory says that its process lives: numbers of
 * processes say nothing where containers share <base>.
 */
#ifndef FAUCET_CONTROL_RUNTIME_DIR_H
#define FAUCET_CONTROL_RUNTIME_DIR_H

#include <stdbool.h>

/* <base>, allocated. It may not exist. */
char *runtime_dir_base(char *const *environ_);
/* Is it a directory of this user that nobody else can write to? */
bool runtime_dir_is_ours(const char *path);
struct runtime_dir {
    char *path;
    int lock; /* the directory, open and locked (flock(2)) */
};

/* Allocated; NULL with *error allocated (a sentence). */
struct runtime_dir *runtime_dir_make(char *const *environ_, char **error);
/* Removes it with what is in it, and frees. NULL is fine. */
void runtime_dir_remove(struct runtime_dir *r);

#endif
