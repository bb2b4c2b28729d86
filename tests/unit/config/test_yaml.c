/* The tree: scalars, marks, aliases, tags, documents, limits, and texts that are none. */
#include "yaml_fixture.h"

#include <time.h>

static void scalars_keep_their_text(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "v: 1.10\nq: '1'\nd: \"a\\tb\"\nl: |\n  one\n  two\nzip: 0123\non: yes\n"
                                         "hex: 0x1F\nspaces: a  b\nempty: ''\ntwo: a\n  b\n");

    assert_string_equal(tree(f, top), "{v: 1.10, q: '1', d: 'a\tb', l: 'one\ntwo\n', zip: 0123, on: yes, hex: 0x1F, "
                                      "spaces: a  b, empty: '', two: a b}");
    assert_string_equal(said(f), "");
    assert_int_equal(yaml_get(top, "empty")->type, YAML_SCALAR);
    assert_null(yaml_get(top, "nothing"));
    assert_null(yaml_get(yaml_get(top, "v"), "v"));
}

static void null_is_written_three_ways(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "a: null\nb: ~\nc:\nd: 'null'\ne: \"~\"\nf: NULL\ng: Null\nh: nULL\n");

    assert_string_equal(tree(f, top), "{a: null, b: null, c: null, d: 'null', e: '~', f: null, g: null, h: nULL}");
    assert_int_equal(yaml_get(top, "a")->type, YAML_NULL);
    assert_int_equal(yaml_get(top, "h")->type, YAML_SCALAR);
    assert_string_equal(said(f), "");
}

static void nodes_know_their_place(void **state) {
    struct fixture *f = *state;
    static const char text[] = "# é\nkey: värde\nlist:\n  - x\n  - {ä: y, z: }\n";
    assert_int_equal(mkdir("conf", 0700), 0);
    write_bytes("conf/a.yaml", text, strlen(text));
    struct yaml_node *top = yaml_load_file(f->arena, "conf/a.yaml", &f->problems);
    char origin[128];

    assert_non_null(top);
    assert_string_equal(said(f), "");
    assert_string_equal(top->where, "conf/a.yaml:2:1");
    assert_string_equal(top->pairs[0].value->where, "conf/a.yaml:2:6");
    assert_string_equal(top->pairs[0].value->file, "conf/a.yaml");
    (void)snprintf(origin, sizeof origin, "%s/conf", f->directory);
    assert_string_equal(top->pairs[0].value->origin, origin);
    const struct yaml_node *inner = top->pairs[1].value->items[1];
    assert_string_equal(inner->where, "conf/a.yaml:5:5");
    assert_true(inner->flow);
    assert_false(top->flow);
    assert_false(top->pairs[1].value->flow);
    assert_string_equal(inner->pairs[1].key->where, "conf/a.yaml:5:12"); /* characters, not bytes */
}

static void origin_follows_the_name(void **state) {
    struct fixture *f = *state;
    char path[128];

    assert_string_equal(load_text(f, "a: 1")->origin, f->directory);
    (void)snprintf(path, sizeof path, "%s/t.yaml", f->directory);
    struct yaml_node *top = yaml_load_file(f->arena, path, &f->problems);
    assert_string_equal(top->origin, f->directory);
    assert_string_equal(top->file, path);
    /* a symbolic link: where the name is, not where the file is */
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(symlink("../t.yaml", "d/l.yaml"), 0);
    (void)snprintf(path, sizeof path, "%s/d", f->directory);
    assert_string_equal(yaml_load_file(f->arena, "d/l.yaml", &f->problems)->origin, path);
    assert_string_equal(said(f), "");
}

static void empty_files_are_empty_maps(void **state) {
    struct fixture *f = *state;
    static const char *const texts[] = {"", "\n\n", "# only a comment\n", "---\n", "--- ~\n...\n", "null"};

    for (size_t i = 0; i < ARRAY_LENGTH(texts); i++) {
        struct yaml_node *top = load_text(f, texts[i]);
        assert_string_equal(tree(f, top), "{}");
        assert_int_equal(top->type, YAML_MAP);
        assert_string_equal(top->file, "t.yaml");
        assert_string_equal(top->origin, f->directory);
        assert_string_equal(said(f), "");
    }
}

static void byte_order_mark_is_skipped(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "\xef\xbb\xbf"
                                         "a: 1\n");

    assert_string_equal(top->pairs[0].key->text.p, "a");
    assert_string_equal(top->pairs[0].key->where, "t.yaml:1:1");
    assert_string_equal(said(f), "");
}

