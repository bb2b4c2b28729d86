/*
 * A destination's life. The directory of its queue bears a hash of the name. The
 * place, and the options that it was last used with, stand in a file beside the
 * segments: so what an earlier run left can be named, and is found again by those
 * who may send it. No secret is in either.
 */
#include "telemetry/destination.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/miniobj.h"
#include "base/unit.h"
#include "telemetry/columns.h"

#define NAME_FILE       "destination"
#define NAME_MAX_BYTES  8192
#define NUMBER_MAX      100 /* of destinations of one place; a further one's rest bears its directory's name */
#define CONNECT_TIMEOUT (10 * DUR_S)
#define BATCH_BYTES     ((size_t)1024 * 1024)
#define MEMORY_SIZE_MAX ((int64_t)64 * 1024 * 1024) /* of a queue in memory, whatever queue_size says */

const char *destination_state_name(enum destination_state s) {
    static const char *const names[] = {[DESTINATION_PREPARED] = "prepared",
                                        [DESTINATION_USED] = "used",
                                        [DESTINATION_DRAINING] = "draining",
                                        [DESTINATION_LEFT] = "left"};
    return names[s];
}

static bool same(const char *a, const char *b) {
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

static void keep(char **to, const char *text) {
    free(*to);
    *to = strdup(text);
    XXXAN(*to);
}

/* ---- the queue ---- */

static void queue_ready(void *owner) {
    struct destination *d;

    CAST_OBJ_NOTNULL(d, owner, DESTINATION_MAGIC);
    if (d->pool != NULL)
        pool_wake(d->pool);
}

static void describe_gap(void *owner, struct record_draft *gap) {
    struct destination *d;

    CAST_OBJ_NOTNULL(d, owner, DESTINATION_MAGIC);
    if (d->current != NULL) {
        record_text(gap, COLUMN_OF_GAP_namespace, str_of(d->current->daemon.telemetry.namespace));
        record_text(gap, COLUMN_OF_GAP_version, str_of(d->current->daemon.telemetry.version));
    }
    record_text(gap, COLUMN_OF_GAP_instance, str_of(d->env->instance));
}

static int64_t memory_size(int64_t size) {
    return size < MEMORY_SIZE_MAX ? size : MEMORY_SIZE_MAX;
}

static struct event_queue *open_queue(struct destination *d, const char *directory, int64_t size, char **error) {
    const struct event_queue_options o = {
        .loop = d->env->loop,
        .log = d->env->log,
        .helpers = d->env->helpers,
        .name = d->name,
        .directory = directory,
        .size = directory != NULL ? size : memory_size(size),
        .now = wall_now,
        .ready = queue_ready,
        .describe_gap = describe_gap,
        .owner = d,
    };
    return event_queue_open(&o, error);
}

static char *path_in(const char *directory, const char *name) {
    char *path;

    XXXASSERT(asprintf(&path, "%s/%s", directory, name) >= 0);
    return path;
}

/* The place in the first line, options in the others. */
static void write_name(const struct destination *d) {
    char *path = path_in(d->directory, NAME_FILE);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    free(path);
    if (fd < 0)
        return;
    if (dprintf(fd, "%s\n%s", d->place, d->options) < 0) { /* then it is named by its directory */
    }
    close(fd);
}

static void read_name(struct destination *d) {
    char *path = path_in(d->directory, NAME_FILE), text[NAME_MAX_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;

    free(path);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    size_t end = strcspn(text, "\n");
    d->options = text[end] != '\0' && text[end + 1] != '\0' ? strdup(text + end + 1) : NULL;
    text[end] = '\0';
    d->place = text[0] != '\0' ? strdup(text) : NULL;
}

char *destination_name(const char *place, unsigned number) {
    char *name;

    if (number == 1)
        XXXASSERT(asprintf(&name, "%s", place) >= 0);
    else
        XXXASSERT(asprintf(&name, "%s (%u)", place, number) >= 0);
    return name;
}

char *destination_directory(const char *queues, const char *name) {
    char *directory;

    XXXASSERT(asprintf(&directory, "%s/%016llx", queues, (unsigned long long)hash_bytes(0, name, strlen(name))) >= 0);
    return directory;
}

static struct destination *destination_make(const struct telemetry_env *env, char *name) {
    struct destination *d;

    ALLOC_OBJ(d, DESTINATION_MAGIC);
    d->env = env;
    d->name = name;
    return d;
}

void destination_open_again(struct destination *d, int64_t size) {
    free(d->error);
    d->error = NULL;
    if (d->directory != NULL)
        d->queue = open_queue(d, d->directory, size, &d->error);
    if (d->queue != NULL)
        return;
    if (d->error != NULL)
        log_warn(d->env->log,
                 "telemetry to %s: the queue is in memory, at most %lld MiB, lost when faucet is killed: %s", d->name,
                 (long long)(memory_size(size) >> 20), d->error);
    free(d->directory);
    d->directory = NULL;
    char *error = NULL;
    d->queue = open_queue(d, NULL, size, &error);
    free(error);
    XXXAN(d->queue);
}

struct destination *destination_new(const struct telemetry_env *env, char *name, const struct pg_conninfo *info,
                                    const char *queues, int64_t size) {
    struct destination *d = destination_make(env, name);

    keep(&d->place, info->destination);
    keep(&d->options, info->options);
    keep(&d->secrets, info->secrets);
    if (queues != NULL)
        d->directory = destination_directory(queues, name);
    destination_open_again(d, size);
    if (d->directory != NULL)
        write_name(d);
    return d;
}

/* ---- what earlier runs left ---- */

/* The files of a queue are plain ones; whatever else is there is not ours and stays, with the directory. */
static void remove_queue(const char *directory) {
    DIR *dir = opendir(directory);

    if (dir == NULL)
        return;
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.')
            (void)unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    (void)rmdir(directory);
}

/* The directory's own, where no name leads to it. */
static char *name_left(const struct destination *d, const char *queues) {
    char *name;

    for (unsigned number = 1; d->place != NULL && number <= NUMBER_MAX; number++) {
        name = destination_name(d->place, number);
        char *directory = destination_directory(queues, name);
        bool is = strcmp(directory, d->directory) == 0;
        free(directory);
        if (is)
            return name;
        free(name);
    }
    name = strdup(strrchr(d->directory, '/') + 1);
    XXXAN(name);
    return name;
}

struct destination *destination_find_left(const struct telemetry_env *env, const char *queues, const char *name,
                                          int64_t size) {
    struct destination *d = destination_make(env, NULL);

    d->directory = path_in(queues, name);
    d->state = DESTINATION_LEFT;
    read_name(d);
    d->name = name_left(d, queues);
    d->queue = open_queue(d, d->directory, size, &d->error);
    return d;
}

void destination_settle_left(struct destination *d) {
    CHECK_OBJ_NOTNULL(d, DESTINATION_MAGIC);
    if (d->queue == NULL) {
        log_warn(d->env->log, "telemetry: %s, what an earlier run left for %s, cannot be read: %s", d->directory,
                 d->name, d->error);
    } else if (!destination_is_empty(d)) {
        log_warn(d->env->log,
                 "telemetry: %zu events for %s are left from an earlier run in %s; they are kept, and sent when it is "
                 "configured again",
                 destination_queued(d), d->name, d->directory);
    } else {
        char *directory = d->directory;
        d->directory = NULL;
        destination_free(d);
        remove_queue(directory);
        free(directory);
    }
}

/* ---- the pool ---- */

const char *telemetry_sslmode(const struct telemetry_settings *s) {
    static const char *const names[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};
    return s->sslmode >= 0 ? names[s->sslmode] : NULL; /* as ONE_OF has them */
}

static void warn_of_memory_size(const struct destination *d, int64_t wanted) {
    char most[32], size[32];

    unit_format_size(MEMORY_SIZE_MAX, most);
    unit_format_size(wanted, size);
    log_warn(d->env->log,
             "telemetry to %s: the queue is in memory, where it takes %s at most, not the %s of telemetry.queue_size; "
             "on disk it may take them: set state_dir and restart faucet",
             d->name, most, size);
}

static struct pool *connect_pool(struct destination *d, const char *connection, const struct telemetry_settings *s,
                                 char **error) {
    const struct pool_options o = {
        .loop = d->env->loop,
        .log = d->env->log,
        .resolver = d->env->resolver,
        .queue = d->queue,
        .name = d->name,
        .connection = connection,
        .sslmode = telemetry_sslmode(s),
        .sslrootcert = s->sslcert,
        .size = (size_t)s->pool_size,
        .flush_interval = s->flush_interval,
        .connect_timeout = CONNECT_TIMEOUT,
        .batch_bytes = BATCH_BYTES,
        .drained = d->env->drained,
        .owner = d,
    };
    return pool_new(&o, error);
}

bool destination_connect(struct destination *d, const char *connection, const struct telemetry_settings *s,
                         char **error) {
    CHECK_OBJ_NOTNULL(d, DESTINATION_MAGIC);
    if (d->directory == NULL && s->queue_size > MEMORY_SIZE_MAX)
        warn_of_memory_size(d, s->queue_size);
    event_queue_resize(d->queue, d->directory != NULL ? s->queue_size : memory_size(s->queue_size));
    struct pg_conninfo *info = pg_conninfo_new(connection, telemetry_sslmode(s), s->sslcert, error);
    if (info == NULL)
        return false;
    if (d->pool != NULL && same(d->options, info->options) && same(d->secrets, info->secrets)) {
        pg_conninfo_free(info);
        pool_resize(d->pool, (size_t)s->pool_size, s->flush_interval);
        return true;
    }
    struct pool *fresh = connect_pool(d, connection, s, error);
    if (fresh != NULL) {
        if (d->pool != NULL)
            pool_free(d->pool);
        d->pool = fresh;
        bool renamed = !same(d->place, info->destination) || !same(d->options, info->options);
        keep(&d->place, info->destination);
        keep(&d->options, info->options);
        keep(&d->secrets, info->secrets);
        if (renamed && d->directory != NULL)
            write_name(d);
        pool_wake(d->pool);
    }
    pg_conninfo_free(info);
    return fresh != NULL;
}

/* ---- the whole ---- */

size_t destination_queued(const struct destination *d) {
    size_t n = 0;

    for (size_t k = 0; d->queue != NULL && k < RECORD_KINDS; k++)
        n += event_queue_account(d->queue, (enum record_kind)k)->queued;
    return n;
}

bool destination_is_empty(const struct destination *d) {
    return destination_queued(d) == 0;
}

void destination_log(const struct destination *d) {
    static const char *const reasons[DROP_REASONS] = {"full", "bad_row", "corrupt", "no_table", "no_space"};
    struct event_account sum = {0};
    struct buf dropped = {0};

    if (d->queue == NULL)
        return;
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        const struct event_account *a = event_queue_account(d->queue, (enum record_kind)k);
        sum.recovered += a->recovered;
        sum.received += a->received;
        sum.stored += a->stored;
        sum.queued += a->queued;
        for (size_t i = 0; i < DROP_REASONS; i++)
            sum.dropped[i] += a->dropped[i];
    }
    for (size_t i = 0; i < DROP_REASONS; i++)
        if (sum.dropped[i] > 0)
            buf_printf(&dropped, ", dropped %llu (%s)", (unsigned long long)sum.dropped[i], reasons[i]);
    log_printf(d->env->log, sum.queued > 0 && d->directory == NULL ? LOG_WARN : LOG_INFO, "faucet",
               "telemetry to %s: recovered %llu + received %llu = stored %llu + queued %llu%s%.*s", d->name,
               (unsigned long long)sum.recovered, (unsigned long long)sum.received, (unsigned long long)sum.stored,
               (unsigned long long)sum.queued,
               sum.queued == 0        ? ""
               : d->directory != NULL ? " (kept on disk)"
                                      : " (lost: the queue is in memory)",
               STR_ARG(buf_str(&dropped)));
    buf_free(&dropped);
}

void destination_free(struct destination *d) {
    CHECK_OBJ_NOTNULL(d, DESTINATION_MAGIC);
    list_remove(&d->node);
    if (d->pool != NULL)
        pool_free(d->pool);
    event_queue_close(d->queue);
    free(d->name);
    free(d->directory);
    free(d->place);
    free(d->options);
    free(d->secrets);
    free(d->error);
    FREE_OBJ(d);
}
