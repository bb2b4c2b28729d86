/*
 * Flags of a command are rows of a small table; every other --flag is a
 * setting, by the rule of settings.def.
 */
#include "control/options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/environ.h"
#include "telemetry/pg_conninfo.h"

static const struct own_flag {
    const char *name;
    size_t offset;
    const char *commands; /* where it may stand, between spaces; empty: everywhere */
} own_flags[] = {
    {"--json", offsetof(struct options, json), "check config reload plan status restart stop"},
    {"--force", offsetof(struct options, force), "reload plan"},
    {"--strict", offsetof(struct options, strict), "check"},
    {"--no-paths", offsetof(struct options, no_paths), "check config"},
    {"--wait-ready", offsetof(struct options, wait_ready), "run start"},
    {"--markdown", offsetof(struct options, markdown), "schema"},
    {"--help", offsetof(struct options, help), ""},
    {"-h", offsetof(struct options, help), ""},
};

static bool usage_error(const struct options *o, const char *format, const char *a, const char *b) {
    fprintf(stderr, "faucet %s: ", o->command);
    fprintf(stderr, format, a, b); /* a literal of this file */
    fprintf(stderr, "\nfaucet %s --help shows what is allowed\n", o->command);
    return false;
}

static bool stands_in(const char *commands, const char *command) {
    struct str rest = str_of(commands);
    while (rest.n > 0) {
        size_t n = str_chr(rest, ' ');
        if (str_eq(str_make(rest.p, n), str_of(command)))
            return true;
        rest = str_from(rest, n < rest.n ? n + 1 : n);
    }
    return commands[0] == '\0';
}

static bool *own_flag(struct options *o, const char *word) {
    for (size_t i = 0; i < ARRAY_LENGTH(own_flags); i++) {
        if (strcmp(word, own_flags[i].name) == 0 && stands_in(own_flags[i].commands, o->command))
            return (bool *)(void *)((char *)o + own_flags[i].offset);
    }
    return NULL;
}

static void add_flag(struct options *o, const char *name, const char *key, const char *value) {
    struct config_flag *grown = ARENA_ARRAY(o->arena, struct config_flag, o->flag_count + 1);
    if (o->flag_count > 0)
        memcpy(grown, o->flags, o->flag_count * sizeof *grown);
    grown[o->flag_count++] = (struct config_flag){name, key, value};
    o->flags = grown;
}

static void add_argument(struct options *o, const char *word) {
    const char **grown = ARENA_ARRAY(o->arena, const char *, o->arguments.n + 1);
    if (o->arguments.n > 0)
        memcpy(grown, o->arguments.v, o->arguments.n * sizeof *grown);
    grown[o->arguments.n++] = word;
    o->arguments.v = grown;
}

/* --set KEY=VALUE */
static bool add_set(struct options *o, const char *value) {
    const char *equals = strchr(value, '=');
    if (equals == NULL || equals == value)
        return usage_error(o, "--set takes KEY=VALUE, for example --set apps.sales.workers=4, not \"%s\"", value, "");
    struct str key = arena_str(o->arena, str_make(value, (size_t)(equals - value)));
    add_flag(o, "--set", key.p, arena_strdup(o->arena, equals + 1));
    return true;
}

static bool name_file(struct options *o, const char *path) {
    o->file_as_named = path;
    o->file = path[0] == '/' ? path : arena_printf(o->arena, "%s/%s", o->start_dir, path).p;
    return true;
}

/* A flag with a value; `value` NULL: the next word is missing. */
static bool valued_flag(struct options *o, const char *name, const char *value) {
    bool file = strcmp(name, "-c") == 0 || strcmp(name, "--config") == 0;
    const char *nearest = NULL;
    const char *key = file || strcmp(name, "--set") == 0 ? name : config_flag_key(name, o->start, o->arena, &nearest);
    if (key == NULL)
        return nearest != NULL ? usage_error(o, "there is no flag %s; did you mean %s?", name, nearest)
                               : usage_error(o, "there is no flag %s", name, "");
    if (value == NULL)
        return usage_error(o, "%s needs a value", name, "");
    if (file)
        return name_file(o, value);
    if (strcmp(name, "--set") == 0)
        return add_set(o, value);
    add_flag(o, arena_strdup(o->arena, name), key, arena_strdup(o->arena, value));
    return true;
}

static bool parse_word(struct options *o, char *const **words) {
    const char *word = **words;
    bool *own = own_flag(o, word);
    if (own != NULL) {
        *own = true;
        return true;
    }
    if (word[0] != '-' || word[1] == '\0') {
        add_argument(o, word);
        return true;
    }
    const char *equals = strchr(word, '=');
    if (word[1] == '-' && equals != NULL) {
        struct str name = arena_str(o->arena, str_make(word, (size_t)(equals - word)));
        return valued_flag(o, name.p, equals + 1);
    }
    const char *value = (*words)[1];
    if (!valued_flag(o, word, value))
        return false;
    (*words)++;
    return true;
}

static bool default_file(struct options *o) {
    const char *named = environ_nonempty(o->environ_, STR("FAUCET_ROUTER_CONF"));
    if (named != NULL)
        return name_file(o, named);
    if (access("faucet.yaml", F_OK) == 0)
        return name_file(o, "faucet.yaml");
    return usage_error(o, "no configuration file: name one with -c FILE, or start where faucet.yaml is%s%s", "", "");
}

bool options_parse(struct options *o, const char *command, char *const *words, char *const *environ_,
                   bool file_wanted) {
    memset(o, 0, sizeof *o);
    o->arena = arena_new(4096);
    o->command = command;
    o->environ_ = environ_;
    o->start = strcmp(command, "start") == 0;
    char directory[PATH_MAX];
    if (getcwd(directory, sizeof directory) == NULL) {
        fprintf(stderr, "faucet: the current directory cannot be used: %m\n");
        return false;
    }
    o->start_dir = arena_strdup(o->arena, directory);
    for (; *words != NULL; words++)
        if (!parse_word(o, &words))
            return false;
    return o->help || !file_wanted || o->file != NULL || default_file(o);
}

void options_free(struct options *o) {
    arena_free(o->arena);
    o->arena = NULL;
}

static const struct value_checker checker_rows[] = {{"telemetry.postgres_string", pg_conninfo_problem}};
static const struct value_checkers checkers = {checker_rows, ARRAY_LENGTH(checker_rows)};

struct config_sources options_sources(const struct options *o) {
    return (struct config_sources){
        .file = o->file,
        .environ_ = o->environ_,
        .flags = o->flags,
        .flag_count = o->flag_count,
        .start_dir = o->start_dir,
        .skip_paths = o->no_paths,
        .checkers = &checkers,
    };
}
