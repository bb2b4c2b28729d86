/*
 * Taking a connection string apart. Two oddities of libpq: its words about a
 * string it does not understand quote it, password and all, so they are never
 * shown; and only PQconnectStartParams merges service file and variables, so it
 * is called with a gssencmode that it refuses before it opens a socket.
 */
#include "telemetry/pg_conninfo.h"

#include <ctype.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "telemetry/schema_install.h"

#define REFUSED_GSSENCMODE "faucet only wants the options"
#define DEFAULT_PORT       "5432"
#define DEFAULT_SOCKETS    "/var/run/postgresql"

struct keyword {
    const char *name, *value;
};

/* Where the string says nothing: a dead peer is noticed in a minute, in place of two hours. */
static const struct keyword defaults[] = {
    {"fallback_application_name", "faucet"}, {"keepalives_idle", "30"},
    {"keepalives_interval", "10"},           {"keepalives_count", "3"},
    {"tcp_user_timeout", "60000"},
};

/* Ours, or of no use: a batch needs a server that takes rows, and what is sent is UTF-8. */
static const char *const replaced[] = {
    "host",        "hostaddr", "port", "connect_timeout", "gssencmode", "target_session_attrs", "client_encoding",
    "replication", "service",  "tty",
};

static bool is_one_of(const char *name, const char *const *list, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static const char *value_of(const PQconninfoOption *options, const char *keyword) {
    for (; options != NULL && options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->val != NULL && options->val[0] != '\0' ? options->val : NULL;
    return NULL;
}

static void put(struct pg_conninfo *c, const char *keyword, const char *value) {
    c->keywords[c->n] = arena_strdup(c->arena, keyword);
    c->values[c->n++] = arena_strdup(c->arena, value);
}

/* ---- hosts ---- */

/* Element i of a list with commas; empty where it is shorter. */
static struct str element(const char *list, size_t i) {
    struct str rest = str_of(list);

    for (; i > 0; i--) {
        size_t comma = str_chr(rest, ',');
        if (comma == rest.n)
            return STR_NONE;
        rest = str_from(rest, comma + 1);
    }
    rest.n = str_chr(rest, ',');
    return rest;
}

static size_t count_elements(const char *list) {
    size_t n = 1;

    if (list == NULL)
        return 0;
    for (; *list != '\0'; list++)
        n += *list == ',';
    return n;
}

static const char *read_host(struct pg_conninfo *c, struct pg_host *h, struct str host, struct str addr,
                             struct str port) {
    uint64_t number;

    h->port = port.n > 0 ? arena_str(c->arena, port).p : DEFAULT_PORT;
    if (!str_to_u64(str_of(h->port), &number) || number == 0 || number > UINT16_MAX)
        return "has a port that is no number from 1 to 65535";
    h->port_number = (uint16_t)number;
    h->hostaddr = addr.n > 0 ? arena_str(c->arena, addr).p : NULL;
    if (host.n > 0)
        h->host = arena_str(c->arena, host).p;
    else
        h->host = h->hostaddr != NULL ? h->hostaddr : DEFAULT_SOCKETS;
    h->is_unix = h->hostaddr == NULL && (h->host[0] == '/' || h->host[0] == '@');
    h->label = arena_printf(c->arena, strchr(h->host, ':') != NULL ? "[%s]:%s" : "%s:%s", h->host, h->port).p;
    return NULL;
}

/* As libpq pairs them: hostaddr beside host, one port for all or one each. */
static const char *read_hosts(struct pg_conninfo *c, const PQconninfoOption *o) {
    const char *host = value_of(o, "host"), *addr = value_of(o, "hostaddr"), *port = value_of(o, "port");
    size_t hosts = count_elements(host), addrs = count_elements(addr), ports = count_elements(port);

    c->hosts_n = addrs > 0 ? addrs : hosts > 0 ? hosts : 1;
    if (hosts > 0 && hosts != c->hosts_n)
        return "names another number of hosts than of addresses (hostaddr)";
    if (ports > 1 && ports != c->hosts_n)
        return "names another number of ports than of hosts";
    c->hosts = ARENA_ARRAY(c->arena, struct pg_host, c->hosts_n);
    for (size_t i = 0; i < c->hosts_n; i++) {
        const char *wrong =
            read_host(c, &c->hosts[i], element(host, i), element(addr, i), element(port, ports > 1 ? i : 0));
        if (wrong != NULL)
            return wrong;
    }
    return NULL;
}

static void describe(struct pg_conninfo *c, const char *dbname) {
    struct str text = STR_NONE;

    for (size_t i = 0; i < c->hosts_n; i++)
        text = arena_printf(c->arena, "%.*s%s%s", STR_ARG(text), i > 0 ? "," : "", c->hosts[i].label);
    c->destination = arena_printf(c->arena, "%.*s/%s as %s", STR_ARG(text), dbname, c->user).p;
}

/* ---- the other options ---- */

static const char *const sslmodes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};

static int strength_of(const char *options) {
    struct str rest = str_of(options);

    while (rest.n > 0) {
        struct str line = str_make(rest.p, str_chr(rest, '\n'));
        rest = str_from(rest, line.n + 1);
        for (size_t i = 0; i < ARRAY_LENGTH(sslmodes) && str_starts(line, STR("sslmode=")); i++)
            if (str_eq(str_from(line, strlen("sslmode=")), str_of(sslmodes[i])))
                return (int)i;
    }
    return -1;
}

bool pg_options_weaker(const char *options, const char *than) {
    return options != NULL && than != NULL && strength_of(options) < strength_of(than);
}

static void add_line(struct buf *out, const char *keyword, const char *value) {
    buf_printf(out, "%s=", keyword);
    for (; *value != '\0'; value++)
        buf_append_char(out, (unsigned char)*value < ' ' ? '?' : *value);
    buf_append_char(out, '\n');
}

static void list_options(struct pg_conninfo *c, const PQconninfoOption *o, const char *gssencmode, const char *sslmode,
                         const char *sslrootcert) {
    static const char *const elsewhere[] = {"host", "port", "dbname", "user", "service", "gssencmode"};
    struct buf options = {0}, secrets = {0};

    for (; o->keyword != NULL; o++) {
        const char *value = o->val;
        if (strcmp(o->keyword, "sslmode") == 0 && sslmode != NULL && sslmode[0] != '\0')
            value = sslmode;
        else if (strcmp(o->keyword, "sslrootcert") == 0 && sslrootcert != NULL && sslrootcert[0] != '\0')
            value = sslrootcert;
        if (value != NULL && value[0] != '\0' && !is_one_of(o->keyword, elsewhere, ARRAY_LENGTH(elsewhere)))
            add_line(o->dispchar[0] == '*' ? &secrets : &options, o->keyword, value);
    }
    add_line(&options, "gssencmode", gssencmode);
    c->options = arena_str(c->arena, buf_str(&options)).p;
    c->secrets = arena_printf(c->arena, "%.*s", STR_ARG(buf_str(&secrets))).p;
    buf_free(&options);
    buf_free(&secrets);
}

static const char *check_words(const PQconninfoOption *o) {
    static const char *const attributes[] = {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"};
    const char *sslmode = value_of(o, "sslmode"), *attribute = value_of(o, "target_session_attrs");

    if (sslmode != NULL && !is_one_of(sslmode, sslmodes, ARRAY_LENGTH(sslmodes)))
        return "has an unknown sslmode; it is disable, allow, prefer, require, verify-ca or verify-full";
    if (attribute != NULL && !is_one_of(attribute, attributes, ARRAY_LENGTH(attributes)))
        return "has an unknown target_session_attrs; it is any, read-write or primary";
    return NULL;
}

/* libpq judges one host at a time: that it takes writes is wanted in any case, and preferring cannot be judged so. */
static const char *session_attributes(const PQconninfoOption *o) {
    const char *wanted = value_of(o, "target_session_attrs");

    return wanted == NULL || strcmp(wanted, "any") == 0 || strcmp(wanted, "prefer-standby") == 0 ? "read-write"
                                                                                                 : wanted;
}

static void read_timeout(struct pg_conninfo *c, const PQconninfoOption *o) {
    struct str text = str_of(value_of(o, "connect_timeout"));
    uint64_t seconds;

    if (str_to_u64(text, &seconds) && seconds > 0 && seconds < 86400)
        c->connect_timeout = (dur_t)seconds * DUR_S;
}

static void read_options(struct pg_conninfo *c, const PQconninfoOption *o, const char *gssencmode, const char *sslmode,
                         const char *sslrootcert) {
    size_t n = ARRAY_LENGTH(defaults) + 5 + PG_KEYWORDS_OF_HOST + 1;

    for (const PQconninfoOption *i = o; i->keyword != NULL; i++)
        n++;
    c->keywords = ARENA_ARRAY(c->arena, const char *, n);
    c->values = ARENA_ARRAY(c->arena, const char *, n);
    for (size_t i = 0; i < ARRAY_LENGTH(defaults); i++) /* of two, libpq takes the later one */
        put(c, defaults[i].name, defaults[i].value);
    for (const PQconninfoOption *i = o; i->keyword != NULL; i++)
        if (i->val != NULL && i->val[0] != '\0' && !is_one_of(i->keyword, replaced, ARRAY_LENGTH(replaced)))
            put(c, i->keyword, i->val);
    put(c, "gssencmode", gssencmode);
    put(c, "target_session_attrs", session_attributes(o));
    put(c, "client_encoding", "UTF8");
    if (sslmode != NULL && sslmode[0] != '\0')
        put(c, "sslmode", sslmode);
    if (sslrootcert != NULL && sslrootcert[0] != '\0')
        put(c, "sslrootcert", sslrootcert);
}

/* "disable" unless the string or the environment names another: GSS would look for a ticket, which can block. */
static char *find_gssencmode(const char *connection) {
    char *words = NULL; /* libpq's about the string; not for anybody's eyes */
    PQconninfoOption *o = PQconninfoParse(connection, &words);
    const char *value = value_of(o, "gssencmode");
    char *copy;

    if (value == NULL)
        value = getenv("PGGSSENCMODE");
    copy = strdup(value != NULL && value[0] != '\0' ? value : "disable");
    XXXAN(copy);
    PQconninfoFree(o);
    PQfreemem(words);
    return copy;
}

static void refuse_noise(void *owner, const char *message) {
    (void)owner;
    (void)message;
}

/* All options with their defaults, in libpq's memory; NULL: a service that is nowhere defined. */
static PQconninfoOption *merged_options(const char *connection) {
    const char *const keywords[] = {"dbname", "gssencmode", NULL};
    const char *const values[] = {connection, REFUSED_GSSENCMODE, NULL};
    PGconn *pg = PQconnectStartParams(keywords, values, 1);
    PQconninfoOption *o;

    XXXAN(pg);
    (void)PQsetNoticeProcessor(pg, refuse_noise, NULL);
    o = PQconninfo(pg);
    if (value_of(o, "gssencmode") == NULL || value_of(o, "user") == NULL) {
        PQconninfoFree(o);
        o = NULL;
    }
    PQfinish(pg);
    return o;
}

static const char *read_all(struct pg_conninfo *c, const char *connection, const char *sslmode,
                            const char *sslrootcert) {
    PQconninfoOption *o = merged_options(connection);
    const char *wrong;

    if (o == NULL)
        return "names a service that pg_service.conf does not have, or no user could be found for it";
    char *gssencmode = find_gssencmode(connection);
    const char *user = value_of(o, "user"), *dbname = value_of(o, "dbname"), *password = value_of(o, "password");
    c->user = arena_strdup(c->arena, user);
    c->password = password != NULL ? arena_strdup(c->arena, password) : NULL;
    read_timeout(c, o);
    read_options(c, o, gssencmode, sslmode, sslrootcert);
    list_options(c, o, gssencmode, sslmode, sslrootcert);
    wrong = read_hosts(c, o);
    if (wrong == NULL)
        wrong = check_words(o);
    if (wrong == NULL)
        describe(c, dbname != NULL ? dbname : user);
    free(gssencmode);
    PQconninfoFree(o);
    return wrong;
}

static char *sentence(const char *wrong) {
    char *text;

    XXXASSERT(asprintf(&text, "the connection string %s", wrong) >= 0);
    return text;
}

struct pg_conninfo *pg_conninfo_new(const char *connection, const char *sslmode, const char *sslrootcert,
                                    char **error) {
    const char *wrong = connection_string_problem(connection);

    if (wrong == NULL) {
        struct arena *arena = arena_new(2048);
        struct pg_conninfo *c = ARENA_NEW(arena, struct pg_conninfo);
        c->arena = arena;
        wrong = read_all(c, connection, sslmode, sslrootcert);
        if (wrong == NULL)
            return c;
        arena_free(arena);
    }
    *error = sentence(wrong);
    return NULL;
}

void pg_conninfo_free(struct pg_conninfo *c) {
    if (c != NULL)
        arena_free(c->arena);
}

/* What can be said without knowing the rest: hosts may come from a service file, then their number is unknown. */
static const char *string_alone_problem(const char *connection) {
    const char *wrong = connection_string_problem(connection);
    char *words = NULL; /* libpq's about the string; not for anybody's eyes */

    if (wrong != NULL)
        return wrong;
    PQconninfoOption *o = PQconninfoParse(connection, &words);
    XXXAN(o);
    struct pg_conninfo c = {.arena = arena_new(1024)};
    wrong = check_words(o);
    if (wrong == NULL && (value_of(o, "host") != NULL || value_of(o, "hostaddr") != NULL))
        wrong = read_hosts(&c, o);
    arena_free(c.arena);
    PQconninfoFree(o);
    PQfreemem(words);
    return wrong;
}

char *pg_conninfo_problem(const char *connection, bool string_only) {
    char *error = NULL;

    if (string_only) {
        const char *wrong = string_alone_problem(connection);
        return wrong != NULL ? sentence(wrong) : NULL;
    }
    pg_conninfo_free(pg_conninfo_new(connection, NULL, NULL, &error));
    return error;
}
