/* YAML as the way templates of JSON are written: with comments, without commas. */
#include "base/yaml.h"
#include "render/render_impl.h"

static void on_problem(void *arg, uint32_t line, uint32_t col, const char *sentence)
{
    struct err *e = arg;
    if (e->code == ERR_NONE)
        err_set(e, ERR_INTERNAL, "the template is no YAML at line %u, column %u: %s", line, col,
                sentence);
}

/* What plain text is: JSON's own words and numbers. */
static bool is_literal(struct slice s)
{
    const struct json_limits one = {.max_depth = 1, .max_nodes = 1};
    struct err ignored;
    return s.len && s.ptr[0] != '"' && json_validate(s, &one, &ignored);
}

static void write_scalar(struct buf *to, const struct yaml_node *node)
{
    if (yaml_is_null(node))
        buf_add_str(to, "null");
    else if (node->plain && is_literal(node->text))
        buf_add(to, node->text);
    else
        json_escape(to, node->text, 0);
}

static void new_line(struct buf *to, unsigned depth)
{
    buf_add_char(to, '\n');
    for (unsigned i = 0; i < depth; i++)
        buf_add_str(to, "  ");
}

#define SHORT_MAX 100 /* what is no longer stays on its line */

/* Lists and maps on one line. No deeper than YAML_MAX_DEPTH, which the parser holds. */
static void write_short(struct buf *to, const struct yaml_node *node)
{
    bool is_map = node->type == YAML_MAP;
    if (node->type == YAML_SCALAR) {
        write_scalar(to, node);
        return;
    }
    buf_add_char(to, is_map ? '{' : '[');
    for (const struct yaml_node *it = node->first; it; it = it->next) {
        if (it != node->first)
            buf_add_str(to, ", ");
        if (is_map) {
            json_escape(to, it->key->text, 0);
            buf_add_str(to, ": ");
        }
        write_short(to, it);
    }
    buf_add_char(to, is_map ? '}' : ']');
}

/* Whether it is short enough for one line, and then it is written. */
static bool try_short(struct buf *to, const struct yaml_node *node)
{
    size_t before = to->len;
    if (node->weight > SHORT_MAX / 2) /* so that many levels are not tried again and again */
        return false;
    write_short(to, node);
    if (!to->full && to->len - before <= SHORT_MAX)
        return true;
    buf_truncate(to, before);
    return false;
}

static void write_node(struct buf *to, const struct yaml_node *node, unsigned depth)
{
    if (node->type == YAML_SCALAR) {
        write_scalar(to, node);
        return;
    }
    if (depth > 0 && try_short(to, node))
        return;
    bool is_map = node->type == YAML_MAP;
    buf_add_char(to, is_map ? '{' : '[');
    for (const struct yaml_node *it = node->first; it; it = it->next) {
        if (it != node->first)
            buf_add_char(to, ',');
        new_line(to, depth + 1);
        if (is_map) {
            json_escape(to, it->key->text, 0);
            buf_add_str(to, ": ");
        }
        write_node(to, it, depth + 1);
    }
    if (node->first)
        new_line(to, depth);
    buf_add_char(to, is_map ? '}' : ']');
}

bool yaml_to_json(struct slice yaml, struct arena *a, struct buf *to, struct err *e)
{
    struct err problem = {0};
    if (yaml.len > YAML_MAX_BYTES)
        return err_set(e, ERR_MANIFEST, "the manifest is too large for this file");
    struct yaml_node *root = yaml_parse(yaml, a, (struct yaml_report){on_problem, &problem});
    if (!root || problem.code != ERR_NONE)
        return err_set(e, ERR_INTERNAL, "%s",
                       problem.code == ERR_NONE ? "the template holds nothing" : problem.msg);
    write_node(to, root, 0);
    buf_add_char(to, '\n');
    return true;
}
