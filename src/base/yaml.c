/* The tree builder over libyaml's events, and the sentences for what libyaml objects to. */
#include "base/yaml.h"
#include "base/err.h"
#include "base/map.h"
#include "base/utf8.h"

#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define CORE_TAGS "tag:yaml.org,2002:"

/* An open list or map. */
struct level {
    struct yaml_node *node, *last;
    struct yaml_node *key; /* of a map: read, its value not yet */
    struct slice anchor;
    struct map keys; /* of a map: scalar text to the key's node */
};

struct builder {
    struct arena *a;
    struct slice text;
    struct yaml_report report;
    struct level levels[YAML_MAX_DEPTH];
    int depth;
    uint32_t nodes;
    struct yaml_node *root;
    struct map anchors;
    unsigned documents;
};

/* libyaml names its errors only by text. What is not listed is passed on as it is. */
static const struct {
    const char *theirs, *ours;
} sentences[] = {
    {"mapping values are not allowed in this context",
     "a `:` cannot stand here; put a value that contains `: ` in quotes, or check the indentation"},
    {"did not find expected key",
     "this line does not fit the block it is in; check its indentation"},
    {"did not find expected '-' indicator",
     "this line does not fit the list it is in; start it with `- ` or check its indentation"},
    {"could not find expected ':'", "a key without a `:`; write `key: value`"},
    {"found unexpected end of stream", "a quote is never closed; end it before the file ends"},
    {"found unexpected document indicator", "a quote is never closed; end it before the `---`"},
    {"did not find expected ',' or ']'",
     "a list in brackets is not closed; separate its values with `,` and end it with `]`"},
    {"did not find expected ',' or '}'",
     "a map in braces is not closed; separate its entries with `,` and end it with `}`"},
    {"did not find expected node content", "a value is missing here; write one"},
    {"found unknown escape character",
     "this backslash sequence is unknown; use single quotes for text with backslashes"},
    {"block sequence entries are not allowed in this context",
     "a list cannot start here; put it on lines of its own below the key"},
    {"found character that cannot start any token",
     "this character cannot start a value; put the value in quotes"},
    {"control characters are not allowed",
     "there is a control character here; remove it or write it as an escape in double quotes"},
};

static bool fail_at(struct builder *b, yaml_mark_t mark, const char *sentence)
{
    b->report.fn(b->report.arg, (uint32_t)mark.line + 1, (uint32_t)mark.column + 1, sentence);
    return false;
}

/* ---- before libyaml sees it --------------------------------------------------------------------
 */

/* Bytes that are not text, and directives: their handles are searched in quadratic time. */
static bool scan_bytes(struct builder *b)
{
    yaml_mark_t at = {0};
    struct slice rest = b->text;
    while (rest.len) {
        if (rest.ptr[0] == '\0')
            return fail_at(b, at, "this is a binary file (it holds a zero byte); YAML is text");
        if (rest.ptr[0] == '%' && at.column == 0)
            return fail_at(b, at,
                           "a line starting with `%` is a YAML directive, which is not "
                           "used here; remove it or indent the line");
        size_t n = utf8_length(rest);
        if (n == 0)
            return fail_at(b, at, "this is not UTF-8; save the file as UTF-8 text");
        at.column++;
        if (rest.ptr[0] == '\n')
            at.line++, at.column = 0;
        rest = slice_skip(rest, n);
    }
    return true;
}

/* ---- the tree
 * ------------------------------------------------------------------------------------ */

static struct yaml_node *node_new(struct builder *b, enum yaml_type type, yaml_mark_t mark)
{
    struct yaml_node *node = arena_new(b->a, struct yaml_node);
    node->type = type;
    node->line = (uint32_t)mark.line + 1;
    node->col = (uint32_t)mark.column + 1;
    node->weight = 1;
    return node;
}

static bool count_nodes(struct builder *b, uint32_t n, yaml_mark_t mark)
{
    if (n > YAML_MAX_NODES - b->nodes)
        return fail_at(b, mark,
                       "more than 20,000 values (aliases count each time they are used); "
                       "make the file smaller");
    b->nodes += n;
    return true;
}

static bool take_key(struct builder *b, struct level *top, struct yaml_node *key, yaml_mark_t mark)
{
    if (key->type != YAML_SCALAR)
        return fail_at(b, mark, "a key must be a simple word, not a list or a map");
    if (key->plain && slice_is(key->text, "<<"))
        return fail_at(b, mark, "merge keys (`<<`) are not supported; write the keys out");
    top->key = key;
    return true;
}

