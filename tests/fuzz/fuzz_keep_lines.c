/* Rows of backups as lines: what is read is written again to the same, and is what tables have. */
#include "base/utf8.h"
#include "keep/keep_impl.h"

static void check_table(const struct keep_table *t)
{
    must(keep_word_check(t->name) && t->n && t->n <= KEEP_COLUMNS_MAX);
    for (size_t i = 0; i < t->n; i++)
        must(keep_word_check(t->columns[i].name));
}

static void write_line(struct buf *to, const struct keep_reader *r, enum keep_line is)
{
    if (is == LINE_TABLE)
        keep_line_table(to, &r->table);
    else if (is == LINE_ROW)
        keep_line_row(to, &r->table, r->cells);
    else if (is == LINE_END)
        keep_line_end(to, r->table.name, r->rows);
    else
        keep_line_last(to, r->tables, r->all_rows);
}

/* All lines up to the first that is none, as they would be written. */
static bool read_all(struct slice text, struct buf *to)
{
    struct keep_reader r;
    struct slice line;
    struct err e = {0};
    enum keep_line is;
    bool fine = true;
    keep_reader_init(&r);
    while (fine && slice_cut(&text, '\n', &line)) {
        fine = keep_reader_line(&r, line, &is, &e);
        if (fine && is == LINE_TABLE)
            check_table(&r.table);
        if (fine)
            write_line(to, &r, is);
    }
    must(fine || (e.code == ERR_DAMAGED && e.msg[0]));
    must(fine || !utf8_is_control(slice_from(e.msg)));
    keep_reader_done(&r);
    return fine;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf once, twice;
    buf_init(&once, 64u << 20);
    buf_init(&twice, 64u << 20);
    read_all((struct slice){(const char *)data, size}, &once);
    must(!once.full);
    must(read_all(buf_slice(&once), &twice));
    must(slice_eq(buf_slice(&once), buf_slice(&twice)));
    buf_done(&once);
    buf_done(&twice);
    return 0;
}
