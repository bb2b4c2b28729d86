/*
 * Command line flags: --telemetry-namespace is telemetry.namespace. Flags are
 * for the daemon's keys; an app's have them in `faucet start` only, where
 * there is one app (elsewhere it is --set apps.NAME.key=value).
 */
#include "config/alias.h"
#include "config/nearest.h"
#include "config/setting.h"

/* Keys as the flags of `faucet start` and of secrets' files need them: constant texts that belong to nobody. */
struct key_texts {
    const char *key, *of_every_app, *file;
};
static const struct key_texts app_keys[] = {
#define APP(field, key, ...) {key, "apps.*." key, NULL},
#include "config/settings.def"
};
static const struct key_texts daemon_keys[] = {
#define DAEMON(field, key, ...)        {key, NULL, key "_file"},
#define TELEMETRY(field, key, ...)     {key, NULL, key "_file"},
#define TELEMETRY_APP(field, key, ...) {key, NULL, key "_file"},
#include "config/settings.def"
};

/* Is `flag` (without the dashes) the key with '-' for '.' and '_'? */
static bool flag_is_key(struct str flag, const char *key) {
    size_t i = 0;

    while (i < flag.n && key[i] != '\0' && flag.p[i] == (key[i] == '.' || key[i] == '_' ? '-' : key[i]))
        i++;
    return i == flag.n && key[i] == '\0';
}

static const char *find_key(struct str name, bool start) {
    for (size_t i = 0; i < ARRAY_LENGTH(daemon_keys); i++) {
        if (flag_is_key(name, daemon_keys[i].key))
            return daemon_keys[i].key;
        if (flag_is_key(name, daemon_keys[i].file) && setting_find(str_of(daemon_keys[i].key), false)->secret)
            return daemon_keys[i].file;
    }
    for (size_t i = 0; start && i < ARRAY_LENGTH(app_keys); i++)
        if (flag_is_key(name, app_keys[i].key))
            return app_keys[i].of_every_app;
    return NULL;
}

static const char *find_nearest(struct str flag, bool start, struct arena *a) {
    struct nearest near;

    nearest_init(&near, flag);
    for (size_t i = 0; i < setting_alias_count; i++)
        if (setting_aliases[i].flag != NULL && (start || !setting_aliases[i].start))
            nearest_offer(&near, setting_aliases[i].flag);
    for (size_t i = 0; i < ARRAY_LENGTH(daemon_keys); i++)
        nearest_offer(&near, setting_flag(a, daemon_keys[i].key));
    for (size_t i = 0; start && i < ARRAY_LENGTH(app_keys); i++)
        nearest_offer(&near, setting_flag(a, app_keys[i].key));
    return near.best;
}

const char *config_flag_key(const char *flag, bool start, struct arena *a, const char **nearest) {
    struct str whole = str_of(flag);
    const char *key = NULL;

    whole.n = str_chr(whole, '=');
    const struct setting_alias *alias = alias_of_flag(whole, start);
    if (alias != NULL)
        key = alias->key;
    else if (str_starts(whole, STR("--")))
        key = find_key(str_from(whole, 2), start);
    if (nearest != NULL)
        *nearest = key == NULL ? find_nearest(whole, start, a) : NULL;
    return key;
}

#define HELP_COLUMN 34

static void help_row(const struct setting *s, struct arena *a, struct buf *out) {
    const char *flag = setting_flag(a, s->key);
    size_t width = strlen(flag) + strlen("  ") + strlen(" VALUE");

    buf_printf(out, "  %s VALUE", flag);
    if (width >= HELP_COLUMN)
        buf_printf(out, "\n%*s", HELP_COLUMN, "");
    else
        buf_printf(out, "%*s", (int)(HELP_COLUMN - width), "");
    buf_append(out, str_of(s->help));
    if (s->fallback != NULL && s->fallback[0] != '\0' && strcmp(s->fallback, "[]") != 0 &&
        strcmp(s->fallback, "{}") != 0)
        buf_printf(out, " (default %s)", s->fallback);
    buf_append_char(out, '\n');
}

/* An app's flag that a daemon's one of that name hides: --host is the original's name for --listen. */
static bool is_hidden(const struct setting *s, struct arena *a) {
    const char *key = config_flag_key(setting_flag(a, s->key), true, a, NULL);
    return key == NULL || !str_starts(str_of(key), STR("apps.*."));
}

void config_flags_help(struct buf *out, bool start) {
    struct arena *a = arena_new(4096);

    if (start)
        buf_append(out, STR("The app:\n"));
    for (size_t i = 0; start && i < setting_count; i++)
        if (setting_table[i].level == SETTING_APP && !is_hidden(&setting_table[i], a))
            help_row(&setting_table[i], a, out);
    buf_append(out, start ? STR("\nThe daemon:\n")
                          : STR("Settings as flags (each is also a key of the file and a FAUCET_ variable):\n"));
    for (size_t i = 0; i < setting_count; i++)
        if (setting_in_daemon(&setting_table[i]))
            help_row(&setting_table[i], a, out);
    buf_append(
        out,
        STR("  --set KEY=VALUE                 Any key, such as apps.sales.workers=4; apps.*.KEY is every app.\n"));
    buf_append(out, STR("\nNames of the original faucet that are still understood:\n"));
    for (size_t i = 0; i < setting_alias_count; i++) {
        const struct setting_alias *alias = &setting_aliases[i];
        if (alias->flag != NULL && (start || !alias->start) && strcmp(alias->key, ALIAS_IGNORED) != 0)
            buf_printf(out, "  %-31s %s\n", alias->flag, setting_flag(a, alias->key));
    }
    arena_free(a);
}
