/*
 * libFuzzer: a queue's directory as somebody hostile left it. The first byte
 * says what the rest is: a segment file as it stands; frames whose CRCs are put
 * right, so that what lies behind them is reached too; bytes written over a
 * good segment; the account file. What must hold besides memory safety: the
 * equation, no event twice, an end in linear time, and a second opening that
 * finds nothing more.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "telemetry/columns.h"
#include "telemetry/crc32c.h"
#include "telemetry/queue.h"
#include "telemetry/segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM ((size_t)16384)

static void put_file(const char *directory, const char *name, const char *bytes, size_t n) {
    char path[128];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *out = fopen(path, "w");
    XXXAN(out);
    fwrite(bytes, 1, n, out);
    fclose(out);
}

static void empty(const char *directory) {
    DIR *d = opendir(directory);
    struct dirent *e;
    char path[400];

    XXXAN(d);
    while ((e = readdir(d)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        if (e->d_name[0] != '.')
            unlink(path);
    }
    closedir(d);
}

/* Frames from the input, in chunks: a head's mutable and immutable fields, then the payload. */
static size_t frames_of(char *base, uint64_t serial, const uint8_t *data, size_t n) {
    struct segment s = {.serial = serial, .size = ROOM, .base = base, .used = sizeof(struct segment_head)};

    while (n > 8) {
        size_t length = data[0], room = data[1] & 0x38;
        enum frame_state state = data[2] & 1 ? FRAME_WHOLE : FRAME_RESERVED;
        if (length > n - 8)
            length = n - 8;
        if (s.used + frame_space(length + room) > s.size)
            break;
        struct str record = str_make((const char *)data + 8, length);
        size_t at = segment_place(&s, (enum record_kind)(data[3] % RECORD_KINDS), record, room, state, (mono_t){1});
        struct frame *f = (struct frame *)(void *)(base + at);
        segment_publish(&s, at);
        f->batch = data[4] & 7;
        if (data[5] & 1) {
            f->added_length = data[6];
            f->state = FRAME_FINISHED;
            f->added_crc = f->added_length <= f->capacity - f->length
                               ? crc32c(0, (const char *)(f + 1) + f->length, f->added_length)
                               : 0;
        }
        if (data[5] & 2)
            f->gone = data[7];
        data += 8 + length;
        n -= 8 + length;
    }
    return s.used;
}

static void scribble(char *base, size_t size, const uint8_t *data, size_t n) {
    for (; n >= 3; data += 3, n -= 3)
        base[(size_t)(data[0] | data[1] << 8) % size] = (char)data[2];
}

static void prepare(const char *directory, const uint8_t *data, size_t n) {
    /* a whole record with a UUID and a NULL, then a reserved one of a batch in doubt */
    static const uint8_t good[] = {28, 8, 1, 0, 0, 0, 0, 0, 2,   0,   0,   28,  0,  0, 0, 16, 1, 1, 1, 1, 1, 1, 1, 1,
                                   1,  1, 1, 1, 1, 1, 1, 1, 255, 255, 255, 255, 20, 8, 0, 0,  2, 0, 0, 0, 2, 0, 0, 28,
                                   0,  0, 0, 4, 9, 9, 9, 9, 0,   0,   0,   4,   9,  9, 9, 9,  9, 9, 9, 9, 9, 9, 9, 9};
    char *base = calloc(1, ROOM);
    size_t used = n;

    XXXAN(base);
    segment_head_write(base, 1, ROOM, (wall_t){1});
    switch (data[0] & 3) {
    case 0:
        put_file(directory, "0000000000000001.segment", (const char *)data + 1, n - 1);
        break;
    case 1:
        used = frames_of(base, 1, data + 1, n - 1);
        put_file(directory, "0000000000000001.segment", base, data[0] & 4 ? ROOM : used);
        break;
    case 2:
        used = frames_of(base, 1, good, sizeof good);
        scribble(base, used + 64, data + 1, n - 1);
        put_file(directory, "0000000000000001.segment", base, data[0] & 4 ? ROOM : used);
        break;
    default: {
        (void)frames_of(base, 1, good, sizeof good);
        put_file(directory, "0000000000000001.segment", base, ROOM);
        put_file(directory, "account", (const char *)data + 1, n - 1);
    }
    }
    free(base);
}

static void check(const struct event_queue *q, bool empty_now) {
    for (size_t k = 0; k < RECORD_KINDS; k++) {
        const struct event_account *a = event_queue_account(q, (enum record_kind)k);
        uint64_t dropped = 0;
        for (size_t r = 0; r < DROP_REASONS; r++)
            dropped += a->dropped[r];
        ASSERT(a->recovered + a->received == a->stored + a->queued + dropped);
        ASSERT(!empty_now || a->queued == 0);
    }
}

static size_t drain(struct event_queue *q) {
    struct event_batch *b;
    struct record_reader reader;
    struct record_field f;
    size_t n = 0;

    for (size_t k = 0; k < RECORD_KINDS; k++)
        while ((b = event_queue_take(q, (enum record_kind)k, 300)) != NULL) {
            for (size_t i = 0; i < b->n; i++)
                if (record_open(b->records[i], &reader))
                    while (record_next(&reader, &f))
                        n += f.bytes.n > 0 && f.bytes.p[f.bytes.n - 1] == 'x';
            ASSERT(b->n > 0 && (b->in_doubt || b->n == 1 || b->bytes <= 300));
            event_batch_committing(q, b, 5);
            event_batch_stored(q, b);
            check(q, false);
        }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char directory[64];
    struct event_queue_options o = {.directory = directory, .size = 1024 * 1024};

    if (size < 2)
        return 0;
    snprintf(directory, sizeof directory, "/dev/shm/faucet-fuzz-%ld", (long)getpid());
    (void)mkdir(directory, 0700);
    empty(directory);
    prepare(directory, data, size);
    for (int again = 0; again < 2; again++) {
        char *error = NULL;
        struct event_queue *q = event_queue_open(&o, &error);
        if (q == NULL) { /* an account of another release */
            AN(error);
            free(error);
            break;
        }
        check(q, again > 0);
        (void)drain(q);
        check(q, true);
        event_queue_close(q);
    }
    empty(directory);
    (void)rmdir(directory);
    return 0;
}
