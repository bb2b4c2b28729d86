/*
 * faucet db init and db check. The connection is the one that the daemon would
 * use: from the file, the environment or the flags; an app's own connection is
 * another database, which gets the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "app/kind.h"
#include "base/environ.h"
#include "config/setting.h"
#include "control/command.h"
#include "control/options.h"
#include "control/problem_report.h"
#include "telemetry/schema_install.h"

struct db_command {
    struct options options;
    bool init, check, print, strict;
    unsigned parts; /* enum schema_option */
    const char *keep;
    size_t notes, wrong;
};

/* ---- what was typed ---- */

static int help(void) {
    printf(
        "faucet db init  [-c FILE] [--partitions | --timescale [--keep INTERVAL]] [--roles] [--print]\n"
        "faucet db check [-c FILE] [--strict]\n\n"
        "init makes the telemetry tables, indexes and views, or adds what is missing; again and again does no harm.\n"
        "check looks whether faucet can store its events, and says what mends it.\n\n"
        "  --partitions        one partition a day; SELECT faucet_maintain() once a day keeps them coming\n"
        "  --timescale         hypertables of TimescaleDB, with compression and aggregates where its licence has them\n"
        "  --keep INTERVAL     with --timescale: what is older is dropped, for example --keep '90 days'\n"
        "  --roles             the roles faucet_writer and faucet_reader\n"
        "  --print             prints the SQL and connects to nothing: faucet db init --print | psql\n"
        "  --strict            check: notes count like errors\n\n"
        "The connection is telemetry.postgres_string of FILE, FAUCET_TELEMETRY_POSTGRES_STRING or\n"
        "--telemetry-postgres-string. Exits with 0, with 1 where it failed or something is wrong, with 78 where FILE "
        "is.\n");
    return EXIT_DONE;
}

static int wrong_usage(const char *format, const char *word) {
    fprintf(stderr, "faucet db: ");
    fprintf(stderr, format, word); /* a literal of this file */
    fprintf(stderr, "\nfaucet db --help shows what is allowed\n");
    return EXIT_USAGE;
}

/* Takes our own words out; what is left is for options_parse. False: --keep has no value. */
static bool take_own(struct db_command *c, char *const *words, char **rest) {
    static const struct {
        const char *name;
        unsigned part;
        size_t flag;
    } own[] = {
        {"--partitions", SCHEMA_PARTITIONS, 0},
        {"--timescale", SCHEMA_TIMESCALE, 0},
        {"--roles", SCHEMA_ROLES, 0},
        {"--print", 0, offsetof(struct db_command, print)},
        {"--strict", 0, offsetof(struct db_command, strict)},
        {"init", 0, offsetof(struct db_command, init)},
        {"check", 0, offsetof(struct db_command, check)},
    };
    for (; *words != NULL; words++) {
        size_t i = 0;
        while (i < ARRAY_LENGTH(own) && strcmp(*words, own[i].name) != 0)
            i++;
        if (i < ARRAY_LENGTH(own)) {
            c->parts |= own[i].part;
            if (own[i].part == 0)
                *(bool *)(void *)((char *)c + own[i].flag) = true;
        } else if (strncmp(*words, "--keep=", strlen("--keep=")) == 0) {
            c->keep = *words + strlen("--keep=");
        } else if (strcmp(*words, "--keep") == 0) {
            if (words[1] == NULL)
                return false;
            c->keep = *++words;
        } else
            *rest++ = *words;
    }
    *rest = NULL;
    return true;
}

static int judge(const struct db_command *c) {
    if (c->options.arguments.n > 0)
        return wrong_usage("\"%s\" is not init or check", c->options.arguments.v[0]);
    if (c->init == c->check)
        return wrong_usage("init or check%s?", "");
    if (c->check && (c->parts != 0 || c->keep != NULL || c->print))
        return wrong_usage("%s is for init, not for check", c->print ? "--print" : "an option that changes tables");
    if (c->init && c->strict)
        return wrong_usage("%s is for check", "--strict");
    if ((c->parts & SCHEMA_PARTITIONS) != 0 && (c->parts & SCHEMA_TIMESCALE) != 0)
        return wrong_usage("--partitions or --timescale: one table cannot be both%s", "");
    if (c->keep != NULL && (c->parts & SCHEMA_TIMESCALE) == 0)
        return wrong_usage(
            "--keep is TimescaleDB's%s; elsewhere SELECT faucet_maintain(keep => '90 days') drops what is old", "");
    return EXIT_DONE;
}