static void aliases_are_copies(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "a: &a {k: [1, 2]}\nb: *a\nc: &s text\nd: [*s, *a]\n*s : key\nn: &n\nm: *n\n");
    struct yaml_node *a = yaml_get(top, "a"), *b = yaml_get(top, "b");

    assert_string_equal(tree(f, top), "{a: {k: [1, 2]}, b: {k: [1, 2]}, c: text, d: [text, {k: [1, 2]}], text: key, "
                                      "n: null, m: null}");
    assert_string_equal(said(f), "");
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(a->pairs[0].value, b->pairs[0].value);
    assert_ptr_not_equal(a->pairs[0].value->items[0], b->pairs[0].value->items[0]);
    assert_string_equal(b->pairs[0].value->items[0]->where, "t.yaml:1:12");
}

static void latest_anchor_of_a_name_counts(void **state) {
    struct fixture *f = *state;

    assert_string_equal(tree(f, load_text(f, "a: &x 1\nb: *x\nc: &x 2\nd: *x\ne: &x [&x 3, *x]\nf: *x\n")),
                        "{a: 1, b: 1, c: 2, d: 2, e: [3, 3], f: 3}");
    assert_string_equal(said(f), "");
}

static void wrong_aliases(void **state) {
    struct fixture *f = *state;

    assert_string_equal(tree(f, load_text(f, "a: &a [1, *a]\nb: *nope\nc: *later\nd: &later 1\n")),
                        "{a: [1, null], b: null, c: null, d: 1}");
    assert_int_equal(f->problems.errors, 3);
    const char *text = said(f);
    assert_contains(text, "t.yaml:1:11: a: the alias *a stands inside of what it stands for");
    assert_contains(text, "t.yaml:2:4: b: the alias *nope has no anchor &nope before it");
    assert_contains(text, "\"*nope\"");
    assert_contains(text, "t.yaml:3:4: c: the alias *later has no anchor");
}

static void duplicate_keys_name_both_places(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "apps:\n  s:\n    dir: a\n    'dir': b\nlog: {level: x, level: y}\napps: 1\n");

    assert_string_equal(tree(f, top), "{apps: {s: {dir: a}}, log: {level: x}}");
    assert_string_equal(
        said(f), "t.yaml:4:5: apps.s.dir: the key stands here a second time, the first is at t.yaml:3:5; once is "
                 "allowed\n"
                 "t.yaml:5:17: log.level: the key stands here a second time, the first is at t.yaml:5:7; once is "
                 "allowed\n"
                 "t.yaml:6:1: apps: the key stands here a second time, the first is at t.yaml:1:1; once is "
                 "allowed\n");
}

static void keys_are_scalars(void **state) {
    struct fixture *f = *state;

    assert_string_equal(tree(f, load_text(f, "? [a]\n: 1\n? {b: c}\n: 2\nok: 3\nnull: 4\n~: 5\n1: 6\n")),
                        "{ok: 3, null: 4, ~: 5, 1: 6}");
    const char *text = said(f);
    assert_contains(text, "t.yaml:1:3: a list cannot be a key");
    assert_contains(text, "t.yaml:3:3: a map cannot be a key");
    load_text(f, "a:\n  ?\n  : b\n");
    assert_string_equal(said(f), "t.yaml:2:4: a: a key is missing before the colon\n");
    load_text(f, "{socket}: x\n");
    assert_contains(said(f), "t.yaml:1:1: a map cannot be a key; a key is a single word (text that begins with [ or {");
}

static void core_tags_only(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "a: !!str 5\nb: !!int '7'\nc: !!null ''\nd: !!seq [1]\ne: !!map {x: 1}\n"
                                         "f: ! 5\ng: !!bool yes\nh: !!str\ni: !<tag:yaml.org,2002:str> 8\n");

    assert_string_equal(tree(f, top), "{a: '5', b: 7, c: null, d: [1], e: {x: 1}, f: '5', g: yes, h: '', i: '8'}");
    assert_string_equal(said(f), "");
    load_text(f, "a: !foo x\nb: !!binary x\nc: !!map x\nd: !!str [x]\ne: !!seq {x: 1}\nf: !!null x\ng: !env X\n");
    assert_int_equal(f->problems.errors, 7);
    const char *text = said(f);
    assert_contains(text, "t.yaml:1:4: a: the tag !foo is not known; allowed are !!str, !!int");
    assert_contains(text, "t.yaml:2:4: b: the tag !!binary is not known");
    assert_contains(text, "t.yaml:3:4: c: the tag !!map does not fit a single value");
    assert_contains(text, "t.yaml:4:4: d: the tag !!str does not fit a list");
    assert_contains(text, "t.yaml:5:4: e: the tag !!seq does not fit a map");
    assert_contains(text, "t.yaml:6:4: f: the tag !!null does not fit");
    load_text(f, "%TAG !x! tag:example.com,2000:\n---\na: !x!y 1\n");
    assert_contains(said(f), "%TAG lines are not allowed");
}

