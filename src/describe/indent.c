/* JSON with a line for each value, so that two texts can be compared line by line. */
#include "describe/describe.h"

static void new_line(struct buf *to, unsigned depth)
{
    buf_add_char(to, '\n');
    for (unsigned i = 0; i < depth; i++)
        buf_add_str(to, "  ");
}

void describe_indent(struct slice json, struct buf *to)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < json.len; i++) {
        char c = json.ptr[i], next = i + 1 < json.len ? json.ptr[i + 1] : '\0';
        bool opens = c == '{' || c == '[', closes = c == '}' || c == ']';
        if (in_string || (!opens && !closes && c != ',' && c != ':')) {
            buf_add_char(to, c);
            if (in_string && c == '\\')
                buf_add_char(to, json.ptr[++i]);
            else if (c == '"')
                in_string = !in_string;
            continue;
        }
        if (closes && json.ptr[i - 1] != (c == '}' ? '{' : '['))
            new_line(to, depth - 1);
        buf_add_char(to, c);
        depth += opens;
        depth -= closes;
        if (c == ':')
            buf_add_char(to, ' ');
        if (c == ',' || (opens && next != '}' && next != ']'))
            new_line(to, depth);
    }
    buf_add_char(to, '\n');
}
