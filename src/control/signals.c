/*
 * HUP reload · TERM, INT, QUIT stop, a second one at once · USR1 reopen the log
 * · CHLD: as process 1 of a container, we inherit what others leave behind.
 */
#include "control/signals.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control/reload.h"

static const int handled[] = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGCHLD};

static sigset_t handled_set(void) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LENGTH(handled); i++)
        sigaddset(&set, handled[i]);
    return set;
}

void signals_block(void) {
    sigset_t set = handled_set();
    AZ(sigprocmask(SIG_BLOCK, &set, NULL));
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    AZ(sigaction(SIGPIPE, &ignore, NULL)); /* standard error may be a closed pipe */
    AZ(sigaction(SIGXFSZ, &ignore,
                 NULL)); /* a limit on file sizes (ulimit -f) is an error of write(2), as a full disk is */
}

/* Workers are the keeper's, and so are their descendants; what comes here was left by a health check or a shell of
 * `docker exec`. The keeper itself is waited for by keeper_stop. */
static void reap_orphans(const struct faucet *f) {
    siginfo_t dead = {0};
    while (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) == 0 && dead.si_pid > 0 &&
           dead.si_pid != keeper_pid(f->keeper)) {
        (void)waitpid(dead.si_pid, NULL, WNOHANG);
        dead.si_pid = 0;
    }
}

static void signal_arrived(struct faucet *f, const struct signalfd_siginfo *s) {
    switch (s->ssi_signo) {
    case SIGHUP:
        reload_begin(f, &(struct reload_request){.who = "SIGHUP"});
        break;
    case SIGUSR1:
        log_reopen(f->log);
        log_info(f->log, "SIGUSR1: the log file was opened again");
        break;
    case SIGCHLD:
        reap_orphans(f);
        break;
    default:
        faucet_stop(f, strsignal((int)s->ssi_signo));
    }
}

static void signals_readable(struct ev_loop *ev, ev_io *w, int events) {
    (void)ev;
    (void)events;
    struct faucet *f;
    CAST_OBJ_NOTNULL(f, w->data, FAUCET_MAGIC);
    struct signalfd_siginfo s;
    while (read(f->signal_fd, &s, sizeof s) == (ssize_t)sizeof s)
        signal_arrived(f, &s);
}

bool signals_attach(struct faucet *f) {
    sigset_t set = handled_set();
    f->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (f->signal_fd < 0)
        return false;
    ev_io_init(&f->signals, signals_readable, f->signal_fd, EV_READ);
    ev_set_priority(&f->signals, EV_MAXPRI);
    f->signals.data = f;
    ev_io_start(f->loop->ev, &f->signals);
    return true;
}

void signals_detach(struct faucet *f) {
    if (f->signal_fd < 0)
        return;
    ev_io_stop(f->loop->ev, &f->signals);
    close(f->signal_fd);
    f->signal_fd = -1;
}
