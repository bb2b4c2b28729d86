/*
 * Bytes that wait: a body that is taken off a slow client's or a busy worker's
 * hands. The first SPOOL_MEMORY bytes stay in memory, what exceeds them goes to
 * an unlinked temporary file, by helper threads. Written at the end, read from
 * any offset on, so a request body can be replayed.
 */
#ifndef FAUCET_PROXY_SPOOL_H
#define FAUCET_PROXY_SPOOL_H

#include "base/buf.h"
#include "base/helper.h"

#define SPOOL_MEMORY ((size_t)64 * 1024)
#define SPOOL_CHUNK  ((size_t)128 * 1024) /* most bytes on the way to or from the file at once */

struct spool {
    struct helpers *helpers;
    /* Called in the loop when a write or read finished: look again. */
    void (*progress)(struct spool *s);
    void *owner;       /* for progress */
    struct buf memory; /* bytes [0, SPOOL_MEMORY) */
    uint64_t length;   /* bytes written so far */
    uint64_t in_file;  /* of them in the file */
    struct buf tail;   /* not yet in the file */
    struct buf chunk;  /* read ahead from the file … */
    uint64_t chunk_at; /* … these bytes begin here */
    uint64_t read_at;  /* the reader's offset */
    int fd;            /* -1: no file yet */
    bool busy;         /* a job is under way: the spool must not be freed */
    bool failed;       /* the disk is full or broken: nothing more can be written, what there is can be read */
    bool broken;       /* what was written cannot be read back */
    int error;         /* errno of either */
    struct {
        struct helper_job job;
        bool write;
        struct buf bytes;
        uint64_t offset;
        int fd, error;
    } work;
};

void spool_init(struct spool *s, struct helpers *h, void (*progress)(struct spool *s));
/* May the writer go on? False while the file falls behind or has failed. */
bool spool_takes(const struct spool *s);
void spool_write(struct spool *s, struct str bytes);
/* The next bytes at read_at; empty: none at hand (a read may be under way, then progress follows). */
struct str spool_peek(struct spool *s);
void spool_consume(struct spool *s, size_t n);
/* All that was written was read. */
static inline bool spool_drained(const struct spool *s) {
    return s->read_at == s->length;
}
/* Read again from the first byte. */
void spool_rewind(struct spool *s);
/* Forget everything; the file is used again from its start. Only when drained and not busy. */
void spool_reset(struct spool *s);
/* Frees memory and file. Not while busy. */
void spool_free(struct spool *s);

#endif
