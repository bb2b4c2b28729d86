/*
 * The inside of the pool, shared by pool*.c.
 *
 *   pool.c       making, freeing, draining; what it looks like from outside; when to connect
 *   pool_lane.c  what of each kind is to be sent when; what is kept because a table does not take it
 *   pool_link.c  a connection's life, and what comes of the batches it is given
 *   pool_doubt.c batches whose COMMIT was not answered
 *
 * A batch that was taken from the queue is in exactly one place: a link's, or on
 * the list of doubts.
 */
#ifndef FAUCET_TELEMETRY_POOL_PARTS_H
#define FAUCET_TELEMETRY_POOL_PARTS_H

#include "base/miniobj.h"
#include "telemetry/pg_batch.h"
#include "telemetry/pg_connect.h"
#include "telemetry/pool.h"
#include "telemetry/settle.h"

/* Of an error: said again only when it changes, or after a while. */
struct trouble {
    char *text;        /* NULL: none */
    unsigned failures; /* in a row */
    mono_t said;
    bool shed; /* events were dropped because of it */
};

/* What is sent of one kind, and when. */
struct lane {
    struct pool *pool;
    enum record_kind kind;
    size_t held;       /* events in batches that the pool has */
    size_t average;    /* bytes of an event */
    size_t batch_max;  /* bytes */
    mono_t due;        /* when all that is there is sent, full batches or not; MONO_NONE: nothing came since */
    size_t flush;      /* events that are still to be taken because of that */
    size_t unfinished; /* queued, but not to be had when it was tried: places that are reserved */
    mono_t starved;    /* until then each wake takes: there must be more that the queue is still reading in */
    mono_t not_before; /* back-off */
    mono_t parked;     /* back-off of batches that came back, while others are stored */
    struct trouble trouble;
    mono_t columns_wanted; /* columns read earlier are not good enough */
    bool suspect; /* rows were refused, and columns_wanted was set because of that; no new batch was stored since */
    bool missing_said;
    size_t said, unsaid; /* rows that were set aside, this minute: each one in the log, and just counted */
    mono_t said_since;
    bool works;           /* something was stored since a new batch was refused */
    unsigned refused;     /* bad rows in a row */
    unsigned refused_max; /* so many may be set aside; then it may not be the rows */
};

/* A batch whose COMMIT was not answered. */
struct doubt {
    struct list_node node;
    struct event_batch *batch;
    bool asking; /* a link has it */
    mono_t asked, again;
    dur_t pause;
    unsigned failures; /* attempts that the server refused to answer */
};

/*   CONNECTING ──→ READING ──→ IDLE ⇄ SENDING | SETTLING | READING      any ──→ ended */
enum link_state { LINK_CONNECTING, LINK_READING, LINK_IDLE, LINK_SENDING, LINK_SETTLING };

struct link {
    unsigned magic;
#define LINK_MAGIC 0x11e7a117
    struct list_node node; /* pool->links */
    struct pool *pool;
    enum link_state state;
    struct pg_connect connect;
    struct pg_session session;
    struct pg_columns columns;
    struct pg_error error; /* of reading */
    mono_t columns_at;
    bool identified;
    uint16_t identity;
    size_t host;
    struct event_batch *batch; /* SENDING */
    struct pg_batch sending;
    struct doubt *doubt; /* SETTLING */
    struct settle settle;
    struct deadline idle;
};

struct pool {
    unsigned magic;
#define POOL_MAGIC 0x9001f00d
    struct pool_options options; /* strings in it are NULL */
    struct pg_conninfo *info;
    struct list links, doubts;
    struct lane lanes[RECORD_KINDS];
    size_t turn; /* the kind to begin with */
    struct deadline tick;
    mono_t connect_at; /* back-off */
    struct trouble trouble;
    size_t first_host; /* the one that worked last */
    bool reachable;
    bool again; /* more is to be done in the next turn */
    bool draining, drained;
    mono_t drain_until;
    const char *host; /* label of the last one */
    uint64_t batches, rows, connects, doubts_seen;
};

/* ---- pool.c ---- */
/* Gives work to idle links, connects where that is called for, sets the timer. */
void pool_pump(struct pool *p);
/* The server (or all of them) takes nothing: back off, say so. */
void pool_trouble(struct pool *p, const char *why);
/* A batch was stored: all is well. */
void pool_works(struct pool *p);
/* In the trouble's own words, once. after: "…; 12 events wait, next attempt in 0.1 s". */
void trouble_say(struct pool *p, struct trouble *t, const char *text, dur_t pause);
void trouble_clear(struct trouble *t);
/* 100 ms … 30 s, with jitter. */
dur_t pool_backoff(const struct pool *p, unsigned failures);

/* ---- pool_lane.c ---- */
void lane_init(struct lane *l, struct pool *p, enum record_kind kind);
/* Events of the kind that the pool does not have yet; with those whose end is not known. */
size_t lane_waiting(const struct lane *l);
/* An event may have come. True: something is to be done at once. */
bool lane_wake(struct lane *l);
bool lane_is_active(struct lane *l);
/* When it will be active by itself; MONO_NONE: never. */
mono_t lane_next(const struct lane *l);
size_t lane_bytes(const struct lane *l); /* to be sent, about */
struct event_batch *lane_take(struct lane *l);
/* The batch is no longer the pool's, in whatever way. */
void lane_stored(struct lane *l, struct event_batch *b);
void lane_give_back(struct lane *l, struct event_batch *b);
/* All of it is dropped{no_table}, said once. */
void lane_drop(struct lane *l, struct event_batch *b);
/* Row i is bad: said, dropped. An empty batch must be given back. */
void lane_drop_row(struct lane *l, struct event_batch *b, size_t i, const char *why);
/* Those that were set aside without a word, if it is time to mention them, or at the end. */
void lane_say_unsaid(struct lane *l, bool end);
/* event_batch_verify took n rows out of a batch. */
void lane_lost(struct lane *l, size_t n);
/* It was too much at once, it seems: the next ones are of half the size. They grow again as they are stored. */
void lane_shrink(struct lane *l, const struct event_batch *b);
/* The second half is given back. */
void lane_bisect(struct lane *l, struct event_batch *b);
/* The table refuses this batch, for whatever reason. */
void lane_refused(struct lane *l, const struct event_batch *b);
/* It does not take rows of that batch: back off, say so, read its columns again before the next attempt. New events are
 * tried first; while they are stored, only what was refused waits. */
void lane_park(struct lane *l, const char *why);
/* The same; it takes no rows at all. */
void lane_trouble(struct lane *l, const char *why);
/* The queue is nearly full: of what is kept because the table has not taken it for a while, the oldest goes. True: some
 * went. */
bool lane_shed(struct lane *l);
/* ---- pool_link.c ---- */
void link_new(struct pool *p); /* connects */
void link_end(struct link *l); /* its batch goes back, its doubt stays; l is gone */
/* It is idle. False: there is nothing for it to do. */
bool link_feed(struct link *l);
/* Its work is done. Last thing that is done with it: it may be ended. */
void link_idle(struct link *l);
/* The server is of no use now: the link is ended, the pool backs off. */
void link_give_up(struct link *l, const struct pg_error *e);

/* ---- pool_doubt.c ---- */
struct doubt *doubt_new(struct pool *p, struct event_batch *b);
void doubt_free(struct doubt *d); /* the batch is somebody else's already */
/* False: there are so many that nothing new is sent. */
bool doubt_allows_more(const struct pool *p);
/* An idle link asks after one. False: none is due. */
bool doubt_feed(struct link *l);
/* The link that was asking is lost. */
void doubt_lost(struct link *l, const char *why);

#endif
