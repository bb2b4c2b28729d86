/*
 * Snapshots are counted by whoever uses them; the counter is only ever
 * touched in the loop's thread.
 */
#include "config/snapshot.h"
#include "base/miniobj.h"
#include "config/settle.h"

struct snapshot *snapshot_empty(void) {
    struct arena *a = arena_new(4096);
    struct snapshot *s = ARENA_NEW(a, struct snapshot);

    s->magic = SNAPSHOT_MAGIC;
    s->references = 1;
    s->arena = a;
    memcpy(s->hash, "0000000000000000", sizeof(s->hash));
    for (size_t i = 0; i < setting_count; i++)
        if (setting_in_daemon(&setting_table[i]))
            setting_fallback(&setting_table[i], a, setting_place(&setting_table[i], false, &s->daemon));
    s->daemon.listen = (struct address_list){0, NULL}; /* whatever the first plan listens on, is new */
    return s;
}

struct snapshot *snapshot_ref(struct snapshot *s) {
    CHECK_OBJ_NOTNULL(s, SNAPSHOT_MAGIC);
    ASSERT(s->references > 0);
    s->references++;
    return s;
}

void snapshot_unref(struct snapshot *s) {
    if (s == NULL)
        return;
    CHECK_OBJ(s, SNAPSHOT_MAGIC);
    ASSERT(s->references > 0);
    if (--s->references > 0)
        return;
    s->magic = 0;
    arena_free(s->arena);
}

const struct app_config *snapshot_app(const struct snapshot *s, const char *name) {
    CHECK_OBJ_NOTNULL(s, SNAPSHOT_MAGIC);
    for (size_t i = 0; i < s->app_count; i++)
        if (strcmp(s->apps[i]->name, name) == 0)
            return s->apps[i];
    return NULL;
}
