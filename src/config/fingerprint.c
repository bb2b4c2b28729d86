/*
 * A value is hashed as its JSON text, since that is the same for the same
 * value however it was written (60s, 1m).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "config/fingerprint.h"
#include "config/meaning.h"
#include "config/settle.h"

static uint64_t mix_text(uint64_t hash, const char *text) {
    return hash_bytes(hash, text, strlen(text) + 1); /* with its NUL: "a" "bc" is not "ab" "c" */
}

static uint64_t mix_setting(uint64_t hash, const struct setting *s, const void *value) {
    json_t *json = s->type->json(s, value);
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

    XXXAN(text);
    hash = mix_text(mix_text(hash, s->key), text);
    free(text);
    json_decref(json);
    return hash;
}

static uint64_t mix_scope(uint64_t hash, bool app, const void *base) {
    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (app ? setting_in_app(s) : setting_in_daemon(s))
            hash = mix_setting(hash, s, (const char *)base + (app ? s->app_offset : s->daemon_offset));
    }
    return hash;
}

/* Where the files are that workers run from, see config/identity.h. */
static uint64_t mix_identity(uint64_t hash, const struct app_config *app) {
    const uint64_t identity[] = {app->dir_device, app->dir_inode, app->app_dir_device, app->app_dir_inode,
                                 (uint64_t)app->restart_mtime_ns};
    return hash_bytes(hash, identity, sizeof identity);
}

static bool needs_process(const struct setting *s, const struct app_config *app) {
    return s->reload == RELOAD_PROCESS || (app->learns_base_path && strcmp(s->key, "route") == 0);
}

uint64_t fingerprint_process(const struct daemon_settings *daemon, const struct app_config *app) {
    uint64_t hash = mix_text(0, app->name);

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (!needs_process(s, app) || !setting_means(s, (enum app_type)app->type))
            continue;
        hash = setting_in_app(s) ? mix_setting(hash, s, (const char *)app + s->app_offset)
                                 : mix_setting(hash, s, (const char *)daemon + s->daemon_offset);
    }
    for (size_t i = 0; i < app->interpreter.n; i++)
        hash = mix_text(hash, app->interpreter.v[i]);
    for (size_t i = 0; i < app->dotenv.n; i++)
        hash = mix_text(mix_text(hash, app->dotenv.v[i].key), app->dotenv.v[i].value);
    return mix_identity(hash, app);
}

uint64_t fingerprint_settings(const struct daemon_settings *daemon, const struct app_config *app) {
    uint64_t hash = fingerprint_process(daemon, app);

    for (size_t i = 0; i < setting_count; i++) {
        const struct setting *s = &setting_table[i];
        if (setting_in_app(s) && setting_means(s, (enum app_type)app->type))
            hash = mix_setting(hash, s, (const char *)app + s->app_offset);
    }
    return hash;
}

void fingerprint_snapshot(struct snapshot *s) {
    uint64_t hash = mix_scope(0, false, &s->daemon);

    for (size_t i = 0; i < s->app_count; i++)
        hash = mix_scope(mix_text(hash, s->apps[i]->name), true, s->apps[i]);
    snprintf(s->hash, sizeof(s->hash), "%016llx", (unsigned long long)hash);
}