static void report_duplicate(struct builder *b, struct yaml_node *key, struct yaml_node *first)
{
    char text[240];
    int n = key->text.len > 80 ? 80 : (int)key->text.len;
    snprintf(text, sizeof text,
             "`%.*s` stands here for the second time, first in line %u; "
             "keep one of them",
             n, key->text.ptr, first->line);
    b->report.fn(b->report.arg, key->line, key->col, text);
}

static void add_entry(struct builder *b, struct level *top, struct yaml_node *node)
{
    if (top->node->type == YAML_MAP) {
        struct yaml_node *first = map_find(&top->keys, top->key->text);
        node->key = top->key;
        top->key = NULL;
        if (first) {
            report_duplicate(b, node->key, first);
            return;
        }
        map_put(&top->keys, node->key->text, node->key);
        top->node->weight += node->key->weight;
    }
    *(top->last ? &top->last->next : &top->node->first) = node;
    top->last = node;
    top->node->n++;
    top->node->weight += node->weight;
}

/* A finished value: the root, a key, or an entry of the innermost list or map. */
static bool add_node(struct builder *b, struct yaml_node *node, yaml_mark_t mark)
{
    if (b->depth == 0) {
        b->root = node;
        return true;
    }
    struct level *top = &b->levels[b->depth - 1];
    if (top->node->type == YAML_MAP && !top->key)
        return take_key(b, top, node, mark);
    add_entry(b, top, node);
    return true;
}

static bool check_tag(struct builder *b, const yaml_char_t *tag, yaml_mark_t mark)
{
    static const char *const core[] = {"str", "int", "bool", "float", "null", "map", "seq"};
    const char *s = (const char *)tag;
    if (!s || strcmp(s, "!") == 0)
        return true;
    bool is_theirs = strncmp(s, CORE_TAGS, sizeof CORE_TAGS - 1) == 0;
    for (size_t i = 0; is_theirs && i < sizeof core / sizeof *core; i++) {
        if (strcmp(s + sizeof CORE_TAGS - 1, core[i]) == 0)
            return true;
    }
    return fail_at(b, mark, "tags (`!name`) are not used here; remove it");
}

static struct slice copy(struct builder *b, const yaml_char_t *s)
{
    return s ? arena_dup(b->a, slice_from((const char *)s)) : (struct slice){"", 0};
}

static void remember(struct builder *b, struct slice anchor, struct yaml_node *node)
{
    if (anchor.len)
        map_put(&b->anchors, anchor, node);
}

static bool on_scalar(struct builder *b, const yaml_event_t *ev)
{
    if (!check_tag(b, ev->data.scalar.tag, ev->start_mark) || !count_nodes(b, 1, ev->start_mark))
        return false;
    struct yaml_node *node = node_new(b, YAML_SCALAR, ev->start_mark);
    struct slice value = {(const char *)ev->data.scalar.value, ev->data.scalar.length};
    if (slice_index(value, '\0') >= 0)
        return fail_at(b, ev->start_mark, "a value cannot hold a zero byte; remove the `\\0`");
    node->text = arena_dup(b->a, value);
    /* A tag of any kind but !!str leaves the decision to the reader of the tree. */
    const char *tag = (const char *)ev->data.scalar.tag;
    node->plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                  !(tag && (strcmp(tag, "!") == 0 || strcmp(tag, CORE_TAGS "str") == 0));
    remember(b, copy(b, ev->data.scalar.anchor), node);
    return add_node(b, node, ev->start_mark);
}

static bool on_open(struct builder *b, enum yaml_type type, const yaml_char_t *tag,
                    const yaml_char_t *anchor, yaml_mark_t mark)
{
    if (!check_tag(b, tag, mark) || !count_nodes(b, 1, mark))
        return false;
    if (b->depth == YAML_MAX_DEPTH)
        return fail_at(b, mark, "lists and maps are nested more than 64 deep; flatten them");
    struct level *level = &b->levels[b->depth++];
    *level = (struct level){.node = node_new(b, type, mark), .anchor = copy(b, anchor)};
    map_init(&level->keys);
    return true;
}

static bool on_close(struct builder *b, const yaml_event_t *ev)
{
    struct level *level = &b->levels[--b->depth];
    map_done(&level->keys);
    /* Known only now: an alias inside its own anchor finds nothing, so there are no loops. */
    remember(b, level->anchor, level->node);
    yaml_mark_t mark = ev->start_mark;
    mark.line = level->node->line - 1;
    mark.column = level->node->col - 1;
    return add_node(b, level->node, mark);
}

