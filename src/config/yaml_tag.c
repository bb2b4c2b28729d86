/*
 * Tags (`!!str 5`): those of YAML's core schema only. A tag of another kind
 * asks for a program to build something, which a configuration is not for;
 * most often it is a value that begins with `!` and lacks its quotes.
 */
#include "config/yaml_parts.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

enum yaml_tag yaml_tag_of(const char *text) {
    static const struct {
        const char *name;
        enum yaml_tag tag;
    } tags[] = {
        {"!", TAG_STR},
        {TAG_PREFIX "str", TAG_STR},
        {TAG_PREFIX "int", TAG_PLAIN},
        {TAG_PREFIX "float", TAG_PLAIN},
        {TAG_PREFIX "bool", TAG_PLAIN},
        {TAG_PREFIX "null", TAG_NULL},
        {TAG_PREFIX "seq", TAG_SEQ},
        {TAG_PREFIX "map", TAG_MAP},
    };
    if (text == NULL)
        return TAG_NONE;
    for (size_t i = 0; i < ARRAY_LENGTH(tags); i++)
        if (strcmp(text, tags[i].name) == 0)
            return tags[i].tag;
    return TAG_WRONG;
}

/* As it was written, as far as that can be told. */
static const char *tag_in_words(struct arena *a, const char *tag) {
    struct str text = str_of(tag);

    if (str_starts(text, STR(TAG_PREFIX)))
        return arena_printf(a, "!!%s", yaml_short(a, str_from(text, strlen(TAG_PREFIX)))).p;
    return yaml_short(a, text);
}

const char *yaml_tag_refusal(struct arena *a, const char *tag, const char *on_what) {
    const char *words = tag_in_words(a, tag);

    if (yaml_tag_of(tag) != TAG_WRONG)
        return arena_printf(a, "the tag %s does not fit %s", words, on_what).p;
    return arena_printf(a,
                        "the tag %s is not known; allowed are !!str, !!int, !!float, !!bool, !!null, !!seq and !!map, "
                        "and none is needed; a value that begins with ! needs quotes",
                        words)
        .p;
}
