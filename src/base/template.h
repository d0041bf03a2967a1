/* A tiny renderer of HTML templates: every value is escaped, one section may repeat.
 *
 * {{name}}             the value, escaped so that it is text in HTML and in quoted attributes
 * {{#list}}…{{/list}}  once for every row; a row's values hide the page's of the same name
 * {{^list}}…{{/list}}  once when the list has no rows
 * {{! …}}              a remark; it and the line end after it are left out
 *
 * Sections do not nest. Templates and the names in them are ours: an unknown name, or a tag that is
 * not closed, is a mistake in the program and fails a must(). */
#pragma once
#include "base/buf.h"
#include "base/slice.h"

#include <stddef.h>

struct template_value {
    const char *name;
    struct slice text;
};

struct template_row {
    const struct template_value *values;
    size_t n_values;
};

struct template_list {
    const char *name;
    const struct template_row *rows;
    size_t n_rows;
};

struct template_data {
    const struct template_value *values;
    size_t n_values;
    const struct template_list *lists;
    size_t n_lists;
};

/* Adds the filled template to `out`; the data is only read. Whether it fitted: out->full. */
void template_render(struct buf *out, struct slice template, const struct template_data *data);

/* Adds `text` with & < > " ' written as references and NUL as U+FFFD. */
void template_escape(struct buf *out, struct slice text);