/* The alias's node is a copy that shares its children: a bomb costs its count, not its size. */
static bool on_alias(struct builder *b, const yaml_event_t *ev)
{
    struct slice name = slice_from((const char *)ev->data.alias.anchor);
    const struct yaml_node *target = map_find(&b->anchors, name);
    if (!target) {
        char text[240];
        snprintf(text, sizeof text,
                 "`*%.40s` refers to nothing; put `&%.40s` before the value it "
                 "should repeat, or quote a text that starts with `*`",
                 name.ptr, name.ptr);
        return fail_at(b, ev->start_mark, text);
    }
    if (!count_nodes(b, target->weight, ev->start_mark))
        return false;
    struct yaml_node *node = node_new(b, target->type, ev->start_mark);
    uint32_t line = node->line, col = node->col;
    *node = *target;
    node->line = line, node->col = col;
    node->key = node->next = NULL;
    return add_node(b, node, ev->start_mark);
}

static bool on_document(struct builder *b, const yaml_event_t *ev)
{
    if (b->documents++ == 0)
        return true;
    return fail_at(b, ev->start_mark,
                   "a second document starts here (`---`); one file is one "
                   "document");
}

static bool on_event(struct builder *b, const yaml_event_t *ev)
{
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        return on_document(b, ev);
    case YAML_SCALAR_EVENT:
        return on_scalar(b, ev);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(b, YAML_LIST, ev->data.sequence_start.tag, ev->data.sequence_start.anchor,
                       ev->start_mark);
    case YAML_MAPPING_START_EVENT:
        return on_open(b, YAML_MAP, ev->data.mapping_start.tag, ev->data.mapping_start.anchor,
                       ev->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(b, ev);
    case YAML_ALIAS_EVENT:
        return on_alias(b, ev);
    default:
        return true;
    }
}

/* ---- what libyaml refused
 * -------------------------------------------------------------------------- */

static struct slice line_of(struct slice text, size_t line)
{
    struct slice row = {"", 0};
    for (size_t i = 0; i <= line; i++) {
        if (!slice_cut(&text, '\n', &row))
            return (struct slice){"", 0};
    }
    return row;
}

static bool is_indented_by_tab(struct slice row)
{
    size_t n = 0;
    while (n < row.len && row.ptr[n] == ' ')
        n++;
    return n < row.len && row.ptr[n] == '\t';
}

static bool report_syntax(struct builder *b, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "this is not YAML";
    yaml_mark_t mark = parser->problem_mark;
    if (is_indented_by_tab(line_of(b->text, mark.line)))
        return fail_at(b, mark, "this line is indented with a tab; YAML wants spaces");
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
        if (strcmp(sentences[i].theirs, problem) == 0) {
            /* An open quote or bracket is best shown where it was opened. */
            bool opened = parser->context && strstr(sentences[i].ours, "closed");
            return fail_at(b, opened ? parser->context_mark : mark, sentences[i].ours);
        }
    }
    char text[240];
    snprintf(text, sizeof text, "%s", problem);
    return fail_at(b, mark, text);
}

static bool build(struct builder *b, yaml_parser_t *parser)
{
    for (;;) {
        yaml_event_t ev;
        if (!yaml_parser_parse(parser, &ev))
            return report_syntax(b, parser);
        bool ok = on_event(b, &ev);
        bool is_end = ev.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
        if (!ok || is_end)
            return ok;
    }
}

struct yaml_node *yaml_parse(struct slice text, struct arena *a, struct yaml_report report)
{
    struct builder b = {.a = a, .text = text, .report = report};
    yaml_mark_t start = {0};
    if (text.len > YAML_MAX_BYTES) {
        fail_at(&b, start, "the file is larger than 1 MB");
        return NULL;
    }
    if (!scan_bytes(&b))
        return NULL;
    yaml_parser_t parser;
    must(yaml_parser_initialize(&parser));
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    map_init(&b.anchors);
    bool ok = build(&b, &parser);
    for (int i = 0; i < b.depth; i++)
        map_done(&b.levels[i].keys);
    map_done(&b.anchors);
    yaml_parser_delete(&parser);
    if (ok && !b.root)
        fail_at(&b, start, "the file is empty");
    return ok ? b.root : NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    return node->type == YAML_SCALAR && node->plain &&
           (node->text.len == 0 || slice_is(node->text, "~") || slice_is(node->text, "null"));
}
