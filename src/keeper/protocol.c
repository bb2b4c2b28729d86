/*
 * Frames between daemon and keeper, written and read. A SPAWN body is three
 * counts and then NUL-terminated strings in a row: arguments, environment,
 * directory. Reading checks every length and count against the bytes that are
 * there, so that a torn or foreign stream ends in an error, not in a crash.
 */
#include "keeper/protocol.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct spawn_counts {
    uint32_t argc, envc, directories; /* directories: 0 or 1 */
};

const char *launch_step_name(enum launch_step step) {
    static const char *const names[LAUNCH_STEP_COUNT] = {
        [LAUNCH_STEP_NONE] = "none",      [LAUNCH_STEP_DESCRIPTORS] = "descriptors",
        [LAUNCH_STEP_KEEPER] = "keeper",  [LAUNCH_STEP_FORK] = "fork",
        [LAUNCH_STEP_SESSION] = "setsid", [LAUNCH_STEP_LIMIT] = "setrlimit",
        [LAUNCH_STEP_CHDIR] = "chdir",    [LAUNCH_STEP_EXEC] = "exec",
    };
    return (unsigned)step < LAUNCH_STEP_COUNT ? names[step] : "unknown";
}

static void put_bytes(struct buf *out, const void *p, size_t n) {
    buf_append(out, str_make(p, n));
}

void protocol_put(struct buf *out, enum protocol_type type, uint64_t id, const void *body, size_t n) {
    struct protocol_head head = {.length = (uint32_t)(sizeof head + n), .type = (uint32_t)type, .id = id};
    ASSERT(n <= 4096);
    put_bytes(out, &head, sizeof head);
    put_bytes(out, body, n);
}

/* How many strings there are; their bytes with NULs are added to *bytes. */
static uint32_t strings_measure(const char *const *v, size_t *bytes) {
    uint32_t n = 0;
    for (; v[n] != NULL; n++)
        *bytes += strlen(v[n]) + 1;
    return n;
}

bool protocol_put_spawn(struct buf *out, uint64_t id, const char *const *argv, const char *const *envp,
                        const char *directory) {
    size_t bytes = 0;
    struct spawn_counts counts = {.argc = strings_measure(argv, &bytes), .envc = strings_measure(envp, &bytes)};
    if (directory != NULL) {
        counts.directories = 1;
        bytes += strlen(directory) + 1;
    }
    struct protocol_head head = {.type = PROTOCOL_SPAWN, .id = id};
    size_t length = sizeof head + sizeof counts + bytes;
    if (length > PROTOCOL_FRAME_MAX)
        return false;
    head.length = (uint32_t)length;
    put_bytes(out, &head, sizeof head);
    put_bytes(out, &counts, sizeof counts);
    for (; *argv != NULL; argv++)
        put_bytes(out, *argv, strlen(*argv) + 1);
    for (; *envp != NULL; envp++)
        put_bytes(out, *envp, strlen(*envp) + 1);
    if (directory != NULL)
        put_bytes(out, directory, strlen(directory) + 1);
    return true;
}

enum protocol_result protocol_next(const struct buf *in, struct protocol_head *head, struct str *body) {
    struct str bytes = buf_str(in);
    if (bytes.p == NULL || bytes.n < sizeof *head)
        return PROTOCOL_MORE;
    memcpy(head, bytes.p, sizeof *head);
    if (head->length < sizeof *head || head->length > PROTOCOL_FRAME_MAX || head->type < PROTOCOL_SPAWN ||
        head->type > PROTOCOL_EXITED)
        return PROTOCOL_BAD;
    if (bytes.n < head->length)
        return PROTOCOL_MORE;
    *body = str_make(bytes.p + sizeof *head, head->length - sizeof *head);
    return PROTOCOL_FRAME;
}

bool protocol_get(struct str body, void *out, size_t n) {
    if (body.n != n)
        return false;
    memcpy(out, body.p, n);
    return true;
}

/* Takes `n` strings off *at into v; false when the bytes end before. */
static bool take_strings(char **at, const char *end, size_t n, char **v) {
    for (size_t i = 0; i < n; i++) {
        char *nul = memchr(*at, '\0', (size_t)(end - *at));
        if (nul == NULL)
            return false;
        v[i] = *at;
        *at = nul + 1;
    }
    return true;
}

bool protocol_get_spawn(struct str body, size_t extra, struct protocol_spawn *spawn) {
    struct spawn_counts counts;
    memset(spawn, 0, sizeof *spawn);
    if (body.n < sizeof counts)
        return false;
    memcpy(&counts, body.p, sizeof counts);
    struct str text = str_from(body, sizeof counts);
    size_t strings = (size_t)counts.argc + counts.envc + counts.directories;
    /* every string has its NUL, so there cannot be more strings than bytes */
    if (counts.argc == 0 || counts.directories > 1 || strings > text.n)
        return false;
    size_t pointers = (strings + extra + 3) * sizeof(char *);
    spawn->block = malloc(pointers + text.n);
    XXXAN(spawn->block);
    char **v = spawn->block, *at = (char *)spawn->block + pointers, *directory = NULL;
    memcpy(at, text.p, text.n);
    const char *end = at + text.n;
    spawn->argv = v;
    spawn->envp = v + counts.argc + 1;
    if (!take_strings(&at, end, counts.argc, spawn->argv) || !take_strings(&at, end, counts.envc, spawn->envp) ||
        !take_strings(&at, end, counts.directories, &directory) || at != end) {
        free(spawn->block);
        spawn->block = NULL;
        return false;
    }
    spawn->argv[counts.argc] = NULL;
    for (size_t i = 0; i <= extra; i++)
        spawn->envp[counts.envc + i] = NULL;
    spawn->directory = directory;
    return true;
}
