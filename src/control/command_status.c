/*
 * faucet status: one table of apps, one of workers, one of events for each
 * database that gets them.
 */
#include <stdio.h>

#include "control/command_parts.h"
#include "control/text_table.h"

static const char *text_of(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    return text != NULL ? text : "";
}

static long long number_of(const json_t *json, const char *key) {
    return (long long)json_integer_value(json_object_get(json, key));
}

/* "45s", "12m", "3h12m", "5d3h" */
static void add_duration(struct text_table *t, const json_t *seconds) {
    long long s = (long long)json_integer_value(seconds);
    if (!json_is_integer(seconds))
        text_table_add(t, "-");
    else if (s < 60)
        text_table_add(t, "%llds", s);
    else if (s < 3600)
        text_table_add(t, "%lldm%02llds", s / 60, s % 60);
    else if (s < 86400)
        text_table_add(t, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        text_table_add(t, "%lldd%02lldh", s / 86400, s / 3600 % 24);
}

static void add_number(struct text_table *t, const json_t *row, const char *key) {
    const json_t *n = json_object_get(row, key);
    if (json_is_integer(n))
        text_table_add(t, "%lld", (long long)json_integer_value(n));
    else
        text_table_add(t, "-");
}

/* "/sales/ /verkauf/", with hosts: "a.example.org/ b.example.org/" */
static void add_routes(struct text_table *t, const json_t *app) {
    const json_t *routes = json_object_get(app, "routes"), *hosts = json_object_get(app, "hosts");
    struct buf text = {0};
    size_t i, k;
    json_t *route, *host;
    json_array_foreach(routes, i, route) {
        if (json_array_size(hosts) == 0)
            buf_printf(&text, "%s%s", buf_length(&text) > 0 ? " " : "", json_string_value(route));
        json_array_foreach(hosts, k, host) buf_printf(&text, "%s%s%s", buf_length(&text) > 0 ? " " : "",
                                                      json_string_value(host), json_string_value(route));
    }
    text_table_add(t, "%.*s", STR_ARG(buf_str(&text)));
    buf_free(&text);
}

static void print_apps(const json_t *apps) {
    static const struct text_column columns[] = {
        {"APP", false}, {"TYPE", false},    {"STATE", false},  {"READY", true},    {"GEN", true},   {"QUEUE", true},
        {"OPEN", true}, {"REQUESTS", true}, {"TUNNELS", true}, {"VERSION", false}, {"ROUTE", false}};
    struct text_table t;
    size_t i, k;
    json_t *app, *worker;
    text_table_init(&t, columns, ARRAY_LENGTH(columns));
    json_array_foreach(apps, i, app) {
        long long wanted = number_of(app, "wanted"), requests = 0;
        const json_t *queue = json_object_get(app, "queue"), *workers = json_object_get(app, "workers");
        json_array_foreach(workers, k, worker) requests += number_of(worker, "requests");
        text_table_add(&t, "%s", text_of(app, "name"));
        text_table_add(&t, "%s", text_of(app, "type"));
        text_table_add(&t, "%s", text_of(app, "state"));
        if (number_of(app, "generations") == 0) /* files: nothing runs for it */
            text_table_add(&t, "-");
        else
            text_table_add(&t, "%lld/%lld", number_of(app, "ready"),
                           wanted > 0 ? wanted : (long long)json_array_size(workers));
        add_number(&t, app, "generation");
        text_table_add(&t, "%lld/%lld", number_of(queue, "length"), number_of(queue, "size"));
        add_number(&t, app, "exchanges");
        text_table_add(&t, "%lld", requests);
        add_number(&t, app, "tunnels");
        text_table_add(&t, "%s", text_of(app, "version"));
        add_routes(&t, app);
    }
    text_table_print(&t, stdout);
    text_table_free(&t);
}

static void add_rss(struct text_table *t, const json_t *worker) {
    const json_t *kib = json_object_get(worker, "rss_kib");
    if (json_is_integer(kib))
        text_table_add(t, "%.1f MiB", (double)json_integer_value(kib) / 1024);
    else
        text_table_add(t, "-");
}

static void add_worker(struct text_table *t, const json_t *app, const json_t *worker) {
    text_table_add(t, "%s", text_of(app, "name"));
    add_number(t, worker, "id");
    add_number(t, worker, "pid");
    text_table_add(t, "%s", text_of(worker, "state"));
    add_duration(t, json_object_get(worker, "uptime_s"));
    add_number(t, worker, "requests");
    add_number(t, worker, "busy");
    add_number(t, worker, "tunnels");
    add_rss(t, worker);
    add_number(t, worker, "restarts");
    add_number(t, worker, "generation");
    text_table_add(t, "%s", text_of(worker, "address"));
}

static void print_workers(const json_t *apps) {
    static const struct text_column columns[] = {
        {"APP", false}, {"WORKER", true},  {"PID", true}, {"STATE", false},   {"UPTIME", true}, {"REQUESTS", true},
        {"BUSY", true}, {"TUNNELS", true}, {"RSS", true}, {"RESTARTS", true}, {"GEN", true},    {"ADDRESS", false}};
    struct text_table t;
    size_t i, k;
    json_t *app, *worker;
    text_table_init(&t, columns, ARRAY_LENGTH(columns));
    json_array_foreach(apps, i, app) {
        const json_t *workers = json_object_get(app, "workers");
        json_array_foreach(workers, k, worker) add_worker(&t, app, worker);
    }
    if (t.count > 0) {
        putchar('\n');
        text_table_print(&t, stdout);
    }
    text_table_free(&t);
}

static void print_daemon(const json_t *json) {
    const json_t *d = json_object_get(json, "daemon"), *listeners = json_object_get(d, "listeners");
    size_t i;
    json_t *listener;
    long long up = number_of(d, "uptime_s");
    const char *file = text_of(d, "file");
    printf("faucet %s (pid %lld) is %s; up %lldh%02lldm%02llds\n", text_of(d, "version"), number_of(d, "pid"),
           text_of(json, "state"), up / 3600, up / 60 % 60, up % 60);
    printf("config %lld (%s) of %s, loaded %s\n", number_of(d, "config"), text_of(d, "hash"),
           file[0] != '\0' ? file : "the command line", text_of(d, "loaded"));
    printf("listening on");
    json_array_foreach(listeners, i, listener) printf("%s %s", i > 0 ? "," : "", json_string_value(listener));
    printf("%s; %lld connections, %lld exchanges, %lld tunnels; %lld requests so far\n",
           json_array_size(listeners) == 0 ? " nothing any more" : "", number_of(d, "connections"),
           number_of(d, "exchanges"), number_of(d, "tunnels"), number_of(d, "requests"));
    if (number_of(d, "log_dropped") > 0)
        printf("%lld log records could not be written\n", number_of(d, "log_dropped"));
    putchar('\n');
}

/* "12 full, 3 bad_row"; "" where nothing was dropped. */
static void add_dropped(struct text_table *t, const json_t *dropped) {
    struct buf text = {0};
    const char *key;
    json_t *n;
    json_object_foreach((json_t *)(uintptr_t)dropped, key, n) {
        if (json_integer_value(n) > 0)
            buf_printf(&text, "%s%lld %s", buf_length(&text) > 0 ? ", " : "", (long long)json_integer_value(n), key);
    }
    text_table_add(t, "%.*s", STR_ARG(buf_length(&text) > 0 ? buf_str(&text) : STR("-")));
    buf_free(&text);
}

static void print_accounts(const json_t *tables) {
    static const struct text_column columns[] = {{"  TABLE", false}, {"RECOVERED", true}, {"RECEIVED", true},
                                                 {"STORED", true},   {"QUEUED", true},    {"DROPPED", false}};
    struct text_table t;
    const char *name;
    json_t *row;
    text_table_init(&t, columns, ARRAY_LENGTH(columns));
    json_object_foreach((json_t *)(uintptr_t)tables, name, row) {
        text_table_add(&t, "  %s", name);
        add_number(&t, row, "recovered");
        add_number(&t, row, "received");
        add_number(&t, row, "stored");
        add_number(&t, row, "queued");
        add_dropped(&t, json_object_get(row, "dropped"));
    }
    text_table_print(&t, stdout);
    text_table_free(&t);
}

static void print_destination(const json_t *d) {
    const char *state = text_of(d, "state"), *error = text_of(d, "error");
    bool used = strcmp(state, "used") == 0;
    printf("\ntelemetry to %s%s: ", text_of(d, "destination"),
           used                             ? ""
           : strcmp(state, "draining") == 0 ? " (no longer configured, what is queued is still sent)"
           : strcmp(state, "left") == 0     ? " (left from an earlier run, not configured now)"
                                            : " (of a reload under way)");
    if (json_is_boolean(json_object_get(d, "reachable")))
        printf("%s, %lld connections; ", json_is_true(json_object_get(d, "reachable")) ? "reachable" : "not reachable",
               number_of(d, "connections"));
    printf("%.1f MiB queued %s%s%s\n", (double)number_of(d, "queue_bytes") / 1048576,
           json_is_true(json_object_get(d, "on_disk")) ? "on disk" : "in memory", error[0] != '\0' ? "; " : "", error);
    if (json_object_size(json_object_get(d, "tables")) > 0)
        print_accounts(json_object_get(d, "tables"));
}

static void print_telemetry(const json_t *telemetry) {
    size_t i;
    json_t *d;
    json_array_foreach(json_object_get(telemetry, "destinations"), i, d) print_destination(d);
}

int command_status_run(const struct control_command *c) {
    struct control_answer answer;
    if (!command_control_ask(c, "GET", "/status", CONTROL_PATIENCE, &answer))
        return EXIT_FAILED;
    const json_t *apps = json_object_get(answer.json, "apps");
    if (c->options->json)
        command_control_print_json(&answer);
    else {
        print_daemon(answer.json);
        print_apps(apps);
        print_workers(apps);
        print_telemetry(json_object_get(answer.json, "telemetry"));
    }
    int status = strcmp(text_of(answer.json, "state"), "ready") == 0 ? EXIT_DONE : EXIT_FAILED;
    control_answer_free(&answer);
    return status;
}
