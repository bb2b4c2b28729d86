/*
 * From libyaml's events to the tree. Every node is counted, and its depth is
 * checked as its event comes: libyaml gets slower with the square of the depth
 * and never stops by itself, but it scans at most 1024 characters ahead of the
 * event it gives out, so a file of a million brackets ends here in a moment.
 *
 * Mistakes in the sense of the text (a key twice, an unknown alias, a tag) are
 * collected and leave a tree; only syntax and limits end the parse.
 */
#include <yaml.h>

#include "config/yaml_parts.h"

struct anchor {
    struct yaml_node *node; /* NULL until its end is read */
};

struct builder {
    struct arena *arena;
    const struct yaml_source *source;
    struct problems *problems;
    size_t *nodes;
    yaml_parser_t parser;
    struct name_table anchors; /* name → struct anchor, the latest of that name */
};

/* A collection's end comes in the place of an item. */
enum built { BUILT_NODE, BUILT_END, BUILT_NOTHING /* the parse is over, a problem was added */ };

static enum built build_node(struct builder *b, unsigned depth, const struct key_path *path, struct yaml_node **node);

static struct yaml_place place_of(yaml_mark_t mark) {
    return (struct yaml_place){mark.line + 1, mark.column + 1};
}

static const char *where_of(const struct builder *b, yaml_mark_t mark) {
    return yaml_where(b->arena, b->source, place_of(mark));
}

#define PROBLEM(b, where, path, ...)                                                                                   \
    problem_add((b)->problems, PROBLEM_ERROR, (where), key_path_text((b)->arena, (path)), __VA_ARGS__)

/* ---- events ---------------------------------------------------------------------------------------------------- */

static void report_syntax(struct builder *b) {
    const yaml_parser_t *p = &b->parser;
    struct yaml_fault fault = {.problem = p->problem, .context = p->context};

    XXXASSERT(p->error != YAML_MEMORY_ERROR);
    if (p->error == YAML_READER_ERROR) /* yaml_source_check lets nothing through that the reader would refuse */
        fault.place = (struct yaml_place){p->mark.line + 1, p->mark.column + 1};
    else
        fault.place = place_of(p->problem_mark);
    if (p->context != NULL)
        fault.context_place = place_of(p->context_mark);
    const char *message = yaml_fault_explain(b->arena, b->source, &fault);
    problem_add(b->problems, PROBLEM_ERROR, yaml_where(b->arena, b->source, fault.place), "", "%s", message);
}

static bool next_event(struct builder *b, yaml_event_t *event) {
    if (yaml_parser_parse(&b->parser, event))
        return true;
    report_syntax(b);
    return false;
}

/* ---- limits ---------------------------------------------------------------------------------------------------- */

static bool count_node(struct builder *b, const char *where, const struct key_path *path) {
    if (++*b->nodes <= YAML_NODES_MAX)
        return true;
    PROBLEM(b, where, path, "too many values: %d are allowed in all, and each use of an alias counts again",
            YAML_NODES_MAX);
    return false;
}

static bool check_depth(struct builder *b, unsigned depth, const char *where, const struct key_path *path) {
    if (depth <= YAML_DEPTH_MAX)
        return true;
    PROBLEM(b, where, path, "nested too deeply: %d levels of lists and maps are allowed", YAML_DEPTH_MAX);
    return false;
}

static struct yaml_node *node_new(struct builder *b, enum yaml_type type, yaml_mark_t mark) {
    struct yaml_node *node = ARENA_NEW(b->arena, struct yaml_node);

    node->type = type;
    node->where = where_of(b, mark);
    node->file = b->source->name;
    node->origin = b->source->origin;
    node->text = str_make("", 0);
    return node;
}

/* ---- anchors and aliases --------------------------------------------------------------------------------------- */

static struct anchor *anchor_begin(struct builder *b, const yaml_char_t *name) {
    if (name == NULL)
        return NULL;
    struct anchor *anchor = ARENA_NEW(b->arena, struct anchor);
    struct str key = arena_str(b->arena, str_of((const char *)name));
    *name_table_put(&b->anchors, key) = anchor;
    return anchor;
}

static void anchor_end(struct anchor *anchor, struct yaml_node *node) {
    if (anchor != NULL)
        anchor->node = node;
}

