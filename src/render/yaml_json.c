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

static void write_scalar(struct json_writer *w, const struct yaml_node *node)
{
    if (yaml_is_null(node))
        json_write_null(w);
    else if (node->plain && is_literal(node->text))
        json_write_raw(w, node->text);
    else
        json_write_str(w, node->text);
}

/* No deeper than YAML_MAX_DEPTH, which the parser holds. */
static void write_node(struct json_writer *w, const struct yaml_node *node)
{
    if (node->type == YAML_SCALAR) {
        write_scalar(w, node);
        return;
    }
    bool is_map = node->type == YAML_MAP;
    if (is_map)
        json_write_object(w);
    else
        json_write_array(w);
    for (const struct yaml_node *it = node->first; it; it = it->next) {
        if (is_map)
            json_write_key(w, it->key->text);
        write_node(w, it);
    }
    if (is_map)
        json_write_object_end(w);
    else
        json_write_array_end(w);
}

#define LINE_MAX 88 /* what is no longer stays on its line */

/* Length of the object or list that s begins with, or 0 when it is longer than a line. */
static size_t short_length(struct slice s)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < s.len && i < LINE_MAX; i++) {
        char c = s.ptr[i];
        if (in_string && c == '\\')
            i++;
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == '{' || c == '['))
            depth++;
        else if (!in_string && (c == '}' || c == ']') && --depth == 0)
            return i + 1;
    }
    return 0;
}

static void add_line(struct buf *to, struct slice s)
{
    bool in_string = false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        buf_add_char(to, c);
        if (in_string && c == '\\')
            buf_add_char(to, s.ptr[++i]);
        else if (c == '"')
            in_string = !in_string;
        else if (!in_string && (c == ':' || c == ','))
            buf_add_char(to, ' ');
    }
}

static void break_line(struct buf *to, unsigned depth)
{
    buf_add_char(to, '\n');
    for (unsigned d = 0; d < depth; d++)
        buf_add_str(to, "  ");
}

/* Compact JSON with line ends and two spaces a level; what is short stays on a line. */
static void indent(struct buf *to, struct slice json)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i];
        bool opens = !in_string && (c == '{' || c == '['),
             closes = !in_string && (c == '}' || c == ']');
        size_t n = opens && depth ? short_length(slice_skip(json, i)) : 0;
        if (n) {
            add_line(to, slice_first(slice_skip(json, i), n));
            i += n - 1;
            continue;
        }
        if (closes)
            break_line(to, --depth);
        buf_add_char(to, c);
        if (in_string && c == '\\')
            buf_add_char(to, json.ptr[++i]);
        else if (c == '"')
            in_string = !in_string;
        else if (opens)
            break_line(to, ++depth);
        else if (!in_string && c == ',')
            break_line(to, depth);
        else if (!in_string && c == ':')
            buf_add_char(to, ' ');
    }
    buf_add_char(to, '\n');
}

bool yaml_to_json(struct slice yaml, struct arena *a, struct buf *to, struct err *e)
{
    struct err problem = {0};
    struct yaml_node *root = yaml_parse(yaml, a, (struct yaml_report){on_problem, &problem});
    if (!root || problem.code != ERR_NONE)
        return err_set(e, ERR_INTERNAL, "%s", problem.msg);
    struct buf json;
    struct json_writer w;
    buf_init(&json, to->max);
    json_writer_init(&w, &json, 0);
    write_node(&w, root);
    json_writer_done(&w);
    indent(to, buf_slice(&json));
    buf_done(&json);
    return true;
}