static void one_document_a_file(void **state) {
    struct fixture *f = *state;

    assert_string_equal(tree(f, load_text(f, "%YAML 1.2\n---\na: 1\n...\n# end\n")), "{a: 1}");
    assert_string_equal(said(f), "");
    (void)load_text(f, "a: 1\n---\nb: 2\n");
    assert_contains(said(f), "t.yaml:2:1: a second YAML document begins here; one file holds one");
    (void)load_text(f, "a: 1\n---\n");
    assert_contains(said(f), "t.yaml:2:1: a second YAML document");
}

static void the_top_is_a_map(void **state) {
    struct fixture *f = *state;

    assert_null(load_text(f, "\nlisten:3838\n"));
    assert_string_equal(said(f), "t.yaml:2:1: the file must hold `key: value` lines; a space is missing after the "
                                 "colon\n");
    assert_null(load_text(f, "- a\n"));
    assert_contains(said(f), "t.yaml:1:1: the file must hold `key: value` lines; a line that begins with -");
}

static void bytes_that_are_no_text(void **state) {
    struct fixture *f = *state;
    static const struct {
        struct str bytes;
        const char *problem;
    } cases[] = {
        {STR("a: b\nc: \xff\n"), "t.yaml:2:4: this is not UTF-8 text"},
        {STR("a: \xc0\xaf\n"), "t.yaml:1:4: this is not UTF-8"}, /* longer than it need be */
        {STR("a: \xe0\x80\xaf\n"), "t.yaml:1:4: this is not UTF-8"},
        {STR("a: \xed\xa0\x80\n"), "t.yaml:1:4: this is not UTF-8"},     /* a surrogate */
        {STR("a: \xf4\x90\x80\x80\n"), "t.yaml:1:4: this is not UTF-8"}, /* beyond U+10FFFF */
        {STR("a: \xc3"), "t.yaml:1:4: this is not UTF-8"},
        {STR("a: \xe2\x82"), "t.yaml:1:4: this is not UTF-8"},
        {STR("# \xc3\xa4\xc3\xa4 \xe4\n"), "t.yaml:1:6: this is not UTF-8"},
        {STR("a: b\n\0c: d\n"), "t.yaml:2:1: a NUL byte"},
        {STR("a: \x1b[0m\n"), "t.yaml:1:4: a control character"},
        {STR("a: b\r\nc: \x7f\r\n"), "t.yaml:2:4: a control character"},
        {STR("a: \xc2\x80\n"), "t.yaml:1:4: a control character"},
        {STR("a: \xef\xbf\xbf\n"), "t.yaml:1:4: a character that is none"},
        {STR("a: \xef\xbb\xbf\n"), "t.yaml:1:4: a byte order mark in the middle"},
        {STR("\xff\xfe"
             "a\0:\0"),
         "t.yaml:1:1: this is UTF-16 text; save the file in the encoding UTF-8"},
        {STR("\xfe\xff\0a\0:"), "t.yaml:1:1: this is UTF-16 text"},
    };
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        write_bytes("t.yaml", cases[i].bytes.p, cases[i].bytes.n);
        assert_null(yaml_load_file(f->arena, "t.yaml", &f->problems));
        assert_int_equal(f->problems.errors, 1);
        assert_contains(said(f), cases[i].problem);
    }
    assert_non_null(load_text(f, "a: \"\\0x\"\n"));
    assert_contains(said(f), "t.yaml:1:4: a: the text holds a NUL character");
    assert_string_equal(tree(f, load_text(f, "a: \xf0\x9f\x9a\xb0 \xe2\x82\xac \xed\x9f\xbf \xee\x80\x80\n")),
                        "{a: \xf0\x9f\x9a\xb0 \xe2\x82\xac \xed\x9f\xbf \xee\x80\x80}");
    assert_string_equal(said(f), "");
}

static char *repeat(struct fixture *f, const char *unit, size_t total) {
    size_t n = strlen(unit), at = 0;
    char *text = arena_bytes(f->arena, total + 1);

    for (; at + n <= total; at += n)
        memcpy(text + at, unit, n);
    text[at] = '\0';
    return text;
}

