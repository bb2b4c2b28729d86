/* Where the workers' sockets are; see socket_place.h. */
#include "app/socket_place.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/miniobj.h"
#include "base/str.h"

/* "/" and a serial of up to ten digits and ".sock" follow the directory's name. */
#define DIRECTORY_MAX (107 - (sizeof "/4294967295.sock" - 1))

struct socket_place {
    char *directory;
    bool elsewhere;
    uint32_t serial;
};

/* Ours alone: whoever can enter it can talk to the workers, past everything faucet checks. */
static bool make_private(const char *directory) {
    struct stat st;

    if (mkdir(directory, 0700) < 0 && errno != EEXIST)
        return false;
    if (lstat(directory, &st) < 0)
        return false;
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
        errno = EPERM;
        return false;
    }
    return chmod(directory, 0700) == 0;
}

static void remove_leftovers(const char *directory) {
    DIR *d = opendir(directory);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (str_ends(str_of(e->d_name), STR(".sock")))
            (void)unlinkat(dirfd(d), e->d_name, 0);
    (void)closedir(d);
}

struct socket_place *socket_place_new(const char *runtime_dir, char **error) {
    struct socket_place *p = calloc(1, sizeof *p);
    bool made;

    XXXAN(p);
    XXXASSERT(asprintf(&p->directory, "%s/w", runtime_dir) > 0);
    if (strlen(p->directory) > DIRECTORY_MAX) {
        free(p->directory);
        p->directory = strdup("/tmp/faucet-XXXXXX");
        XXXAN(p->directory);
        p->elsewhere = true;
        made = mkdtemp(p->directory) != NULL;
    } else {
        made = make_private(p->directory);
    }
    if (!made) {
        XXXASSERT(asprintf(error, "the directory for worker sockets, %s, cannot be used: %s", p->directory,
                           strerror(errno)) > 0);
        free(p->directory);
        free(p);
        return NULL;
    }
    remove_leftovers(p->directory);
    return p;
}

void socket_place_free(struct socket_place *p) {
    if (p == NULL)
        return;
    remove_leftovers(p->directory);
    (void)rmdir(p->directory);
    free(p->directory);
    free(p);
}

const char *socket_place_directory(const struct socket_place *p) {
    return p->directory;
}

bool socket_place_is_elsewhere(const struct socket_place *p) {
    return p->elsewhere;
}

void socket_place_next(struct socket_place *p, char path[108]) {
    (void)snprintf(path, 108, "%s/%u.sock", p->directory, (unsigned)++p->serial);
}
