/* The pipes from a worker, cut into lines; see worker_output.h. */
#include "app/worker_output.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/miniobj.h"

#define READ_SIZE    OUTPUT_LINE_MAX
#define FINISH_READS 256 /* what a pipe can hold, and some more: a grandchild may go on writing */
#define EVENT_PREFIX STR("{{ faucet_event }}:")

static void remember(struct worker_output *o, struct str line) {
    char *slot = o->last[o->last_count++ % OUTPUT_LAST_LINES];

    while (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
        line = str_from(line, 1);
    size_t n = line.n < OUTPUT_LAST_MAX - 1 ? line.n : OUTPUT_LAST_MAX - 1;
    memcpy(slot, line.p, n);
    slot[n] = '\0';
}

void worker_output_last(const struct worker_output *o, struct buf *into) {
    unsigned first = o->last_count > OUTPUT_LAST_LINES ? o->last_count - OUTPUT_LAST_LINES : 0;

    for (unsigned i = first; i < o->last_count; i++) {
        if (i > first)
            buf_append(into, STR(" | "));
        buf_append(into, str_of(o->last[i % OUTPUT_LAST_LINES]));
    }
}

/* ---- events ---------------------------------------------------------------------------------------------------- */

static void malformed_event(struct worker_output *o, struct str line, const char *why) {
    struct buf b = {0};

    buf_append(&b, line);
    buf_printf(&b, " [not a log event: %s]", why);
    log_record(o->log, LOG_WARN, str_of(o->source), buf_str(&b), NULL, 0);
    buf_free(&b);
}

void worker_output_event(struct worker_output *o, struct str line, struct str json) {
    struct log_event e;
    const char *why;

    if (!log_event_parse(json, &e, &why)) {
        malformed_event(o, line, why);
        return;
    }
    const struct log_field fields[] = {LOG_STR("event_type", e.event_type), LOG_STR("event_id", e.id_text)};
    log_record(o->log, e.level, str_of(o->source), e.message, fields + (e.event_type.p == NULL),
               (size_t)(e.event_type.p != NULL) + (size_t)(e.event_type.p != NULL && e.id_text.p != NULL));
    if (o->event != NULL)
        o->event(o, &e);
    log_event_free(&e);
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

static void say(struct output_stream *s, struct str line, bool goes_on) {
    struct worker_output *o = s->output;
    bool whole = !s->cut && !goes_on;

    ASSERT(line.p != NULL || line.n == 0);
    if (!goes_on && line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return;
    if (s == &o->err && !s->cut)
        remember(o, line);
    if (s == &o->err && !s->cut && goes_on && str_starts(line, EVENT_PREFIX)) {
        malformed_event(o, str_make(line.p, OUTPUT_LINE_MAX), "longer than 64 KiB");
    } else if (s == &o->err && whole && str_starts(line, EVENT_PREFIX)) {
        worker_output_event(o, line, str_trim(str_from(line, EVENT_PREFIX.n)));
    } else if (whole) {
        log_record(o->log, s->level, str_of(o->source), line, NULL, 0);
    } else {
        struct buf b = {0};
        buf_append(&b, s->cut ? STR("…") : STR(""));
        buf_append(&b, line);
        buf_append(&b, goes_on ? STR("…") : STR(""));
        log_record(o->log, s->level, str_of(o->source), buf_str(&b), NULL, 0);
        buf_free(&b);
    }
}

/* How much of an overlong line goes into one piece: not into the middle of a UTF-8 character. */
static size_t piece_length(struct str s, size_t most) {
    size_t n = most;

    for (size_t back = 0; back < 4 && n > back; back++)
        if (((unsigned char)s.p[n - back] & 0xc0) != 0x80)
            return n - back;
    return n;
}

/* Of the line that `rest` begins with. */
static size_t line_max(const struct output_stream *s, struct str rest) {
    struct str prefix = str_make(EVENT_PREFIX.p, rest.n < EVENT_PREFIX.n ? rest.n : EVENT_PREFIX.n);
    return s == &s->output->err && !s->cut && str_starts(rest, prefix) ? OUTPUT_EVENT_MAX : OUTPUT_LINE_MAX;
}

static void cut_into_lines(struct output_stream *s) {
    struct str in = buf_str(&s->line);
    size_t taken = 0;

    ASSERT(in.p != NULL); /* something was just read into it */
    for (;;) {
        struct str rest = str_from(in, taken);
        size_t end = str_chr(rest, '\n'), most = line_max(s, rest);
        bool complete = end < rest.n;
        if (complete && end <= most) {
            say(s, str_make(rest.p, end), false);
            s->cut = false;
            taken += end + 1;
        } else if (rest.n > most) {
            size_t n = piece_length(rest, most);
            say(s, str_make(rest.p, n), true);
            s->cut = true;
            taken += n;
        } else {
            break;
        }
    }
    buf_consume(&s->line, taken);
}

static void stream_close(struct output_stream *s) {
    if (s->fd < 0)
        return;
    ev_io_stop(s->output->loop->ev, &s->io);
    (void)close(s->fd);
    s->fd = -1;
    if (buf_length(&s->line) > 0)
        say(s, buf_str(&s->line), false);
    s->cut = false;
    buf_free(&s->line);
}

/* False: nothing more to read, now or ever. */
static bool stream_read(struct output_stream *s) {
    ssize_t got = read(s->fd, buf_reserve(&s->line, READ_SIZE), READ_SIZE);

    if (got > 0) {
        buf_commit(&s->line, (size_t)got);
        cut_into_lines(s);
        return true;
    }
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
        stream_close(s);
    else if (buf_length(&s->line) == 0)
        buf_free(&s->line); /* an idle worker holds no memory */
    return false;
}

static void on_readable(struct ev_loop *ev, ev_io *w, int events) {
    (void)ev;
    (void)events;
    (void)stream_read(CONTAINER_OF(w, struct output_stream, io));
}

static void stream_init(struct worker_output *o, struct output_stream *s, enum log_level level) {
    s->output = o;
    s->fd = -1;
    s->level = level;
}

void worker_output_init(struct worker_output *o, struct loop *loop, struct log *log) {
    o->loop = loop;
    o->log = log;
    stream_init(o, &o->out, LOG_INFO);
    stream_init(o, &o->err, LOG_WARN);
}

/* Only our end is nonblocking: O_NONBLOCK on the worker's would make its writes fail. */
static bool stream_open(struct output_stream *s, int *other_end) {
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    (void)fcntl(fds[0], F_SETFL, O_NONBLOCK);
    s->fd = fds[0];
    s->cut = false;
    *other_end = fds[1];
    ev_io_init(&s->io, on_readable, s->fd, EV_READ);
    ev_io_start(s->output->loop->ev, &s->io);
    return true;
}

bool worker_output_start(struct worker_output *o, const char *source, int *out, int *err) {
    ASSERT(o->out.fd < 0 && o->err.fd < 0);
    o->source = source;
    o->last_count = 0;
    if (!stream_open(&o->out, out))
        return false;
    if (!stream_open(&o->err, err)) {
        int error = errno;
        stream_close(&o->out);
        (void)close(*out);
        errno = error;
        return false;
    }
    return true;
}

void worker_output_finish(struct worker_output *o) {
    struct output_stream *streams[] = {&o->out, &o->err};

    for (size_t i = 0; i < ARRAY_LENGTH(streams); i++) {
        for (int reads = 0; streams[i]->fd >= 0 && reads < FINISH_READS; reads++)
            if (!stream_read(streams[i]))
                break;
        stream_close(streams[i]);
    }
}