/* libyaml needs 9.5 s for 60,000 brackets when it is let. */
static void a_million_brackets_end_at_once(void **state) {
    struct fixture *f = *state;
    static const char *const units[] = {"[",     "{",   "- ",  "? ",   "[\n", "{a: ", "[{",    "[a: ", "[? ",
                                        ": ",    "!",   "&a ", "*a ",  "%",   "\"",   "'",     "|",    "\t",
                                        "---\n", "!a ", "[,",  "- [ ", "a: ", "a:\n", "{? [ ", "- - ", "\"a\": "};
    struct timespec start, end;

    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(units); i++) {
        (void)load_text(f, repeat(f, units[i], YAML_FILE_SIZE_MAX));
        if (f->problems.errors == 0)
            fail_msg("%s repeated is accepted", units[i]);
        (void)said(f);
    }
    assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end), 0);
    /* Tens of milliseconds each at the very most; seconds only when something is quadratic. */
    if (end.tv_sec - start.tv_sec > 20)
        fail_msg("%ld seconds of CPU", (long)(end.tv_sec - start.tv_sec));
}

static void depth_is_limited(void **state) {
    struct fixture *f = *state;
    char text[300];

    (void)snprintf(text, sizeof text, "a: %.63s%.63s\n", repeat(f, "[", 63), repeat(f, "]", 63));
    assert_non_null(load_text(f, text)); /* with the top map: 64 */
    assert_string_equal(said(f), "");
    (void)snprintf(text, sizeof text, "a: %.64s%.64s\n", repeat(f, "[", 64), repeat(f, "]", 64));
    assert_null(load_text(f, text));
    assert_string_equal(said(f), "t.yaml:1:67: a: nested too deeply: 64 levels of lists and maps are allowed\n");
    /* through aliases as well */
    (void)snprintf(text, sizeof text, "a: &a %.40s%.40s\nb: %.40s*a%.40s\n", repeat(f, "[", 40), repeat(f, "]", 40),
                   repeat(f, "[", 40), repeat(f, "]", 40));
    assert_null(load_text(f, text));
    assert_string_equal(said(f), "t.yaml:2:44: b: nested too deeply: 64 levels of lists and maps are allowed\n");
}

static void nodes_are_limited(void **state) {
    struct fixture *f = *state;
    struct buf text = {.data = NULL};

    /* 1 map + 1 key + 1 list + 99,997 items */
    buf_append(&text, STR("a: ["));
    for (size_t i = 0; i < YAML_NODES_MAX - 3; i++)
        buf_append(&text, STR("x,"));
    buf_append(&text, STR("]\n"));
    write_bytes("t.yaml", buf_str(&text).p, buf_length(&text));
    assert_non_null(yaml_load_file(f->arena, "t.yaml", &f->problems));
    assert_string_equal(said(f), "");
    buf_append(&text, STR("b: 1\n"));
    write_bytes("t.yaml", buf_str(&text).p, buf_length(&text));
    assert_null(yaml_load_file(f->arena, "t.yaml", &f->problems));
    assert_contains(said(f), "t.yaml:2:1: too many values: 100000 are allowed");
    buf_free(&text);
}

static void billion_laughs(void **state) {
    struct fixture *f = *state;

    assert_null(load_text(f, "a: &a [l,l,l,l,l,l,l,l,l]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                             "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
                             "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
                             "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\n"));
    assert_contains(said(f), "too many values: 100000 are allowed in all, and each use of an alias counts again");
    assert_true(arena_size(f->arena) < (size_t)64 * 1024 * 1024);
}

static void a_forgotten_quote_can_be_seen(void **state) {
    struct fixture *f = *state;
    struct yaml_node *top = load_text(f, "c: [python3, {socket}]\nd: {socket}\ne: {socket: ~}\nf: {a: b}\ng: {}\n"
                                         "h: {a, b}\ni:\n  socket:\n");

    assert_true(yaml_is_unquoted_brace(yaml_get(top, "c")->items[1]));
    assert_true(yaml_is_unquoted_brace(yaml_get(top, "d")));
    assert_false(yaml_is_unquoted_brace(yaml_get(top, "c")->items[0]));
    assert_false(yaml_is_unquoted_brace(yaml_get(top, "e")));
    assert_false(yaml_is_unquoted_brace(yaml_get(top, "f")));
    assert_false(yaml_is_unquoted_brace(yaml_get(top, "g")));
    assert_false(yaml_is_unquoted_brace(yaml_get(top, "h")));
    assert_false(yaml_is_unquoted_brace(yaml_get(top, "i")));
}

