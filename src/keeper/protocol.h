/*
 * What goes over the socketpair between daemon and keeper: frames of a fixed
 * head and a body, in the machine's own byte order (both ends are one binary).
 * A stream socket cuts frames anywhere, so both sides collect bytes in a buffer
 * and take whole frames off it. Two descriptors travel with the first byte of
 * each SPAWN frame (SCM_RIGHTS), so they never arrive later than their frame.
 */
#ifndef FAUCET_KEEPER_PROTOCOL_H
#define FAUCET_KEEPER_PROTOCOL_H

#include <sys/resource.h>
#include <sys/types.h>

#include "base/buf.h"

/* Larger than Linux lets argv and envp be together (6 MiB, execve(2)), so that "too long" is said by exec. */
#define PROTOCOL_FRAME_MAX ((size_t)8 * 1024 * 1024)
#define PROTOCOL_SPAWN_FDS 2

enum protocol_type {
    PROTOCOL_SPAWN = 1, /* daemon → keeper */
    PROTOCOL_KILL,
    PROTOCOL_RELEASE,
    PROTOCOL_STARTED, /* keeper → daemon */
    PROTOCOL_EXITED
};

/* What went wrong between fork and exec; names by launch_step_name. */
enum launch_step {
    LAUNCH_STEP_NONE,
    LAUNCH_STEP_DESCRIPTORS, /* handing over or duplicating stdout and stderr */
    LAUNCH_STEP_KEEPER,      /* the keeper is gone, or its queue is full */
    LAUNCH_STEP_FORK,
    LAUNCH_STEP_SESSION,
    LAUNCH_STEP_LIMIT,
    LAUNCH_STEP_CHDIR,
    LAUNCH_STEP_EXEC,
    LAUNCH_STEP_COUNT
};
/* "chdir", "exec", … */
const char *launch_step_name(enum launch_step step);

struct protocol_head {
    uint32_t length; /* of the frame, head included */
    uint32_t type;
    uint64_t id; /* of the process; chosen by the daemon, never used twice */
};
struct protocol_kill {
    int32_t signal;
    uint32_t group;
};
struct protocol_started {
    int32_t pid; /* 0: failed */
    int32_t error;
    uint32_t step;
};
struct protocol_exited {
    int32_t status;
    struct rusage usage;
};

/* A SPAWN body, decoded: pointers into one block. */
struct protocol_spawn {
    char **argv, **envp;   /* NULL-terminated */
    const char *directory; /* NULL: where the keeper is */
    void *block;           /* free() it */
};

/* Appends a frame. False (nothing appended): larger than PROTOCOL_FRAME_MAX. */
bool protocol_put_spawn(struct buf *out, uint64_t id, const char *const *argv, const char *const *envp,
                        const char *directory) MUST_CHECK;
/* n: small. */
void protocol_put(struct buf *out, enum protocol_type type, uint64_t id, const void *body, size_t n);

enum protocol_result { PROTOCOL_MORE, PROTOCOL_FRAME, PROTOCOL_BAD };
/* Looks at the front of `in`. FRAME: *head is filled and *body points into `in`; buf_consume(head->length) when done.
 * BAD: the stream cannot be understood any more. */
enum protocol_result protocol_next(const struct buf *in, struct protocol_head *head, struct str *body);
/* False: the body is malformed. extra: room for that many further environment entries is left behind envp's end. */
bool protocol_get_spawn(struct str body, size_t extra, struct protocol_spawn *spawn) MUST_CHECK;
/* Copies a body of exactly n bytes; false when its size is another. */
bool protocol_get(struct str body, void *out, size_t n) MUST_CHECK;

#endif
