/*
 * docs/settings.md: every setting for reading, made from the same rows.
 */
#include "config/alias.h"
#include "config/setting.h"

/* A cell must hold no bar. */
static void cell(struct buf *out, const char *text) {
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '|')
            buf_append_char(out, '\\');
        buf_append_char(out, *c);
    }
}

static void row(const struct setting *s, bool app, struct arena *a, struct buf *out) {
    struct buf allowed = {0};

    s->type->allowed(s, &allowed);
    buf_printf(out, "| `%s` | ", s->key);
    cell(out, arena_str(a, buf_str(&allowed)).p);
    buf_free(&allowed);
    if (s->fallback != NULL && s->fallback[0] != '\0')
        buf_printf(out, " | `%s`", s->fallback);
    else
        buf_append(out, STR(" | "));
    buf_printf(out, " | `%s`%s | %s | ", setting_variable(a, app ? "apps.name." : "", s->key),
               s->secret ? " or `…_FILE`" : "", setting_reload_name(s->reload));
    cell(out, s->help);
    if (s->secret)
        buf_printf(out, " Also `%s_file`: a file that holds it.", s->key);
    buf_append(out, STR(" |\n"));
}

static void table(bool app, struct arena *a, struct buf *out) {
    buf_append(out, STR("| key | value | default | variable | reload | what it is |\n|---|---|---|---|---|---|\n"));
    for (size_t i = 0; i < setting_count; i++)
        if (app ? setting_in_app(&setting_table[i]) : setting_in_daemon(&setting_table[i]))
            row(&setting_table[i], app, a, out);
}

static void aliases(struct buf *out) {
    buf_append(out, STR("| variable | flag | is |\n|---|---|---|\n"));
    for (size_t i = 0; i < setting_alias_count; i++) {
        const struct setting_alias *alias = &setting_aliases[i];
        buf_append(out, STR("| "));
        if (alias->variable != NULL)
            buf_printf(out, "`%s`", alias->variable);
        buf_append(out, STR(" | "));
        if (alias->flag != NULL || alias->brief != NULL)
            buf_printf(out, "`%s`", alias->flag != NULL ? alias->flag : alias->brief);
        if (strcmp(alias->key, ALIAS_IGNORED) == 0)
            buf_append(out, STR(" | nothing: WebSocket messages are streamed |\n"));
        else
            buf_printf(out, " | %s`%s` |\n", alias->start ? "in `faucet start`: " : "", alias->key);
    }
}

void config_settings_table(struct buf *out) {
    struct arena *a = arena_new(4096);

    buf_append(
        out,
        STR("# Settings\n\n"
            "Made by `faucet schema --markdown` from `src/config/settings.def`; do not edit.\n\n"
            "Precedence: default < `faucet.yaml` < environment < command line. `telemetry.namespace` is\n"
            "`FAUCET_TELEMETRY_NAMESPACE` and `--telemetry-namespace`; `apps.sales.workers` is\n"
            "`FAUCET_APPS_SALES_WORKERS` and `--set apps.sales.workers=4`; `--set` takes every key, and `apps.*.` is\n"
            "every app. Lists and maps are written as YAML flow text there: `--set 'listen=[127.0.0.1:80, "
            "\"[::1]:80\"]'`.\n"
            "null takes away what `defaults:` or the file said, so that the default stands; an empty variable counts "
            "as\n"
            "not set.\n\n"
            "Reload: *hot* changes in place, *resize* starts or drains workers, *process* starts new workers beside "
            "the\n"
            "old, *listener* binds and closes addresses, *restart* needs a restart of faucet.\n\n"
            "## The daemon\n\n"));
    table(false, a, out);
    buf_append(out, STR("\n## An app\n\nUnder `apps.NAME:`, for all apps under `defaults:` (`FAUCET_DEFAULTS_…`, "
                        "`--set defaults.…`). "
                        "In `faucet start` these\nare flags too (`--workers`) and variables without the app's name "
                        "(`FAUCET_WORKERS`).\n\n"));
    table(true, a, out);
    buf_append(out, STR("\n## Names of the original faucet\n\n"));
    aliases(out);
    arena_free(a);
}