static void files_that_cannot_be_read(void **state) {
    struct fixture *f = *state;

    assert_null(yaml_load_file(f->arena, "no.yaml", &f->problems));
    assert_string_equal(said(f), "no.yaml: does not exist\n");
    assert_int_equal(mkdir("d.yaml", 0700), 0);
    assert_null(yaml_load_file(f->arena, "d.yaml", &f->problems));
    assert_string_equal(said(f), "d.yaml: is a directory, not a file\n");
    assert_int_equal(mkfifo("p.yaml", 0600), 0);
    assert_null(yaml_load_file(f->arena, "p.yaml", &f->problems));
    assert_string_equal(said(f), "p.yaml: is a pipe, not a regular file\n");
    assert_null(load_text(f, repeat(f, "#", YAML_FILE_SIZE_MAX + 1)));
    assert_string_equal(said(f), "t.yaml: is larger than 1MiB, the most that is read\n");
    assert_non_null(load_text(f, repeat(f, "#", YAML_FILE_SIZE_MAX)));
    assert_string_equal(said(f), "");
}

static struct yaml_node *parse(struct fixture *f, const char *text) {
    return yaml_parse_value(f->arena, text, "flag --set", "/start", &f->problems);
}

static void values_of_flags(void **state) {
    struct fixture *f = *state;
    struct yaml_node *node = parse(f, "[a, 'b', {c: 1}]");

    assert_string_equal(tree(f, node), "[a, 'b', {c: 1}]");
    assert_string_equal(node->items[2]->pairs[0].value->where, "flag --set");
    assert_string_equal(node->items[0]->origin, "/start");
    assert_null(node->file);
    assert_string_equal(tree(f, parse(f, " {a: b} ")), "{a: b}");
    /* everything else is one plain scalar, character for character */
    static const char *const plain[] = {"[::1]:80", "a: b", "- x", "'q'", "*x",  "# no comment",
                                        " 4 ",      "{a",   "]",   "@",   "a\nb"};
    for (size_t i = 0; i < ARRAY_LENGTH(plain); i++) {
        node = parse(f, plain[i]);
        assert_int_equal(node->type, YAML_SCALAR);
        assert_true(node->plain);
        assert_string_equal(node->text.p, plain[i]);
        assert_string_equal(node->where, "flag --set");
    }
    assert_int_equal(parse(f, "")->type, YAML_NULL);
    assert_int_equal(parse(f, "~")->type, YAML_NULL);
    assert_int_equal(parse(f, "null")->type, YAML_NULL);
    assert_string_equal(said(f), "");
    assert_null(parse(f, "[a, b: c: d]"));
    assert_contains(said(f), "flag --set: a comma or ] is missing in the list that begins at character 1");
    assert_null(parse(f, "[${X}]"));
    assert_contains(said(f), "flag --set: ${…} inside of [ ] or { } needs quotes: \"${…}\" (at character 2)");
    assert_null(parse(f, "[\xff]"));
    assert_contains(said(f), "flag --set: this is not UTF-8");
    assert_non_null(parse(f, "{a: 1, a: 2}"));
    assert_contains(said(f), "flag --set: a: the key a stands here twice");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(scalars_keep_their_text),
        FIXTURE_TEST(null_is_written_three_ways),
        FIXTURE_TEST(nodes_know_their_place),
        FIXTURE_TEST(origin_follows_the_name),
        FIXTURE_TEST(empty_files_are_empty_maps),
        FIXTURE_TEST(byte_order_mark_is_skipped),
        FIXTURE_TEST(aliases_are_copies),
        FIXTURE_TEST(latest_anchor_of_a_name_counts),
        FIXTURE_TEST(wrong_aliases),
        FIXTURE_TEST(duplicate_keys_name_both_places),
        FIXTURE_TEST(keys_are_scalars),
        FIXTURE_TEST(core_tags_only),
        FIXTURE_TEST(one_document_a_file),
        FIXTURE_TEST(the_top_is_a_map),
        FIXTURE_TEST(bytes_that_are_no_text),
        FIXTURE_TEST(a_million_brackets_end_at_once),
        FIXTURE_TEST(depth_is_limited),
        FIXTURE_TEST(nodes_are_limited),
        FIXTURE_TEST(billion_laughs),
        FIXTURE_TEST(a_forgotten_quote_can_be_seen),
        FIXTURE_TEST(files_that_cannot_be_read),
        FIXTURE_TEST(values_of_flags),
    };
    return cmocka_run_group_tests_name("config/yaml", tests, NULL, NULL);
}