/* ---- which databases ---- */

static bool is_given_outside(const struct options *o) {
    for (size_t i = 0; i < o->flag_count; i++)
        if (strncmp(o->flags[i].key, "telemetry.postgres_string", strlen("telemetry.postgres_string")) == 0)
            return true;
    return environ_nonempty(o->environ_, STR("FAUCET_TELEMETRY_POSTGRES_STRING")) != NULL ||
           environ_nonempty(o->environ_, STR("FAUCET_TELEMETRY_POSTGRES_STRING_FILE")) != NULL;
}

/* Without -c: the file of the daemon, unless the connection is given anyway. */
static void default_file(struct options *o) {
    const char *named = environ_nonempty(o->environ_, STR("FAUCET_ROUTER_CONF"));
    if (o->file != NULL || is_given_outside(o))
        return;
    if (named == NULL && access("faucet.yaml", F_OK) == 0)
        named = "faucet.yaml";
    if (named == NULL)
        return;
    o->file_as_named = named;
    o->file = named[0] == '/' ? named : arena_printf(o->arena, "%s/%s", o->start_dir, named).p;
}

/* Without a file there are no apps, so variables that name some would be mistakes. */
static char *const *daemon_variables(const struct options *o) {
    size_t n = 0;
    while (o->environ_[n] != NULL)
        n++;
    char **kept = ARENA_ARRAY(o->arena, char *, n + 1), **at = kept;
    for (size_t i = 0; i < n; i++)
        if (!str_starts(str_of(o->environ_[i]), STR("FAUCET_")) ||
            str_starts(str_of(o->environ_[i]), STR("FAUCET_TELEMETRY_")))
            *at++ = o->environ_[i];
    return kept;
}

/* NULL: said why; *status. */
static struct snapshot *load(struct options *o, int *status) {
    struct problems problems;
    default_file(o);
    problems_init(&problems);
    struct config_sources sources = options_sources(o);
    sources.skip_paths = true; /* the database may be made where there is no R */
    sources.read_secrets = true;
    sources.no_apps_allowed = true;
    if (sources.file == NULL)
        sources.environ_ = daemon_variables(o);
    struct snapshot *s = config_load(&sources, kind_table(), 1, &problems);
    if (s == NULL)
        problem_report_print(&problems, stderr);
    problems_free(&problems);
    *status = EXIT_CONFIG;
    return s;
}

/* Distinct connections, the daemon's first. */
static struct strings destinations(struct arena *a, const struct snapshot *s) {
    struct strings d = {0, ARENA_ARRAY(a, const char *, s->app_count + 1)};
    for (size_t i = 0; i <= s->app_count; i++) {
        const char *c = i == 0 ? s->daemon.telemetry.postgres_string : s->apps[i - 1]->telemetry.postgres_string;
        size_t k = 0;
        while (c != NULL && k < d.n && strcmp(d.v[k], c) != 0)
            k++;
        if (c != NULL && c[0] != '\0' && k == d.n)
            d.v[d.n++] = c;
    }
    return d;
}

/* ---- init ---- */

static int print(const struct db_command *c) {
    size_t n;
    const struct schema_file *files = schema_files(&n);
    for (size_t i = 0; i < n; i++)
        if (files[i].option == 0 || (files[i].option & c->parts) != 0)
            printf("-- ==== %s ====\n%s\n", files[i].name, files[i].begin);
    return EXIT_DONE;
}

static void say(void *owner, const char *line) {
    (void)owner;
    fprintf(stderr, "faucet db init: %s\n", line);
}

