/*
 * Puts a worker's environment together, in the order of environment.h: each
 * step may replace what an earlier one set. A name that must not be there is
 * left out at the first step and may come again by a later one, where the
 * app's owner wrote it on purpose.
 */
#include "app/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/dotenv.h"

#define FILE_SIZE_MAX ((size_t)1024 * 1024)

struct variables {
    struct arena *arena;
    size_t n, capacity;
    const char **v; /* "NAME=value" */
};

static struct str name_of(const char *entry) {
    return str_make(entry, (size_t)(strchrnul(entry, '=') - entry));
}

static size_t find(const struct variables *e, struct str name) {
    for (size_t i = 0; i < e->n; i++)
        if (str_eq(name_of(e->v[i]), name))
            return i;
    return e->n;
}

static void put_entry(struct variables *e, const char *entry) {
    size_t i = find(e, name_of(entry));
    if (i + 1 >= e->capacity) { /* room for the closing NULL too */
        size_t capacity = e->capacity > 0 ? e->capacity * 2 : 64;
        const char **v = ARENA_ARRAY(e->arena, const char *, capacity);
        if (e->n > 0)
            memcpy(v, e->v, e->n * sizeof *v);
        e->v = v;
        e->capacity = capacity;
    }
    e->v[i] = entry;
    if (i == e->n)
        e->n++;
}

/* value NULL: nothing is set. */
static void put(struct variables *e, const char *name, const char *value) {
    if (value != NULL)
        put_entry(e, arena_printf(e->arena, "%s=%s", name, value).p);
}

static const char *lookup(const void *of, struct str name) {
    const struct variables *e = of;
    size_t i = find(e, name);
    return i < e->n ? e->v[i] + name.n + 1 : NULL;
}

/* What speaks to the daemon itself, by its service manager or its user. */
static bool is_private(const char *entry, const struct strings *secret) {
    static const char *const prefixes[] = {"FAUCET_", "LISTEN_", "WATCHDOG_",
                                           "NOTIFY_SOCKET=", "CREDENTIALS_DIRECTORY="};
    struct str name = name_of(entry);
    for (size_t i = 0; i < ARRAY_LENGTH(prefixes); i++)
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    for (size_t i = 0; i < secret->n; i++)
        if (str_eq(name, str_of(secret->v[i])))
            return true;
    return false;
}

static void put_listen(struct variables *e, const struct kind_listen *listen) {
    if (listen->socket != NULL)
        put(e, "FAUCET_SOCKET", listen->socket);
    else
        put(e, "PORT", arena_printf(e->arena, "%u", listen->port).p);
}

/* Defaults that make an app's output and settings arrive as its owner expects; env: and .env may say otherwise. */
static void put_defaults(struct variables *e, const struct app_config *app) {
    if (app->type == APP_FAST_API && lookup(e, STR("PYTHONUNBUFFERED")) == NULL)
        put(e, "PYTHONUNBUFFERED", "1"); /* else print() reaches the log in blocks of 8 KB */
}

const char *const *environment_build(struct arena *a, char *const *environ_, const struct strings *secret,
                                     const struct app_config *app, unsigned worker_id,
                                     const struct kind_listen *listen) {
    struct variables e = {.arena = a};
    for (; *environ_ != NULL; environ_++)
        if (strchr(*environ_, '=') != NULL && !is_private(*environ_, secret))
            put_entry(&e, arena_strdup(a, *environ_));
    if (app != NULL) {
        for (size_t i = 0; i < app->dotenv.n; i++)
            put(&e, app->dotenv.v[i].key, dotenv_expand(a, app->dotenv.v[i].value, lookup, &e));
        /* .Renviron has been read by us; R would let it beat `env:` */
        put(&e, "R_ENVIRON_USER", "/dev/null");
        for (size_t i = 0; i < app->env.n; i++)
            put(&e, app->env.v[i].key, app->env.v[i].value);
        put_defaults(&e, app);
        put(&e, "FAUCET_APP", app->name);
        if (worker_id > 0)
            put(&e, "FAUCET_WORKER_ID", arena_printf(a, "%u", worker_id).p);
        put(&e, "FAUCET_TELEMETRY_NAMESPACE", app->telemetry.namespace);
        put(&e, "FAUCET_TELEMETRY_VERSION", app->telemetry.version);
    }
    if (listen != NULL)
        put_listen(&e, listen);
    if (e.v == NULL)
        e.v = ARENA_ARRAY(a, const char *, 1);
    e.v[e.n] = NULL;
    return e.v;
}

/* False with errno. */
static bool read_all(int fd, struct buf *out) {
    for (;;) {
        char *at = buf_reserve(out, 4096);
        ssize_t n = read(fd, at, 4096);
        if (n < 0)
            return false;
        if (n == 0)
            return true;
        buf_commit(out, (size_t)n);
        if (buf_length(out) > FILE_SIZE_MAX) {
            errno = EFBIG;
            return false;
        }
    }
}

void environment_read_file(struct arena *a, const char *path, struct string_map *into, struct problems *problems) {
    struct stat st = {0};
    if (stat(path, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
        return;
    if (S_ISCHR(st.st_mode)) /* R_ENVIRON_USER=/dev/null */
        return;
    struct buf text = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || !read_all(fd, &text)) {
        problem_add(problems, PROBLEM_ERROR, arena_strdup(a, path), "", "cannot be read: %s", strerror(errno));
    } else {
        enum dotenv_dialect dialect = str_ends(str_of(path), STR("Renviron")) ? DOTENV_RENVIRON : DOTENV_ENV;
        dotenv_parse(a, buf_str(&text), dialect, path, into, problems);
    }
    if (fd >= 0)
        close(fd);
    buf_free(&text);
}
