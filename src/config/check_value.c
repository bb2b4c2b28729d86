/*
 * Values that others judge (checkers.h): each is reported where it was written,
 * and not again for every app that inherits it.
 */
#include <stdlib.h>

#include "config/load.h"
#include "config/settle.h"

static void check_in_scope(struct build *b, const struct value_checker *checker, const struct scope *scope,
                           void *base) {
    const struct setting *s = setting_find(str_of(checker->key), scope->name != NULL);
    const struct slot *slot = s == NULL ? NULL : &scope->slots[setting_index(s)];

    if (slot == NULL || slot->winner == NULL || slot->bad)
        return;
    ASSERT(s->type == &setting_type_STRING);
    const char *value = *(const char **)setting_place(s, scope->name != NULL, base);
    char *problem = value[0] == '\0' ? NULL : checker->problem(value, b->layers.sources->skip_paths);
    if (problem != NULL)
        problem_add(b->problems, PROBLEM_ERROR, slot->winner->node->where, slot->winner->key, "%s", problem);
    free(problem);
}

void check_values(struct build *b) {
    const struct value_checkers *checkers = b->layers.sources->checkers;

    for (size_t i = 0; checkers != NULL && i < checkers->n; i++) {
        check_in_scope(b, &checkers->rows[i], &b->layers.daemon, &b->snapshot->daemon);
        for (size_t k = 0; k < b->snapshot->app_count; k++)
            check_in_scope(b, &checkers->rows[i], b->layers.apps[k], b->snapshot->apps[k]);
    }
}