/* A copy for the place of an alias. NULL: a limit was passed. */
static struct yaml_node *copy_node(struct builder *b, const struct yaml_node *from, unsigned depth, const char *where,
                                   const struct key_path *path) {
    if (!count_node(b, where, path))
        return NULL;
    if ((from->type == YAML_LIST || from->type == YAML_MAP) && !check_depth(b, depth, where, path))
        return NULL;
    struct yaml_node *copy = ARENA_NEW(b->arena, struct yaml_node);
    *copy = *from;
    if (from->type == YAML_LIST && from->n > 0) {
        copy->items = ARENA_ARRAY(b->arena, struct yaml_node *, from->n);
        for (size_t i = 0; i < from->n; i++)
            if ((copy->items[i] = copy_node(b, from->items[i], depth + 1, where, path)) == NULL)
                return NULL;
    }
    if (from->type == YAML_MAP && from->n > 0) {
        copy->pairs = ARENA_ARRAY(b->arena, struct yaml_pair, from->n);
        for (size_t i = 0; i < from->n; i++) {
            copy->pairs[i].key = copy_node(b, from->pairs[i].key, depth + 1, where, path);
            if (copy->pairs[i].key == NULL)
                return NULL;
            copy->pairs[i].value = copy_node(b, from->pairs[i].value, depth + 1, where, path);
            if (copy->pairs[i].value == NULL)
                return NULL;
        }
    }
    return copy;
}

/* What is wrong leaves a null behind, so that the rest is read. */
static enum built build_alias(struct builder *b, const yaml_event_t *event, unsigned depth, const struct key_path *path,
                              struct yaml_node **node) {
    const struct str written = str_of((const char *)event->data.alias.anchor);
    const struct anchor *anchor = name_table_get(&b->anchors, written);

    if (anchor != NULL && anchor->node != NULL) {
        *node = copy_node(b, anchor->node, depth, where_of(b, event->start_mark), path);
        return *node == NULL ? BUILT_NOTHING : BUILT_NODE;
    }
    *node = node_new(b, YAML_NULL, event->start_mark);
    if (!count_node(b, (*node)->where, path))
        return BUILT_NOTHING;
    const char *name = yaml_short(b->arena, written);
    if (anchor != NULL)
        PROBLEM(b, (*node)->where, path, "the alias *%s stands inside of what it stands for (&%s); that has no end",
                name, name);
    else
        PROBLEM(b, (*node)->where, path,
                "the alias *%s has no anchor &%s before it; a value that begins with * needs quotes: \"*%s\"", name,
                name, name);
    return BUILT_NODE;
}

/* ---- nodes ----------------------------------------------------------------------------------------------------- */

bool yaml_text_is_null(struct str text) {
    return text.n == 0 || str_eq(text, STR("~")) || str_eq(text, STR("null")) || str_eq(text, STR("Null")) ||
           str_eq(text, STR("NULL"));
}

static void refuse_tag(struct builder *b, const yaml_char_t *tag, const char *where, const struct key_path *path,
                       const char *on_what) {
    PROBLEM(b, where, path, "%s", yaml_tag_refusal(b->arena, (const char *)tag, on_what));
}

/* !!str makes plain text a string, !!int and the like take the quotes off; whether the text is a number is for who
 * knows the setting. */
static void resolve_scalar(struct builder *b, const yaml_event_t *event, struct yaml_node *node,
                           const struct key_path *path) {
    bool null = yaml_text_is_null(node->text);

    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    switch (yaml_tag_of((const char *)event->data.scalar.tag)) {
    case TAG_NONE:
        if (node->plain && null)
            node->type = YAML_NULL;
        break;
    case TAG_STR:
        node->plain = false;
        break;
    case TAG_PLAIN:
        node->plain = true;
        break;
    case TAG_NULL:
        if (null)
            node->type = YAML_NULL;
        else
            refuse_tag(b, event->data.scalar.tag, node->where, path, "a value that is not null");
        break;
    case TAG_SEQ:
    case TAG_MAP:
    case TAG_WRONG:
        refuse_tag(b, event->data.scalar.tag, node->where, path, "a single value");
        break;
    }
}