static bool init(struct db_command *c, struct schema_database *d, struct str where, struct buf *why) {
    if (!schema_install(d, c->parts, c->keep, say, NULL, why))
        return false;
    printf("%.*s: the tables are there%s%s%s\n", STR_ARG(where),
           (c->parts & SCHEMA_PARTITIONS) != 0
               ? ", a partition a day; SELECT faucet_maintain() once a day keeps them coming"
               : "",
           (c->parts & SCHEMA_TIMESCALE) != 0 ? ", hypertables of TimescaleDB" : "",
           (c->parts & SCHEMA_ROLES) != 0 ? ", with the roles faucet_writer and faucet_reader" : "");
    return true;
}

/* ---- check ---- */

static void found(void *owner, const struct schema_finding *f) {
    static const char *const levels[] = {[SCHEMA_FINE] = "ok", [SCHEMA_NOTE] = "note", [SCHEMA_WRONG] = "WRONG"};
    struct db_command *c = owner;
    c->notes += f->level == SCHEMA_NOTE;
    c->wrong += f->level == SCHEMA_WRONG;
    printf("  %-6s %s\n", levels[f->level], f->what);
    const char *file = c->options.file_as_named;
    if (f->mend[0] != '\0' || f->init != NULL)
        printf("         mend: %s", f->mend);
    if (f->init != NULL)
        printf("%sfaucet db init%s%s", f->mend[0] != '\0' ? "; then " : "",
               f->init[0] != '\0' ? " "
               : file != NULL     ? " -c "
                                  : "",
               f->init[0] != '\0' ? f->init
               : file != NULL     ? file
                                  : "");
    if (f->mend[0] != '\0' || f->init != NULL)
        printf("\n");
}

static bool check(struct db_command *c, struct schema_database *d, struct str where, struct buf *why) {
    printf("%.*s\n", STR_ARG(where));
    return schema_check(d, found, c, why);
}

/* ---- both ---- */

static const char *sslmode(const struct telemetry_settings *t) {
    return t->sslmode < 0 ? NULL : setting_find(STR("telemetry.sslmode"), false)->choices[t->sslmode];
}

static bool one(struct db_command *c, const struct telemetry_settings *t, const char *connection) {
    struct buf why = {0}, where = {0};
    struct schema_database *d = schema_open(connection, sslmode(t), t->sslcert, &why);
    bool good = d != NULL;
    if (good) {
        schema_describe(d, &where);
        good = c->init ? init(c, d, buf_str(&where), &why) : check(c, d, buf_str(&where), &why);
    }
    fflush(stdout);
    if (!good)
        fprintf(stderr, "faucet db %s: %.*s%s%.*s\n", c->init ? "init" : "check", STR_ARG(buf_str(&where)),
                buf_length(&where) > 0 ? ": " : "", STR_ARG(buf_str(&why)));
    schema_close(d);
    buf_free(&why);
    buf_free(&where);
    return good;
}

static int all(struct db_command *c) {
    int status;
    struct snapshot *s = load(&c->options, &status);
    if (s == NULL)
        return status;
    struct strings d = destinations(c->options.arena, s);
    bool good = true;
    for (size_t i = 0; i < d.n; i++)
        good &= one(c, &s->daemon.telemetry, d.v[i]);
    size_t n = d.n;
    snapshot_unref(s); /* d.v points into it */
    if (n == 0)
        return wrong_usage("no connection string: telemetry.postgres_string in the file named by -c, "
                           "FAUCET_TELEMETRY_POSTGRES_STRING or --telemetry-postgres-string%s",
                           "");
    return good && c->wrong == 0 && !(c->strict && c->notes > 0) ? EXIT_DONE : EXIT_FAILED;
}

int command_db(const char *name, char *const *words, char *const *environ_) {
    struct db_command c = {.parts = 0};
    size_t n = 0;
    while (words[n] != NULL)
        n++;
    char **rest = calloc(n + 1, sizeof *rest);
    XXXAN(rest);
    int status = EXIT_USAGE;
    if (!take_own(&c, words, rest))
        (void)wrong_usage("--keep needs a value, for example --keep '90 days'%s", "");
    else {
        if (options_parse(&c.options, name, rest, environ_, false)) {
            if (c.options.help)
                status = help();
            else if ((status = judge(&c)) == EXIT_DONE)
                status = c.print ? print(&c) : all(&c);
        }
        options_free(&c.options);
    }
    free(rest);
    return status;
}
