/*
 * Everything that lives, in one place: there is no global state, so that more
 * loops can come. Boot, reload and shutdown work on it.
 */
#ifndef FAUCET_CONTROL_FAUCET_H
#define FAUCET_CONTROL_FAUCET_H

#include "app/app.h"
#include "config/config.h"
#include "control/options.h"
#include "control/runtime_dir.h"
#include "proxy/proxy.h"

/* Reloads that ended, for /status and /metrics; counted by reload.c. */
struct reload_tally {
    uint64_t ended[5]; /* by enum reload_result */
    bool last_failed;  /* whatever was not RELOAD_DONE */
    wall_t last;       /* 0: none yet */
};

struct control_socket; /* control/control_socket.h */
struct watchdog;       /* control/watchdog.h */

struct faucet {
    unsigned magic;
#define FAUCET_MAGIC 0xfa0ce71a
    const struct options *options;
    struct log *log;
    struct keeper *keeper;
    struct loop *loop;
    struct helpers *helpers;
    struct resolver *resolver;
    struct apps *apps;
    struct proxy *proxy;
    struct telemetry *telemetry;     /* NULL before it is made and after it has ended */
    struct snapshot *snapshot;       /* what is served now */
    struct runtime_dir *runtime_dir; /* ours alone, removed at the end */
    const char *app_name;            /* `faucet start`: the one app's */
    struct boot_report *report;      /* --wait-ready, NULL otherwise */
    struct control_socket *control;  /* NULL: none could be made */
    struct watchdog *watchdog;       /* NULL: nobody asked */
    struct reload_tally reloads;
    mono_t started;

    int signal_fd;
    ev_io signals;

    struct reload *reload; /* under way, NULL: none */

    /* stopping */
    bool stopping;
    bool apps_stopping;
    unsigned stop_signals;
    struct deadline stop_deadline, stop_reminder;
    mono_t stop_until;
    int exit_status;
};

/* The whole life of the daemon. app_name: of `faucet start`, else NULL. Returns the exit status. */
int faucet_serve(const struct options *o, const char *app_name);

/* control/shutdown.c: the first graceful one drains, the second stops now. */
void faucet_stop(struct faucet *f, const char *why);
/* The loop ends in this turn. */
void faucet_quit(struct faucet *f, int status);
/* struct app_callbacks.stopped: telemetry's turn, then the end. */
void faucet_apps_stopped(void *faucet);

#endif
