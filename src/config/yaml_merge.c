/*
 * The pairs of one map while it is read: no key twice, and what merge keys
 * (`<<: *base`, https://yaml.org/type/merge.html) bring along. A written key
 * wins over a merged one wherever `<<` stands; of several merged maps the
 * earlier wins.
 */
#include "config/yaml_parts.h"

const struct yaml_node *yaml_map_add(struct arena *a, struct yaml_map_build *m, struct yaml_node *key,
                                     struct yaml_node *value) {
    void **taken = name_table_put(&m->names, key->text);

    if (*taken != NULL)
        return *taken;
    *taken = key;
    if (m->n == m->room) {
        size_t room = m->room == 0 ? 8 : m->room * 2;
        struct yaml_pair *pairs = ARENA_ARRAY(a, struct yaml_pair, room);
        if (m->n > 0)
            memcpy(pairs, m->pairs, m->n * sizeof *pairs);
        m->pairs = pairs;
        m->room = room;
    }
    m->pairs[m->n++] = (struct yaml_pair){key, value};
    return NULL;
}

static void merge_map(struct arena *a, struct yaml_map_build *m, const struct yaml_node *from,
                      const struct key_path *path, struct problems *problems) {
    if (from->type != YAML_MAP) {
        problem_add(problems, PROBLEM_ERROR, from->where, key_path_text(a, path),
                    "<< takes a map or a list of maps, such as `<<: *name` of a map marked with `&name`%s",
                    from->type == YAML_NULL ? "; nothing is given here" : "");
        return;
    }
    for (size_t i = 0; i < from->n; i++)
        (void)yaml_map_add(a, m, from->pairs[i].key, from->pairs[i].value);
}

void yaml_map_merge(struct arena *a, struct yaml_map_build *m, const struct yaml_node *value,
                    const struct key_path *path, struct problems *problems) {
    if (value->type != YAML_LIST) {
        merge_map(a, m, value, path, problems);
        return;
    }
    for (size_t i = 0; i < value->n; i++)
        merge_map(a, m, value->items[i], path, problems);
}

void yaml_map_finish(struct yaml_map_build *m, struct yaml_node *map) {
    map->pairs = m->pairs;
    map->n = m->n;
    yaml_map_drop(m);
}

void yaml_map_drop(struct yaml_map_build *m) {
    name_table_free(&m->names);
    *m = (struct yaml_map_build){.pairs = NULL};
}