static enum built build_scalar(struct builder *b, const yaml_event_t *event, const struct key_path *path,
                               struct yaml_node **out) {
    struct yaml_node *node = node_new(b, YAML_SCALAR, event->start_mark);
    struct str text = str_make((const char *)event->data.scalar.value, event->data.scalar.length);
    struct anchor *anchor = anchor_begin(b, event->data.scalar.anchor);

    *out = node;
    if (!count_node(b, node->where, path))
        return BUILT_NOTHING;
    if (str_chr(text, '\0') < text.n) { /* "\0" in double quotes */
        PROBLEM(b, node->where, path, "the text holds a NUL character (\\0); that is not allowed");
        text.n = str_chr(text, '\0');
    }
    node->text = arena_str(b->arena, text);
    resolve_scalar(b, event, node, path);
    anchor_end(anchor, node);
    return BUILT_NODE;
}

static void list_add(struct builder *b, struct yaml_node *list, struct yaml_node *item, size_t *room) {
    if (list->n == *room) {
        *room = *room == 0 ? 8 : *room * 2;
        struct yaml_node **items = ARENA_ARRAY(b->arena, struct yaml_node *, *room);
        if (list->n > 0)
            memcpy(items, list->items, list->n * sizeof(struct yaml_node *));
        list->items = items;
    }
    list->items[list->n++] = item;
}

static enum built build_list(struct builder *b, const yaml_event_t *event, unsigned depth, const struct key_path *path,
                             struct yaml_node **out) {
    struct yaml_node *list = node_new(b, YAML_LIST, event->start_mark), *item;
    struct anchor *anchor = anchor_begin(b, event->data.sequence_start.anchor);
    const yaml_char_t *tag = event->data.sequence_start.tag;
    size_t room = 0;
    enum built built;

    list->flow = event->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE;
    if (!count_node(b, list->where, path) || !check_depth(b, depth, list->where, path))
        return BUILT_NOTHING;
    if (tag != NULL && yaml_tag_of((const char *)tag) != TAG_SEQ)
        refuse_tag(b, tag, list->where, path, "a list");
    while ((built = build_node(b, depth + 1, path, &item)) == BUILT_NODE)
        list_add(b, list, item, &room);
    if (built == BUILT_NOTHING)
        return BUILT_NOTHING;
    anchor_end(anchor, list);
    *out = list;
    return BUILT_NODE;
}

/* Makes a key of what stands before the colon. NULL: it cannot be one (a problem was added). */
static struct yaml_node *make_key(struct builder *b, struct yaml_node *node, const struct key_path *path) {
    if (node->type == YAML_LIST || node->type == YAML_MAP) {
        PROBLEM(b, node->where, path, "a %s cannot be a key; a key is a single word%s",
                node->type == YAML_LIST ? "list" : "map",
                node->flow ? " (text that begins with [ or { needs quotes)" : "");
        return NULL;
    }
    if (node->text.n == 0) {
        PROBLEM(b, node->where, path, "a key is missing before the colon");
        return NULL;
    }
    node->type = YAML_SCALAR; /* a key named "null" or "~" is a name like others */
    return node;
}

static void add_pair(struct builder *b, struct yaml_map_build *m, struct yaml_node *key, struct yaml_node *value,
                     const struct key_path *path) {
    const struct yaml_node *first = yaml_map_add(b->arena, m, key, value);
    struct key_path here = {path, key->text};

    if (first == NULL)
        return;
    if (b->source->name == NULL)
        PROBLEM(b, key->where, &here, "the key %s stands here twice; once is allowed", yaml_short(b->arena, key->text));
    else
        PROBLEM(b, key->where, &here, "the key stands here a second time, the first is at %s; once is allowed",
                first->where);
}

static bool is_merge_key(const struct yaml_node *key) {
    return key->plain && str_eq(key->text, STR("<<"));
}

/* The pairs between the map's start and end. */
static enum built build_pairs(struct builder *b, unsigned depth, const struct key_path *path,
                              struct yaml_map_build *m) {
    struct yaml_node *key, *value, *merge = NULL;
    const char *merge_where = NULL;
    enum built built;

    while ((built = build_node(b, depth, path, &key)) == BUILT_NODE) {
        key = make_key(b, key, path);
        struct key_path below = {path, key == NULL ? STR("?") : key->text};
        built = build_node(b, depth, &below, &value);
        if (built != BUILT_NODE)
            return BUILT_NOTHING;
        if (key == NULL)
            continue;
        if (!is_merge_key(key)) {
            add_pair(b, m, key, value, path);
        } else if (merge == NULL) {
            merge = value;
            merge_where = key->where;
        } else {
            PROBLEM(b, key->where, &below,
                    "<< stands here a second time, the first is at %s; several maps are merged by a list: <<: [*a, *b]",
                    merge_where);
        }
    }
    if (built == BUILT_END && merge != NULL) {
        struct key_path below = {path, STR("<<")};
        yaml_map_merge(b->arena, m, merge, &below, b->problems);
    }
    return built;
}

