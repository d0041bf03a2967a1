/* Documents as CSV: what spreadsheets read, without changing a value on its way. */
#include "api/csv_impl.h"

#define COLUMNS_MAX 1000 /* that are named */

struct csv {
    struct slice *columns;
    size_t n;
};

static void add_quoted(struct buf *to, struct slice s)
{
    bool is_plain = true;
    for (size_t i = 0; i < s.len && is_plain; i++)
        is_plain = s.ptr[i] != '"' && s.ptr[i] != ',' && s.ptr[i] != '\r' && s.ptr[i] != '\n';
    if (is_plain) {
        buf_add(to, s);
        return;
    }
    buf_add_char(to, '"');
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"')
            buf_add_char(to, '"');
        buf_add_char(to, s.ptr[i]);
    }
    buf_add_char(to, '"');
}

static void end_line(struct buf *to)
{
    buf_add(to, SLICE("\r\n"));
}

/* ---- columns --------------------------------------------------------------------------------- */

static bool has_column(const struct csv *csv, struct slice name)
{
    for (size_t i = 0; i < csv->n; i++) {
        if (slice_eq(csv->columns[i], name))
            return true;
    }
    return false;
}

/* None of them twice: a large one as often as it fits into an address is a very large answer. */
static bool take_named(struct csv *csv, const struct doc_coll *c, struct slice fields,
                       struct arena *a, struct err *e)
{
    struct slice name;
    csv->columns = arena_alloc(a, (fields.len + 1) * sizeof *csv->columns);
    while (slice_cut(&fields, ',', &name)) {
        if (!doc_coll_shows(c, name))
            return err_set(e, ERR_MALFORMED, "There is no field %.*s.",
                           SLICE_ARGS(slice_first(name, 60)));
        if (has_column(csv, name))
            return err_set(e, ERR_MALFORMED, "The field %.*s is there twice.",
                           SLICE_ARGS(slice_first(name, 60)));
        if (csv->n == COLUMNS_MAX)
            return err_set(e, ERR_MALFORMED, "At most %d fields can be named.", COLUMNS_MAX);
        csv->columns[csv->n++] = arena_dup(a, name);
    }
    return true;
}

static bool take_all(struct csv *csv, const struct doc_coll *c, struct arena *a, struct err *e)
{
    static const struct slice ours[] = {SLICE_INIT("id"), SLICE_INIT("version"),
                                        SLICE_INIT("owner"), SLICE_INIT("created"),
                                        SLICE_INIT("updated")};
    const size_t n_ours = sizeof ours / sizeof *ours;
    struct slice *names = NULL;
    size_t n = 0;
    if (!doc_coll_schema(c))
        return err_set(e, ERR_MALFORMED,
                       "This collection has no schema: say which columns, as in fields=id,title.");
    schema_properties(doc_coll_schema(c), a, &names, &n);
    csv->columns = arena_alloc(a, (n + n_ours) * sizeof *csv->columns);
    for (size_t i = 0; i < n_ours; i++)
        csv->columns[csv->n++] = ours[i];
    for (size_t i = 0; i < n; i++) {
        if (doc_coll_shows(c, names[i]))
            csv->columns[csv->n++] = names[i];
    }
    return true;
}

bool csv_begin(struct csv **ret, const struct doc_coll *c, struct slice fields, struct arena *a,
               struct buf *to, struct err *e)
{
    struct csv *csv = arena_new(a, struct csv);
    if (fields.len ? !take_named(csv, c, fields, a, e) : !take_all(csv, c, a, e))
        return false;
    for (size_t i = 0; i < csv->n; i++) {
        buf_add_str(to, i ? "," : "");
        add_quoted(to, csv->columns[i]);
    }
    end_line(to);
    *ret = csv;
    return true;
}

/* ---- a line ---------------------------------------------------------------------------------- */

static void add_value(struct buf *to, const struct json *value, struct buf *scratch)
{
    struct json_writer w;
    switch (json_type(value)) {
    case JSON_NONE:
    case JSON_NULL:
        return;
    case JSON_STRING:
        add_quoted(to, json_str(value));
        return;
    case JSON_BOOL:
    case JSON_NUMBER:
    case JSON_ARRAY:
    case JSON_OBJECT:
        buf_clear(scratch);
        json_writer_init(&w, scratch, 0);
        json_write_value(&w, value);
        add_quoted(to, buf_slice(scratch));
        return;
    }
}

bool csv_add(const struct csv *csv, struct slice doc, struct arena *scratch, struct buf *to,
             struct err *e)
{
    struct arena_mark mark = arena_mark(scratch);
    struct json_doc tree;
    struct buf b;
    if (!json_parse(&tree, scratch, doc, &doc_stored_limits, e))
        return false;
    buf_init(&b, DOC_BYTES_MAX);
    for (size_t i = 0; i < csv->n; i++) {
        buf_add_str(to, i ? "," : "");
        add_value(to, json_find(json_root(&tree), csv->columns[i]), &b);
    }
    end_line(to);
    buf_done(&b);
    arena_rewind(scratch, mark);
    return true;
}
