/*
 * A deployment flips a symlink (`ln -sfn releases/42 current`): the settings
 * are the same text, but the app is another one. Device and inode of what the
 * paths lead to tell that; a touched restart.txt says it where files are
 * replaced in place.
 *
 * It is looked at when the settings are read, workers start a little later. A
 * flip in between is seen by the next reload, which rolls once more than it
 * had to: harmless.
 */
#include "config/identity.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "config/meaning.h"

#define RESTART_FILE "restart.txt"

static const char *join(struct arena *a, const char *directory, const char *name) {
    return name[0] == '/' ? name : arena_printf(a, "%s/%s", directory, name).p;
}

static void find(const char *path, uint64_t *device, uint64_t *inode) {
    struct stat st;

    if (stat(path, &st) != 0)
        return;
    *device = (uint64_t)st.st_dev;
    *inode = (uint64_t)st.st_ino;
}

static const char *target_of(struct arena *a, const char *path) {
    char *resolved = realpath(path, NULL);
    const char *target = resolved == NULL ? NULL : arena_strdup(a, resolved);

    free(resolved);
    return target;
}

/* Nanoseconds, never 0 for a file that is there. Unsigned on the way: a file may claim any year. */
static int64_t mtime_of(const char *path) {
    struct stat st;

    if (stat(path, &st) != 0)
        return 0;
    uint64_t ns = (uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec;
    return ns == 0 ? 1 : (int64_t)ns;
}

static bool means(const struct app_config *app, const char *key) {
    return setting_means(setting_find(str_of(key), true), (enum app_type)app->type);
}

void identity_find(struct arena *a, struct app_config *app) {
    if (app->dir == NULL || !means(app, "dir"))
        return;
    find(app->dir, &app->dir_device, &app->dir_inode);
    app->dir_target = target_of(a, app->dir);
    if (app->app_dir != NULL && means(app, "app_dir"))
        find(join(a, app->dir, app->app_dir), &app->app_dir_device, &app->app_dir_inode);
    if (means(app, "workers")) /* there is nothing to restart otherwise */
        app->restart_mtime_ns = mtime_of(join(a, app->dir, RESTART_FILE));
}
