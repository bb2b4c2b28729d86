/*
 * Where the control socket is, for `faucet status` and its kind: they must
 * find a running daemon also while somebody is half-way through editing its
 * file, so everything that is wrong but `control:` itself is overlooked.
 */
#include "base/environ.h"
#include "config/alias.h"
#include "config/file_read.h"
#include "config/setting.h"

/* A file that is no YAML any more: the line that begins with "control:" says it all the same. */
static struct yaml_node *scan_file(struct arena *a, const char *path, const char *origin) {
    struct str text, line;
    const char *why;

    if (!file_read_stable(a, path, YAML_FILE_SIZE_MAX, &text, &why))
        return NULL;
    for (; text.n > 0; text = str_from(text, line.n + 1)) {
        line = str_make(text.p, str_chr(text, '\n'));
        if (!str_starts(line, STR("control:")))
            continue;
        struct str value = str_from(line, strlen("control:"));
        for (size_t i = 0; i + 1 < value.n; i++)
            if (value.p[i] == ' ' && value.p[i + 1] == '#')
                value.n = i;
        if (value.n > 0 && value.p[value.n - 1] == '\r')
            value.n--;
        value = str_trim(value);
        if (value.n >= 2 && (value.p[0] == '"' || value.p[0] == '\'') && value.p[value.n - 1] == value.p[0])
            value = str_make(value.p + 1, value.n - 2);
        struct yaml_node *node = ARENA_NEW(a, struct yaml_node);
        *node = (struct yaml_node){.type = YAML_SCALAR, .where = "", .origin = origin, .text = arena_str(a, value)};
        return node;
    }
    return NULL;
}

static const char *directory_of(struct arena *a, const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? "." : arena_str(a, str_make(path, slash == path ? 1 : (size_t)(slash - path))).p;
}

static struct yaml_node *from_file(const struct config_sources *sources, struct arena *a, struct problems *problems) {
    if (sources->file == NULL)
        return NULL;

    struct yaml_node *top = yaml_load_file(a, sources->file, problems), *node;
    if (top != NULL)
        node = yaml_get(top, "control");
    else
        node = scan_file(a, sources->file, directory_of(a, sources->file));
    if (node != NULL)
        yaml_interpolate(a, node, sources->environ_, NULL, problems);
    return node;
}

/* Text of the last flag or of the variable; NULL: none. */
static const char *from_command_line(const struct config_sources *sources) {
    for (size_t i = sources->flag_count; i > 0; i--)
        if (strcmp(sources->flags[i - 1].key, "control") == 0)
            return sources->flags[i - 1].value;
    return environ_nonempty(sources->environ_, STR("FAUCET_CONTROL"));
}

const char *config_control_address(const struct config_sources *sources, struct arena *a) {
    const char *text = from_command_line(sources);
    struct yaml_node given, *node = &given;
    struct problems problems;
    struct str address = STR_NONE;

    problems_init(&problems);
    if (text != NULL)
        given = (struct yaml_node){
            .type = YAML_SCALAR, .where = "", .origin = sources->start_dir, .text = arena_str(a, str_of(text))};
    else
        node = from_file(sources, a, &problems);
    struct setting_parse parse = {
        .arena = a, .setting = setting_find(STR("control"), false), .key = "control", .problems = &problems};
    if (node == NULL || node->type != YAML_SCALAR || !str_starts(node->text, STR("unix:")) ||
        !parse.setting->type->parse(&parse, node, &address))
        address = STR_NONE;
    problems_free(&problems);
    return address.p;
}
