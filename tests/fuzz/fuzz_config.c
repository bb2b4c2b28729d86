/*
 * libFuzzer: any bytes as a faucet.yaml, and the line behind its first NUL as
 * the value of a variable and of --set. What must hold besides memory safety:
 * a configuration is refused with an error or is complete, and whatever is
 * taken can be explained.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct kind_check *c) {
    (void)c;
}

static enum app_type detect(struct kind_check *c) {
    (void)c;
    return APP_STATIC;
}

static const struct kind_row rows[] = {
    {"shiny", NULL, APP_SHINY, check, false},         {"plumber", NULL, APP_PLUMBER, check, false},
    {"quarto", NULL, APP_QUARTO_SHINY, check, false}, {"fast-api", NULL, APP_FAST_API, check, false},
    {"command", NULL, APP_COMMAND, check, false},     {"static", NULL, APP_STATIC, check, false},
    {"upstream", NULL, APP_UPSTREAM, check, false},
};
static const struct kind_table kinds = {rows, ARRAY_LENGTH(rows), detect};

static void try_sources(const struct config_sources *sources) {
    struct problems problems;
    struct buf out = {0};

    problems_init(&problems);
    struct snapshot *s = config_load(sources, &kinds, 1, &problems);
    ASSERT((s == NULL) == (problems.errors > 0));
    if (s != NULL) {
        ASSERT(s->daemon.listen.n > 0);
        for (size_t i = 0; i < s->app_count; i++) {
            ASSERT(s->apps[i]->route.n > 0 && s->apps[i]->type != APP_AUTO);
            AN(s->apps[i]->telemetry.postgres_string);
            AN(s->apps[i]->telemetry.namespace);
        }
        ASSERT(config_explain(sources, &kinds, NULL, true, &out, &problems));
        ASSERT(config_explain(sources, &kinds, NULL, false, &out, &problems));
    }
    snapshot_unref(s);
    buf_free(&out);
    problems_free(&problems);

    struct arena *a = arena_new(1024);
    (void)config_control_address(sources, a);
    arena_free(a);
}

/* "KEY=VALUE" as FAUCET_KEY=VALUE and as --set KEY=VALUE. */
static void try_value(const char *path, char *text) {
    static char nothing[] = "";
    size_t n = strlen(text) + sizeof("FAUCET_");
    char *variable = malloc(n), *equals = strchr(text, '=');
    char *environment[] = {variable, NULL};

    XXXAN(variable);
    snprintf(variable, n, "FAUCET_%s", text);
    if (equals != NULL)
        *equals = '\0';
    const struct config_flag flag = {"--set", text, equals == NULL ? nothing : equals + 1};
    struct config_sources sources = {.file = path, .environ_ = environment, .start_dir = "/", .skip_paths = true};
    try_sources(&sources);
    sources.flags = &flag;
    sources.flag_count = 1;
    try_sources(&sources);
    sources.file = NULL;
    sources.app_name = "one";
    try_sources(&sources);
    free(variable);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const uint8_t *end = size == 0 ? NULL : memchr(data, 0, size);
    size_t head = end == NULL ? size : (size_t)(end - data);
    size_t rest = end == NULL ? 0 : size - head - 1;
    char path[64], *text = malloc(rest + 1);

    XXXAN(text);
    if (rest > 0)
        memcpy(text, end + 1, rest);
    text[rest] = '\0';
    snprintf(path, sizeof(path), "/tmp/faucet-fuzz-%ld.yaml", (long)getpid());
    FILE *out = fopen(path, "w");
    XXXAN(out);
    fwrite(data, 1, head, out);
    fclose(out);
    try_value(path, text);
    unlink(path);
    free(text);
    return 0;
}
