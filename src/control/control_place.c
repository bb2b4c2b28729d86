/*
 * The name of a default socket comes from the path of the daemon's file, so
 * that two daemons of one user do not meet and `-c FILE` finds the right one.
 * Where systemd gives a directory, only one daemon lives there: control.sock.
 */
#include "control/control_place.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/environ.h"
#include "base/hash.h"
#include "control/control_client.h"
#include "control/runtime_dir.h"

#define INSTANCE_NAME_MAX 32
#define SOCKET_SUFFIX     ".sock"
#define ALONE             "control" SOCKET_SUFFIX

/* ---- names ---- */

/* Without "//", "/./" and a '/' at the end: the same file however it was named. ".." stays: a symlink may be before it.
 */
static struct str tidy(struct arena *a, const char *path) {
    char *out = arena_bytes(a, strlen(path) + 2);
    size_t n = 0;
    for (struct str rest = str_of(path); rest.n > 0;) {
        struct str part = str_make(rest.p, str_chr(rest, '/'));
        rest = str_from(rest, part.n + 1);
        if (part.n == 0 || str_eq(part, STR(".")))
            continue;
        out[n++] = '/';
        memcpy(out + n, part.p, part.n);
        n += part.n;
    }
    return str_make(out, n);
}

static bool is_name_byte(char c) {
    char l = ascii_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

const char *control_place_instance(struct arena *a, const char *path) {
    static const struct str endings[] = {{".yaml", 5}, {".yml", 4}};
    struct str whole = tidy(a, path), base = whole;
    for (size_t i = base.n; i > 0; i--)
        if (base.p[i - 1] == '/') {
            base = str_from(base, i);
            break;
        }
    for (size_t i = 0; i < ARRAY_LENGTH(endings); i++)
        if (base.n > endings[i].n && str_ends(base, endings[i]))
            base.n -= endings[i].n;
    char name[INSTANCE_NAME_MAX];
    size_t n = base.n < sizeof name ? base.n : sizeof name;
    for (size_t i = 0; i < n; i++)
        name[i] = is_name_byte(base.p[i]) ? base.p[i] : '-';
    return arena_printf(a, "%.*s-%08x", (int)n, name, (unsigned)(hash_bytes(0, whole.p, whole.n) & 0xffffffff)).p;
}

static const char *runtime_base(struct arena *a, char *const *environ_) {
    char *base = runtime_dir_base(environ_);
    const char *copy = arena_strdup(a, base);
    free(base);
    return copy;
}

const char *control_place_default(struct arena *a, char *const *environ_, const char *path) {
    const char *base = runtime_base(a, environ_);
    if (environ_path(environ_, STR("RUNTIME_DIRECTORY")) != NULL)
        return arena_printf(a, "%s/" ALONE, base).p;
    return arena_printf(a, "%s/%s" SOCKET_SUFFIX, base, control_place_instance(a, path)).p;
}

/* ---- looking for a daemon ---- */

#define DIRECTORIES 4

/* Where daemons of this user, of the system and of systemd put their sockets; each once. */
static size_t directories(const struct options *o, const char *out[DIRECTORIES]) {
    const char *given = environ_path(o->environ_, STR("XDG_RUNTIME_DIR"));
    const char *all[DIRECTORIES] = {
        runtime_base(o->arena, o->environ_),
        given != NULL ? arena_printf(o->arena, "%s/faucet", given).p : NULL,
        "/run/faucet",
        arena_printf(o->arena, "/tmp/faucet-%u", (unsigned)geteuid()).p,
    };
    size_t n = 0;
    for (size_t i = 0; i < DIRECTORIES; i++) {
        bool known = all[i] == NULL || (i == 3 && !runtime_dir_is_ours(all[i])); /* /tmp belongs to everybody */
        for (size_t k = 0; k < n && !known; k++)
            known = strcmp(out[k], all[i]) == 0;
        if (!known)
            out[n++] = all[i];
    }
    return n;
}

static bool answers(const char *path) {
    struct control_client client;
    const char *why;
    if (control_client_open(&client, path, &why) != CONTROL_OPEN)
        return false;
    control_client_close(&client);
    return true;
}

/* Does the daemon at that socket serve this file? */
static bool serves(const char *path, const char *file) {
    struct control_client client;
    struct control_answer answer;
    const char *why;
    if (control_client_open(&client, path, &why) != CONTROL_OPEN)
        return false;
    bool same = false;
    if (control_client_ask(&client, "GET", "/status", CONTROL_PATIENCE, &answer, &why)) {
        const char *its = json_string_value(json_object_get(json_object_get(answer.json, "daemon"), "file"));
        same = its != NULL && strcmp(its, file) == 0;
        control_answer_free(&answer);
    }
    control_client_close(&client);
    return same;
}

/* Of -c: its own default place; who runs it may have had another environment. */
static const char *find_of_file(const struct options *o) {
    const char *at[DIRECTORIES];
    size_t n = directories(o, at);
    const char *instance = control_place_instance(o->arena, o->file);
    for (size_t i = 0; i < n; i++) {
        const char *path = arena_printf(o->arena, "%s/%s" SOCKET_SUFFIX, at[i], instance).p;
        if (answers(path))
            return path;
        path = arena_printf(o->arena, "%s/" ALONE, at[i]).p;
        if (serves(path, o->file))
            return path;
    }
    return control_place_default(o->arena, o->environ_, o->file);
}

struct found {
    const struct options *options;
    const char *first;
    struct buf names; /* one a line */
    size_t count;
};

static void look_in(struct found *f, const char *directory) {
    DIR *d = opendir(directory);
    if (d == NULL)
        return;
    for (const struct dirent *e; (e = readdir(d)) != NULL;) {
        if (!str_ends(str_of(e->d_name), STR(SOCKET_SUFFIX)))
            continue;
        const char *path = arena_printf(f->options->arena, "%s/%s", directory, e->d_name).p;
        if (!answers(path))
            continue;
        if (f->count++ == 0)
            f->first = path;
        buf_printf(&f->names, "\n  --control unix:%s", path);
    }
    closedir(d);
}

static const char *find_only_one(const struct options *o, const char **why, bool *none) {
    const char *at[DIRECTORIES];
    size_t n = directories(o, at);
    struct found found = {.options = o};
    struct buf places = {0};
    for (size_t i = 0; i < n; i++) {
        look_in(&found, at[i]);
        buf_printf(&places, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " or ", at[i]);
    }
    *none = found.count == 0;
    if (found.count == 0)
        *why = arena_printf(o->arena,
                            "no control socket answers in %.*s; name the daemon with -c FILE, or, where another user "
                            "runs it, its socket with --control unix:PATH (the log says it at the start)",
                            STR_ARG(buf_str(&places)))
                   .p;
    else if (found.count > 1)
        *why = arena_printf(o->arena, "several daemons are running; name one with -c FILE or%.*s",
                            STR_ARG(buf_str(&found.names)))
                   .p;
    buf_free(&places);
    buf_free(&found.names);
    return found.count == 1 ? found.first : NULL;
}

/* Was an address given on the command line or in the environment? */
static const char *named_address(const struct options *o) {
    for (size_t i = 0; i < o->flag_count; i++)
        if (strcmp(o->flags[i].key, "control") == 0)
            return o->flags[i].value;
    return environ_value(o->environ_, STR("FAUCET_CONTROL"));
}

const char *control_place_find(const struct options *o, const char **why, bool *none) {
    struct config_sources sources = options_sources(o);
    const char *address = config_control_address(&sources, o->arena), *named = named_address(o);
    *none = false;
    if (address != NULL) {
        const char *path = address + strlen("unix:");
        bool from_file = named == NULL || named[0] == '\0';
        if (!from_file || answers(path))
            return path;
        /* `control:` may have been written after the start: then the daemon is still where it was */
        const char *former = find_of_file(o);
        return answers(former) ? former : path;
    }
    if (named != NULL && named[0] != '\0') {
        *why = arena_printf(o->arena, "--control must be unix:/path, 107 bytes at most, not \"%s\"", named).p;
        return NULL;
    }
    return o->file != NULL ? find_of_file(o) : find_only_one(o, why, none);
}
