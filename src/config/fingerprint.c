/*
 * A value is hashed as its JSON text, since that is the same for the same
 * value however it was written (60s, 1m).
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "config/fingerprint.h"
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

void fingerprint_snapshot(struct snapshot *s) {
    uint64_t hash = mix_scope(0, false, &s->daemon);

    for (size_t i = 0; i < s->app_count; i++)
        hash = mix_scope(mix_text(hash, s->apps[i]->name), true, s->apps[i]);
    snprintf(s->hash, sizeof(s->hash), "%016llx", (unsigned long long)hash);
}
