/* Rows as lines of JSON: written, and read strictly, as the folder may be anybody's. */
#include "keep/keep_impl.h"

#include "base/base64.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <string.h>

#define WORD_MAX   63 /* of names, as Postgres has it */
#define TABLES_MAX 100000

bool keep_word_check(struct slice name)
{
    if (!name.len || name.len > WORD_MAX || name.ptr[0] < 'a' || name.ptr[0] > 'z')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

void keep_line_table(struct buf *to, const struct keep_table *t)
{
    must(keep_word_check(t->name) && t->n && t->n <= KEEP_COLUMNS_MAX);
    buf_printf(to, "{\"table\":\"%.*s\",\"columns\":[", SLICE_ARGS(t->name));
    for (size_t i = 0; i < t->n; i++) {
        must(keep_word_check(t->columns[i].name));
        buf_printf(to, "%s\"%.*s\"", i ? "," : "", SLICE_ARGS(t->columns[i].name));
    }
    buf_add(to, SLICE("],\"kinds\":\""));
    for (size_t i = 0; i < t->n; i++)
        buf_add_char(to, (char)t->columns[i].kind);
    buf_add(to, SLICE("\"}\n"));
}

static void add_bytes(struct buf *to, struct slice bytes)
{
    buf_add(to, SLICE("{\"b\":\""));
    base64_add(to, bytes, BASE64_URL);
    buf_add(to, SLICE("\"}"));
}

static void add_cell(struct buf *to, enum keep_kind kind, const struct keep_cell *cell)
{
    if (cell->is_null)
        buf_add(to, SLICE("null"));
    else if (kind == KIND_NUMBER)
        buf_printf(to, "%" PRId64, cell->number);
    else if (kind == KIND_TEXT && utf8_is_valid(cell->bytes))
        json_escape(to, cell->bytes, 0);
    else
        add_bytes(to, cell->bytes);
}

void keep_line_row(struct buf *to, const struct keep_table *t, const struct keep_cell *cells)
{
    for (size_t i = 0; i < t->n; i++) {
        buf_add_char(to, i ? ',' : '[');
        add_cell(to, t->columns[i].kind, &cells[i]);
    }
    buf_add(to, SLICE("]\n"));
}

void keep_line_end(struct buf *to, struct slice table, uint64_t rows)
{
    buf_printf(to, "{\"end\":\"%.*s\",\"rows\":%" PRIu64 "}\n", SLICE_ARGS(table), rows);
}

void keep_line_last(struct buf *to, uint64_t tables, uint64_t rows)
{
    buf_printf(to, "{\"tables\":%" PRIu64 ",\"rows\":%" PRIu64 "}\n", tables, rows);
}

/* ---- reading --------------------------------------------------------------------------------- */

void keep_reader_init(struct keep_reader *r)
{
    *r = (struct keep_reader){0};
    arena_init(&r->names, 64u << 10);
    /* Texts without their escapes, bytes, and the tree. */
    arena_init(&r->row, 2ull * KEEP_LINE_MAX + (1u << 20));
    arena_init(&r->seen_names, 16u << 20);
    map_init(&r->seen);
}

void keep_reader_done(struct keep_reader *r)
{
    map_done(&r->seen);
    arena_done(&r->seen_names);
    arena_done(&r->row);
    arena_done(&r->names);
}

static bool bad(const struct keep_reader *r, const char *what, struct err *e)
{
    return err_set(e, ERR_DAMAGED, "Line %" PRIu64 " of the rows: %s.", r->line, what);
}

static bool is_kind(char c)
{
    return c == KIND_TEXT || c == KIND_NUMBER || c == KIND_BYTES;
}

static bool knows_column(const struct keep_table *t, struct slice name)
{
    for (size_t i = 0; i < t->n; i++) {
        if (slice_eq(t->columns[i].name, name))
            return true;
    }
    return false;
}

static bool read_columns(struct keep_reader *r, const struct json *names, struct slice kinds,
                         struct err *e)
{
    struct keep_table *t = &r->table;
    size_t n = json_len(names);
    if (json_type(names) != JSON_ARRAY || !n || n > KEEP_COLUMNS_MAX || kinds.len != n)
        return bad(r, "its columns are not such as tables have", e);
    json_each (it, names) {
        struct slice name = json_str(it.value);
        if (!keep_word_check(name) || !is_kind(kinds.ptr[it.index]) || knows_column(t, name))
            return bad(r, "its columns are not such as tables have", e);
        t->columns[t->n++] = (struct keep_column){
            .name = arena_dup(&r->names, name),
            .kind = (enum keep_kind)kinds.ptr[it.index],
        };
    }
    return true;
}

static bool read_table(struct keep_reader *r, const struct json *line, struct err *e)
{
    struct slice name = json_str(json_find(line, SLICE("table")));
    if (r->is_in_table)
        return bad(r, "a table begins before the last one has ended", e);
    if (json_len(line) != 3 || !keep_word_check(name))
        return bad(r, "its name is not one of tables", e);
    if (map_find(&r->seen, name) || r->tables >= TABLES_MAX)
        return bad(r, "a table comes twice, or there are too many", e);
    if (slice_is(name, "dais_blobs") && r->tables)
        return bad(r, "dais_blobs has to be the first table", e);
    struct slice seen = arena_dup(&r->seen_names, name);
    map_put(&r->seen, seen, r);
    arena_reset(&r->names);
    r->table.name = arena_dup(&r->names, name);
    r->table.n = 0;
    r->rows = 0;
    r->is_in_table = true;
    return read_columns(r, json_find(line, SLICE("columns")),
                        json_str(json_find(line, SLICE("kinds"))), e);
}

/* {"b":"…"}, and one spelling of everything: a text that is UTF-8 is written as one. */
static bool read_bytes(struct keep_reader *r, enum keep_kind kind, const struct json *v,
                       struct slice *ret)
{
    const struct json *text = json_find(v, SLICE("b"));
    return json_len(v) == 1 && json_type(text) == JSON_STRING &&
           base64_url_read(json_str(text), &r->row, ret) &&
           !(kind == KIND_TEXT && utf8_is_valid(*ret));
}

static bool read_cell(struct keep_reader *r, enum keep_kind kind, const struct json *v,
                      struct keep_cell *ret)
{
    *ret = (struct keep_cell){.is_null = json_type(v) == JSON_NULL, .bytes = SLICE("")};
    if (ret->is_null)
        return true;
    if (kind == KIND_NUMBER)
        return json_type(v) == JSON_NUMBER && json_i64(v, &ret->number);
    if (json_type(v) == JSON_OBJECT)
        return read_bytes(r, kind, v, &ret->bytes);
    ret->bytes = json_str(v);
    return kind == KIND_TEXT && json_type(v) == JSON_STRING;
}

static bool read_row(struct keep_reader *r, const struct json *line, struct err *e)
{
    const struct keep_table *t = &r->table;
    if (!r->is_in_table)
        return bad(r, "a row that is in no table", e);
    if (json_len(line) != t->n)
        return bad(r, "a row with more or fewer columns than its table", e);
    json_each (it, line) {
        if (!read_cell(r, t->columns[it.index].kind, it.value, &r->cells[it.index]))
            return bad(r, "a value of another kind than its column's", e);
    }
    r->rows++;
    r->all_rows++;
    return true;
}

static bool read_end(struct keep_reader *r, const struct json *line, struct err *e)
{
    uint64_t rows;
    if (!r->is_in_table || json_len(line) != 2 ||
        !slice_eq(json_str(json_find(line, SLICE("end"))), r->table.name))
        return bad(r, "the end of a table that did not begin", e);
    if (!json_u64(json_find(line, SLICE("rows")), &rows) || rows != r->rows)
        return bad(r, "the table has more or fewer rows than it says", e);
    r->is_in_table = false;
    r->tables++;
    return true;
}

static bool read_last(struct keep_reader *r, const struct json *line, struct err *e)
{
    uint64_t tables, rows;
    if (r->is_in_table || json_len(line) != 2 ||
        !json_u64(json_find(line, SLICE("tables")), &tables) || tables != r->tables ||
        !json_u64(json_find(line, SLICE("rows")), &rows) || rows != r->all_rows)
        return bad(r, "the last line says something else than what came before it", e);
    r->is_over = true;
    return true;
}

static enum keep_line kind_of(const struct json *line)
{
    return json_type(line) == JSON_ARRAY             ? LINE_ROW
           : json_find(line, SLICE("table")) != NULL ? LINE_TABLE
           : json_find(line, SLICE("end")) != NULL   ? LINE_END
                                                     : LINE_LAST;
}

bool keep_reader_line(struct keep_reader *r, struct slice line, enum keep_line *ret, struct err *e)
{
    static bool (*const read[])(struct keep_reader * r, const struct json *line, struct err *e) = {
        [LINE_TABLE] = read_table,
        [LINE_ROW] = read_row,
        [LINE_END] = read_end,
        [LINE_LAST] = read_last,
    };
    /* An object in an array, three values each. */
    static const struct json_limits limits = {.max_depth = 2, .max_nodes = 4 * KEEP_COLUMNS_MAX};
    struct json_doc doc;
    r->line++;
    if (r->is_over)
        return bad(r, "more follows the last line", e);
    if (line.len > KEEP_LINE_MAX)
        return bad(r, "it is too long", e);
    arena_reset(&r->row);
    if (!json_parse(&doc, &r->row, line, &limits, NULL))
        return bad(r, "it is no JSON as rows are written in", e);
    *ret = kind_of(json_root(&doc));
    return read[*ret](r, json_root(&doc), e);
}
