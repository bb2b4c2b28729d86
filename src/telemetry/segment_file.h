/*
 * Files of segments: making, mapping and removing them. All of it can block, so
 * it is done by helper threads, as jobs; without helpers, at once. A thread
 * touches a new file by system calls only, never the mapping: a missing page is
 * an error here (EFAULT), not a SIGBUS. Files are used again, since making pages
 * is the dearest part of it all: such a mapping is under a guard already.
 */
#ifndef FAUCET_TELEMETRY_SEGMENT_FILE_H
#define FAUCET_TELEMETRY_SEGMENT_FILE_H

#include <stdatomic.h>
#include <sys/types.h>

#include "base/helper.h"
#include "telemetry/segment.h"

enum segment_work {
    SEGMENT_MAKE,   /* a new file, preallocated, with its head, mapped and its pages there */
    SEGMENT_MAP,    /* one that exists, mapped and read in */
    SEGMENT_RELEASE /* unmapped, and removed from the disk where `remove` says so */
};

struct segment_job {
    struct helper_job helper;
    struct list_node node; /* the owner's, of jobs under way */
    enum segment_work work;
    void *owner; /* of whoever gets it back; NULL: nobody wants the result any more */
    char *path;  /* owned; NULL: memory only (RELEASE) */
    uint64_t serial;
    size_t size;
    wall_t created; /* MAKE: for the head */
    /* MAKE: a segment that nobody needs any more, to be used again if it can be: its mapping is in base, under `guard`.
     */
    char *used_path; /* owned; NULL: none, a new file is wanted */
    size_t used;
    int guard;            /* of base; -1: none yet */
    int fd;               /* MAKE: open as long as the result is not taken; -1 */
    char *base;           /* the result, or (RELEASE) what is to be unmapped; NULL with error */
    int error;            /* errno */
    bool remove;          /* RELEASE */
    bool taken;           /* the result has gone to the queue */
    atomic_bool finished; /* the result can be taken, though done() was not called yet */
};

/* "<directory>/<serial, 16 hex digits>.segment", allocated; and back: false: another kind of file. */
char *segment_path(const char *directory, uint64_t serial);
bool segment_serial(const char *name, uint64_t *serial) MUST_CHECK;

/* path is taken over. */
struct segment_job *segment_job_new(enum segment_work work, char *path, uint64_t serial, size_t size);
/* To a helper, or (helpers NULL, or no room in their ring) done here and now. done(&job->helper) is called once in
 * either case and frees the job by segment_job_free. */
void segment_job_start(struct segment_job *j, struct helpers *helpers, void (*done)(struct helper_job *job));
/* What was not taken is undone: unmapped, a made file removed. */
void segment_job_free(struct segment_job *j);

/* Makes the file `size` bytes long with every block allocated, zeros where nothing was. False with errno (ENOSPC…). */
bool segment_file_allocate(int fd, size_t size, off_t have) MUST_CHECK;

#endif