static enum built build_map(struct builder *b, const yaml_event_t *event, unsigned depth, const struct key_path *path,
                            struct yaml_node **out) {
    struct yaml_node *map = node_new(b, YAML_MAP, event->start_mark);
    struct anchor *anchor = anchor_begin(b, event->data.mapping_start.anchor);
    const yaml_char_t *tag = event->data.mapping_start.tag;
    struct yaml_map_build m = {.pairs = NULL};

    map->flow = event->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE;
    if (!count_node(b, map->where, path) || !check_depth(b, depth, map->where, path))
        return BUILT_NOTHING;
    if (tag != NULL && yaml_tag_of((const char *)tag) != TAG_MAP)
        refuse_tag(b, tag, map->where, path, "a map");
    if (build_pairs(b, depth + 1, path, &m) == BUILT_NOTHING) {
        yaml_map_drop(&m);
        return BUILT_NOTHING;
    }
    yaml_map_finish(&m, map);
    anchor_end(anchor, map);
    *out = map;
    return BUILT_NODE;
}

/* depth: that of the node, the top has 1. */
static enum built build_node(struct builder *b, unsigned depth, const struct key_path *path, struct yaml_node **node) {
    yaml_event_t event;
    enum built built;

    if (!next_event(b, &event))
        return BUILT_NOTHING;
    switch (event.type) {
    case YAML_ALIAS_EVENT:
        built = build_alias(b, &event, depth, path, node);
        break;
    case YAML_SCALAR_EVENT:
        built = build_scalar(b, &event, path, node);
        break;
    case YAML_SEQUENCE_START_EVENT:
        built = build_list(b, &event, depth, path, node);
        break;
    case YAML_MAPPING_START_EVENT:
        built = build_map(b, &event, depth, path, node);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        built = BUILT_END;
        break;
    default:
        WRONG("libyaml: an event of the stream inside of a document");
    }
    yaml_event_delete(&event);
    return built;
}

/* ---- documents ------------------------------------------------------------------------------------------------- */

/* The next event of the stream: true for a document, whose start is judged here. */
static bool document_begins(struct builder *b, bool *ok, yaml_mark_t *mark) {
    yaml_event_t event;

    for (;;) {
        if (!next_event(b, &event)) {
            *ok = false;
            return false;
        }
        if (event.type != YAML_STREAM_START_EVENT && event.type != YAML_DOCUMENT_END_EVENT)
            break;
        yaml_event_delete(&event);
    }
    bool begins = event.type == YAML_DOCUMENT_START_EVENT;
    *mark = event.start_mark;
    if (begins && event.data.document_start.tag_directives.start != event.data.document_start.tag_directives.end)
        problem_add(b->problems, PROBLEM_ERROR, where_of(b, event.start_mark), "", "%%TAG lines are not allowed");
    yaml_event_delete(&event);
    return begins;
}

static struct yaml_node *build_stream(struct builder *b, bool *ok) {
    const struct key_path top = {NULL, STR("")};
    struct yaml_node *node = NULL;
    yaml_mark_t mark;

    if (!document_begins(b, ok, &mark))
        return NULL;
    if (build_node(b, 1, &top, &node) != BUILT_NODE) {
        *ok = false;
        return NULL;
    }
    if (document_begins(b, ok, &mark))
        problem_add(b->problems, PROBLEM_ERROR, where_of(b, mark), "",
                    "a second YAML document begins here; one file holds one: take the --- line away");
    return *ok ? node : NULL;
}

struct yaml_node *yaml_build(struct arena *a, const struct yaml_source *source, size_t *nodes,
                             struct problems *problems, bool *ok) {
    struct builder b = {.arena = a, .source = source, .problems = problems, .nodes = nodes};

    XXXAN(yaml_parser_initialize(&b.parser));
    /* Said beforehand, so that libyaml does not guess UTF-16 from the first bytes. */
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)source->text.p, source->text.n);
    *ok = true;
    struct yaml_node *top = build_stream(&b, ok);
    name_table_free(&b.anchors);
    yaml_parser_delete(&b.parser);
    return top;
}
