/*
 * The original faucet's names. Its users set them in units, compose files and
 * shell profiles that nobody will rewrite.
 */
#include "config/alias.h"

/* The original's sizes: 10M and 10MB are powers of 1000, 10MiB of 1024. */
static const char *translate_size(struct arena *a, const char *value) {
    size_t n = strlen(value);

    if (n > 1 && strchr("kKmMgGtT", value[n - 1]) != NULL)
        return arena_printf(a, "%.*s%cB", (int)(n - 1), value, ascii_lower(value[n - 1]) & ~0x20).p;
    return value;
}

/* FAUCET_LOG=INFO */
static const char *translate_lower(struct arena *a, const char *value) {
    char *out = arena_strdup(a, value);

    for (char *c = out; *c != '\0'; c++)
        *c = ascii_lower(*c);
    return out;
}

const struct setting_alias setting_aliases[] = {
    {"FAUCET_HOST", "--host", NULL, "listen", false, NULL},
    {"FAUCET_LOG", NULL, NULL, "log.level", false, translate_lower},
    {NULL, NULL, "-l", "log.file", false, NULL},
    {"FAUCET_MAX_LOG_FILE_SIZE", "--max-log-file-size", "-m", "log.max_size", false, translate_size},
    {"FAUCET_SHUTDOWN", "--shutdown", NULL, "shutdown.mode", false, NULL},
    {NULL, NULL, "-i", "ip_from", false, NULL},
    {NULL, NULL, "-r", "rscript", false, NULL},
    {"FAUCET_MAX_MESSAGE_SIZE", "--max-message-size", NULL, ALIAS_IGNORED, false, NULL},
    {NULL, "--pg-con-string", NULL, "telemetry.postgres_string", false, NULL},
    {"FAUCET_TELEMETRY_POSTGRES_SSLMODE", "--pg-sslmode", NULL, "telemetry.sslmode", false, NULL},
    {"FAUCET_TELEMETRY_POSTGRES_SSLCERT", "--pg-sslcert", NULL, "telemetry.sslcert", false, NULL},
    {NULL, NULL, "-w", "apps.*.workers", true, NULL},
    {NULL, NULL, "-s", "apps.*.strategy", true, NULL},
    {NULL, NULL, "-t", "apps.*.type", true, NULL},
    {NULL, NULL, "-d", "apps.*.dir", true, NULL},
    {NULL, NULL, "-a", "apps.*.app_dir", true, NULL},
};
const size_t setting_alias_count = ARRAY_LENGTH(setting_aliases);

const char *alias_translate(const struct setting_alias *alias, struct arena *a, const char *value) {
    return alias == NULL || alias->translate == NULL ? value : alias->translate(a, value);
}

const struct setting_alias *alias_of_flag(struct str flag, bool start) {
    for (size_t i = 0; i < setting_alias_count; i++) {
        const struct setting_alias *alias = &setting_aliases[i];
        if (alias->start && !start)
            continue;
        if ((alias->flag != NULL && str_eq(flag, str_of(alias->flag))) ||
            (alias->brief != NULL && str_eq(flag, str_of(alias->brief))))
            return alias;
    }
    return NULL;
}

const struct setting_alias *alias_of_variable(struct str variable) {
    for (size_t i = 0; i < setting_alias_count; i++)
        if (setting_aliases[i].variable != NULL && str_eq(variable, str_of(setting_aliases[i].variable)))
            return &setting_aliases[i];
    return NULL;
}

static char in_variable(char c) {
    char lower = ascii_lower(c);

    if (lower >= 'a' && lower <= 'z')
        return (char)(lower & ~0x20);
    return c >= '0' && c <= '9' ? c : '_';
}

bool name_is_variable(struct str text, const char *key) {
    size_t i = 0;

    while (i < text.n && key[i] != '\0' && text.p[i] == in_variable(key[i]))
        i++;
    return i == text.n && key[i] == '\0';
}

bool name_begins_variable(struct str text, const char *key, struct str *rest) {
    size_t n = strlen(key);

    if (text.n <= n || text.p[n] != '_' || !name_is_variable(str_make(text.p, n), key))
        return false;
    *rest = str_from(text, n + 1);
    return true;
}
