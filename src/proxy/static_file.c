/*
 * One request path → one open regular file. All of it is file work and runs in a
 * helper thread. The path is decoded once, here, and judged after decoding: what
 * is opened is exactly what was judged, and beneath.h keeps it inside the root
 * whatever the file system holds.
 */
#include "proxy/static_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/beneath.h"

#define INDEX      STR("index.html")
#define WELL_KNOWN STR(".well-known") /* RFC 8615 */

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool is_utf8(const unsigned char *p, size_t n) {
    for (size_t i = 0; i < n;) {
        unsigned char c = p[i++];
        unsigned more = c < 0x80                 ? 0
                        : c >= 0xc2 && c <= 0xdf ? 1
                        : (c & 0xf0) == 0xe0     ? 2
                        : c >= 0xf0 && c <= 0xf4 ? 3
                                                 : 9;

        if (more == 9 || n - i < more)
            return false;
        if ((c == 0xe0 && p[i] < 0xa0) || (c == 0xed && p[i] > 0x9f) || (c == 0xf0 && p[i] < 0x90) ||
            (c == 0xf4 && p[i] > 0x8f))
            return false;
        for (; more > 0; more--)
            if ((p[i++] & 0xc0) != 0x80)
                return false;
    }
    return true;
}

/* May a file be served under this name? Not one that hides, that climbs, or that the file system would read otherwise.
 */
static bool segment_is_fit(struct str segment, bool first) {
    if (segment.n == 0 || segment.n > NAME_MAX)
        return false;
    return segment.p[0] != '.' || (first && str_eq(segment, WELL_KNOWN));
}

/* The path, decoded, without its leading slash; .p NULL: there is no such file by rule. */
static struct str decode(struct str path, char out[PATH_MAX]) {
    size_t n = 0;

    if (path.n == 0 || path.p[0] != '/')
        return STR_NONE;
    for (size_t i = 1; i < path.n; i++) {
        char c = path.p[i];

        if (c == '%') {
            int high = path.n - i > 2 ? hex_value(path.p[i + 1]) : -1, low = high < 0 ? -1 : hex_value(path.p[i + 2]);
            if (low < 0)
                return STR_NONE;
            c = (char)(high << 4 | low);
            i += 2;
            if (c == '/')
                return STR_NONE;
        }
        if (c == '\0' || c == '\\' || n + 1 >= PATH_MAX)
            return STR_NONE;
        out[n++] = c;
    }
    return is_utf8((const unsigned char *)out, n) ? str_make(out, n) : STR_NONE;
}

/* What beneath_open is given, NUL-terminated in `out`; *name is the last segment, *slash: a directory was asked for. */
static bool file_path(struct str path, char out[PATH_MAX], struct str *name, bool *slash) {
    struct str rest = decode(path, out);

    if (rest.p == NULL)
        return false;
    size_t n = rest.n;
    *slash = n == 0 || out[n - 1] == '/';
    for (bool first = true; rest.n > 0; first = false) {
        *name = str_make(rest.p, str_chr(rest, '/'));
        if (!segment_is_fit(*name, first))
            return false;
        rest = str_from(rest, name->n + 1);
    }
    if (*slash) {
        if (n + INDEX.n >= PATH_MAX)
            return false;
        memcpy(out + n, INDEX.p, INDEX.n);
        *name = str_make(out + n, INDEX.n);
        n += INDEX.n;
    }
    out[n] = '\0';
    return true;
}

static unsigned status_of(int error) {
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV: /* leads outside */
    case ENXIO: /* a socket, a device without driver */
    case ENODEV:
    case EINVAL: /* a name this file system cannot hold */
    case EILSEQ:
        return 404;
    case EACCES:
    case EPERM:
        return 403;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: /* renamed under our hands again and again; or under a lease, fcntl(2) */
        return 503;
    default:
        return 500;
    }
}

static unsigned judge(struct static_lookup *s, int fd, struct str name, bool slash) {
    struct stat st;

    if (fstat(fd, &st) < 0)
        return 500;
    if (S_ISDIR(st.st_mode))
        return slash ? 404 : 308; /* with a slash it is index.html that is a directory */
    if (!S_ISREG(st.st_mode))
        return 404;
    s->size = (uint64_t)st.st_size;
    s->mtime_s = st.st_mtim.tv_sec;
    s->mtime_ns = st.st_mtim.tv_nsec;
    s->inode = st.st_ino;
    ASSERT(name.n < sizeof s->name);
    memcpy(s->name, name.p, name.n);
    s->name[name.n] = '\0';
    return 200;
}

static void look_up(struct helper_job *job) {
    struct static_lookup *s = CONTAINER_OF(job, struct static_lookup, job);
    char path[PATH_MAX];
    struct str name;
    bool slash;

    s->fd = -1;
    if (!file_path(s->path, path, &name, &slash)) {
        s->status = 404;
        return;
    }
    int root = open(s->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) { /* the app's directory itself is missing or out of reach: not the visitor's fault */
        unsigned status = status_of(errno);
        s->status = status == 503 ? 503 : 500;
        return;
    }
    int fd = beneath_open(root, path), error = errno;
    (void)close(root);
    if (fd < 0) {
        s->status = status_of(error);
        return;
    }
    s->status = judge(s, fd, name, slash);
    if (s->status == 200)
        s->fd = fd;
    else
        (void)close(fd);
}

void static_lookup_prepare(struct static_lookup *s) {
    s->job.run = look_up;
    s->fd = -1;
    s->status = 500; /* stays so where the job never ran */
    s->name[0] = '\0';
}
